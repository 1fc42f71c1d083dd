//! What the tests share: the helper, and descriptors as a poller and `/proc` show them.

#![allow(dead_code, reason = "each test program uses a part of this")]

use std::fs;
use std::os::fd::{AsFd, AsRawFd, RawFd};

use nix::errno::Errno;
use nix::libc::{O_CLOEXEC, O_NONBLOCK};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

pub use testing::{Answer, traced};

pub mod contract;
pub mod helper;
pub mod scripted;

/// How long a poll may wait for a wake, in milliseconds. A wake takes far less, so one that is later was lost.
pub const LONG: u16 = 5000;

/// Lets the helper run a scenario, in a process of its own.
#[track_caller]
pub fn ask(scenario: &[&str]) -> Answer {
    testing::ask(&[&["run"], scenario].concat())
}

/// Returns whether the descriptor is readable now.
#[track_caller]
pub fn is_ready(fd: impl AsFd) -> bool {
    wait(fd, 0)
}

/// Sleeps until the descriptor is readable, for at most `timeout` milliseconds. Returns whether it is.
#[track_caller]
pub fn wait(fd: impl AsFd, timeout: u16) -> bool {
    let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    loop {
        match poll(&mut fds, PollTimeout::from(timeout)) {
            Err(Errno::EINTR) => {}
            answer => return answer.expect("poll takes any descriptor") > 0,
        }
    }
}

/// A descriptor, as `/proc` shows it.
#[derive(Debug)]
pub struct Seen {
    pub number: RawFd,
    /// `pipe:[8812]`, `anon_inode:[eventfd]`
    pub target: String,
    pub nonblocking: bool,
    pub cloexec: bool,
    pub writes: bool,
}

/// Returns every descriptor of this process that refers to the same file: for a pipe, both ends.
#[track_caller]
pub fn ends(fd: impl AsFd) -> Vec<Seen> {
    let own = fd.as_fd().as_raw_fd();
    let target = |number| fs::read_link(format!("/proc/self/fd/{number}")).map(|to| to.display().to_string());
    let ours = target(own).expect("an open descriptor is in /proc/self/fd");
    // All eventfds have the same name, and an eventfd has only one end.
    let named = !ours.starts_with("anon_inode");
    let numbers = fs::read_dir("/proc/self/fd").expect("/proc/self/fd can be read");
    let numbers = numbers.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers
        .filter(|number| *number == own || named && target(*number).is_ok_and(|target| target == ours))
        .map(|number| {
            let info =
                fs::read_to_string(format!("/proc/self/fdinfo/{number}")).expect("it is ours, and open");
            let flags =
                info.lines().find_map(|line| line.strip_prefix("flags:")).expect("fdinfo has the flags");
            let flags = i32::from_str_radix(flags.trim(), 8).expect("flags are octal");
            let (nonblocking, cloexec) = (flags & O_NONBLOCK != 0, flags & O_CLOEXEC != 0);
            Seen { number, target: ours.clone(), nonblocking, cloexec, writes: flags & 3 != 0 }
        })
        .collect()
}
