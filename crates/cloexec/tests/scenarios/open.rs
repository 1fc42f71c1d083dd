//! `open`, `pipe` and the like: the system calls that make descriptors.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use cloexec::open;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{AddressFamily, SockType};
use nix::sys::stat::Mode;
use testing::judged;

use super::support::helper::table;

/// Runs the scenario of that name, and returns the helper's exit code.
pub fn run(scenario: &[&str]) -> i32 {
    testing::exit_code(match scenario {
        [name] => made(name),
        ["duplicate-without", closed] => duplicate_without(closed),
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
