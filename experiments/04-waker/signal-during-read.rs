//! A signal that comes while a thread sleeps in read.

use std::io;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use experiments::{Choice, Lab, Question, Result, ask, beside};
use nix::errno::Errno;
use nix::libc::c_int;
use nix::sys::pthread::{pthread_kill, pthread_self};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::{pipe, read, write};

/// How often the handler ran.
static RUNS: AtomicUsize = AtomicUsize::new(0);

const QUESTION: Question = Question {
    question: "What does a read that sleeps return when a signal comes?",
    setup: "A thread sleeps in read, on an empty pipe. Another thread sends SIGUSR1 to it, and then writes a byte \
            into the pipe. This is done four times: SIGUSR1 is ignored; it is blocked; it has a handler with \
            SA_RESTART; it has a handler without. What does read return?",
    choices: &[
        Choice::new("The byte, each time: a handler runs while the read goes on sleeping.")
            .because("Without SA_RESTART, read failed with EINTR once the handler had run."),
        Choice::new("EINTR with the handler that lacks SA_RESTART. Otherwise the byte."),
        Choice::new("EINTR with either handler, because both interrupt it. Otherwise the byte.")
            .because("With SA_RESTART the kernel began the read again, and it returned the byte."),
        Choice::new("EINTR, except while SIGUSR1 is blocked.")
            .because("The kernel discarded the ignored signal, and the read slept until the byte came."),
    ],
    book: 1,
    shows: "Only a handler that runs interrupts a read. An ignored signal and a blocked one leave the read asleep. \
            With SA_RESTART the kernel begins an interrupted read again after the handler; without it, the read \
            fails with EINTR, and the caller has to call it again.",
    lane: "reader",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        install(SigHandler::SigIgn, SaFlags::empty())?;
        let ignored = signaled(lab, "ignored", 0)?;
        install(SigHandler::Handler(count), SaFlags::empty())?;
        SigSet::from(Signal::SIGUSR1).thread_block()?;
        let blocked = signaled(lab, "blocked", 0)?;
        install(SigHandler::SigIgn, SaFlags::empty())?;
        SigSet::from(Signal::SIGUSR1).thread_unblock()?;
        lab.check(runs() == 0, "if a pending signal is ignored, the kernel discards it");
        install(SigHandler::Handler(count), SaFlags::SA_RESTART)?;
        let restarted = signaled(lab, "handled, SA_RESTART", 1)?;
        install(SigHandler::Handler(count), SaFlags::empty())?;
        let bare = signaled(lab, "handled, no flag", 1)?;
        lab.check(runs() == 2, "the handler ran twice: once with SA_RESTART, once without it");
        match [ignored, blocked, restarted, bare].map(|read| read.is_ok()) {
            [true, true, true, true] => Ok(0),
            [true, true, true, false] => Ok(1),
            [true, true, false, false] => Ok(2),
            [false, true, false, false] => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

/// Let a thread send the signal while this one sleeps in read, and write a byte when the handler has run `expected` times.
fn signaled(lab: &Lab, how: &str, expected: usize) -> Result<nix::Result<usize>> {
    let (reader, writer) = pipe()?;
    let (this, before) = (pthread_self(), runs());
    // ANCHOR: core
    let outcome = beside(
        |sleeper| {
            sleeper.asleep()?;
            pthread_kill(this, Signal::SIGUSR1)?;
            sleeper.until(|| Ok(runs() == before + expected))?;
            sleeper.asleep()?;
            write(&writer, b"x").map(drop).map_err(io::Error::from)
        },
        |sleeper| {
            sleeper.goes_to_sleep();
            Ok(read(&reader, &mut [0; 8]))
        },
    )?;
    // ANCHOR_END: core
    let returned = match outcome {
        Ok(1) => "the byte".into(),
        Ok(n) => format!("{n} bytes"),
        Err(error) => format!("{error:?}"),
    };
    lab.note(format!("{how}: read returns {returned}; runs of the handler: {}", runs() - before));
    match outcome {
        Ok(1) | Err(Errno::EINTR) => Ok(outcome),
        other => Err(format!("read returned {other:?}").into()),
    }
}

fn install(handler: SigHandler, flags: SaFlags) -> Result {
    let action = SigAction::new(handler, flags, SigSet::empty());
    // SAFETY: the handler touches an atomic and nothing else; it replaces none that Rust relies on.
    unsafe { sigaction(Signal::SIGUSR1, &action) }?;
    Ok(())
}

extern "C" fn count(_: c_int) {
    RUNS.fetch_add(1, Ordering::AcqRel);
}

fn runs() -> usize {
    RUNS.load(Ordering::Acquire)
}
