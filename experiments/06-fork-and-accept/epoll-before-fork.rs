//! An epoll that was made before a fork, and is used on both sides of it.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::process::ExitCode;
use std::ptr;

use experiments::{Choice, Lab, Question, Result, ask};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::unistd::{pipe2, write};

/// How often to see whether the loop goes to sleep.
const TURNS: usize = 1000;

const QUESTION: Question = Question {
    question: "A process makes an epoll, puts a pipe into it, and forks. The child takes that pipe out, \
               since it has no use for it, and puts in a pipe that it has made itself. What does the parent \
               find?",
    choices: &[
        Choice::new("Its epoll as it was: the child has changed a copy."),
        Choice::new("Its own pipe is gone. Of the child's it is told nothing, since it does not have it."),
        Choice::new("Its own pipe is gone. It is told of the child's, and takes that out again."),
        Choice::new(
            "Its own pipe is gone. It is told of the child's, and can neither take it out nor sleep.",
        ),
    ],
    book: 3,
    shows: "An epoll is an open file description. fork copies the descriptor; the list of what is watched is \
            one for both. An entry is a number and the file that was behind it where it was put in, and it \
            stays until that file is closed, whoever has it. So make the epoll after the fork.",
    lane: "parent",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let (own, _writer) = ready_pipe()?;
        put_in(&epoll, &own)?;
        let number = own.as_raw_fd();
        lab.note(format!("an epoll; put in a pipe, {number}"));
        tell(lab, told(&epoll)?);
        let [changed, end] = [lab.gate()?, lab.gate()?];
        let child = lab.fork("child", |lab| {
            epoll.delete(&own)?;
            lab.note(format!("take out {number}"));
            let (pipe, _writer) = ready_pipe()?;
            put_in(&epoll, &pipe)?;
            lab.note(format!("put in a pipe of its own, {}", pipe.as_raw_fd()));
            changed.open()?;
            end.pass()?;
            Ok(0)
        })?;
        changed.pass()?;
        let after = told(&epoll)?;
        tell(lab, after);
        let taken_out = after.map_or(Ok(()), |number| take_out(lab, &epoll, number));
        let turns = (0..TURNS).map_while(|_| told(&epoll).transpose()).count();
        lab.note(format!("epoll_wait, over and over: ready {turns} times of {TURNS}"));
        // The numbers that the child's pipe took are the lowest ones that are free here.
        let (other, _other_writer) = pipe2(OFlag::O_CLOEXEC)?;
        lab.note(format!("make another pipe, which is empty: {}", other.as_raw_fd()));
        lab.check(
            Some(other.as_raw_fd()) == after && told(&epoll)? == after,
            "the child's number may be another file's in the parent, and it is told of that number",
        );
        let other = take_out(lab, &epoll, other.as_raw_fd());
        lab.check(other == Err(Errno::ENOENT), "and that file is none that the epoll knows");

        end.open()?;
        child.status(lab)?;
        let at_last = told(&epoll)?;
        tell(lab, at_last);
        lab.check(at_last.is_none(), "when the child has ended, its pipe is closed, and its entry gone");
        put_in(&epoll, &own)?;
        lab.note(format!("put in {number} again"));
        own_epoll(lab, &epoll, &own)?;

        match (after, taken_out, turns) {
            (Some(told), ..) if told == number => Ok(0),
            (None, ..) => Ok(1),
            (Some(_), Ok(()), _) => Ok(2),
            (Some(_), Err(Errno::EBADF), TURNS) => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

/// A child that makes its epoll after the fork.
fn own_epoll(lab: &mut Lab, epoll: &Epoll, own: &OwnedFd) -> Result {
    let child = lab.fork("child", |lab| {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        put_in(&epoll, own)?;
        epoll.delete(own)?;
        lab.note(format!("an epoll of its own; put in {0}, take out {0}", own.as_raw_fd()));
        Ok(0)
    })?;
    child.status(lab)?;
    let number = told(epoll)?;
    tell(lab, number);
    lab.check(
        number == Some(own.as_raw_fd()),
        "what a child does with an epoll of its own is nothing to its parent's",
    );
    Ok(())
}

/// A pipe with a byte in it: read end, write end.
fn ready_pipe() -> Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    write(&writer, b"a")?;
    Ok((reader, writer))
}

/// As loops do, with the number for the event to bring along.
fn put_in(epoll: &Epoll, reader: &OwnedFd) -> Result {
    let number = u64::try_from(reader.as_raw_fd())?;
    Ok(epoll.add(reader, EpollEvent::new(EpollFlags::EPOLLIN, number))?)
}

/// The number of what is ready within 100 ms. There is never more than one here.
fn told(epoll: &Epoll) -> Result<Option<RawFd>> {
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

/// Take out a number that need not be open in this process.
fn take_out(lab: &Lab, epoll: &Epoll, number: RawFd) -> nix::Result<()> {
    // SAFETY: this deletes an entry or is refused, and has no event to read. nix's `delete` wants a descriptor that is
    // open, which is what is in question here.
    let result =
        unsafe { libc::epoll_ctl(epoll.0.as_raw_fd(), libc::EPOLL_CTL_DEL, number, ptr::null_mut()) };
    let outcome = Errno::result(result).map(drop);
    let said = outcome.map_or_else(|error| format!("{error:?}"), |()| "it is out".into());
    lab.note(format!("take out {number}: {said}"));
    outcome
}
