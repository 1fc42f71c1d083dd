//! `program ROLE …`: what the program does that `capture` runs.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, chdir, close, fork, getppid};

use super::{interrupt, stop, table};

/// How long the program waits for the next part of its input, in milliseconds. Its caller writes the input at once.
const PATIENCE: u16 = 2500;

/// What any user may have, in bytes, unless `/proc/sys/fs/pipe-max-size` was changed.
const LARGEST_PIPE: usize = 1 << 20;

/// Gives a pipe a large capacity, if possible: with the usual one, many megabytes take a switch of processes for each
/// 64 KiB, which takes seconds on a busy machine.
fn enlarge(pipe: &impl AsFd) {
    let _ = fcntl(pipe, FcntlArg::F_SETPIPE_SZ(LARGEST_PIPE as i32));
}

/// Plays a role, and returns the exit code.
pub fn run(role: &[&str]) -> i32 {
    // Before anything that may end the caller.
    interrupt::caller();
    match role {
        ["read"] => {
            enlarge(&io::stdin());
            print(&input().unwrap_or_else(|error| format!("its input cannot be read: {error}")))
        }
        ["print", length] => {
            let bytes = pattern(length.parse().unwrap_or(0));
            if bytes.len() > LARGEST_PIPE {
                enlarge(&io::stdout());
            }
            io::stdout().write_all(&bytes).map_or(1, |()| 0)
        }
        ["complain"] => io::stderr().write_all(b"words").map_or(1, |()| 0),
        ["exit", code] => code.parse().unwrap_or(1),
        ["die", number] => {
            let number = number.parse().unwrap_or(0);
            // SAFETY: the call takes an integer. `raise` of nix has no real-time signals.
            unsafe { libc::raise(number) }
        }
        ["print-and-die", number] => {
            print("last words");
            // SAFETY: the call takes an integer.
            unsafe { libc::raise(number.parse().unwrap_or(0)) }
        }
        ["dump", folder] => {
            let (_, hard) = getrlimit(Resource::RLIMIT_CORE).unwrap_or_default();
            let ready = chdir(*folder).and_then(|()| setrlimit(Resource::RLIMIT_CORE, hard, hard));
            ready.and_then(|()| raise(Signal::SIGABRT)).map_or(1, |()| 0)
        }
        ["count", arguments @ ..] => {
            let bytes: usize = arguments.iter().map(|argument| argument.len()).sum();
            print(&format!("{} arguments, {bytes} bytes", arguments.len()))
        }
        ["arguments", ..] => {
            let arguments: Vec<String> = std::env::args().skip(4).collect();
            let name = std::env::args().next().unwrap_or_default();
            let variable = std::env::var("PROCESS_TEST").unwrap_or_default();
            print(&format!("name {name}\narguments {arguments:?}\nvariable {variable}"))
        }
        ["pipes"] => print(&pipes()),
        ["mask"] => {
            let mask = SigSet::thread_get_mask().map(|mask| names(&mask));
            print(&format!("blocked {}", mask.unwrap_or_default()))
        }
        ["ignored"] => {
            let realtime =
                if bits("self", "SigIgn") & 1 << (libc::SIGRTMIN() - 1) != 0 { " SIGRTMIN" } else { "" };
            print(&format!("ignored {}{realtime}", names(&signals("self", "SigIgn"))))
        }
        ["callers-mask"] => {
            // It is asleep in a write of the input, if that is long, or in a read of the output.
            let _ = interrupt::caller_sleeps();
            let caller = interrupt::caller().to_string();
            print(&format!("blocked {}", names(&signals(&caller, "SigBlk"))))
        }
        ["stop"] => stop::stopped(),
        ["linger"] => {
            // The output ends now, and the program is still running.
            let _ = close(1);
            interrupt::caller_sleeps();
            7
        }
        ["read-late"] => {
            // The pipe is full, so the caller is asleep writing the rest of the input.
            interrupt::interrupt_caller();
            print(&input().unwrap_or_default())
        }
        ["interrupt"] => {
            let words = input().unwrap_or_default();
            // The caller has closed the input, so it is asleep reading the output.
            interrupt::interrupt_caller();
            print(&words);
            let _ = close(1);
            // The caller has read the end of the output, so it is asleep in waitpid.
            interrupt::interrupt_caller();
            7
        }
        _ => 2,
    }
}

/// Names the signals of a set: `SIGUSR1 SIGTERM`.
pub fn names(set: &SigSet) -> String {
    set.iter().map(Signal::as_str).collect::<Vec<_>>().join(" ")
}

/// The signals in this field of /proc/PID/status, without the real-time ones.
fn signals(process: &str, field: &str) -> SigSet {
    let bits = bits(process, field);
    Signal::iterator().filter(|signal| bits & 1 << (*signal as i32 - 1) != 0).collect()
}

fn bits(process: &str, field: &str) -> u64 {
    let bits = testing::proc::status(process, field).unwrap_or_default();
    u64::from_str_radix(&bits, 16).unwrap_or_default()
}

/// Prints `dumped true` if a process that SIGABRT kills in this folder dumps core, and `dumped false` if it does not.
pub fn dumps(folder: &str) -> nix::Result<()> {
    // SAFETY: this process has one thread, and the child ends here.
    let ForkResult::Parent { child } = unsafe { fork() }? else {
        let code = run(&["dump", folder]);
        // SAFETY: `_exit` has no preconditions.
        unsafe { libc::_exit(code) }
    };
    println!("dumped {}", waitpid(child, None)? == WaitStatus::Signaled(child, Signal::SIGABRT, true));
    Ok(())
}

/// Prints a text, and returns the exit code.
fn print(text: &str) -> i32 {
    writeln!(io::stdout(), "{text}").and_then(|()| io::stdout().flush()).map_or(1, |()| 0)
}

/// Bytes that can be told from the same bytes in another order.
pub fn pattern(length: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..251).collect::<Vec<u8>>().repeat(length / 251 + 1);
    bytes.truncate(length);
    bytes
}

/// Reads the input to its end, and says what came.
fn input() -> io::Result<String> {
    let (mut input, mut seen, mut buffer) = (io::stdin().lock(), Vec::new(), [0; 65536]);
    loop {
        let events =
            poll(&mut [PollFd::new(io::stdin().as_fd(), PollFlags::POLLIN)], PollTimeout::from(PATIENCE))?;
        if events == 0 {
            return Ok(format!("{} bytes and no end of file, because {}", seen.len(), holder()));
        }
        match input.read(&mut buffer)? {
            0 if seen == pattern(seen.len()) => return Ok(format!("{} bytes and end of file", seen.len())),
            0 => return Ok(format!("{} other bytes and end of file", seen.len())),
            length => seen.extend_from_slice(&buffer[..length]),
        }
    }
}

/// Which process has the write end of the pipe at 0 open.
fn holder() -> String {
    let own = table::open_in("self");
    let Some(pipe) = own.iter().find(|entry| entry.number == 0) else { return "0 is closed".into() };
    let holds = |entries: &[table::Entry]| {
        entries.iter().find(|other| other.writes && other.identity == pipe.identity).map(|other| other.number)
    };
    if let Some(number) = holds(&own) {
        return format!("the program itself has the write end of its input open, as descriptor {number}");
    }
    match holds(&table::open_in(&getppid().to_string())) {
        Some(number) => format!("the caller still has the write end open, as descriptor {number}"),
        None => "some process has the write end open".into(),
    }
}

/// The descriptors that lead to pipes, and whether 2 and any file of the caller do not.
fn pipes() -> String {
    let kind = |entry: &table::Entry| format!("{}{}", entry.number, if entry.writes { "w" } else { "r" });
    let entries = table::open_in("self");
    let pipes = entries.iter().filter(|entry| entry.target.starts_with("pipe:") && entry.number != 2);
    format!("pipes {}", pipes.map(kind).collect::<Vec<_>>().join(" "))
}
