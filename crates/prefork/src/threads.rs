//! How many threads this process has: those that run, or may run again.

use std::fs;

use crate::{Error, Result};

/// A thread that has begun to end, among the kernel's flags for one: see proc_pid_stat(5), (9), and `PF_EXITING`
/// in the kernel's own linux/sched.h.
const EXITING: u32 = 0x4;

/// The calling one included.
///
/// The kernel lists a thread for a moment after others have seen it end, in pthread_join(3) too, and the main
/// thread, once that has ended, until the last of the others has. Such a one holds no lock any more and runs no
/// code of ours, so it does not count.
///
/// # Errors
/// `ENOENT` without /proc, `EMFILE` with no number left for a descriptor.
pub(crate) fn count() -> Result<usize> {
    let folder = "/proc/self/task";
    let failed = || Error::on_io("opendir", folder);
    let mut threads = Vec::new();
    for thread in fs::read_dir(folder).map_err(failed())? {
        threads.push(thread.map_err(failed())?.path());
    }
    // Most of the time there is one, and nothing more to be asked.
    Ok(if threads.len() > 1 {
        threads.iter().filter(|thread| fs::read_to_string(thread.join("stat")).is_ok_and(lives)).count()
    } else {
        threads.len()
    })
}

/// The name, in parentheses, may have spaces and parentheses in it; the state is the first field behind it.
fn lives(stat: String) -> bool {
    let flags = stat.rsplit_once(')').and_then(|(_, fields)| fields.split_whitespace().nth(6)?.parse().ok());
    flags.is_none_or(|flags: u32| flags & EXITING == 0)
}
