//! A read end that another process has made nonblocking, and three attempts to get reads that block.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

use experiments::{Choice, Lab, Question, Result, ask, vary};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc::c_int;
use nix::sys::epoll::{Epoll, EpollCreateFlags};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{SaFlags, SigAction, SigEvent, SigHandler, SigSet, SigevNotify, Signal, sigaction};
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;
use nix::unistd::{dup, pipe2, read};

const QUESTION: Question = Question {
    question: "How can a process get blocking reads when another has set O_NONBLOCK?",
    setup: "Two processes share the read end of a pipe, descriptor 3. The neighbor sets O_NONBLOCK and relies \
            on it. The parent needs reads that block. What can the parent do without changing the neighbor's \
            reads?",
    choices: &[
        Choice::new("dup: the duplicate is a descriptor that no other process has.")
            .because("The duplicate has the same open file description, so a read from it failed as well."),
        Choice::new("F_SETFL: it clears the flag on the parent's descriptor only.")
            .because("F_SETFL cleared the flag of the shared description: both processes' reads blocked."),
        Choice::new("open(\"/proc/self/fd/3\"): it opens the pipe a second time."),
        Choice::new("Nothing: the reads of all of a pipe's readers block, or none do.").because(
            "With a description of its own, the parent's read blocked; the neighbor's read did not.",
        ),
    ],
    book: 2,
    shows: "O_NONBLOCK belongs to the open file description. dup makes another descriptor of the same \
            description, and F_SETFL changes it for every process. Opening /proc/self/fd/N makes a new \
            description with flags of its own. That works for a pipe, but not for a socket, an eventfd or an \
            epoll.",
    lane: "parent",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        interruptible()?;
        let attempts = [Attempt::Duplicate, Attempt::Clear, Attempt::Reopen];
        let mut seen = Vec::new();
        for attempt in attempts {
            seen.push(run(lab, attempt)?);
        }
        lab.check(
            seen.iter().all(|seen| !seen.before),
            "the parent's reads fail with EAGAIN, although only the neighbor set the flag",
        );
        let (socket, _peer) = UnixStream::pair()?;
        let eventfd = OwnedFd::from(EventFd::from_flags(EfdFlags::EFD_CLOEXEC)?);
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let errors = [reopen(&socket), reopen(&eventfd), reopen(&epoll.0)];
        lab.note(format!("open({:?}), a socket: {:?}", path(&socket), errors[0]));
        lab.note(format!(
            "open({:?}), an eventfd: {}",
            path(&eventfd),
            vary("errno", format!("{:?}", errors[1]))
        ));
        lab.note(format!(
            "open({:?}), an epoll: {}",
            path(&epoll.0),
            vary("errno", format!("{:?}", errors[2]))
        ));
        // The file of an eventfd or an epoll belongs to root, so an ordinary user gets EACCES.
        lab.check(
            errors[0] == Errno::ENXIO
                && errors[1..].iter().all(|error| [Errno::ENXIO, Errno::EACCES].contains(error)),
            "a socket, an eventfd and an epoll cannot be opened through /proc",
        );
        let works = |seen: &Seen| seen.parent_blocks && !seen.neighbor_blocks;
        let works: Vec<usize> = (0..attempts.len()).filter(|choice| works(&seen[*choice])).collect();
        match works[..] {
            [] => Ok(attempts.len()),
            [choice] => Ok(choice),
            ref more => Err(format!("more than one of the choices: {more:?}").into()),
        }
    })
}

/// One of the parent's attempts.
#[derive(Clone, Copy)]
enum Attempt {
    Duplicate,
    Clear,
    Reopen,
}

impl Attempt {
    /// Gives the descriptor to read from afterwards, if it is a new one.
    // ANCHOR: core
    fn make(self, reader: &OwnedFd) -> Result<Option<OwnedFd>> {
        let flags = OFlag::from_bits_retain(fcntl(reader, FcntlArg::F_GETFL)?);
        Ok(match self {
            Self::Duplicate => Some(dup(reader)?),
            Self::Clear => fcntl(reader, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK)).map(|_| None)?,
            Self::Reopen => Some(File::open(path(reader))?.into()),
        })
    }
    // ANCHOR_END: core

    fn name(self, reader: &OwnedFd) -> String {
        let number = reader.as_raw_fd();
        match self {
            Self::Duplicate => format!("dup({number})"),
            Self::Clear => format!("F_SETFL: {number} without O_NONBLOCK"),
            Self::Reopen => format!("open({:?})", path(reader)),
        }
    }
}

/// Opens a descriptor through /proc. Gives the errno; if it works, `UnknownErrno`, which is 0.
fn reopen(fd: &impl AsRawFd) -> Errno {
    let error = File::open(path(fd)).err().and_then(|error| error.raw_os_error());
    Errno::from_raw(error.unwrap_or_default())
}

/// Which reads block: the parent's before and after its attempt, and the neighbor's after it.
struct Seen {
    before: bool,
    parent_blocks: bool,
    neighbor_blocks: bool,
}

fn run(lab: &mut Lab, attempt: Attempt) -> Result<Seen> {
    // The write end stays open and unused, so that a read finds neither data nor end of file.
    let (reader, _writer) = pipe2(OFlag::O_CLOEXEC)?;
    lab.note(format!("pipe: read end {}; both processes have it", reader.as_raw_fd()));
    let (set, attempted) = (lab.gate()?, lab.gate()?);
    let neighbor = lab.fork("neighbor", |lab| {
        let flags = OFlag::from_bits_retain(fcntl(&reader, FcntlArg::F_GETFL)?);
        fcntl(&reader, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        lab.note(format!("F_SETFL: {} with O_NONBLOCK", reader.as_raw_fd()));
        set.open()?;
        attempted.pass()?;
        Ok(if blocks(lab, &reader)? { 3 } else { 2 })
    })?;
    set.pass()?;
    let before = blocks(lab, &reader)?;
    let own = attempt.make(&reader)?;
    let new = own.as_ref().map_or(String::new(), |own| format!(": descriptor {}", own.as_raw_fd()));
    lab.note(format!("{}{new}", attempt.name(&reader)));
    let parent_blocks = blocks(lab, own.as_ref().unwrap_or(&reader))?;
    attempted.open()?;
    let neighbor_blocks = neighbor.answer(lab)? == 3;
    Ok(Seen { before, parent_blocks, neighbor_blocks })
}

/// Does a read block? A timer interrupts it then, periodically, because the first signal may come before the read.
fn blocks(lab: &Lab, reader: &OwnedFd) -> Result<bool> {
    let event = SigEvent::new(SigevNotify::SigevSignal { signal: Signal::SIGUSR1, si_value: 0 });
    let mut timer = Timer::new(ClockId::CLOCK_MONOTONIC, event)?;
    timer.set(Expiration::Interval(Duration::from_millis(100).into()), TimerSetTimeFlags::empty())?;
    let outcome = read(reader, &mut [0; 1]);
    let number = reader.as_raw_fd();
    match outcome {
        Err(Errno::EAGAIN) => lab.note(format!("read from {number}: EAGAIN")),
        Err(Errno::EINTR) => lab.note(format!("read from {number}: blocks until a timer interrupts it")),
        other => return Err(format!("read from an empty pipe: {other:?}").into()),
    }
    Ok(outcome == Err(Errno::EINTR))
}

/// From here on SIGUSR1 only interrupts a blocked read.
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
