//! What the tests share: a loop on each poller, with a guard against loops that never come back.

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
mod helper;
pub mod operation;
pub mod zygote;
testing::helper!(helper::answer);
#[allow(unused_imports, reason = "each test program uses a part of this")]
pub use testing::{Answer, ask as helper_said};

/// Nothing takes that long, so what has not come by then does not come.
pub const LONG: Duration = Duration::from_secs(5);

/// Numbers of descriptors are the whole process's: what counts on the lowest one that is free, or closes one behind
/// a loop's back, must not run beside a test that opens some.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long a test may take: longer where PATIENCE says so, in seconds, as under valgrind.
fn patience() -> Duration {
    let seconds = std::env::var("PATIENCE").ok().and_then(|seconds| seconds.parse().ok());
    seconds.map_or(LONG, Duration::from_secs)
}

/// A panic without the words of the program's hook. Finding the names for its backtrace takes seconds on a machine that
/// is busy, and meanwhile a loop counts as hung.
pub fn panics(words: impl Into<String>) -> ! {
    std::panic::resume_unwind(Box::new(words.into()))
}

/// Do this with a loop on each poller, alone. The loop fails the test if it runs for long.
#[track_caller]
pub fn on_each(test: impl Fn(&IoLoop)) {
    let _alone = alone();
    for poller in Kind::ALL {
        println!("on {poller}");
        let ioloop = IoLoop::with(Config { poller, ..Config::default() }).expect("a loop can be made");
        let hung = ioloop.call_later(patience(), |_| -> () { std::process::abort() });
        test(&ioloop);
        ioloop.remove_timeout(hung);
        ioloop.close();
    }
}

/// The same with a clock that stands still unless the loop has nothing to do.
#[track_caller]
pub fn on_each_with_a_fake_clock(test: impl Fn(&IoLoop, &FakeClock)) {
    // Miri has epoll, and for the others it does not know a file's kind.
    let pollers = if cfg!(miri) { &Kind::ALL[..1] } else { &Kind::ALL[..] };
    for &poller in pollers {
        println!("on {poller}");
        let clock = FakeClock::default();
        let config = Config { poller, clock: Clock::Fake(clock.clone()), ..Config::default() };
        let ioloop = IoLoop::with(config).expect("a loop can be made");
        test(&ioloop, &clock);
    }
}

/// Have the helper do this on each poller.
#[track_caller]
pub fn said_on_each(args: &[&str], test: impl Fn(&testing::Answer)) {
    for poller in Kind::ALL {
        println!("on {poller}");
        test(&testing::ask(&[&["on", &poller.to_string()], args].concat()));
    }
}

/// What happened, in its order; clones are one.
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

    /// How many have it.
    pub fn clones(&self) -> usize {
        Rc::strong_count(&self.0)
    }

    pub fn count(&self, which: impl Fn(&T) -> bool) -> usize {
        self.0.borrow().iter().filter(|what| which(what)).count()
    }
}

/// A pipe: what std makes is close-on-exec.
pub fn a_pipe() -> (PipeReader, PipeWriter) {
    pipe().expect("a pipe can be made")
}

/// The same, with a byte in it.
pub fn a_byte() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = a_pipe();
    writer.write_all(b"x").expect("there is room for a byte");
    (reader, writer)
}

/// A number that its owner closes elsewhere: what no safe program can do.
pub struct Kept(pub RawFd);

impl AsFd for Kept {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the kernel answers EBADF for one that is closed, and that is what the tests are about.
        unsafe { BorrowedFd::borrow_raw(self.0) }
    }
}

/// Have the loop look for events so many times.
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
