//! How many threads of this process are running, or may run again.

use std::fs;

use crate::{Error, Result};

/// The kernel's flag for a thread that has begun to exit: `PF_EXITING` in the kernel's linux/sched.h. It is part of
/// field 9 of /proc/PID/task/TID/stat: see proc_pid_stat(5).
const EXITING: u32 = 0x4;

/// Count the threads of this process, the calling one included.
///
/// The kernel still lists a thread for a moment after pthread_join(3) has returned for it, and lists a main thread
/// that has exited until the last other thread has. Such a thread holds no lock and runs no code of ours, so it does
/// not count.
///
/// # Errors
/// `ENOENT` without /proc; `EMFILE` or `ENFILE` if no descriptor is left to read it with.
pub(crate) fn count() -> Result<usize> {
    let folder = "/proc/self/task";
    let failed = || Error::on_io("opendir", folder);
    let mut threads = Vec::new();
    for thread in fs::read_dir(folder).map_err(failed())? {
        threads.push(thread.map_err(failed())?.path());
    }
    // Most processes that fork have one thread, and then no file has to be read.
    Ok(if threads.len() > 1 {
        threads.iter().filter(|thread| fs::read_to_string(thread.join("stat")).is_ok_and(lives)).count()
    } else {
        threads.len()
    })
}

/// Does this line of a `stat` file describe a thread that is not exiting? The thread's name stands in parentheses and
/// may itself contain spaces and parentheses, so the fields are counted from the last one.
fn lives(stat: String) -> bool {
    let flags = stat.rsplit_once(')').and_then(|(_, fields)| fields.split_whitespace().nth(6)?.parse().ok());
    flags.is_none_or(|flags: u32| flags & EXITING == 0)
}
