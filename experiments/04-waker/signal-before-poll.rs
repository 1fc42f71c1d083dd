//! A signal that comes after the loop has checked its flag, and before it waits.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use experiments::{Choice, Lab, Question, Result, ask};
use nix::errno::Errno;
use nix::libc::{c_int, epoll_event, epoll_pwait};
use nix::poll::{PollFd, PollFlags, poll, ppoll};
use nix::sys::epoll::{Epoll, EpollCreateFlags};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::time::{TimeSpec, TimeValLike};
use nix::unistd::{read, write};

/// What the handler does: it sets the flag and, if there is a descriptor here, writes a byte to it.
static FLAG: AtomicBool = AtomicBool::new(false);
static WAKE: AtomicI32 = AtomicI32::new(-1);

const QUESTION: Question = Question {
    question: "Which waits return at once if a signal comes between the check and the wait?",
    setup: "A signal handler sets a flag. A loop finds the flag clear, then the signal comes, then the loop \
            waits. Which of these waits return at once: poll; ppoll, which unblocks the signal while it \
            waits; poll of a pipe to which the handler writes a byte; poll of a signalfd?",
    choices: &[
        Choice::new("All four: a signal ends a wait.")
            .because("poll slept until its timeout: the handler had already run when it began."),
        Choice::new("The last two: the signal came before the wait, so only a descriptor can report it.")
            .because("ppoll returned with EINTR: the signal was blocked until the wait, and ended it."),
        Choice::new(
            "All but poll: the handler has run before poll begins, and poll does not look at the flag.",
        ),
        Choice::new("ppoll alone: only there are unblocking the signal and waiting a single call.")
            .because("The pipe and the signalfd were readable, so poll returned for them too."),
    ],
    book: 2,
    shows: "A handler that ran just before the wait cannot end the wait: the loop sleeps although its flag is set. A \
            signal ends the wait if it stays blocked until the wait has begun, as with ppoll, or if it makes a \
            descriptor ready that the loop waits for, as the handler's byte and the signalfd do.",
    lane: "loop",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let action = SigAction::new(SigHandler::Handler(handler), SaFlags::SA_RESTART, SigSet::empty());
        // SAFETY: the handler calls write(2) alone, and touches atomics; it replaces none that Rust relies on.
        unsafe { sigaction(Signal::SIGUSR1, &action) }?;
        let (poll, ppoll) = (with_poll(lab)?, with_ppoll(lab)?);
        with_epoll_pwait(lab)?;
        let ends = [poll, ppoll, with_pipe(lab)?, with_signalfd(lab)?];
        match ends {
            [true, true, true, true] => Ok(0),
            [false, false, true, true] => Ok(1),
            [false, true, true, true] => Ok(2),
            [false, true, false, false] => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

extern "C" fn handler(_: c_int) {
    // The code that was interrupted may be about to look at errno.
    let errno = Errno::last();
    FLAG.store(true, Ordering::Relaxed);
    let fd = WAKE.load(Ordering::Relaxed);
    if fd >= 0 {
        // SAFETY: the code that stores the number keeps the descriptor open until it has taken the number out.
        let _ = write(unsafe { BorrowedFd::borrow_raw(fd) }, &[0]);
    }
    errno.set();
}

/// A flag, and a wait that does not know it.
fn with_poll(lab: &Lab) -> Result<bool> {
    SigSet::from(Signal::SIGUSR1).thread_unblock()?;
    // ANCHOR: poll
    check(lab);
    raise(Signal::SIGUSR1)?;
    let set = FLAG.load(Ordering::Relaxed);
    lab.note("SIGUSR1: its handler sets the flag");
    let outcome = poll(&mut [], 100_u8);
    // ANCHOR_END: poll
    lab.note(format!("poll for 100 ms: {}; the flag is {}", said(outcome), state()));
    lab.check(set && outcome == Ok(0), "poll sleeps until its timeout, with the flag set all the while");
    Ok(outcome != Ok(0))
}

/// The signal is blocked until the wait, which unblocks it: no moment is left in between.
fn with_ppoll(lab: &Lab) -> Result<bool> {
    let signal = SigSet::from(Signal::SIGUSR1);
    signal.thread_block()?;
    check(lab);
    raise(Signal::SIGUSR1)?;
    let held = !FLAG.load(Ordering::Relaxed);
    lab.note(format!("SIGUSR1: blocked, so it is pending; the flag is {}", state()));
    // ANCHOR: ppoll
    let mut mask = SigSet::thread_get_mask()?;
    mask.remove(Signal::SIGUSR1);
    let outcome = ppoll(&mut [], Some(TimeSpec::milliseconds(100)), Some(mask));
    // ANCHOR_END: ppoll
    lab.note(format!("ppoll, which unblocks it: {}; the flag is {}", said(outcome), state()));
    let by_handler = held && outcome == Err(Errno::EINTR) && FLAG.load(Ordering::Relaxed);
    lab.check(by_handler, "ppoll unblocks the signal and fails with EINTR, although SA_RESTART is set");
    signal.thread_unblock()?;
    Ok(outcome != Ok(0))
}

/// The same with epoll_pwait.
fn with_epoll_pwait(lab: &Lab) -> Result {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let signal = SigSet::from(Signal::SIGUSR1);
    signal.thread_block()?;
    check(lab);
    raise(Signal::SIGUSR1)?;
    let mut mask = SigSet::thread_get_mask()?;
    mask.remove(Signal::SIGUSR1);
    let mut event = epoll_event { events: 0, u64: 0 };
    // SAFETY: nix has no such call. There is room for one event, as the call is told, and the mask outlives the call.
    let answer = unsafe { epoll_pwait(epoll.0.as_raw_fd(), &raw mut event, 1, 100, mask.as_ref()) };
    let outcome = Errno::result(answer);
    lab.note(format!("block it, send it, epoll_pwait: {}; the flag is {}", said(outcome), state()));
    lab.check(outcome == Err(Errno::EINTR) && FLAG.load(Ordering::Relaxed), "epoll_pwait does the same");
    signal.thread_unblock()?;
    Ok(())
}

/// The handler leaves a byte behind.
fn with_pipe(lab: &Lab) -> Result<bool> {
    let (reader, writer) = lab.nonblocking_pipe(4096)?;
    check(lab);
    WAKE.store(writer.as_raw_fd(), Ordering::Relaxed);
    raise(Signal::SIGUSR1)?;
    WAKE.store(-1, Ordering::Relaxed);
    lab.note("SIGUSR1: its handler sets the flag and writes a byte");
    let outcome = poll(&mut [PollFd::new(reader.as_fd(), PollFlags::POLLIN)], 100_u8);
    lab.note(format!("poll of the pipe: {}; the flag is {}", said(outcome), state()));
    let bytes = read(&reader, &mut [0; 64])?;
    lab.check(bytes == 1, "the byte waits in the pipe for the loop");
    Ok(outcome != Ok(0))
}

/// The signal stays blocked, and is read like a file. No handler runs.
fn with_signalfd(lab: &Lab) -> Result<bool> {
    let signal = SigSet::from(Signal::SIGUSR1);
    signal.thread_block()?;
    let signals = SignalFd::with_flags(&signal, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    check(lab);
    raise(Signal::SIGUSR1)?;
    lab.note("SIGUSR1: blocked, so it is pending");
    let outcome = poll(&mut [PollFd::new(signals.as_fd(), PollFlags::POLLIN)], 100_u8);
    let record = signals.read_signal()?.map(|record| record.ssi_signo.cast_signed());
    lab.note(format!("poll of the signalfd: {}; the flag is {}", said(outcome), state()));
    let read = record == Some(Signal::SIGUSR1 as c_int) && !FLAG.load(Ordering::Relaxed);
    lab.check(read, "the signal is read from the signalfd, without a handler running");
    signal.thread_unblock()?;
    Ok(outcome != Ok(0))
}

/// The loop checks its flag, for the last time before it waits.
fn check(lab: &Lab) {
    FLAG.store(false, Ordering::Relaxed);
    lab.note(format!("check: the flag is {}", state()));
}

fn state() -> &'static str {
    if FLAG.load(Ordering::Relaxed) { "set" } else { "clear" }
}

fn said(outcome: nix::Result<c_int>) -> String {
    match outcome {
        Ok(0) => "nothing".into(),
        Ok(_) => "ready".into(),
        Err(error) => format!("{error:?}"),
    }
}
