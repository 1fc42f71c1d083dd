//! A signal whose handler sets a flag, and loops that check the flag: which of them sleep through the signal?

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

use experiments::{Choice, Lab, Question, Result, Sleeper, ask, beside};
use ioloop::IoLoop;
use nix::errno::Errno;
use nix::libc::{self, c_int};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::pthread::{Pthread, pthread_kill, pthread_self};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction};
use nix::unistd::write;

/// The timeout of a loop: longer than anything here takes. A real loop's may be an hour.
const SLEEP_MS: c_int = 20_000;
/// The data of the event that ends this sleep from outside.
const END: u64 = 1;

/// What the handler does: it sets the flag and, if there is a descriptor here, writes a byte to it.
static FLAG: AtomicBool = AtomicBool::new(false);
static WAKE: AtomicI32 = AtomicI32::new(-1);
/// What became of a loop: it noticed the signal, or slept on until it was ended from outside.
const SEEN: bool = false;
const ASLEEP: bool = true;
const NEVER: [bool; 4] = [SEEN; 4];

const QUESTION: Question = Question {
    question: "When does a loop that checks a handler's flag sleep through a signal?",
    setup: "A handler sets a flag, and a loop checks the flag before each epoll_wait. A signal comes at one of four \
            moments: before the check; between check and wait; during the wait; during the wait, but handled in another \
            thread. After which of them does the loop keep sleeping? And after which, if the handler also writes a byte to the waker?",
    choices: &[
        Choice::new("After none, with or without the byte: a signal ends the wait.")
            .because("A handler that runs between check and wait does not end the wait."),
        Choice::new("After the second; with the byte, after none.")
            .because("A handler that runs in another thread does not interrupt the loop's wait."),
        Choice::new("After the second and the fourth; with the byte, after none."),
        Choice::new("After the second and the fourth, byte or not: a byte from before does not end a wait.")
            .because("The byte stays in the waker's pipe, and epoll_wait reports it at once."),
    ],
    book: 2,
    shows: "A signal ends only the wait of the thread that handles it, and only if that thread waits already. A byte in \
            the waker ends the loop's wait, whichever thread wrote it, and whenever. A signal wakeup descriptor is \
            therefore the waker's write end. It must be reset before the waker is closed, because the handler writes to \
            whatever has its number.",
    lane: "loop",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let action = SigAction::new(SigHandler::Handler(handler), SaFlags::SA_RESTART, SigSet::empty());
        // SAFETY: the handler calls write(2) alone, and touches atomics; it replaces none that Rust relies on.
        unsafe { sigaction(Signal::SIGUSR1, &action) }?;
        let asleep = WAYS.map(|way| way.at_each_moment(lab)).into_iter().collect::<Result<Vec<_>>>()?;
        let [flag, again, mask, byte] = asleep[..] else { unreachable!("four ways have four answers") };
        lab.check(again[2], "a loop that repeats an interrupted wait misses the signal even during the wait");
        let closed = mask == [SEEN, SEEN, SEEN, ASLEEP];
        lab.check(closed, "with epoll_pwait, the loop misses only a signal that another thread handles");
        own_loop_notices(lab)?;
        left_behind(lab)?;
        match (flag, byte) {
            ([false, false, false, false], NEVER) => Ok(0),
            ([false, true, false, false], NEVER) => Ok(1),
            ([false, true, false, true], NEVER) => Ok(2),
            ([false, true, false, true], [false, true, false, true]) => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

// ANCHOR: handler
extern "C" fn handler(_: c_int) {
    // The code that was interrupted may be about to look at errno.
    let errno = Errno::last();
    FLAG.store(true, Ordering::Release);
    let fd = WAKE.load(Ordering::Acquire);
    if fd >= 0 {
        // SAFETY: WAKE is reset before its descriptor is closed. (The last step does not reset it, to see what happens.)
        let _ = write(unsafe { BorrowedFd::borrow_raw(fd) }, &[0]);
    }
    errno.set();
}
// ANCHOR_END: handler

/// Where the signal comes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Moment {
    Before,
    Between,
    During,
    Thread,
}

const MOMENTS: [Moment; 4] = [Moment::Before, Moment::Between, Moment::During, Moment::Thread];

/// What a loop does to notice the signal, apart from checking the flag.
struct Way {
    name: &'static str,
    again: bool, // wait again after EINTR
    mask: bool,  // let the signal in during the wait, and at no other time
    byte: bool,  // let the handler write to the waker
}

const WAYS: [Way; 4] = [
    Way { name: "flag", again: false, mask: false, byte: false },
    Way { name: "waits again", again: true, mask: false, byte: false },
    Way { name: "epoll_pwait", again: false, mask: true, byte: false },
    Way { name: "flag and byte", again: true, mask: false, byte: true },
];

impl Way {
    /// Does it sleep through the signal, at each of the moments?
    fn at_each_moment(&self, lab: &Lab) -> Result<[bool; 4]> {
        let signal = SigSet::from(Signal::SIGUSR1);
        if self.mask {
            signal.thread_block()?;
        }
        let (mut asleep, mut seen) = (NEVER, Vec::new());
        for (asleep, moment) in asleep.iter_mut().zip(MOMENTS) {
            *asleep = self.sleeps_through(lab, moment)?;
            seen.push(format!("{moment:?} {}", if *asleep { "ASLEEP" } else { "seen" }));
        }
        signal.thread_unblock()?;
        lab.note(format!("{}: {}", self.name, seen.join(", ")));
        Ok(asleep)
    }

    fn sleeps_through(&self, lab: &Lab, moment: Moment) -> Result<bool> {
        let [(reader, writer), (end, end_writer)] =
            [lab.nonblocking_pipe(4096)?, lab.nonblocking_pipe(4096)?];
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&reader, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
        epoll.add(&end, EpollEvent::new(EpollFlags::EPOLLIN, END))?;
        WAKE.store(if self.byte { writer.as_raw_fd() } else { -1 }, Ordering::Release);
        FLAG.store(false, Ordering::Release);
        let here = pthread_self();
        let other = |sleeper: &Sleeper| {
            send(moment, here, sleeper)?;
            sleeper.until(|| Ok(FLAG.load(Ordering::Acquire)))?;
            // The handler has run, and the loop sleeps: only its timeout would end that, so this does.
            sleeper.asleep()?;
            write(&end_writer, &[0]).map(drop).map_err(Into::into)
        };
        let asleep = beside(other, |sleeper| self.turn(&epoll, moment, sleeper));
        WAKE.store(-1, Ordering::Release);
        asleep
    }

    /// One iteration of a loop: a callback, the check, the wait.
    fn turn(&self, epoll: &Epoll, moment: Moment, sleeper: &Sleeper) -> Result<bool> {
        if moment == Moment::Before {
            raise(Signal::SIGUSR1)?;
        }
        // ANCHOR: core
        if FLAG.load(Ordering::Acquire) {
            return Ok(SEEN);
        }
        if moment == Moment::Between {
            raise(Signal::SIGUSR1)?;
        }
        sleeper.goes_to_sleep();
        loop {
            match self.wait(epoll.0.as_fd()) {
                Ok(END) => return Ok(ASLEEP),
                Ok(_) => return Ok(SEEN), // The byte.
                Err(Errno::EINTR) if self.again => {}
                Err(Errno::EINTR) => return Ok(SEEN),
                Err(other) => return Err(other.into()),
            }
        }
        // ANCHOR_END: core
    }

    fn wait(&self, epoll: BorrowedFd) -> nix::Result<u64> {
        let mut mask = SigSet::thread_get_mask()?;
        if self.mask {
            mask.remove(Signal::SIGUSR1);
        }
        let mut event = libc::epoll_event { events: 0, u64: END };
        // SAFETY: there is room for one event, and the mask outlives the call. nix has no such call.
        let answer =
            unsafe { libc::epoll_pwait(epoll.as_raw_fd(), &raw mut event, 1, SLEEP_MS, mask.as_ref()) };
        Errno::result(answer).map(|_| event.u64)
    }
}

/// In the other thread: if it is the moment, send the signal while the loop sleeps, to the loop or to this thread.
fn send(moment: Moment, the_loop: Pthread, sleeper: &Sleeper) -> io::Result<()> {
    // As in a thread that was started before the loop blocked the signal.
    SigSet::from(Signal::SIGUSR1).thread_unblock()?;
    sleeper.asleep()?;
    match moment {
        Moment::Before | Moment::Between => {}
        Moment::During => pthread_kill(the_loop, Signal::SIGUSR1)?,
        Moment::Thread => raise(Signal::SIGUSR1)?,
    }
    Ok(())
}

/// Does the book's loop, which would sleep for long, notice the signal?
fn own_loop_notices(lab: &Lab) -> Result {
    let (heard, mut seen) = (Rc::<Cell<usize>>::default(), Vec::new());
    for moment in [Moment::Before, Moment::During, Moment::Thread] {
        let (ioloop, counted) = (IoLoop::new()?, Rc::clone(&heard));
        ioloop.add_signal_handler(&[Signal::SIGUSR1], move |ioloop, _| {
            counted.set(counted.get() + 1);
            ioloop.stop();
        })?;
        if moment == Moment::Before {
            // The loop checks no flag between this and the wait, so this is the moment between, too.
            ioloop.add_callback(|_| raise(Signal::SIGUSR1));
        }
        // Less than an hour, so that the experiment can report what went wrong.
        ioloop.call_later(Duration::from_secs(20), IoLoop::stop);
        let here = pthread_self();
        let other = |sleeper: &Sleeper| send(moment, here, sleeper);
        beside(other, |sleeper| {
            sleeper.goes_to_sleep();
            Ok(ioloop.start()?)
        })?;
        seen.push(format!("{moment:?} {}", if heard.get() > seen.len() { "seen" } else { "ASLEEP" }));
    }
    lab.note(format!("the book's loop: {}", seen.join(", ")));
    lab.check(heard.get() == 3, "the book's loop notices each signal, and nothing else wakes it");
    Ok(())
}

/// A handler that still writes to a waker that was closed.
fn left_behind(lab: &Lab) -> Result {
    let (reader, writer) = lab.nonblocking_pipe(4096)?;
    let number = writer.as_raw_fd();
    WAKE.store(number, Ordering::Release);
    drop::<[OwnedFd; 2]>([reader, writer]);
    // The kernel gives out the lowest free numbers: these files get the waker's.
    let files = [lab.file(b"")?, lab.file(b"")?];
    raise(Signal::SIGUSR1)?;
    WAKE.store(-1, Ordering::Release);
    let taken = files.iter().find(|file| file.as_raw_fd() == number).ok_or("no file has its number")?;
    let length = taken.metadata()?.len();
    lab.note(format!("the waker is closed, a file has its number; after a signal it has {length} byte"));
    lab.check(length == 1, "a wakeup descriptor that is not reset writes its byte into another file");
    Ok(())
}
