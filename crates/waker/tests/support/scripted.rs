//! A waker without a descriptor, which runs a test's closure in the middle of a wake or a drain.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use nix::errno::Errno;
use waker::{Error, Result, Wake};

/// A waker in memory. Clones share its state.
#[derive(Clone, Default)]
pub struct Scripted(Rc<State>);

#[derive(Default)]
struct State {
    ready: Cell<bool>,
    wakes: Cell<usize>,
    fails: Cell<bool>,
    before_wake: Event,
    after_wake: Event,
    before_drain: Event,
}

/// What another thread does at that moment, once.
type Event = RefCell<Option<Box<dyn FnOnce()>>>;

impl Scripted {
    pub fn is_ready(&self) -> bool {
        self.0.ready.get()
    }

    /// Returns how many times it was woken. Each would be a system call.
    pub fn wakes(&self) -> usize {
        self.0.wakes.get()
    }

    /// Sets whether waking and draining fail from now on.
    pub fn fail(&self, fails: bool) {
        self.0.fails.set(fails);
    }

    /// Runs `event` in the next wake, before the byte is written.
    pub fn before_wake(&self, event: impl FnOnce() + 'static) {
        self.0.before_wake.replace(Some(Box::new(event)));
    }

    /// Runs `event` in the next wake, after the byte is written and before the wake returns.
    pub fn after_wake(&self, event: impl FnOnce() + 'static) {
        self.0.after_wake.replace(Some(Box::new(event)));
    }

    /// Runs `event` at the start of the next drain.
    pub fn before_drain(&self, event: impl FnOnce() + 'static) {
        self.0.before_drain.replace(Some(Box::new(event)));
    }

    fn answer(&self) -> Result<()> {
        if self.0.fails.get() { Err(Error::on("a scripted failure", "nothing")(Errno::EIO)) } else { Ok(()) }
    }
}

fn now(event: &Event) {
    // Taken out first, which ends the borrow, because the event may wake or drain, too.
    let event = event.borrow_mut().take();
    if let Some(event) = event {
        event();
    }
}

impl Wake for Scripted {
    fn wake(&self) -> Result<()> {
        now(&self.0.before_wake);
        self.0.wakes.set(self.0.wakes.get() + 1);
        self.answer()?;
        self.0.ready.set(true);
        now(&self.0.after_wake);
        Ok(())
    }

    fn consume(&self) -> Result<()> {
        now(&self.0.before_drain);
        self.answer()?;
        self.0.ready.set(false);
        Ok(())
    }
}
