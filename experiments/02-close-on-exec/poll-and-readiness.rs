//! What poll(2) reports of both ends of a pipe, in each state that a pipe can be in, and how long it waits.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use experiments::{Choice, Lab, Question, Result, ask, beside};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{pipe2, read, write};

const NOTHING: PollFlags = PollFlags::empty();
const POLLIN: PollFlags = PollFlags::POLLIN;
const POLLOUT: PollFlags = PollFlags::POLLOUT;
const POLLERR: PollFlags = PollFlags::POLLERR;
const POLLHUP: PollFlags = PollFlags::POLLHUP;
const POLLNVAL: PollFlags = PollFlags::POLLNVAL;

const QUESTION: Question = Question {
    question: "What does poll report for an empty pipe after its last writer has closed?",
    setup: "A pipe is empty, and its only write end is closed. A process passes the read end to poll and \
            asks for POLLIN. What does poll report?",
    choices: &[
        Choice::new("Nothing: there is no byte to read.")
            .because("poll reports that a read would not block, and this read would return 0 at once."),
        Choice::new("POLLIN: end of file can be read.")
            .because("Linux sets POLLIN only while the pipe holds bytes; for end of file it sets POLLHUP."),
        Choice::new("POLLHUP alone, although the process asked for POLLIN."),
        Choice::new("POLLNVAL: the pipe is gone.")
            .because("The read end is open; POLLNVAL is for a number that is not open."),
    ],
    book: 2,
    shows: "poll reports that a call would not block: because there is a byte or room, because the other end is \
            closed, or because the call would fail. POLLERR, POLLHUP and POLLNVAL \
            are reported whether the caller asked for them or not.",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        row(lab, "descriptor", "events", "revents");
        let at_end = read_end(lab)?;
        write_end(lab)?;
        others(lab)?;
        timeouts(lab)?;
        Ok(match at_end {
            NOTHING => 0,
            POLLHUP => 2,
            POLLNVAL => 3,
            seen if seen.contains(POLLIN) => 1,
            _ => return Err("none of the choices".into()),
        })
    })
}

// ANCHOR: core
/// Returns which events the kernel reports for the descriptor at this moment.
fn look(fd: BorrowedFd<'_>, events: PollFlags) -> Result<PollFlags> {
    let mut fds = [PollFd::new(fd, events)];
    poll(&mut fds, PollTimeout::ZERO)?; // 0 ms: return at once
    fds[0].revents().ok_or("poll reported an event that nix does not know".into())
}
// ANCHOR_END: core

/// The read end of a pipe. Returns what poll reports at end of file.
fn read_end(lab: &Lab) -> Result<PollFlags> {
    let (reader, writer) = a_pipe()?;
    let empty = see(lab, "read end, empty", &reader, POLLIN)?;
    write(&writer, b"x")?;
    let byte = see(lab, "read end, 1 byte", &reader, POLLIN)?;
    lab.check(empty == NOTHING && byte == POLLIN, "POLLIN is reported while a byte is in the pipe");
    drop(writer);
    let last = see(lab, "read end, 1 byte, no writer", &reader, POLLIN)?;
    lab.check(last == POLLIN | POLLHUP, "with a byte left and no writer, both POLLIN and POLLHUP");
    read(&reader, &mut [0; 1])?;
    let at_end = see(lab, "read end, empty, no writer", &reader, POLLIN)?;
    let unasked = see(lab, "the same, asked for nothing", &reader, NOTHING)?;
    lab.check(read(&reader, &mut [0; 1])? == 0, "at POLLHUP without POLLIN, read returns 0");
    lab.check(unasked == POLLHUP, "POLLHUP is reported even if no event was asked for");
    Ok(at_end)
}

fn write_end(lab: &Lab) -> Result {
    let (reader, writer) = a_pipe()?;
    let room = see(lab, "write end, room", &writer, POLLOUT)?;
    while write(&writer, &[0; 4096]) != Err(Errno::EAGAIN) {}
    let full = see(lab, "write end, full", &writer, POLLOUT)?;
    lab.check(room == POLLOUT && full == NOTHING, "POLLOUT is reported while the pipe has room");
    drop(reader);
    let failing = see(lab, "write end, full, no reader", &writer, POLLOUT)?;
    let (reader, writer) = a_pipe()?;
    drop(reader);
    let with_room = see(lab, "write end, room, no reader", &writer, POLLOUT)?;
    let both = failing == POLLERR && with_room == POLLOUT | POLLERR;
    lab.check(both, "without a reader, POLLERR, and POLLOUT as well if there is room");
    // Rust programs ignore SIGPIPE, so the write fails instead of killing the process.
    lab.check(write(&writer, b"x") == Err(Errno::EPIPE), "at POLLERR, write fails with EPIPE");
    Ok(())
}

fn others(lab: &Lab) -> Result {
    let file = see(lab, "a file, at its end", &lab.file(b"")?, POLLIN | POLLOUT)?;
    lab.check(file == POLLIN | POLLOUT, "a file is always ready, even at its end");
    let (reader, _writer) = a_pipe()?;
    let number = reader.as_raw_fd();
    drop(reader);
    // SAFETY: poll looks the number up and does nothing else with it. This program has one thread, so no other can open
    // something at this number meanwhile.
    let closed = see(lab, "a number that is not open", &unsafe { BorrowedFd::borrow_raw(number) }, POLLIN)?;
    lab.check(closed == POLLNVAL, "for a number that is not open, POLLNVAL, and poll itself does not fail");
    Ok(())
}

fn timeouts(lab: &Lab) -> Result {
    let (reader, writer) = a_pipe()?;
    let mut fds = [PollFd::new(reader.as_fd(), POLLIN)];
    let count = poll(&mut fds, PollTimeout::ZERO)?;
    lab.note(format!("poll the empty pipe, timeout 0: returns {count} at once"));
    let start = Instant::now();
    let count = poll(&mut fds, 20_u8)?;
    let waited = start.elapsed() >= Duration::from_millis(20);
    let after = if waited { "20 ms" } else { "less than that" };
    lab.note(format!("timeout 20: returns {count} after {after}"));
    lab.check(count == 0 && waited, "when the timeout expires, poll returns 0");
    let thread = lab.thread("thread", "a thread");
    lab.note("timeout -1: sleeps");
    let count = beside(
        |sleeper| {
            sleeper.asleep()?;
            thread.note("write a byte");
            write(&writer, b"x")?;
            Ok(())
        },
        |sleeper| {
            sleeper.goes_to_sleep();
            Ok(poll(&mut fds, PollTimeout::NONE)?)
        },
    )?;
    lab.ended(&thread, "done");
    lab.note(format!("poll returns {count}: {}", names(fds[0].revents().unwrap_or(NOTHING))));
    lab.check(count == 1, "with timeout -1, poll sleeps until a descriptor is ready");
    Ok(())
}

/// Nonblocking, so that a full pipe can be told by EAGAIN.
fn a_pipe() -> nix::Result<(OwnedFd, OwnedFd)> {
    pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)
}

fn see(lab: &Lab, what: &str, fd: &impl AsFd, events: PollFlags) -> Result<PollFlags> {
    let seen = look(fd.as_fd(), events)?;
    row(lab, what, &names(events), &names(seen));
    Ok(seen)
}

fn names(events: PollFlags) -> String {
    let names: Vec<_> = events.iter_names().map(|(name, _)| name).collect();
    if names.is_empty() { "0".to_owned() } else { names.join(" ") }
}

fn row(lab: &Lab, what: &str, events: &str, revents: &str) {
    lab.note(format!("{what:<29}{events:<16}{revents}"));
}
