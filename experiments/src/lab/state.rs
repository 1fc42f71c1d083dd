//! What a process does right now, as /proc shows it.

use std::io::ErrorKind;
use std::{fs, io, thread};

use nix::libc::c_long;
use nix::unistd::Pid;

use crate::verdict::{Result, cannot_ask};

/// Does this process, or thread, sleep? Its state is S then. See proc_pid_stat(5).
///
/// # Errors
/// `ENOENT` or `ESRCH` if it does not exist any more.
pub fn sleeps(task: Pid) -> io::Result<bool> {
    Ok(state_in(&fs::read_to_string(format!("/proc/{task}/stat"))?) == Some('S'))
}

/// The letter of the state in a line of /proc/PID/stat.
pub(super) fn state_in(stat: &str) -> Option<char> {
    // The name before the state is in parentheses, and may contain anything.
    stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next())
}

/// Wait until a process sleeps in the system call of this number, `SYS_wait4` for example. See proc_pid_syscall(5).
///
/// # Errors
/// What [`shown`] fails with.
pub fn sleeps_in(process: Pid, call: c_long) -> Result {
    // A process that runs has the word "running" there, and no number.
    let number = call.to_string();
    while shown(process, "syscall")?.split_whitespace().next() != Some(&number) {
        thread::yield_now();
    }
    Ok(())
}

/// A file of /proc about a process. Not every kernel has each, and not every container shows them.
///
/// # Errors
/// A [`cannot_ask`] for `ENOENT`, `EACCES` and `EPERM`; `ESRCH` if the process does not exist any more.
pub fn shown(process: Pid, name: &str) -> Result<String> {
    fs::read_to_string(format!("/proc/{process}/{name}")).map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::PermissionDenied => {
            cannot_ask(format!("/proc/PID/{name} cannot be read: {error}"))
        }
        _ => error.into(),
    })
}
