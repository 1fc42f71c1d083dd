//! System calls that a signal interrupts, whose handler has SA_RESTART: which of them go on?

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use experiments::{Choice, Lab, Question, Result, Sleeper, ask, beside, cannot_ask, needs, sleeps};
use nix::errno::Errno;
use nix::libc::{SYS_clock_nanosleep, c_int};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::pthread::{pthread_kill, pthread_self};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::time::{ClockId, ClockNanosleepFlags, clock_nanosleep};
use nix::unistd::{pipe, read, write};

/// The time limit of a call that nothing ends: longer than anything here takes.
const LONG_MS: u16 = 20_000;

/// How often the handler ran.
static RUNS: AtomicUsize = AtomicUsize::new(0);

const QUESTION: Question = Question {
    question: "Which system calls does SA_RESTART restart after a signal?",
    setup: "A signal whose handler has SA_RESTART interrupts five calls: a read from an empty pipe; a read from a socket \
            with a receive timeout; nanosleep; poll and epoll_wait without a timeout. Which of them does the kernel \
            restart?",
    choices: &[
        Choice::new("All of them, because the flag says so.")
            .because("Four of the five failed with EINTR in spite of the flag."),
        Choice::new("The two reads: the flag is for calls that read and write.")
            .because("The read with a receive timeout failed with EINTR."),
        Choice::new("The read from the pipe. The other four fail with EINTR."),
        Choice::new("None of them: the flag is for calls that have begun to transfer something.")
            .because("The read from the pipe had transferred nothing, and it was restarted."),
    ],
    book: 2,
    shows: "A plain read is restarted. A sleep, a wait for descriptors and a read with a timeout fail with EINTR, whatever \
            the flag says. So code must call again after EINTR, even if the signal is not meant for it. And a stop and a continue end epoll_wait without any handler.",
    lane: "process",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        // First, while this process has one thread and may fork.
        lab.note("to compare: three children without any handler");
        needs(&[SYS_clock_nanosleep])?;
        let stopped = [stopped(lab, In::EpollWait)?, stopped(lab, In::Poll)?, stopped(lab, In::Nanosleep)?];
        lab.check(
            stopped == [false, true, true],
            "without any handler, a stop and a continue end epoll_wait with EINTR, but not the others",
        );
        let action = SigAction::new(SigHandler::Handler(count), SaFlags::SA_RESTART, SigSet::empty());
        // SAFETY: the handler touches an atomic and nothing else; it replaces none that Rust relies on.
        unsafe { sigaction(Signal::SIGUSR1, &action) }?;
        let goes_on = five(lab)?;
        std_sleep(lab)?;
        match goes_on {
            [true, true, true, true, true] => Ok(0),
            [true, true, false, false, false] => Ok(1),
            [true, false, false, false, false] => Ok(2),
            [false, false, false, false, false] => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

extern "C" fn count(_: c_int) {
    RUNS.fetch_add(1, Ordering::AcqRel);
}

/// Interrupt each of the calls. Gives which of them return with what they waited for.
fn five(lab: &Lab) -> Result<[bool; 5]> {
    // ANCHOR: core
    let (reader, writer) = pipe()?;
    let from_pipe = interrupted(|| read(&reader, &mut [0; 8]), || write(&writer, b"x"))?;
    let (here, there) = UnixStream::pair()?;
    here.set_read_timeout(Some(Duration::from_millis(LONG_MS.into())))?;
    let from_socket = interrupted(|| read(&here, &mut [0; 8]), || write(&there, b"x"))?;
    let nanosleep = interrupted(|| nanosleep(LONG_MS).map(|()| 0), || Ok(0))?;
    let (reader, writer) = pipe()?;
    let polled = interrupted(|| poll_one(reader.as_fd()), || write(&writer, b"x"))?;
    let (reader, writer) = pipe()?;
    let epolled = interrupted(|| epoll_one(reader.as_fd()), || write(&writer, b"x"))?;
    // ANCHOR_END: core
    let calls = ["read from a pipe", "read with a timeout", "nanosleep", "poll", "epoll_wait"];
    let outcomes = [from_pipe, from_socket, nanosleep, polled, epolled];
    for (call, outcome) in calls.iter().zip(outcomes) {
        lab.note(format!("{call}, SA_RESTART: {}", said(outcome)));
    }
    Ok(outcomes.map(|outcome| outcome.is_ok()))
}

fn said(outcome: nix::Result<usize>) -> String {
    outcome.map_or_else(|error| format!("{error:?}"), |_| "restarted".into())
}

fn nanosleep(ms: u16) -> nix::Result<()> {
    let time = Duration::from_millis(ms.into()).into();
    clock_nanosleep(ClockId::CLOCK_MONOTONIC, ClockNanosleepFlags::empty(), &time).map(drop)
}

fn poll_one(fd: BorrowedFd) -> nix::Result<usize> {
    poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], PollTimeout::NONE).map(|ready| ready as usize)
}

fn epoll_one(fd: BorrowedFd) -> nix::Result<usize> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
    epoll.wait(&mut [EpollEvent::empty()], EpollTimeout::NONE)
}

/// Make a call, let a thread interrupt it while it waits, and then do what it waits for.
fn interrupted(
    call: impl FnOnce() -> nix::Result<usize>,
    give: impl FnOnce() -> nix::Result<usize> + Send,
) -> Result<nix::Result<usize>> {
    let (here, before) = (pthread_self(), RUNS.load(Ordering::Acquire));
    let other = |sleeper: &Sleeper| {
        sleeper.asleep()?;
        pthread_kill(here, Signal::SIGUSR1)?;
        sleeper.until(|| Ok(RUNS.load(Ordering::Acquire) > before))?;
        give().map(drop).map_err(Into::into)
    };
    beside(other, |sleeper| {
        sleeper.goes_to_sleep();
        Ok(call())
    })
}

/// Show that std's sleep calls again.
fn std_sleep(lab: &Lab) -> Result {
    const TIME: Duration = Duration::from_millis(200);
    let (began, before) = (Instant::now(), RUNS.load(Ordering::Acquire));
    let slept = interrupted(
        || {
            thread::sleep(TIME);
            Ok(0)
        },
        || Ok(0),
    )?;
    let (runs, time) = (RUNS.load(Ordering::Acquire) - before, began.elapsed());
    let whole = slept.is_ok() && runs == 1 && time >= TIME;
    lab.note(format!(
        "std::thread::sleep, SA_RESTART: {}",
        if whole { "sleeps its full time" } else { "is cut short" }
    ));
    lab.check(whole, "the sleep of Rust's std calls again, for the time that is left");
    Ok(())
}

/// The call in which a process is stopped and continued.
#[derive(Clone, Copy)]
enum In {
    EpollWait,
    Poll,
    Nanosleep,
}

/// Stop a process in a call, as Ctrl-Z does, and continue it. No handler runs. Gives whether the call goes on.
fn stopped(lab: &mut Lab, what: In) -> Result<bool> {
    let (reader, writer) = pipe()?;
    let gate = lab.gate()?;
    let name = match what {
        In::EpollWait => "epoll_wait",
        In::Poll => "poll",
        In::Nanosleep => "nanosleep",
    };
    let child = lab.fork("child", |_| {
        gate.open()?;
        let outcome = match what {
            In::EpollWait => epoll_one(reader.as_fd()),
            In::Poll => poll_one(reader.as_fd()),
            In::Nanosleep => nanosleep(500).map(|()| 0),
        };
        match outcome {
            Err(Errno::EINTR) => Ok(1),
            other => Ok(other.map(|_| 0)?),
        }
    })?;
    gate.pass()?;
    // The child is not reaped here, so that its pid stays its own.
    let news = |flags| waitid(Id::Pid(child.pid()), flags | WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
    while !sleeps(child.pid())? && news(WaitPidFlag::WNOHANG)? == WaitStatus::StillAlive {
        thread::yield_now();
    }
    kill(child.pid(), Signal::SIGSTOP)?;
    if !matches!(news(WaitPidFlag::WSTOPPED)?, WaitStatus::Stopped(..)) {
        // If the child was refused something, it has written that down.
        return Err(match what {
            In::Nanosleep => cannot_ask("a sleep of 500 ms was over before the process could be stopped"),
            _ => format!("it was not stopped in {name}").into(),
        });
    }
    kill(child.pid(), Signal::SIGCONT)?;
    write(&writer, b"x")?;
    let goes_on = child.status(lab)? == 0;
    lab.note(format!("{name}, stopped and continued: {}", if goes_on { "continues" } else { "EINTR" }));
    Ok(goes_on)
}
