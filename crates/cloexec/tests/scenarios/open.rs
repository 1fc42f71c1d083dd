//! `open`, `pipe` and the like: the system calls that make descriptors.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use cloexec::open;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{AddressFamily, SockType};
use nix::sys::stat::Mode;
use testing::judged;

use super::support::helper::table;

/// Runs the scenario of that name, and returns the helper's exit code.
pub fn run(scenario: &[&str]) -> i32 {
    testing::exit_code(match scenario {
        ["errors"] => errors(),
        [name] => made(name),
        ["duplicate-without", closed] => duplicate_without(closed),
        ["full", limit] => full(limit),
        ["made", name] => new_descriptors(name),
        _ => Err(format!("no scenario is called {scenario:?}")),
    })
}

fn made(name: &str) -> Result<(), String> {
    table::clean();
    let file = File::open("/dev/null").map_err(|e| e.to_string())?;
    let outcome = match name {
        "open" => judged(|| open::open("/dev/null", OFlag::O_RDONLY, Mode::empty())).map(drop),
        // The directory does not exist, so no file is created; the kernel still gets the flags and the mode.
        "open-create" => {
            let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_APPEND;
            let _ =
                judged(|| open::open("/proc/self/no-such-folder/file", flags, Mode::from_bits_retain(0o640)));
            Ok(())
        }
        "open-plainly" => return only_the_call(OFlag::O_RDONLY, 0),
        "open-with-everything" => {
            let create = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_TRUNC;
            return only_the_call(OFlag::O_WRONLY | OFlag::O_APPEND | create, 0o6054);
        }
        "open-with-an-unknown-flag" => return only_the_call(OFlag::O_RDONLY | UNKNOWN, 0),
        "open-without-a-name" => return only_the_call(OFlag::O_WRONLY | OFlag::O_TMPFILE, 0o6054),
        "sockets" => {
            for (family, kind) in SOCKETS {
                // A kernel may lack a family. The arguments are in the call.
                let _ = judged(|| open::socket(family, kind));
            }
            Ok(())
        }
        "pipe" => judged(open::pipe).map(drop),
        "socket" => judged(|| open::socket(AddressFamily::Unix, SockType::Datagram)).map(drop),
        "duplicate" => judged(|| open::duplicate(&file)).map(drop),
        _ => return Err(format!("no scenario is called {name}")),
    };
    outcome.map_err(|error| error.to_string())
}

/// Closes these standard streams, like `0 1`, makes a duplicate, and prints `number …`.
fn duplicate_without(closed: &str) -> Result<(), String> {
    table::clean();
    let file = File::open("/dev/null").map_err(|e| e.to_string())?;
    // The output goes to a copy, because 1 may be closed.
    let copy = fcntl(io::stdout(), FcntlArg::F_DUPFD_CLOEXEC(10)).map_err(|e| e.to_string())?;
    for number in closed.split(' ').filter_map(|number| number.parse::<i32>().ok()) {
        nix::unistd::close(number).map_err(|e| e.to_string())?;
    }
    let result = open::duplicate(&file);
    let words = match &result {
        Ok(duplicate) => format!("number {}\n", duplicate.as_raw_fd()),
        Err(error) => format!("number none: {error}\n"),
    };
    // SAFETY: `copy` is open until the process exits.
    let output = unsafe { BorrowedFd::borrow_raw(copy) };
    nix::unistd::write(output, words.as_bytes()).map(drop).map_err(|e| e.to_string())
}

/// A flag that no kernel has yet, and that nix has no name for. open(2) ignores it.
pub const UNKNOWN: OFlag = OFlag::from_bits_retain(1 << 29);

/// The sockets that the scenario `sockets` makes.
pub const SOCKETS: [(AddressFamily, SockType); 3] = [
    (AddressFamily::Inet, SockType::Stream),
    (AddressFamily::Inet6, SockType::Datagram),
    (AddressFamily::Unix, SockType::SeqPacket),
];

/// Opens a file in a directory that does not exist, so that none is created.
fn only_the_call(flags: OFlag, mode: u32) -> Result<(), String> {
    let _ = judged(|| open::open("/proc/self/no-such-folder/file", flags, Mode::from_bits_retain(mode)));
    Ok(())
}

/// The four functions: each result as a list of descriptors.
fn call(name: &str, file: &File) -> cloexec::Result<Vec<OwnedFd>> {
    Ok(match name {
        "open" => vec![open::open("/dev/null", OFlag::O_RDONLY, Mode::empty())?],
        "pipe" => {
            let (reader, writer) = open::pipe()?;
            vec![reader, writer]
        }
        "socket" => vec![open::socket(AddressFamily::Unix, SockType::Stream)?],
        _ => vec![open::duplicate(file)?],
    })
}

/// Prints what each function returns, as `open Ok` or `open Err ERRNO CALL`.
fn errors() -> Result<(), String> {
    table::clean();
    let file = File::open("/dev/null").map_err(|e| e.to_string())?;
    for name in ["open", "pipe", "socket", "duplicate"] {
        match judged(|| call(name, &file)) {
            Ok(_) => println!("{name} Ok"),
            Err(error) => println!("{name} Err {:?} {}", error.errno, error.operation),
        }
    }
    Ok(())
}

fn numbers() -> Vec<i32> {
    table::open_now().iter().map(|entry| entry.number).collect()
}

/// Descriptors 0 to 3 are open, 3 is a file, and no descriptor may be LIMIT or higher. Prints, for each function,
/// `open Ok NUMBERS` or `open Err ERRNO CALL on OBJECT`, and `left same` or what the failed calls left open. Last it closes
/// 0, and prints the result of a duplicate again, as `without-0 …`.
fn full(limit: &str) -> Result<(), String> {
    table::clean();
    let file = File::open("/dev/null").map_err(|e| e.to_string())?;
    let limit = limit.parse().map_err(|_| format!("{limit} is not a number"))?;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(|e| e.to_string())?;
    let to = |limit| setrlimit(Resource::RLIMIT_NOFILE, limit, hard).map_err(|e| e.to_string());
    for name in ["open", "pipe", "socket", "duplicate", "without-0"] {
        if name == "without-0" {
            nix::unistd::close(0).map_err(|e| e.to_string())?;
        }
        let before = numbers();
        to(limit)?;
        let result = call(name, &file);
        to(soft)?;
        match result {
            Ok(new) => println!("{name} Ok {:?}", new.iter().map(AsRawFd::as_raw_fd).collect::<Vec<_>>()),
            Err(error) => println!("{name} Err {:?} {} on {}", error.errno, error.operation, error.object),
        }
        println!("left {name} {}", if before == numbers() { "nothing" } else { "a descriptor" });
    }
    Ok(())
}

/// Prints how many descriptors the function made, as `made …`, where 0 is free.
fn new_descriptors(name: &str) -> Result<(), String> {
    table::clean();
    let file = File::open("/dev/null").map_err(|e| e.to_string())?;
    nix::unistd::close(0).map_err(|e| e.to_string())?;
    let before = numbers().len();
    let new = call(name, &file).map_err(|error| error.to_string())?;
    println!("made {}", numbers().len() - before);
    drop(new);
    Ok(())
}
