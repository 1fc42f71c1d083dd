//! How many threads of this process are running, or may run again.

use std::fs;

use crate::{Error, Result};

/// The kernel's flag for a thread that has begun to exit: `PF_EXITING` in the kernel's linux/sched.h. It is part of
/// field 9 of /proc/PID/task/TID/stat: see proc_pid_stat(5).
const EXITING: u32 = 0x4;

/// Count the threads of this process, the calling one included.
///
/// Most processes that fork have one thread, and then one file says so.
///
/// The kernel still lists a thread for a moment after pthread_join(3) has returned for it, and lists a main thread
/// that has exited until the last other thread has. Such a thread holds no lock and runs no code of ours, so it does
/// not count.
///
/// # Errors
/// `ENOENT` without /proc; `EMFILE` or `ENFILE` if no descriptor is left to read it with.
pub(crate) fn count() -> Result<usize> {
    let file = "/proc/self/stat";
    let stat = fs::read(file).map_err(Error::on_io("read", file))?;
    if field(&stat, 20) == Some(1) {
        return Ok(1);
    }
    let folder = "/proc/self/task";
    let failed = || Error::on_io("opendir", folder);
    let mut threads = Vec::new();
    for thread in fs::read_dir(folder).map_err(failed())? {
        threads.push(thread.map_err(failed())?.path());
    }
    let lives = |stat: Vec<u8>| field(&stat, 9).is_none_or(|flags| flags & EXITING == 0);
    Ok(threads.iter().filter(|thread| fs::read(thread.join("stat")).is_ok_and(lives)).count())
}

/// A field of a `stat` file, counted from 1. The second is the thread's name, which stands in parentheses and may itself
/// contain spaces, parentheses and a part of a letter, so the fields are counted from the last one.
fn field(stat: &[u8], number: usize) -> Option<u32> {
    String::from_utf8_lossy(stat)
        .rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(number.checked_sub(3)?)?
        .parse()
        .ok()
}
