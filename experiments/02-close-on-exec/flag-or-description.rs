//! Two flags set in a child, and which of them the parent has afterwards.

use std::fs;
use std::os::fd::AsRawFd;
use std::process::ExitCode;

use experiments::{Choice, Lab, Question, Result, ask};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::unistd::{pipe, read};

const QUESTION: Question = Question {
    question: "A child inherits the read end of a pipe. It sets O_NONBLOCK and FD_CLOEXEC on it, and exits. \
               Which of the two flags does its parent have afterwards?",
    choices: &[
        Choice::new("O_NONBLOCK alone."),
        Choice::new("FD_CLOEXEC alone."),
        Choice::new("Both: the two processes have one pipe between them."),
        Choice::new("Neither: the child has a table of descriptors of its own, and it is gone."),
    ],
    book: 0,
    shows: "FD_CLOEXEC lives on the descriptor, and a child has descriptors of its own. O_NONBLOCK lives on \
            the open file description, which fork and dup share: whoever sets it, sets it for all, and it \
            outlives them.",
    lane: "parent",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let (reader, writer) = pipe()?;
        lab.note(format!("pipe: read end {}, write end {}", reader.as_raw_fd(), writer.as_raw_fd()));
        let before = flags(lab, &reader)?;
        lab.check(!before.nonblocking && !before.marked, "before the fork neither flag is set");
        let child = lab.fork("child", |lab| {
            let status = OFlag::from_bits_retain(fcntl(&reader, FcntlArg::F_GETFL)?);
            fcntl(&reader, FcntlArg::F_SETFL(status | OFlag::O_NONBLOCK))?;
            lab.note("F_SETFL: O_NONBLOCK");
            fcntl(&reader, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
            lab.note("F_SETFD: FD_CLOEXEC");
            let here = flags(lab, &reader)?;
            lab.check(here.nonblocking && here.marked, "the child has both");
            Ok(0)
        })?;
        child.status(lab)?;
        let after = flags(lab, &reader)?;
        if after.nonblocking {
            // Were the flag not set, this read would wait for ever: both ends are here.
            let outcome = read(&reader, &mut [0; 1]);
            let said = outcome.map_or_else(|error| format!("{error:?}"), |length| format!("{length} bytes"));
            lab.note(format!("read from the empty pipe: {said}"));
            lab.check(
                outcome == Err(Errno::EAGAIN),
                "the parent's read does not wait, though the parent never asked for that",
            );
        }
        Ok(match (after.nonblocking, after.marked) {
            (true, false) => 0,
            (false, true) => 1,
            (true, true) => 2,
            (false, false) => 3,
        })
    })
}

/// The flags of a descriptor and of the open file description behind it.
#[derive(Debug)]
struct Flags {
    nonblocking: bool,
    marked: bool,
}

/// What /proc says, where one octal number holds the flags of both.
fn flags(lab: &Lab, descriptor: &impl AsRawFd) -> Result<Flags> {
    let number = descriptor.as_raw_fd();
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{number}"))?;
    let octal =
        text.lines().find_map(|line| line.strip_prefix("flags:")).ok_or("fdinfo has no flags")?.trim();
    let bits = OFlag::from_bits_retain(i32::from_str_radix(octal, 8)?);
    let [nonblocking, marked] = [OFlag::O_NONBLOCK, OFlag::O_CLOEXEC].map(|flag| bits.contains(flag));
    let names = match (nonblocking, marked) {
        (true, false) => "O_NONBLOCK",
        (false, true) => "FD_CLOEXEC",
        (true, true) => "O_NONBLOCK and FD_CLOEXEC",
        (false, false) => "neither",
    };
    lab.note(format!("fdinfo of {number}: flags {octal}, {names}"));
    Ok(Flags { nonblocking, marked })
}
