//! Descriptors: which are open, and none left to open another.

use std::fs;
use std::os::fd::{FromRawFd, OwnedFd};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::{fork, say, words};

/// The numbers that are open. The descriptor that reads them is closed by the time it is looked at.
pub fn open_now() -> Vec<i32> {
    let entries = fs::read_dir("/proc/self/fd").expect("/proc/self/fd can be read");
    let mut numbers: Vec<i32> =
        entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
    // SAFETY: the call takes integers, and changes nothing.
    numbers.retain(|number| unsafe { libc::fcntl(*number, libc::F_GETFD) } >= 0);
    numbers.sort_unstable();
    numbers
}

/// `none`, or the numbers that are in one and not in the other.
pub fn changes(before: &[i32], now: &[i32]) -> String {
    let only =
        |one: &[i32], other: &[i32]| one.iter().filter(|n| !other.contains(n)).copied().collect::<Vec<_>>();
    let (more, fewer) = (only(now, before), only(before, now));
    if more.is_empty() && fewer.is_empty() {
        "none".into()
    } else {
        format!("more {more:?}, fewer {fewer:?}")
    }
}

/// Let there be a few numbers more than are used now, and no others.
pub fn lower_limit() {
    let highest = open_now().last().copied().unwrap_or_default();
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit can be asked for");
    let soft = u64::from(highest.cast_unsigned() + 16).min(hard);
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).expect("a limit can be lowered");
}

/// Take all numbers that are left.
pub fn fill() -> Vec<OwnedFd> {
    let mut taken = Vec::new();
    while let Ok(number) = fcntl(std::io::stdout(), FcntlArg::F_DUPFD_CLOEXEC(3)) {
        // SAFETY: the kernel has just opened it, and nobody else knows of it.
        taken.push(unsafe { OwnedFd::from_raw_fd(number) });
    }
    taken
}

/// What the child has open, compared with its parent before the fork; and what the parent has in the end.
pub fn run() {
    let before = open_now();
    let child = fork(|| {
        say(&format!("child {}", changes(&before, &open_now())));
        0
    });
    match child {
        Ok(mut child) => {
            println!("waited {}", words(child.wait()));
            drop(child);
        }
        Err(failed) => println!("waited {}", super::error(failed)),
    }
    println!("parent {}", changes(&before, &open_now()));
}
