//! Which loop is meant when none is named: the thread's current one, or the process's.
//!
//! Contract: a thread has one current loop at most, a process one instance. Neither is kept alive here.

use std::cell::RefCell;
use std::rc::Weak;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use nix::errno::Errno;

use crate::handle::Shared;
use crate::looping::Inner;
use crate::poller::Kind;
use crate::{Error, IoLoop, LoopHandle, Result};

thread_local! {
    static CURRENT: RefCell<Weak<Inner>> = const { RefCell::new(Weak::new()) };
    /// The process's, if it lives in this thread.
    static INSTANCE_HERE: RefCell<Weak<Inner>> = const { RefCell::new(Weak::new()) };
}

static INSTANCE: Mutex<std::sync::Weak<Shared>> = Mutex::new(std::sync::Weak::new());

static CONFIGURED: AtomicU8 = AtomicU8::new(0);

// ANCHOR: configure
/// What [`IoLoop::configure`] said last.
pub(crate) fn configured() -> Kind {
    Kind::ALL[usize::from(CONFIGURED.load(Ordering::Relaxed))]
}

impl IoLoop {
    /// Have every loop sleep in this from now on, unless its own [`Config`](crate::Config) says otherwise.
    pub fn configure(kind: Kind) {
        let place = Kind::ALL.iter().position(|other| *other == kind).unwrap_or(0);
        CONFIGURED.store(place as u8, Ordering::Relaxed);
    }
    // ANCHOR_END: configure

    /// This thread's current loop; else the process's, if it lives in this thread.
    pub fn current() -> Option<Self> {
        Self::current_only().or_else(|| INSTANCE_HERE.with_borrow(Self::upgrade))
    }

    /// This thread's current loop, and no other.
    pub fn current_only() -> Option<Self> {
        CURRENT.with_borrow(Self::upgrade)
    }

    /// Become this thread's current loop, whichever was before.
    pub fn make_current(&self) {
        CURRENT.replace(self.downgrade());
    }

    /// Let this thread have no current loop.
    pub fn clear_current() {
        CURRENT.replace(Weak::new());
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

/// Closed, as it is when it is dropped, a loop may be somebody's still: whoever has a handle has this, too.
fn living(instance: &std::sync::Weak<Shared>) -> Option<Arc<Shared>> {
    instance.upgrade().filter(|shared| !shared.is_closed())
}

/// A loop was made: does it become current?
pub(crate) fn made(ioloop: &IoLoop, wanted: Option<bool>) -> Result<()> {
    match (wanted, IoLoop::current_only()) {
        (Some(true), Some(_)) => {
            Err(Error::on("make_current", "a thread that has a current loop")(Errno::EEXIST))
        }
        (Some(false), _) | (None, Some(_)) => Ok(()),
        (Some(true) | None, None) => {
            ioloop.make_current();
            Ok(())
        }
    }
}

/// While it lives, a loop is current; then whichever was before is again.
pub(crate) struct Entered {
    before: Weak<Inner>,
}

impl Entered {
    pub(crate) fn new(ioloop: &IoLoop) -> Self {
        Self { before: CURRENT.replace(ioloop.downgrade()) }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.replace(std::mem::take(&mut self.before));
    }
}
