//! A reader that waits for end of file on a pipe whose write end it has open itself.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::ExitCode;

use experiments::{Choice, Lab, Question, Result, ask};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, poll};
use nix::unistd::{pipe2, read, write};

/// The reader exits with this number plus its choice.
const WAITS: i32 = 10;

const QUESTION: Question = Question {
    question: "When does a pipe's reader get end of file after its writer has exited?",
    setup: "A process makes a pipe, and forks a writer and a reader, which inherit both ends. The writer \
            writes 5 bytes and exits, and the parent closes both ends. The reader reads the 5 bytes and calls \
            read again. What does it get?",
    choices: &[
        Choice::new("Nothing: it waits for a writer, and the only one is the reader itself."),
        Choice::new("End of file: no other process is left that could write.")
            .because("The reader itself has the write end open, so the kernel does not report end of file."),
        Choice::new("EPIPE: the process that wrote has exited.").because(
            "EPIPE is an error of writes. A reader gets end of file, once every write end is closed.",
        ),
        Choice::new(
            "EDEADLK, the error of a deadlock: the kernel sees that the reader would wait for itself.",
        )
        .because("The kernel does not look for such deadlocks: poll reported nothing."),
    ],
    book: 0,
    shows: "End of file comes when the last descriptor of the write end is closed. The reader's own descriptor \
            counts, too, so a reader must close an inherited write end before its first read.",
    lane: "parent",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
        lab.note(format!("pipe: read end {}, write end {}", reader.as_raw_fd(), writer.as_raw_fd()));
        let alone = lab.gate()?;
        let writing = lab.fork("writer", |lab| {
            lab.note(format!("write: {} bytes", write(&writer, b"alpha")?));
            Ok(0)
        })?;
        writing.status(lab)?;
        // In an Option, so that the reader can close its copy while the parent keeps its own.
        let mut write_end = Some(writer);
        let reading = lab.fork("reader", |lab| {
            alone.pass()?;
            read_on(lab, &reader, &mut write_end)
        })?;
        drop((reader, write_end));
        lab.note("close both ends");
        alone.open()?;
        Ok(usize::try_from(reading.answer(lab)? - WAITS)?)
    })
}

fn read_on(lab: &Lab, reader: &OwnedFd, write_end: &mut Option<OwnedFd>) -> Result<i32> {
    lab.note(format!("its descriptors besides 0, 1 and 2: {:?}", lab.descriptors()?));
    let number = write_end.as_ref().map(AsRawFd::as_raw_fd).ok_or("it has no write end")?;
    // ANCHOR: core
    lab.note(format!("read: {} bytes", read(reader, &mut [0; 10])?));
    let seen = look(lab, reader)?; // poll for 100 ms, and read if poll reports the pipe
    drop(write_end.take());
    lab.note(format!("close its own write end, {number}"));
    let ended = look(lab, reader)?;
    // ANCHOR_END: core
    lab.check(ended == Some(Ok(0)), "once the reader's own write end is closed: end of file, at once");
    Ok(WAITS
        + match seen {
            None => 0,
            Some(Ok(0)) => 1,
            Some(Err(Errno::EPIPE)) => 2,
            Some(Err(Errno::EDEADLK)) => 3,
            other => return Err(format!("read: {other:?}").into()),
        })
}

/// Read, unless the read would block.
fn look(lab: &Lab, reader: &OwnedFd) -> Result<Option<nix::Result<usize>>> {
    let mut watched = [PollFd::new(reader.as_fd(), PollFlags::POLLIN)];
    if poll(&mut watched, 100_u8)? == 0 {
        lab.note("poll for 100 ms: nothing to read, no end of file");
        return Ok(None);
    }
    let outcome = read(reader, &mut [0; 10]);
    let said = outcome.map_or_else(|error| format!("{error:?}"), |length| format!("{length} bytes"));
    let seen = watched[0].revents().unwrap_or(PollFlags::empty());
    let names = seen.iter_names().map(|(name, _)| name).collect::<Vec<_>>().join(" and ");
    lab.note(format!("poll: {names}; read: {said}"));
    Ok(Some(outcome))
}
