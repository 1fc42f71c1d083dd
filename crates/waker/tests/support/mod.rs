//! What the tests share: the helper program's answers, and what a poller and /proc say about a descriptor.

#![allow(dead_code, reason = "each test program uses a part of this")]

use std::fs;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::libc::{O_CLOEXEC, O_NONBLOCK, SIGALRM};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

pub mod contract;
pub mod scripted;

/// In milliseconds. Nothing takes that long, so what has not come by then does not come.
pub const LONG: u16 = 5000;

/// What the helper program printed.
pub struct Answer(pub String);

/// Have the helper program do something, in a process of its own.
#[track_caller]
pub fn ask(args: &[&str]) -> Answer {
    try_ask(&[&["run"], args].concat()).expect("only the tracer is ever refused")
}

/// Have the helper program run a scenario under its tracer, on the kernel as it is or on a different one.
/// Nothing where this machine refuses ptrace: then the test says so and has nothing to judge.
#[track_caller]
pub fn traced(kernel: &str, scenario: &[&str]) -> Option<Answer> {
    try_ask(&[&["traced", kernel], scenario].concat())
}

#[track_caller]
fn try_ask(args: &[&str]) -> Option<Answer> {
    let out = Command::new(env!("CARGO_BIN_EXE_waker-helper"))
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("the helper program starts");
    let (text, errors) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    let said = format!("{text}{errors}");
    match (out.status.code(), out.status.signal()) {
        (Some(0), _) => Some(Answer(text.into_owned())),
        (Some(77), _) => {
            eprintln!("skipped: system calls cannot be watched here: {errors}");
            None
        }
        (_, Some(SIGALRM)) => panic!(
            "waker-helper {args:?} hung until its alarm went off: it waits for something that never comes, or tries \
             again what never succeeds.\n{said}"
        ),
        (_, Some(signal)) => panic!(
            "waker-helper {args:?} was ended by {}: a signal that nobody handles any more does what it does by \
             default, and that is this.\n{said}",
            Signal::try_from(signal).map_or("a signal", Signal::as_str)
        ),
        _ => panic!("waker-helper {args:?} ended with {}:\n{said}", out.status),
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
            (Some(_), Some(_)) => panic!("more than one thing was said about `{word}`:\n{}", self.0),
        }
    }
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
