//! Whether somebody sleeps, so that what is to come during a sleep comes during it.

use std::{fs, io};

use nix::unistd::Pid;

/// Does this process, or thread, sleep? The kernel's letter for its state is S then. See proc_pid_stat(5).
///
/// # Errors
/// `ENOENT` or `ESRCH` if it is gone.
pub fn sleeps(task: Pid) -> io::Result<bool> {
    let stat = fs::read_to_string(format!("/proc/{task}/stat"))?;
    // Its name comes before, in parentheses, and may hold anything.
    Ok(stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('S')))
}
