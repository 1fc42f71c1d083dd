//! What the tests share: a loop on each poller, with a guard against loops that hang.

#![allow(dead_code, reason = "each test program uses a part of this")]

use std::cell::RefCell;
use std::fmt::Debug;
use std::io::{PipeReader, PipeWriter, Write, pipe};
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ioloop::poller::Kind;
use ioloop::{Clock, Config, FakeClock, IoLoop};

pub mod counting;
pub mod one_core;
pub mod operation;
#[allow(unused_imports, reason = "each test program uses a part of this")]
pub use testing::{Answer, ask as helper_said};

/// What comes of a scenario in the helper, which prints the error.
pub type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Lets the helper run a scenario: behind `on POLLER` with that poller as the default. Returns the exit code.
pub fn answer(args: &[&str], run: fn(&[&str]) -> Outcome) -> i32 {
    testing::exit_code(match args {
        ["on", poller, rest @ ..] => poller.parse().map_err(Into::into).and_then(|kind| {
            IoLoop::configure(kind);
            run(rest)
        }),
        _ => run(args),
    })
}

/// What comes of arguments that the helper does not know.
pub fn unknown(args: &[&str]) -> Outcome {
    Err(format!("this helper knows no such scenario: {args:?}").into())
}

/// No step takes that long, so an event that has not come by then does not come.
pub const LONG: Duration = Duration::from_secs(5);

/// Descriptor numbers belong to the whole process: a test that relies on the lowest free number, or closes one behind a
/// loop's back, must not run beside a test that opens descriptors, which each test that asks a helper does.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long a test may take.
fn patience() -> Duration {
    testing::patience().map_or(LONG, |seconds| Duration::from_secs(seconds.into()))
}

/// A panic without the program's hook, which would look up the names for a backtrace. That takes seconds on a busy
/// machine, and meanwhile the loop would count as hung.
pub fn panics(words: impl Into<String>) -> ! {
    std::panic::resume_unwind(Box::new(words.into()))
}

/// Panics when it is dropped.
pub struct Bad;

impl Drop for Bad {
    fn drop(&mut self) {
        panics("the drop panicked");
    }
}

/// Runs a test with a loop on each poller, while no other test of this kind runs. A loop that runs too long aborts the
/// test program.
#[track_caller]
pub fn on_each(test: impl Fn(&IoLoop)) {
    let _alone = alone();
    for poller in Kind::ALL {
        println!("on {poller}");
        let ioloop = IoLoop::with(Config { poller, ..Config::default() }).expect("the loop is made");
        let hung = ioloop.call_later(patience(), |_| -> () { std::process::abort() });
        test(&ioloop);
        ioloop.remove_timeout(hung);
        ioloop.close();
    }
}

/// The same with a clock that only advances when the loop would sleep.
#[track_caller]
pub fn on_each_with_a_fake_clock(test: impl Fn(&IoLoop, &FakeClock)) {
    // Miri supports epoll, but not what the other pollers need to learn the type of a file.
    let pollers = if cfg!(miri) { &Kind::ALL[..1] } else { &Kind::ALL[..] };
    for &poller in pollers {
        println!("on {poller}");
        let clock = FakeClock::default();
        let config = Config { poller, clock: Clock::Fake(clock.clone()), ..Config::default() };
        let ioloop = IoLoop::with(config).expect("the loop is made");
        test(&ioloop, &clock);
    }
}

/// Asks the helper on each poller.
#[track_caller]
pub fn said_on_each(args: &[&str], test: impl Fn(&testing::Answer)) {
    for poller in Kind::ALL {
        println!("on {poller}");
        test(&testing::ask(&[&["on", &poller.to_string()], args].concat()));
    }
}

/// What happened, in order. Clones share one log.
#[derive(Debug, Clone)]
pub struct Log<T>(Rc<RefCell<Vec<T>>>);

impl<T> Default for Log<T> {
    fn default() -> Self {
        Self(Rc::default())
    }
}

impl<T: Debug + Clone> Log<T> {
    pub fn add(&self, what: T) {
        self.0.borrow_mut().push(what);
    }

    pub fn take(&self) -> Vec<T> {
        self.0.take()
    }

    pub fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// How many clones there are.
    pub fn clones(&self) -> usize {
        Rc::strong_count(&self.0)
    }

    pub fn count(&self, which: impl Fn(&T) -> bool) -> usize {
        self.0.borrow().iter().filter(|what| which(what)).count()
    }
}

/// A pipe, which std makes close-on-exec.
pub fn a_pipe() -> (PipeReader, PipeWriter) {
    pipe().expect("a pipe can be made")
}

/// The same, with a byte in it.
pub fn a_byte() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = a_pipe();
    writer.write_all(b"x").expect("there is room for a byte");
    (reader, writer)
}

/// A number that its owner closes elsewhere, as no safe program can.
pub struct Kept(pub RawFd);

impl AsFd for Kept {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the kernel answers EBADF for a closed number, which is what the tests check.
        unsafe { BorrowedFd::borrow_raw(self.0) }
    }
}

/// Runs this many iterations.
pub fn turns(ioloop: &IoLoop, count: usize) {
    fn next(ioloop: &IoLoop, left: usize) {
        match left {
            0 => ioloop.stop(),
            _ => ioloop.add_callback(move |ioloop| next(ioloop, left - 1)),
        }
    }
    next(ioloop, count + 1);
    ioloop.start().unwrap();
}
