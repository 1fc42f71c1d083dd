//! What a process does right now, as /proc shows it.

use std::io::ErrorKind;
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use nix::libc::c_long;
use nix::unistd::Pid;

use crate::verdict::{Result, cannot_ask};

/// How long something may take that is sure to come.
pub const PATIENCE: Duration = Duration::from_secs(20);

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
/// What [`shown`] fails with, and another error if the process does not come to sleep there.
pub fn sleeps_in(process: Pid, call: c_long) -> Result {
    // A process that runs has the word "running" there, and no number.
    let (start, number) = (Instant::now(), call.to_string());
    while shown(process, "syscall")?.split_whitespace().next() != Some(&number) {
        if start.elapsed() > PATIENCE {
            return Err(format!("a process does not come to sleep in the system call {call}").into());
        }
        thread::yield_now();
    }
    Ok(())
}

/// The children of a process, in the order of their forks. See proc_tid_children(5).
///
/// # Errors
/// What [`shown`] fails with: some kernels have no such file.
pub fn children(process: Pid) -> Result<Vec<Pid>> {
    let list = shown(process, &format!("task/{process}/children"))?;
    list.split_whitespace().map(|pid| Ok(Pid::from_raw(pid.parse()?))).collect()
}

/// Is a process traced, by strace or a debugger? See proc_pid_status(5).
///
/// # Errors
/// What [`shown`] fails with.
pub fn is_traced(process: Pid) -> Result<bool> {
    let status = shown(process, "status")?;
    Ok(status.lines().any(|line| line.strip_prefix("TracerPid:").is_some_and(|pid| pid.trim() != "0")))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_proc_does_not_have_is_the_reason_to_skip() {
        // No process has this number: the files of one are missing, as all such files are where a kernel has none.
        let missing = children(Pid::from_raw(i32::MAX)).err().and_then(|failure| failure.refusal());
        assert!(missing.is_some_and(|reason| reason.contains("children cannot be read")));
    }
}
