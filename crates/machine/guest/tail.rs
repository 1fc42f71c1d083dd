//! `tail -f FILE --pid=PID`, which busybox and klibc cannot do: the book's server starts it, to have a program that prints
//! nothing and ends when a process has. It sleeps until then; a file that never grows has nothing to follow.

use std::os::fd::AsFd;
use std::process::ExitCode;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{Pid, pause};

/// Wait for the process that `--pid=` names, for ever if none does.
pub fn main() -> ExitCode {
    let pid = std::env::args().find_map(|arg| arg.strip_prefix("--pid=")?.trim().parse().ok());
    let Some(pid) = pid.map(Pid::from_raw) else {
        loop {
            pause();
        }
    };
    // Gone already, or no pidfds here: both end the program.
    let Ok(process) = experiments::pidfd(pid) else { return ExitCode::SUCCESS };
    let ended = poll(&mut [PollFd::new(process.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE);
    if ended.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
