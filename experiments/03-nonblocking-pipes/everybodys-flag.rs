//! A read end that somebody else has made nonblocking, and three ways out.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

use experiments::{Choice, Lab, Question, Result, ask};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc::c_int;
use nix::sys::signal::{SaFlags, SigAction, SigEvent, SigHandler, SigSet, SigevNotify, Signal, sigaction};
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;
use nix::unistd::{dup, pipe2, read};

const QUESTION: Question = Question {
    question: "Two processes have inherited one read end of a pipe, descriptor 3. One makes it nonblocking, \
               and relies on that. The other needs reads that wait. What gives the other its way, and takes \
               nothing from the first?",
    choices: &[
        Choice::new("dup: the duplicate is a descriptor that nobody else has."),
        Choice::new("F_SETFL: it takes the flag off this process's descriptor, and off no other's."),
        Choice::new("open(\"/proc/self/fd/3\"): it opens the pipe anew."),
        Choice::new("Nothing: a pipe waits for all of its readers, or for none."),
    ],
    book: 2,
    shows: "The flag lives on the open file description. dup gives another descriptor of the same one, and \
            F_SETFL changes it for everybody. Opening /proc/self/fd/N makes a description of one's own, with \
            flags of its own. That works for a pipe, and not for a socket.",
    lane: "parent",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        interruptible()?;
        let cures: [Cure; 3] = [duplicate, clear, reopen];
        let mut seen = Vec::new();
        for cure in cures {
            seen.push(run(lab, cure)?);
        }
        lab.check(
            seen.iter().all(|seen| !seen.before),
            "the parent's reads fail with EAGAIN, though the parent never asked for that",
        );
        let (socket, _peer) = UnixStream::pair()?;
        let error =
            File::open(path(&socket)).err().and_then(|error| error.raw_os_error()).map(Errno::from_raw);
        lab.note(format!(
            "open({:?}), a socket: {}",
            path(&socket),
            error.map_or("works".into(), |error| format!("{error:?}"))
        ));
        lab.check(error == Some(Errno::ENXIO), "a socket cannot be opened anew");
        let works = |seen: &Seen| seen.parent_waits && !seen.neighbour_waits;
        let works: Vec<usize> = (0..cures.len()).filter(|choice| works(&seen[*choice])).collect();
        match works[..] {
            [] => Ok(cures.len()),
            [choice] => Ok(choice),
            ref more => Err(format!("more than one of the choices: {more:?}").into()),
        }
    })
}

/// What the parent does about the flag. The descriptor to read from afterwards, if it is a new one.
type Cure = fn(&Lab, &OwnedFd) -> Result<Option<OwnedFd>>;

fn duplicate(lab: &Lab, reader: &OwnedFd) -> Result<Option<OwnedFd>> {
    let own = dup(reader)?;
    lab.note(format!("dup({}): descriptor {}", reader.as_raw_fd(), own.as_raw_fd()));
    Ok(Some(own))
}

fn clear(lab: &Lab, reader: &OwnedFd) -> Result<Option<OwnedFd>> {
    let flags = OFlag::from_bits_retain(fcntl(reader, FcntlArg::F_GETFL)?);
    fcntl(reader, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK))?;
    lab.note(format!("F_SETFL: {} without O_NONBLOCK", reader.as_raw_fd()));
    Ok(None)
}

fn reopen(lab: &Lab, reader: &OwnedFd) -> Result<Option<OwnedFd>> {
    let own = File::open(path(reader))?;
    lab.note(format!("open({:?}): descriptor {}", path(reader), own.as_raw_fd()));
    Ok(Some(own.into()))
}

/// Whose reads wait: the parent's before and after the cure, and the neighbour's after it.
struct Seen {
    before: bool,
    parent_waits: bool,
    neighbour_waits: bool,
}

fn run(lab: &mut Lab, cure: Cure) -> Result<Seen> {
    // The write end stays open and unused, so that there is nothing to read, and no end.
    let (reader, _writer) = pipe2(OFlag::O_CLOEXEC)?;
    lab.note(format!("pipe: read end {}; both processes have it", reader.as_raw_fd()));
    let (set, cured) = (lab.gate()?, lab.gate()?);
    let neighbour = lab.fork("neighbour", |lab| {
        let flags = OFlag::from_bits_retain(fcntl(&reader, FcntlArg::F_GETFL)?);
        fcntl(&reader, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        lab.note(format!("F_SETFL: {} with O_NONBLOCK", reader.as_raw_fd()));
        set.open()?;
        cured.pass()?;
        Ok(if waits(lab, &reader)? { 3 } else { 2 })
    })?;
    set.pass()?;
    let before = waits(lab, &reader)?;
    let own = cure(lab, &reader)?;
    let parent_waits = waits(lab, own.as_ref().unwrap_or(&reader))?;
    cured.open()?;
    let neighbour_waits = neighbour.answer(lab)? == 3;
    Ok(Seen { before, parent_waits, neighbour_waits })
}

/// Does a read wait? A timer interrupts it then: again and again, lest its signal come before the read.
fn waits(lab: &Lab, reader: &OwnedFd) -> Result<bool> {
    let event = SigEvent::new(SigevNotify::SigevSignal { signal: Signal::SIGUSR1, si_value: 0 });
    let mut timer = Timer::new(ClockId::CLOCK_MONOTONIC, event)?;
    timer.set(Expiration::Interval(Duration::from_millis(100).into()), TimerSetTimeFlags::empty())?;
    let outcome = read(reader, &mut [0; 1]);
    let number = reader.as_raw_fd();
    match outcome {
        Err(Errno::EAGAIN) => lab.note(format!("read from {number}: EAGAIN")),
        Err(Errno::EINTR) => lab.note(format!("read from {number}: waits, until a timer interrupts it")),
        other => return Err(format!("read from an empty pipe: {other:?}").into()),
    }
    Ok(outcome == Err(Errno::EINTR))
}

/// From here on SIGUSR1 ends a read that waits, and nothing else.
fn interruptible() -> Result {
    extern "C" fn nothing(_: c_int) {}
    let action = SigAction::new(SigHandler::Handler(nothing), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does nothing, which is async-signal-safe.
    unsafe { sigaction(Signal::SIGUSR1, &action) }?;
    Ok(())
}

fn path(descriptor: &impl AsRawFd) -> String {
    format!("/proc/self/fd/{}", descriptor.as_raw_fd())
}
