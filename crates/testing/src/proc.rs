//! What /proc says about a process or a thread.
//!
//! `task` is the number of a process, or of a thread of any process.

use std::fmt::Display;
use std::fs;

use nix::sys::signal::Signal;

/// The state of a task, as the letter in /proc/TASK/stat: `R` runs, `S` sleeps, `T` is stopped, `Z` is a zombie, and so on.
/// `None` if there is no such task. See proc_pid_stat(5).
pub fn state(task: impl Display) -> Option<char> {
    stat(task)?.chars().next()
}

/// What /proc/TASK/stat says from the state on. The name before it is in parentheses, and may contain anything.
pub fn stat(task: impl Display) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{task}/stat")).ok()?;
    Some(stat.rsplit_once(") ")?.1.to_owned())
}

/// A field of /proc/TASK/status, by its name: `SigBlk`, for example. `None` if there is no such task, or no such field. See
/// proc_pid_status(5).
pub fn status(task: impl Display, name: &str) -> Option<String> {
    field(&all_of_status(task)?, name).map(str::to_owned)
}

/// How often a task has gone to sleep so far: `voluntary_ctxt_switches` in proc_pid_status(5). `None` if there is no such task.
pub fn sleeps(task: impl Display) -> Option<u64> {
    sleeps_in(&all_of_status(task)?)
}

/// The same, if the task sleeps at this moment; otherwise `None`.
pub fn sleeps_if_asleep(task: impl Display) -> Option<u64> {
    let status = all_of_status(task)?;
    if field(&status, "State")?.starts_with('S') { sleeps_in(&status) } else { None }
}

/// Does a task ignore or handle each of these signals, or block it?
pub fn survives(task: impl Display, signals: &[Signal]) -> bool {
    let status = all_of_status(task).unwrap_or_default();
    let masks = ["SigBlk", "SigIgn", "SigCgt"].into_iter().filter_map(|name| field(&status, name));
    let survived =
        masks.filter_map(|mask| u64::from_str_radix(mask, 16).ok()).fold(0, |all, mask| all | mask);
    signals.iter().all(|signal| survived & 1 << (*signal as i32 - 1) != 0)
}

fn all_of_status(task: impl Display) -> Option<String> {
    fs::read_to_string(format!("/proc/{task}/status")).ok()
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = status.lines().filter_map(|line| line.split_once(':'));
    fields.find_map(|(field, value)| (field == name).then(|| value.trim()))
}

fn sleeps_in(status: &str) -> Option<u64> {
    field(status, "voluntary_ctxt_switches")?.parse().ok()
}
