//! The reader of a pipe whose write end has got into another program.

use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use experiments::{Choice, Lab, Question, Result, ask};
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, poll};
use nix::unistd::{dup2_stdin, pipe2, read, write};

const QUESTION: Question = Question {
    question: "A process makes a pipe, starts another program, and closes its own write end of the pipe. The \
               other program has inherited the write end without knowing. What does the process read?",
    choices: &[
        Choice::new("End of file: it made the pipe, and it has closed the write end."),
        Choice::new("End of file: exec closed what the new program has no variable for."),
        Choice::new("Nothing, not even end of file, for as long as the other program runs."),
        Choice::new("An error: the pipe's only writer left is a program that cannot write to it."),
    ],
    book: 2,
    shows: "A pipe is at its end once every descriptor of its write end is closed, in whatever process. A \
            leaked one keeps the reader waiting until that program ends; one marked close-on-exec is gone \
            when the program begins.",
    lane: "reader",
    roles: &[("helper", helper)],
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let leaked = run(lab, FdFlag::empty())?;
        lab.check(
            leaked.after == PollFlags::POLLHUP,
            "a leaked write end: the end comes with the program's end",
        );
        let marked = run(lab, FdFlag::FD_CLOEXEC)?;
        lab.check(
            !marked.helper_has_it && marked.during == PollFlags::POLLHUP,
            "a marked write end: the end is there while the program runs",
        );
        Ok(match leaked.during {
            PollFlags::POLLHUP if leaked.helper_has_it => 0,
            PollFlags::POLLHUP => 1,
            seen if seen.is_empty() => 2,
            _ => 3,
        })
    })
}

struct Seen {
    helper_has_it: bool,
    /// What poll said while the helper was running, and after it had ended.
    during: PollFlags,
    after: PollFlags,
}

fn run(lab: &mut Lab, mark: FdFlag) -> Result<Seen> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    fcntl(&writer, FcntlArg::F_SETFD(mark))?;
    let flag = if mark.is_empty() { "not marked" } else { "close-on-exec" };
    lab.note(format!("pipe: read end {}, write end {}, {flag}", reader.as_raw_fd(), writer.as_raw_fd()));
    // The helper's standard input. It runs until it reads end of file there, and that cannot come before this
    // process closes its side (or dies): so there is no need to guess how long the helper takes.
    let (mut ours, theirs) = UnixStream::pair()?;
    let helper = lab.fork("helper", move |lab| {
        dup2_stdin(&theirs)?;
        lab.exec("helper", &[], "exec: it knows of 0, 1 and 2")?;
        Ok(1)
    })?;
    let mut count = [0];
    ours.read_exact(&mut count)?;
    lab.note(format!("close the write end, {}", writer.as_raw_fd()));
    drop(writer);
    let during = look(lab, &reader)?;
    drop(ours);
    helper.wait(lab)?;
    let after = look(lab, &reader)?;
    Ok(Seen { helper_has_it: count != [0], during, after })
}

/// Says what it was born with, and stays until its standard input ends.
fn helper(lab: &mut Lab) -> Result<i32> {
    let open = lab.descriptors()?;
    lab.note(format!("beside these it has: {open:?}"));
    write(io::stdin(), &[u8::try_from(open.len())?])?;
    while read(io::stdin(), &mut [0; 1])? != 0 {}
    Ok(0)
}

fn look(lab: &Lab, reader: &OwnedFd) -> Result<PollFlags> {
    let mut watched = [PollFd::new(reader.as_fd(), PollFlags::POLLIN)];
    poll(&mut watched, 100_u8)?;
    let seen = watched[0].revents().unwrap_or(PollFlags::empty());
    if seen.is_empty() {
        lab.note("poll for 100 ms: nothing to read, and no end");
    } else {
        lab.note(format!("poll: {}; read: {} bytes", names(seen), read(reader, &mut [0; 1])?));
    }
    Ok(seen)
}

fn names(seen: PollFlags) -> String {
    seen.iter_names().map(|(name, _)| name).collect::<Vec<_>>().join(" and ")
}
