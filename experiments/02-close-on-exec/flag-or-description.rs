//! Two flags that a child sets, and which of them are set in the parent afterwards.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::ExitCode;

use experiments::{Choice, Lab, Question, Result, ask};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::unistd::{pipe, read};

const QUESTION: Question = Question {
    question: "Does a parent see the flags that its child sets on an inherited descriptor?",
    setup: "A child inherits the read end of a pipe, sets O_NONBLOCK and FD_CLOEXEC on it, and exits. Which of \
            the two flags does its parent see on its own descriptor of the read end afterwards?",
    choices: &[
        Choice::new("O_NONBLOCK alone."),
        Choice::new("FD_CLOEXEC alone.")
            .because("FD_CLOEXEC belongs to a descriptor, and the child set it on its own descriptor."),
        Choice::new("Both: the two processes share one pipe.")
            .because("They share the pipe, but FD_CLOEXEC was set on the child's own descriptor."),
        Choice::new("Neither: the child had a descriptor table of its own, and that table is gone.")
            .because("O_NONBLOCK belongs to the open file description, which outlived the child."),
    ],
    book: 0,
    shows: "FD_CLOEXEC belongs to a descriptor, and a child has descriptors of its own. O_NONBLOCK belongs \
            to the open file description, which parent and child share: one of them sets it for both, and it \
            stays set after that process has exited.",
    lane: "parent",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let (reader, writer) = pipe()?;
        lab.note(format!("pipe: read end {}, write end {}", reader.as_raw_fd(), writer.as_raw_fd()));
        let before = flags(lab, &reader)?;
        lab.check(!before.nonblocking && !before.cloexec, "before the fork neither flag is set");
        let child = lab.fork("child", |lab| set_both(lab, &reader))?;
        child.status(lab)?;
        let after = flags(lab, &reader)?;
        if after.nonblocking {
            // Without the flag this read would never return: this process has the write end too.
            let outcome = read(&reader, &mut [0; 1]);
            let said = outcome.map_or_else(|error| format!("{error:?}"), |length| format!("{length} bytes"));
            lab.note(format!("read from the empty pipe: {said}"));
            lab.check(
                outcome == Err(Errno::EAGAIN),
                "the parent's read does not block, although the parent never set the flag",
            );
        }
        Ok(match (after.nonblocking, after.cloexec) {
            (true, false) => 0,
            (false, true) => 1,
            (true, true) => 2,
            (false, false) => 3,
        })
    })
}

fn set_both(lab: &mut Lab, reader: &OwnedFd) -> Result<i32> {
    // ANCHOR: core
    let status = OFlag::from_bits_retain(fcntl(reader, FcntlArg::F_GETFL)?);
    fcntl(reader, FcntlArg::F_SETFL(status | OFlag::O_NONBLOCK))?;
    lab.note("F_SETFL: O_NONBLOCK");
    fcntl(reader, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    lab.note("F_SETFD: FD_CLOEXEC");
    // ANCHOR_END: core
    let here = flags(lab, reader)?;
    lab.check(here.nonblocking && here.cloexec, "in the child, both flags are set");
    Ok(0)
}

/// The flags of a descriptor and of the open file description behind it.
#[derive(Debug)]
struct Flags {
    nonblocking: bool,
    cloexec: bool,
}

/// What /proc says, where one octal number holds the flags of both.
fn flags(lab: &Lab, descriptor: &impl AsRawFd) -> Result<Flags> {
    let number = descriptor.as_raw_fd();
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{number}"))?;
    let octal =
        text.lines().find_map(|line| line.strip_prefix("flags:")).ok_or("fdinfo has no flags")?.trim();
    let bits = OFlag::from_bits_retain(i32::from_str_radix(octal, 8)?);
    let [nonblocking, cloexec] = [OFlag::O_NONBLOCK, OFlag::O_CLOEXEC].map(|flag| bits.contains(flag));
    let names = match (nonblocking, cloexec) {
        (true, false) => "O_NONBLOCK",
        (false, true) => "FD_CLOEXEC",
        (true, true) => "O_NONBLOCK and FD_CLOEXEC",
        (false, false) => "neither flag",
    };
    lab.note(format!("fdinfo of {number}: flags {octal}, {names}"));
    Ok(Flags { nonblocking, cloexec })
}
