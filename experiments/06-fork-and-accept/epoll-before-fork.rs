//! An epoll that was made before a fork, and is used by parent and child.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::process::ExitCode;
use std::ptr;

use experiments::{Choice, Lab, Question, Result, ask};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::unistd::{pipe2, write};

/// How many times the loop waits.
const TURNS: usize = 1000;

const QUESTION: Question = Question {
    question: "Which process owns an epoll that was made before a fork?",
    setup: "A process makes an epoll, adds a pipe to it, and forks. The child removes that pipe from the \
            epoll and adds a pipe that it has made itself. What does the parent's epoll report afterwards?",
    choices: &[
        Choice::new("Its own pipe, as before: the child has changed a copy.")
            .because("There is one list for both processes: what the child removed is gone for both."),
        Choice::new("Neither its own pipe nor the child's, which the parent does not have.")
            .because("The parent was notified of the child's pipe, although it does not have it."),
        Choice::new("Not its own pipe but the child's, which the parent then removes.")
            .because("The parent cannot name the entry: EPOLL_CTL_DEL failed with EBADF and ENOENT."),
        Choice::new(
            "Not its own pipe but the child's, which the parent cannot remove, so it cannot sleep any more.",
        ),
    ],
    book: 3,
    shows: "An epoll is an open file description. fork copies the descriptor, and both processes share the list of \
            entries. An entry belongs to a descriptor number and to the file that this number led to in the process \
            that added it. The entry stays until that file is closed in every process. So make the epoll after the \
            fork.",
    lane: "parent",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let (own, _writer) = ready_pipe()?;
        add(&epoll, &own)?;
        let number = own.as_raw_fd();
        lab.note(format!("an epoll; add a pipe, {number}"));
        tell(lab, reported(&epoll)?);
        let [changed, end] = [lab.gate()?, lab.gate()?];
        let child = lab.fork("child", |lab| {
            let _pipe = replace(lab, &epoll, &own)?;
            changed.open()?;
            end.pass()?;
            Ok(0)
        })?;
        changed.pass()?;
        let after = reported(&epoll)?;
        tell(lab, after);
        let removed = after.map_or(Ok(()), |number| remove(lab, &epoll, number));
        let turns = (0..TURNS).map_while(|_| reported(&epoll).transpose()).count();
        lab.note(format!("epoll_wait, over and over: ready {turns} times in {TURNS}"));
        // The numbers that the child's pipe got are the lowest free ones here.
        let (other, _other_writer) = pipe2(OFlag::O_CLOEXEC)?;
        lab.note(format!("make another pipe, which is empty: {}", other.as_raw_fd()));
        lab.check(
            Some(other.as_raw_fd()) == after && reported(&epoll)? == after,
            "a new pipe of the parent gets the number of the child's pipe: events name it",
        );
        let other = remove(lab, &epoll, other.as_raw_fd());
        lab.check(other == Err(Errno::ENOENT), "but the epoll has no entry for the new pipe: ENOENT");

        end.open()?;
        child.status(lab)?;
        let at_last = reported(&epoll)?;
        tell(lab, at_last);
        lab.check(at_last.is_none(), "when the child has exited, its pipe is closed, and the entry is gone");
        add(&epoll, &own)?;
        lab.note(format!("add {number} again"));
        own_epoll(lab, &epoll, &own)?;

        match (after, removed, turns) {
            (Some(reported), ..) if reported == number => Ok(0),
            (None, ..) => Ok(1),
            (Some(_), Ok(()), _) => Ok(2),
            (Some(_), Err(Errno::EBADF), TURNS) => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

/// Remove the parent's pipe from the epoll, and add a pipe of the child's, which is returned.
// ANCHOR: core
fn replace(lab: &Lab, epoll: &Epoll, own: &OwnedFd) -> Result<(OwnedFd, OwnedFd)> {
    epoll.delete(own)?;
    lab.note(format!("remove {}", own.as_raw_fd()));
    let (pipe, writer) = ready_pipe()?;
    add(epoll, &pipe)?;
    lab.note(format!("add a pipe of its own, {}", pipe.as_raw_fd()));
    Ok((pipe, writer))
}
// ANCHOR_END: core

/// A child that makes its epoll after the fork.
fn own_epoll(lab: &mut Lab, epoll: &Epoll, own: &OwnedFd) -> Result {
    let child = lab.fork("child", |lab| {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        add(&epoll, own)?;
        epoll.delete(own)?;
        lab.note(format!("an epoll of its own; add {0}, remove {0}", own.as_raw_fd()));
        Ok(0)
    })?;
    child.status(lab)?;
    let number = reported(epoll)?;
    tell(lab, number);
    lab.check(
        number == Some(own.as_raw_fd()),
        "what a child does with an epoll of its own does not affect its parent's",
    );
    Ok(())
}

/// A pipe with a byte in it: read end, write end.
fn ready_pipe() -> Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    write(&writer, b"a")?;
    Ok((reader, writer))
}

/// Add a descriptor as loops do, with its number as the data of the event.
fn add(epoll: &Epoll, reader: &OwnedFd) -> Result {
    let number = u64::try_from(reader.as_raw_fd())?;
    Ok(epoll.add(reader, EpollEvent::new(EpollFlags::EPOLLIN, number))?)
}

/// The number of the descriptor that is ready within 100 ms. There is at most one.
fn reported(epoll: &Epoll) -> Result<Option<RawFd>> {
    let mut events = [EpollEvent::empty(); 8];
    match epoll.wait(&mut events, 100_u8)? {
        0 => Ok(None),
        1 => Ok(Some(RawFd::try_from(events[0].data())?)),
        more => Err(format!("{more} events").into()),
    }
}

fn tell(lab: &Lab, number: Option<RawFd>) {
    match number {
        Some(number) => lab.note(format!("epoll_wait: {number} is ready")),
        None => lab.note("epoll_wait for 100 ms: nothing"),
    }
}

/// Remove a number that need not be open in this process.
fn remove(lab: &Lab, epoll: &Epoll, number: RawFd) -> nix::Result<()> {
    // SAFETY: this deletes an entry or is refused, and reads no event. nix's `delete` takes an open descriptor, and this
    // one may be closed.
    let result =
        unsafe { libc::epoll_ctl(epoll.0.as_raw_fd(), libc::EPOLL_CTL_DEL, number, ptr::null_mut()) };
    let outcome = Errno::result(result).map(drop);
    let said = outcome.map_or_else(|error| format!("{error:?}"), |()| "it is removed".into());
    lab.note(format!("remove {number}: {said}"));
    outcome
}
