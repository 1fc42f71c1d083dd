//! The descriptor table: which descriptors are open, and how to use up all free ones.

use std::fs;
use std::os::fd::{FromRawFd, OwnedFd};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

use super::{fork, say, words};

/// The open descriptors. The one that lists the directory is closed before it is checked, so it is left out.
pub fn open_now() -> Vec<i32> {
    let entries = fs::read_dir("/proc/self/fd").expect("/proc/self/fd can be read");
    let mut numbers: Vec<i32> =
        entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
    // SAFETY: the call takes integers and changes nothing.
    numbers.retain(|number| unsafe { libc::fcntl(*number, libc::F_GETFD) } >= 0);
    numbers.sort_unstable();
    numbers
}

/// The difference between two lists of descriptors: `none`, or those that were added and removed.
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

/// Lower the limit, so that only a few descriptors are free.
pub fn lower_limit() {
    let highest = open_now().last().copied().unwrap_or_default();
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit can be read");
    let soft = rlim_t::from(highest.cast_unsigned() + 16).min(hard);
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).expect("a limit can be lowered");
}

/// Take all free descriptors.
pub fn fill() -> Vec<OwnedFd> {
    let mut taken = Vec::new();
    while let Ok(number) = fcntl(std::io::stdout(), FcntlArg::F_DUPFD_CLOEXEC(3)) {
        // SAFETY: the kernel has just opened this descriptor, so no other value owns it.
        taken.push(unsafe { OwnedFd::from_raw_fd(number) });
    }
    taken
}

/// Compare the child's descriptors with those of its parent before the fork, and the parent's afterwards.
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
