//! The current loop of a thread, and the loop of the process.
//!
//! Contract: a thread has at most one current loop, and a process at most one instance. Neither is kept alive here, and once it is
//! closed and has returned, it is neither.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::LocalKey;

use nix::errno::Errno;

use super::handle::LoopHandle;
use super::{Current, IoLoop, Phase, Sent, WeakLoop};
use crate::loop_waker::LoopWaker;
use crate::poller::Kind;
use crate::shared::Shared;
use crate::{Error, Result};

thread_local! {
    static CURRENT: RefCell<WeakLoop> = const { RefCell::new(WeakLoop::new()) };
    /// The loop of the process, if it was installed in this thread.
    static INSTANCE_HERE: RefCell<WeakLoop> = const { RefCell::new(WeakLoop::new()) };
}

// A thread that ends drops its thread-local values one by one, and one of them may use a loop when it is dropped. Those
// below may be gone then: the thread has no current loop anymore.

/// The loop there, unless it is closed and does not run.
fn upgrade(place: &'static LocalKey<RefCell<WeakLoop>>) -> Option<IoLoop> {
    let ioloop = place.try_with(|place| place.borrow().upgrade()).ok().flatten();
    ioloop.filter(|ioloop| ioloop.0.phase.get() != Phase::Closed)
}

fn replace(place: &'static LocalKey<RefCell<WeakLoop>>, with: WeakLoop) -> WeakLoop {
    place.try_with(|place| place.replace(with)).unwrap_or_default()
}

static INSTANCE: Mutex<Weak<Shared<Sent, LoopWaker>>> = Mutex::new(Weak::new());

impl IoLoop {
    /// Set the poller of every new loop in this process, unless its [`Config`](crate::Config) names another.
    pub fn configure(kind: Kind) {
        kind.configure();
    }

    /// This thread's current loop; without one, the loop of the process, if it was installed in this thread.
    pub fn current() -> Option<Self> {
        Self::current_only().or_else(|| upgrade(&INSTANCE_HERE))
    }

    /// This thread's current loop, even if the loop of the process is in this thread.
    pub fn current_only() -> Option<Self> {
        upgrade(&CURRENT)
    }

    /// Make this the thread's current loop, in place of any other.
    pub fn make_current(&self) {
        replace(&CURRENT, self.downgrade());
    }

    /// Leave this thread without a current loop.
    pub fn clear_current() {
        replace(&CURRENT, WeakLoop::new());
    }

    /// Make this the loop of the process: see [`IoLoop::instance`].
    ///
    /// # Errors
    /// `EEXIST` if the process has a loop that is not closed; `EBADF` if this one is closed.
    pub fn install(&self) -> Result<()> {
        self.must_be_open("install")?;
        let mut instance = INSTANCE.lock().unwrap_or_else(PoisonError::into_inner);
        if living(&instance).is_some() {
            return Err(Error::on("install", "a second loop for the process")(Errno::EEXIST));
        }
        *instance = Arc::downgrade(&self.handle().0);
        replace(&INSTANCE_HERE, self.downgrade());
        Ok(())
    }

    /// A handle to the loop of the process, in any thread: from [`IoLoop::install`] until that loop is closed or dropped.
    pub fn instance() -> Option<LoopHandle> {
        let instance = INSTANCE.lock().unwrap_or_else(PoisonError::into_inner);
        living(&instance).map(LoopHandle)
    }
}

/// The instance, if it is not closed. Handles keep this alive even after the loop was closed or dropped.
fn living(instance: &Weak<Shared<Sent, LoopWaker>>) -> Option<Arc<Shared<Sent, LoopWaker>>> {
    instance.upgrade().filter(|shared| !shared.is_closed())
}

/// Make a new loop current, if its config says so.
///
/// # Errors
/// `EEXIST` for [`Current::Required`] if the thread has a current loop.
pub(super) fn apply(ioloop: &IoLoop, wanted: Current) -> Result<()> {
    match (wanted, IoLoop::current_only()) {
        (Current::Required, Some(_)) => {
            Err(Error::on("make_current", "a thread that has a current loop")(Errno::EEXIST))
        }
        (Current::No, _) | (Current::IfNone, Some(_)) => Ok(()),
        (Current::Required | Current::IfNone, None) => {
            ioloop.make_current();
            Ok(())
        }
    }
}

/// Makes a loop current until it is dropped, which restores the loop that was current before.
pub(super) struct Entered {
    before: WeakLoop,
}

impl Entered {
    pub(super) fn new(ioloop: &IoLoop) -> Self {
        Self { before: replace(&CURRENT, ioloop.downgrade()) }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        replace(&CURRENT, std::mem::take(&mut self.before));
    }
}
