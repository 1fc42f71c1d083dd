//! Which loop is meant when none is named: the thread's current one, or the process's.
//!
//! Contract: a thread has one current loop at most, a process one instance. Neither is kept alive here.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::edge_waker::EdgeWaker;
use nix::errno::Errno;

use super::handle::LoopHandle;
use super::{Current, IoLoop, Sent, WeakLoop};
use crate::poller::Kind;
use crate::{Error, Result, shared};

type Shared = shared::Shared<Sent, EdgeWaker>;

thread_local! {
    static CURRENT: RefCell<WeakLoop> = const { RefCell::new(WeakLoop::new()) };
    /// The process's, if it lives in this thread.
    static INSTANCE_HERE: RefCell<WeakLoop> = const { RefCell::new(WeakLoop::new()) };
}

static INSTANCE: Mutex<Weak<Shared>> = Mutex::new(Weak::new());

impl IoLoop {
    /// Let every loop sleep in this from now on, unless its own [`Config`](crate::Config) says otherwise.
    pub fn configure(kind: Kind) {
        kind.configure();
    }

    /// This thread's current loop; else the process's, if it lives in this thread.
    pub fn current() -> Option<Self> {
        Self::current_only().or_else(|| INSTANCE_HERE.with_borrow(WeakLoop::upgrade))
    }

    /// This thread's current loop, and no other.
    pub fn current_only() -> Option<Self> {
        CURRENT.with_borrow(WeakLoop::upgrade)
    }

    /// Become this thread's current loop, whichever was before.
    pub fn make_current(&self) {
        CURRENT.replace(self.downgrade());
    }

    /// Let this thread have no current loop.
    pub fn clear_current() {
        CURRENT.replace(WeakLoop::new());
    }

    /// Become the process's loop.
    ///
    /// # Errors
    /// `EEXIST` if there is one that lives and is not closed.
    pub fn install(&self) -> Result<()> {
        let mut instance = INSTANCE.lock().unwrap_or_else(PoisonError::into_inner);
        if living(&instance).is_some() {
            return Err(Error::on("install", "a second loop for the process")(Errno::EEXIST));
        }
        *instance = Arc::downgrade(&self.handle().0);
        INSTANCE_HERE.replace(self.downgrade());
        Ok(())
    }

    /// The process's loop, as any thread may have it, once one was installed and until it is closed or dropped.
    pub fn instance() -> Option<LoopHandle> {
        let instance = INSTANCE.lock().unwrap_or_else(PoisonError::into_inner);
        living(&instance).map(LoopHandle)
    }
}

/// A loop that is closed or dropped may have handles still, and each handle keeps this alive.
fn living(instance: &Weak<Shared>) -> Option<Arc<Shared>> {
    instance.upgrade().filter(|shared| !shared.is_closed())
}

/// A loop was made: does it become current?
pub(super) fn made(ioloop: &IoLoop, wanted: Current) -> Result<()> {
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

/// While it lives, a loop is current; then whichever was before is again.
pub(super) struct Entered {
    before: WeakLoop,
}

impl Entered {
    pub(super) fn new(ioloop: &IoLoop) -> Self {
        Self { before: CURRENT.replace(ioloop.downgrade()) }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.replace(std::mem::take(&mut self.before));
    }
}
