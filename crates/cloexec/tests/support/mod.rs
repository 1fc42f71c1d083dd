//! What the tests share: the helper, and descriptors as `/proc` shows them.

#![allow(dead_code, reason = "each test program uses a part of this")]

use std::fs;
use std::io::{PipeReader, PipeWriter, pipe};
use std::os::fd::{AsFd, AsRawFd, RawFd};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::libc::O_CLOEXEC;
use testing::Helper;

pub use testing::{Answer, traced};

pub mod helper;

/// Runs the helper, in a process of its own, with one variable more in its environment.
#[track_caller]
pub fn ask(args: &[&str]) -> Answer {
    let mut helper = Helper::new(args);
    helper.command().env("CLOEXEC_TEST", "it is here");
    helper.ask()
}

/// One descriptor, as `/proc/self/fdinfo` shows it.
#[derive(Debug, PartialEq, Eq)]
pub struct Info {
    /// The status flags and the access mode, without close-on-exec.
    pub flags: i32,
    /// Whether it is close-on-exec.
    pub cloexec: bool,
    /// The offset, in bytes.
    pub offset: u64,
}

/// Asks the kernel about a descriptor, without the code under test.
#[track_caller]
pub fn info(fd: impl AsFd) -> Info {
    let number = fd.as_fd().as_raw_fd();
    let text =
        fs::read_to_string(format!("/proc/self/fdinfo/{number}")).expect("an open descriptor is in fdinfo");
    let field =
        |name| text.lines().find_map(|line| line.strip_prefix(name)).expect("fdinfo has the line").trim();
    let flags = i32::from_str_radix(field("flags:"), 8).expect("flags are octal");
    let offset = field("pos:").parse().expect("an offset is a number");
    Info { flags: flags & !O_CLOEXEC, cloexec: flags & O_CLOEXEC != 0, offset }
}

/// Names a descriptor for a message: `descriptor 7 (pipe:[8812])`.
pub fn name(fd: impl AsFd) -> String {
    let number: RawFd = fd.as_fd().as_raw_fd();
    let target = fs::read_link(format!("/proc/self/fd/{number}")).map(|target| target.display().to_string());
    format!("descriptor {number} ({})", target.unwrap_or_else(|_| "not open".into()))
}

/// Sets or clears close-on-exec, without the code under test.
#[track_caller]
pub fn set_cloexec(fd: impl AsFd, cloexec: bool) {
    let flag = if cloexec { FdFlag::FD_CLOEXEC } else { FdFlag::empty() };
    fcntl(fd, FcntlArg::F_SETFD(flag)).expect("the descriptor is open");
}

/// Makes a pipe whose two ends are both close-on-exec, or both inheritable.
#[track_caller]
pub fn a_pipe(cloexec: bool) -> (PipeReader, PipeWriter) {
    let (reader, writer) = pipe().expect("a pipe can be made");
    set_cloexec(&reader, cloexec);
    set_cloexec(&writer, cloexec);
    (reader, writer)
}
