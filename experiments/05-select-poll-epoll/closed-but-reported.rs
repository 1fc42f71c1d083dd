//! A descriptor that is closed while a duplicate of it is open: epoll goes on reporting it.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::process::ExitCode;

use experiments::{Choice, Lab, Question, Result, ask};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::unistd::{dup2, read, write};

/// How many times the loop waits.
const TURNS: usize = 100;

const QUESTION: Question = Question {
    question: "What does epoll report for a descriptor that was closed while a duplicate is open?",
    setup: "A loop watches descriptor 4, the read end of a pipe. The program also has a duplicate of it, descriptor 6. The loop closes 4 without removing it from the epoll. Then a byte is written into \
            the pipe. What does epoll_wait report?",
    choices: &[
        Choice::new("Nothing: closing a descriptor removes it from every epoll.")
            .because("The entry stays until the last duplicate is closed: 4 was reported at every wait."),
        Choice::new("Descriptor 6, through which the pipe can still be read.")
            .because("An event carries the 64 bits that the loop registered, the number 4 here."),
        Choice::new("Descriptor 4, once; then the kernel notices that it is closed.").because(
            "A hundred waits reported it a hundred times, because the open file description is still open.",
        ),
        Choice::new(
            "Descriptor 4, at every wait from now on; and 4 cannot be removed, because it is closed.",
        ),
    ],
    book: 3,
    shows: "An entry of an epoll belongs to an open file description, and not to a descriptor. The kernel removes the \
            entry when the last descriptor of its description is closed. Until then, EPOLL_CTL_DEL needs the number \
            under which the entry was added, and the number must lead to the same description. So remove a descriptor \
            before you close it.",
    lane: "loop",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let (epoll, reader, writer, duplicate) = closed(lab)?;
        let number = reader;
        write(&writer, b"x")?;
        let mut named = Vec::new();
        for _ in 0..TURNS {
            named.extend(wait(&epoll)?);
        }
        let last = named.last().map_or("nothing".to_owned(), u64::to_string);
        lab.note(format!("write a byte; {TURNS} waits: {} reports, of {last}", named.len()));
        let by_old = remove(&epoll, number);
        let by_new = epoll.delete(&duplicate);
        lab.note(format!(
            "EPOLL_CTL_DEL of {number}: {}; of {}: {}",
            done(by_old),
            duplicate.as_raw_fd(),
            done(by_new)
        ));
        lab.check(by_old == Err(Errno::EBADF), "the entry cannot be removed by its old number: EBADF");
        lab.check(
            by_new == Err(Errno::ENOENT),
            "nor by the number of the duplicate, which was never added: ENOENT",
        );
        lab.check(listed(&epoll)? == [number], "/proc/self/fdinfo still lists the entry");
        reused(lab, &epoll, number, &duplicate)?;
        ended(lab)?;
        let (old, new) = (number as u64, duplicate.as_raw_fd() as u64);
        match named[..] {
            [] => Ok(0),
            [first] if first == old => Ok(2),
            _ if named == [new; TURNS] => Ok(1),
            _ if named == [old; TURNS] && by_old.is_err() => Ok(3),
            ref other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

/// A pipe whose read end is watched, duplicated and closed. Gives the epoll, the closed number, the write end and the
/// duplicate.
fn closed(lab: &Lab) -> Result<(Epoll, RawFd, OwnedFd, OwnedFd)> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let (reader, writer) = lab.nonblocking_pipe(4096)?;
    let number = reader.as_raw_fd();
    // ANCHOR: core
    epoll.add(&reader, EpollEvent::new(EpollFlags::EPOLLIN, number as u64))?;
    let duplicate = reader.try_clone()?;
    lab.note(format!("a pipe: read end {number}, watched; its duplicate: {}", duplicate.as_raw_fd()));
    drop(reader);
    lab.note(format!("close {number}"));
    // ANCHOR_END: core
    Ok((epoll, number, writer, duplicate))
}

/// Reuse the closed number for another pipe, and then for the old one.
fn reused(lab: &Lab, epoll: &Epoll, number: RawFd, duplicate: &OwnedFd) -> Result {
    let (mut other, _writer) = lab.nonblocking_pipe(4096)?;
    let same = other.as_raw_fd() == number;
    lab.note(format!("open another pipe: its read end is {}", other.as_raw_fd()));
    let named = wait(epoll)?;
    let empty = read(&other, &mut [0; 8]);
    lab.note(format!("a wait: a report of {}; read: {}", named.unwrap_or_default(), said(empty)));
    lab.check(
        same && named == Some(number as u64) && empty == Err(Errno::EAGAIN),
        "a new pipe gets the old number: events name it, although it is empty",
    );
    let by_number = epoll.delete(&other);
    lab.check(
        by_number == Err(Errno::ENOENT),
        "removing it fails then, too: the epoll has no entry for the new pipe",
    );
    // Not nix's dup2_raw, which takes -1 for a descriptor where the call is refused.
    dup2(duplicate, &mut other)?;
    let by_both = epoll.delete(&other);
    let silent = wait(epoll)?.is_none();
    lab.note(format!(
        "dup2 of {} to {number}, EPOLL_CTL_DEL of {number}: {}",
        duplicate.as_raw_fd(),
        done(by_both)
    ));
    lab.check(
        by_both == Ok(()) && silent,
        "when the number leads to the old pipe again, the entry can be removed",
    );
    Ok(())
}

/// Two cases in which epoll reports nothing: the last duplicate is closed, and the entry is removed before the close.
fn ended(lab: &Lab) -> Result {
    let (epoll, _, writer, duplicate) = closed(lab)?;
    write(&writer, b"x")?;
    let before = wait(&epoll)?.is_some();
    drop(duplicate);
    let after = wait(&epoll)?.is_some();
    let seen = if after { "a report" } else { "nothing" };
    lab.note(format!("a byte in it; close the duplicate too, and wait: {seen}"));
    lab.check(before && !after, "closing the last descriptor of the read end removes the entry");
    let (reader, writer) = lab.nonblocking_pipe(4096)?;
    epoll.add(&reader, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
    let _duplicate = reader.try_clone()?;
    epoll.delete(&reader)?;
    drop(reader);
    write(&writer, b"x")?;
    let silent = wait(&epoll)?.is_none();
    let seen = if silent { "nothing" } else { "a report" };
    lab.note(format!("a third pipe: EPOLL_CTL_DEL, then close; a byte, and a wait: {seen}"));
    lab.check(silent, "after EPOLL_CTL_DEL and close nothing is reported, in spite of a duplicate");
    Ok(())
}

/// What a wait reports, if it reports anything.
fn wait(epoll: &Epoll) -> Result<Option<u64>> {
    let mut event = [EpollEvent::empty()];
    Ok((epoll.wait(&mut event, 0_u8)? > 0).then(|| event[0].data()))
}

fn remove(epoll: &Epoll, number: RawFd) -> nix::Result<()> {
    // SAFETY: borrowed for this one call, which fails with EBADF if the number is not open, and reads or writes nothing.
    epoll.delete(unsafe { BorrowedFd::borrow_raw(number) })
}

/// The numbers that an epoll has entries for, as the kernel lists them: `tfd:        4 events:       19 data: …`.
fn listed(epoll: &Epoll) -> Result<Vec<RawFd>> {
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", epoll.0.as_fd().as_raw_fd()))?;
    let entries = text.lines().filter_map(|line| line.strip_prefix("tfd:"));
    entries.map(|entry| Ok(entry.split_whitespace().next().unwrap_or_default().parse()?)).collect()
}

fn done(outcome: nix::Result<()>) -> String {
    outcome.map_or_else(|error| format!("{error:?}"), |()| "works".into())
}

fn said(outcome: nix::Result<usize>) -> String {
    outcome.map_or_else(|error| format!("{error:?}"), |length| format!("{length} bytes"))
}
