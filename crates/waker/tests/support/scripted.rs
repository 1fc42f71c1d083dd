//! A waker without a kernel, which lets a test say what happens in the middle of a wake or of a drain.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use nix::errno::Errno;
use waker::{Error, Result, Wake};

/// Clones are one waker.
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

/// What somebody else does at that moment, once.
type Event = RefCell<Option<Box<dyn FnOnce()>>>;

impl Scripted {
    pub fn is_ready(&self) -> bool {
        self.0.ready.get()
    }

    /// How many times it was woken: each would be a system call.
    pub fn wakes(&self) -> usize {
        self.0.wakes.get()
    }

    /// From now on, waking and draining fails; or it works again.
    pub fn fail(&self, fails: bool) {
        self.0.fails.set(fails);
    }

    /// The next wake has been decided on, and the byte is not written yet.
    pub fn before_wake(&self, event: impl FnOnce() + 'static) {
        self.0.before_wake.replace(Some(Box::new(event)));
    }

    /// The next wake has written its byte, and has not returned yet.
    pub fn after_wake(&self, event: impl FnOnce() + 'static) {
        self.0.after_wake.replace(Some(Box::new(event)));
    }

    /// The loop is about to drain, the next time.
    pub fn before_drain(&self, event: impl FnOnce() + 'static) {
        self.0.before_drain.replace(Some(Box::new(event)));
    }

    fn answer(&self) -> Result<()> {
        if self.0.fails.get() { Err(Error::on("a scripted failure", "nothing")(Errno::EIO)) } else { Ok(()) }
    }
}

fn now(event: &Event) {
    // Taken first, and the borrow given back: the event may come here again.
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
