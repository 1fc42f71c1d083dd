//! A signal whose handler sets a flag, and loops that look at the flag: wherever the signal comes, who oversleeps?

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

/// How long a loop sleeps that nobody wakes: longer than anybody here takes. In a real one it is an hour.
const SLEEP_MS: c_int = 20_000;
/// What epoll says when somebody has ended that sleep.
const END: u64 = 1;

/// What the handler does: it sets the flag and, if there is a descriptor here, writes a byte to it.
static FLAG: AtomicBool = AtomicBool::new(false);
static WAKE: AtomicI32 = AtomicI32::new(-1);
const NEVER: [bool; 4] = [false; 4];

const QUESTION: Question = Question {
    question: "A signal's handler sets a flag. In each turn a loop looks at the flag, and then sleeps in \
               epoll_wait. The signal comes in a callback, before the look; or between the look and the \
               wait; or during the wait; or during the wait, but in another thread. Which of the four does \
               the loop sleep through? And which, if the handler also writes a byte to the loop's waker?",
    choices: &[
        Choice::new("None, with or without the byte: a signal ends the wait."),
        Choice::new("The second. With the byte, none."),
        Choice::new("The second and the fourth. With the byte, none."),
        Choice::new(
            "The second and the fourth, with or without the byte: what was written before the wait \
                     is no news.",
        ),
    ],
    book: 2,
    shows: "A signal ends the wait of the thread that handles it, if that waits by then. A byte in the waker \
            ends the loop's wait, wherever and whenever it was written. So a signal wakeup descriptor is the \
            waker's write end, and has to be taken back before that is closed.",
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
        lab.check(
            again[2],
            "a loop that takes an interrupted wait up again hears nothing, even during the wait",
        );
        lab.check(
            mask == [false, false, false, true],
            "epoll_pwait closes the gap, and not for other threads",
        );
        the_books(lab)?;
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

extern "C" fn handler(_: c_int) {
    // The code that was interrupted may be about to look at errno.
    let errno = Errno::last();
    FLAG.store(true, Ordering::Release);
    let fd = WAKE.load(Ordering::Acquire);
    if fd >= 0 {
        // SAFETY: whoever put the number there keeps a descriptor of that number open until it takes the number out.
        let _ = write(unsafe { BorrowedFd::borrow_raw(fd) }, &[0]);
    }
    errno.set();
}

/// Where the signal comes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Moment {
    Callback,
    Between,
    Wait,
    Thread,
}

const MOMENTS: [Moment; 4] = [Moment::Callback, Moment::Between, Moment::Wait, Moment::Thread];

/// What a loop does so as to hear of the signal, beside looking at the flag.
struct Way {
    name: &'static str,
    again: bool, // wait again after EINTR
    mask: bool,  // let the signal in during the wait, and at no other time
    byte: bool,  // have the handler write to the waker
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
        let (mut asleep, mut told) = (NEVER, Vec::new());
        for (asleep, moment) in asleep.iter_mut().zip(MOMENTS) {
            *asleep = self.sleeps_through(lab, moment)?;
            told.push(format!("{moment:?} {}", if *asleep { "ASLEEP" } else { "heard" }));
        }
        signal.thread_unblock()?;
        lab.note(format!("{}: {}", self.name, told.join(", ")));
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
            // The handler has run, and it sleeps: nothing is going to end that but its time, and this.
            sleeper.asleep()?;
            write(&end_writer, &[0]).map(drop).map_err(Into::into)
        };
        let asleep = beside(other, |sleeper| self.turn(&epoll, moment, sleeper));
        WAKE.store(-1, Ordering::Release);
        asleep
    }

    /// One turn of a loop: a callback, the look, the wait. True if the wait went on, and somebody had to end it.
    fn turn(&self, epoll: &Epoll, moment: Moment, sleeper: &Sleeper) -> Result<bool> {
        if moment == Moment::Callback {
            raise(Signal::SIGUSR1)?;
        }
        if FLAG.load(Ordering::Acquire) {
            return Ok(false);
        }
        if moment == Moment::Between {
            raise(Signal::SIGUSR1)?;
        }
        sleeper.goes_to_sleep();
        loop {
            match self.wait(epoll.0.as_fd()) {
                Ok(what) => return Ok(what == END),
                Err(Errno::EINTR) if self.again => {}
                Err(Errno::EINTR) => return Ok(false),
                Err(other) => return Err(other.into()),
            }
        }
    }

    fn wait(&self, epoll: BorrowedFd) -> nix::Result<u64> {
        let mut mask = SigSet::thread_get_mask()?;
        if self.mask {
            mask.remove(Signal::SIGUSR1);
        }
        let mut event = libc::epoll_event { events: 0, u64: END };
        // SAFETY: nix has no such call. There is room for the one event that is asked for, and the mask outlives the
        // call. With the thread's own mask it is epoll_wait.
        let answer =
            unsafe { libc::epoll_pwait(epoll.as_raw_fd(), &raw mut event, 1, SLEEP_MS, mask.as_ref()) };
        Errno::result(answer).map(|_| event.u64)
    }
}

/// In the other thread: send the signal when the loop sleeps, if that is the moment, to it or to this thread itself.
fn send(moment: Moment, the_loop: Pthread, sleeper: &Sleeper) -> io::Result<()> {
    // As a thread has it that somebody else has started.
    SigSet::from(Signal::SIGUSR1).thread_unblock()?;
    sleeper.asleep()?;
    match moment {
        Moment::Callback | Moment::Between => {}
        Moment::Wait => pthread_kill(the_loop, Signal::SIGUSR1)?,
        Moment::Thread => raise(Signal::SIGUSR1)?,
    }
    Ok(())
}

/// The book's loop, which would sleep for long: does it hear of the signal?
fn the_books(lab: &Lab) -> Result {
    let heard = Rc::<Cell<usize>>::default();
    for moment in [Moment::Callback, Moment::Wait, Moment::Thread] {
        let (ioloop, counted) = (IoLoop::new()?, Rc::clone(&heard));
        ioloop.add_signal_handler(&[Signal::SIGUSR1], move |ioloop, _| {
            counted.set(counted.get() + 1);
            ioloop.stop();
        })?;
        if moment == Moment::Callback {
            // Nothing looks for signals after this and before the wait: so it is the moment between, too.
            ioloop.add_callback(|_| raise(Signal::SIGUSR1));
        }
        // Not an hour: the experiment is to say what went wrong.
        ioloop.call_later(Duration::from_secs(20), IoLoop::stop);
        let here = pthread_self();
        beside(
            |sleeper| send(moment, here, sleeper),
            |sleeper| {
                sleeper.goes_to_sleep();
                Ok(ioloop.start()?)
            },
        )?;
    }
    lab.note(format!("the book's loop, in a callback, asleep, in a thread; heard: {}", heard.get()));
    lab.check(heard.get() == 3, "the book's loop hears of each, with nothing else to wake it");
    Ok(())
}

/// A handler that still writes to a waker that was closed.
fn left_behind(lab: &Lab) -> Result {
    let (reader, writer) = lab.nonblocking_pipe(4096)?;
    let number = writer.as_raw_fd();
    WAKE.store(number, Ordering::Release);
    drop::<[OwnedFd; 2]>([reader, writer]);
    // The lowest number that is free is given out next: some of these files get both.
    let files = [lab.file(b"")?, lab.file(b"")?];
    raise(Signal::SIGUSR1)?;
    WAKE.store(-1, Ordering::Release);
    let taken =
        files.iter().find(|file| file.as_raw_fd() == number).ok_or("no file has the waker's number")?;
    let length = taken.metadata()?.len();
    lab.note(format!("its waker closed, the number a file's; a signal: bytes in the file: {length}"));
    lab.check(length == 1, "a wakeup descriptor that is not taken back ends up as a byte in somebody's file");
    Ok(())
}
