//! What the tests share: the helper, and descriptors as /proc shows them.

#![allow(dead_code, reason = "each test program uses a part of this")]

use std::fs;
use std::io::{PipeReader, PipeWriter, pipe};
use std::os::fd::{AsFd, AsRawFd, RawFd};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::libc::O_CLOEXEC;
use testing::Helper;

pub use testing::{Answer, traced};

mod helper;
testing::helper!(helper::answer);

/// Have the helper do something, in a process of its own, with something in its environment.
#[track_caller]
pub fn ask(args: &[&str]) -> Answer {
    let mut helper = Helper::new(args);
    helper.command().env("CLOEXEC_TEST", "it is here");
    helper.ask()
}

/// One descriptor as /proc/self/fdinfo shows it.
#[derive(Debug, PartialEq, Eq)]
pub struct Info {
    /// The status flags and the access mode, without close-on-exec.
    pub flags: i32,
    /// Is it close-on-exec?
    pub marked: bool,
    /// The offset, in bytes.
    pub offset: u64,
}

/// Ask the kernel about a descriptor, past the code under test.
#[track_caller]
pub fn info(fd: impl AsFd) -> Info {
    let number = fd.as_fd().as_raw_fd();
    let text =
        fs::read_to_string(format!("/proc/self/fdinfo/{number}")).expect("an open descriptor is in fdinfo");
    let field =
        |name| text.lines().find_map(|line| line.strip_prefix(name)).expect("fdinfo has the line").trim();
    let flags = i32::from_str_radix(field("flags:"), 8).expect("flags are octal");
    let offset = field("pos:").parse().expect("an offset is a number");
    Info { flags: flags & !O_CLOEXEC, marked: flags & O_CLOEXEC != 0, offset }
}

/// `descriptor 7 (pipe:[8812])`.
pub fn name(fd: impl AsFd) -> String {
    let number: RawFd = fd.as_fd().as_raw_fd();
    let target = fs::read_link(format!("/proc/self/fd/{number}")).map(|target| target.display().to_string());
    format!("descriptor {number} ({})", target.unwrap_or_else(|_| "not open".into()))
}

/// Mark a descriptor or unmark it, without the code under test.
#[track_caller]
pub fn mark(fd: impl AsFd, marked: bool) {
    let flag = if marked { FdFlag::FD_CLOEXEC } else { FdFlag::empty() };
    fcntl(fd, FcntlArg::F_SETFD(flag)).expect("the descriptor is open");
}

/// A pipe whose two ends are both marked or both unmarked.
#[track_caller]
pub fn a_pipe(marked: bool) -> (PipeReader, PipeWriter) {
    let (reader, writer) = pipe().expect("a pipe can be made");
    mark(&reader, marked);
    mark(&writer, marked);
    (reader, writer)
}
