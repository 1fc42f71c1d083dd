//! What the tests share: the helper program's answers, and descriptors as /proc shows them.

#![allow(dead_code, reason = "each test program uses a part of this")]

use std::fs;
use std::io::{PipeReader, PipeWriter, pipe};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::libc::{O_CLOEXEC, SIGALRM};

/// What the helper program printed.
pub struct Answer(pub String);

/// Have the helper program do something, in a process of its own.
#[track_caller]
pub fn ask(args: &[&str]) -> Answer {
    try_ask(args).expect("only the tracer is ever refused")
}

/// Have the helper program run a scenario under its tracer, on the kernel as it is or on a different one.
/// Nothing where this machine refuses ptrace: then the test says so and has nothing to judge.
#[track_caller]
pub fn traced(kernel: &str, scenario: &[&str]) -> Option<Answer> {
    try_ask(&[&["traced", kernel], scenario].concat())
}

#[track_caller]
fn try_ask(args: &[&str]) -> Option<Answer> {
    let out = Command::new(env!("CARGO_BIN_EXE_cloexec-helper"))
        .args(args)
        .env("CLOEXEC_TEST", "it is here")
        .stdin(Stdio::null())
        .output()
        .expect("the helper program starts");
    let (text, errors) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    match out.status.code() {
        Some(0) => Some(Answer(text.into_owned())),
        Some(77) => {
            eprintln!("skipped: system calls cannot be watched here: {errors}");
            None
        }
        _ if out.status.signal() == Some(SIGALRM) => panic!(
            "cloexec-helper {args:?} hung until its alarm went off: it waits for something that never comes. \
             An end of a pipe that is still open somewhere means that its reader never sees the end.\n{text}{errors}"
        ),
        _ => panic!("cloexec-helper {args:?} ended with {}:\n{text}{errors}", out.status),
    }
}

impl Answer {
    /// The rest of each line that starts with this word.
    pub fn lines<'a, 'w>(&'a self, word: &'w str) -> impl Iterator<Item = &'a str> + use<'a, 'w> {
        self.0.lines().filter_map(move |line| line.strip_prefix(word)?.strip_prefix(' '))
    }

    /// The rest of the one line that starts with this word.
    #[track_caller]
    pub fn line(&self, word: &str) -> &str {
        let mut lines = self.lines(word);
        match (lines.next(), lines.next()) {
            (Some(line), None) => line,
            (None, _) => panic!("nothing was said about `{word}`:\n{}", self.0),
            (Some(_), Some(_)) => panic!("two processes spoke about `{word}`:\n{}", self.0),
        }
    }
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
