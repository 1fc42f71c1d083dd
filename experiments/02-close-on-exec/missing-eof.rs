//! The reader of a pipe whose write end another program has inherited.

use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use experiments::{Child, Choice, Lab, Question, Result, ask};
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, poll};
use nix::unistd::{dup2_stdin, pipe2, read, write};

const QUESTION: Question = Question {
    question: "When does a pipe's reader get end of file if another program has inherited the write end?",
    setup: "A process makes a pipe and starts a helper program, which inherits the write end and does not use \
            it. Then the process closes its own write end and reads. What does it get?",
    choices: &[
        Choice::new("End of file: the process has closed the write end of its pipe.")
            .because("The helper has a descriptor of the write end, so the pipe still has a writer."),
        Choice::new("End of file: exec closes each descriptor that the new program has no variable for.")
            .because("exec closes only descriptors with close-on-exec set, and here the flag was clear."),
        Choice::new("Nothing, not even end of file, for as long as the helper runs."),
        Choice::new("An error: the only writer left is a program that does not know of the pipe.")
            .because("The kernel counts the open descriptors, whether a program uses them or not."),
    ],
    book: 2,
    shows: "A reader gets end of file once every descriptor of the write end is closed, in every process. A \
            leaked descriptor keeps the reader waiting until the helper exits. exec closes a close-on-exec \
            descriptor, so the reader gets end of file while the helper runs.",
    lane: "reader",
    roles: &[("helper", helper)],
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let leaked = run(lab, FdFlag::empty())?;
        lab.check(
            leaked.after == PollFlags::POLLHUP,
            "a leaked write end: end of file comes when the helper exits",
        );
        let cloexec = run(lab, FdFlag::FD_CLOEXEC)?;
        lab.check(
            !cloexec.helper_has_it && cloexec.during == PollFlags::POLLHUP,
            "a close-on-exec write end: end of file comes while the helper runs",
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

fn run(lab: &mut Lab, flag: FdFlag) -> Result<Seen> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    fcntl(&writer, FcntlArg::F_SETFD(flag))?;
    let shown = if flag.is_empty() { "no flag" } else { "close-on-exec" };
    lab.note(format!(
        "pipe: read end {}, close-on-exec; write end {}, {shown}",
        reader.as_raw_fd(),
        writer.as_raw_fd()
    ));
    // ANCHOR: core
    let helper = start_helper(lab)?; // returns when the helper's exec is over
    lab.note(format!("close the write end, {}", writer.as_raw_fd()));
    drop(writer);
    let during = poll_for_100_ms(lab, &reader)?;
    drop(helper.connection); // the helper exits
    helper.child.wait(lab)?;
    let after = poll_for_100_ms(lab, &reader)?;
    // ANCHOR_END: core
    Ok(Seen { helper_has_it: helper.count != 0, during, after })
}

struct Helper {
    child: Child,
    /// Leads to the helper's standard input. The helper runs until it reads end of file there, and that cannot come
    /// before this process closes the connection (or dies), so the experiment need not guess how long the helper takes.
    connection: UnixStream,
    /// How many descriptors the helper has, apart from 0, 1 and 2.
    count: u8,
}

/// Forks the helper, and waits for the byte that its program sends: when the byte comes, exec is over.
fn start_helper(lab: &mut Lab) -> Result<Helper> {
    let (mut connection, input) = UnixStream::pair()?;
    let child = lab.fork("helper", move |lab| {
        dup2_stdin(&input)?;
        lab.exec("helper", &[], "exec: the helper's program uses 0, 1 and 2")?;
        Ok(1)
    })?;
    let mut count = [0];
    connection.read_exact(&mut count)?;
    Ok(Helper { child, connection, count: count[0] })
}

/// Says which descriptors it has, and runs until its standard input ends.
fn helper(lab: &mut Lab) -> Result<i32> {
    let open = lab.descriptors()?;
    lab.note(format!("the other descriptors that it has: {open:?}"));
    write(io::stdin(), &[u8::try_from(open.len())?])?;
    while read(io::stdin(), &mut [0; 1])? != 0 {}
    Ok(0)
}

fn poll_for_100_ms(lab: &Lab, reader: &OwnedFd) -> Result<PollFlags> {
    let mut watched = [PollFd::new(reader.as_fd(), PollFlags::POLLIN)];
    poll(&mut watched, 100_u8)?;
    let seen = watched[0].revents().unwrap_or(PollFlags::empty());
    if seen.is_empty() {
        lab.note("poll for 100 ms: nothing to read, no end of file");
    } else {
        lab.note(format!("poll: {}; read: {} bytes", names(seen), read(reader, &mut [0; 1])?));
    }
    Ok(seen)
}

fn names(seen: PollFlags) -> String {
    seen.iter_names().map(|(name, _)| name).collect::<Vec<_>>().join(" and ")
}
