//! What the tests share: the helper, and what a poller and /proc say about a descriptor.

#![allow(dead_code, reason = "each test program uses a part of this")]

use std::fs;
use std::os::fd::{AsFd, AsRawFd, RawFd};

use nix::errno::Errno;
use nix::libc::{O_CLOEXEC, O_NONBLOCK};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

pub use testing::{Answer, traced};

pub mod contract;
pub mod scripted;

mod helper;
testing::helper!(helper::answer);

/// In milliseconds. Nothing takes that long, so what has not come by then does not come.
pub const LONG: u16 = 5000;

/// Have the helper run a scenario, in a process of its own.
#[track_caller]
pub fn ask(scenario: &[&str]) -> Answer {
    testing::ask(&[&["run"], scenario].concat())
}

/// Can it be read now?
#[track_caller]
pub fn is_ready(fd: impl AsFd) -> bool {
    wait(fd, 0)
}

/// Sleep until it can be read, for so many milliseconds at most. Can it?
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

/// A descriptor as /proc shows it.
#[derive(Debug)]
pub struct Seen {
    pub number: RawFd,
    /// `pipe:[8812]`, `anon_inode:[eventfd]`
    pub target: String,
    pub nonblocking: bool,
    pub marked: bool,
    pub writes: bool,
}

/// Every descriptor of this process that refers to what this one refers to: for a pipe, both ends.
#[track_caller]
pub fn ends(fd: impl AsFd) -> Vec<Seen> {
    let own = fd.as_fd().as_raw_fd();
    let target = |number| fs::read_link(format!("/proc/self/fd/{number}")).map(|to| to.display().to_string());
    let ours = target(own).expect("an open descriptor is in /proc/self/fd");
    // Anonymous files all have one name, and an eventfd has one end.
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
            let (nonblocking, marked) = (flags & O_NONBLOCK != 0, flags & O_CLOEXEC != 0);
            Seen { number, target: ours.clone(), nonblocking, marked, writes: flags & 3 != 0 }
        })
        .collect()
}
