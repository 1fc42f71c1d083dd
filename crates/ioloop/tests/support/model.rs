//! A model of a loop for the exercise `ioloop/tasks`: only what the exercise uses, with loom's atomics and lock. Loom runs it in
//! every order of the threads' steps.

#![allow(dead_code, reason = "an answer may use a part of it")]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use ioloop::Result;
use ioloop::slab::Slab;
use loom::sync::Mutex;

use crate::task_cell::TaskFuture;
use crate::{Failure, IntoOutcome};

/// The module under test once more.
#[cfg_attr(not(feature = "mine-tasks"), path = "../../src/run_loop/tasks.rs")]
#[cfg_attr(feature = "mine-tasks", path = "../../exercises/tasks.rs")]
mod tasks;

mod sync {
    #[allow(unused_imports, reason = "an answer may use some of them only")]
    pub use loom::sync::atomic::{AtomicBool, Ordering};
    #[allow(unused_imports, reason = "an answer may use some of them only")]
    pub use loom::sync::{Mutex, MutexGuard};
}

/// A callback, from any thread.
type Callback = Box<dyn FnOnce(&IoLoop) + Send>;

/// The queue. Its lock orders what a thread did before it queued a callback before that callback, as the real one's does.
type Queue = Arc<Mutex<VecDeque<Callback>>>;

/// The loop: a queue and a table.
#[derive(Clone)]
pub struct IoLoop(Rc<Inner>);

struct Inner {
    tasks: RefCell<Slab<Option<TaskFuture>>>,
    handle: handle::LoopHandle,
}

impl IoLoop {
    pub fn new() -> Self {
        Self::with(false)
    }

    /// A loop whose handle queues each callback and returns an error, as if the eventfd were gone.
    pub fn whose_handle_fails() -> Self {
        Self::with(true)
    }

    fn with(fails: bool) -> Self {
        let queue = Arc::new(Mutex::new(VecDeque::new()));
        Self(Rc::new(Inner { tasks: RefCell::default(), handle: handle::LoopHandle { queue, fails } }))
    }

    /// An iteration: run the callbacks that are queued now.
    pub fn iterate(&self) {
        let queued =
            std::mem::take(&mut *self.0.handle.queue.lock().expect("no callback runs with the lock"));
        queued.into_iter().for_each(|callback| callback(self));
    }

    /// No loop is current in the model.
    pub fn current() -> Option<Self> {
        None
    }

    pub fn handle(&self) -> handle::LoopHandle {
        self.0.handle.clone()
    }

    pub fn is(&self, handle: &handle::LoopHandle) -> bool {
        Arc::ptr_eq(&self.0.handle.queue, &handle.queue)
    }

    pub fn add_callback<R: IntoOutcome>(&self, callback: impl FnOnce(&Self) -> R + Send + 'static) {
        let _ = self.handle().add_callback(callback);
    }

    #[allow(clippy::unnecessary_wraps, clippy::unused_self, reason = "the real one's signature")]
    fn must_be_open(&self, _operation: &'static str) -> Result<()> {
        Ok(())
    }

    #[allow(clippy::unused_self, reason = "the real one's signature")]
    fn report(&self, failure: Failure) {
        panic!("{failure}");
    }
}

mod current {
    use super::IoLoop;

    /// The loop would be current while this exists.
    pub struct Entered(IoLoop);

    impl Entered {
        pub fn new(ioloop: &IoLoop) -> Self {
            Self(ioloop.clone())
        }
    }
}

mod handle {
    use std::sync::Arc;

    use ioloop::{Error, Result};
    use nix::errno::Errno;

    use super::{IoLoop, Queue};
    use crate::IntoOutcome;

    #[derive(Clone)]
    pub struct LoopHandle {
        pub(super) queue: Queue,
        pub(super) fails: bool,
    }

    impl LoopHandle {
        pub fn add_callback<R: IntoOutcome>(
            &self,
            callback: impl FnOnce(&IoLoop) -> R + Send + 'static,
        ) -> Result<()> {
            let callback = move |ioloop: &IoLoop| drop(callback(ioloop).into_outcome());
            self.queue.lock().expect("no callback runs with the lock").push_back(Box::new(callback));
            if self.fails {
                Err(Error::on("write", "the eventfd of the model")(Errno::EBADF))
            } else {
                Ok(())
            }
        }

        pub fn wake(&self) -> Result<()> {
            let _ = Arc::as_ptr(&self.queue);
            Ok(())
        }
    }
}

mod tracing {
    use std::future::Future;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use super::IoLoop;
    use crate::{IntoOutcome, Outcome};

    /// Makes an outcome of the result of a future.
    pub struct Traced(Pin<Box<dyn Future<Output = Outcome>>>);

    impl Traced {
        pub fn new<R: IntoOutcome>(_: &IoLoop, future: impl Future<Output = R> + 'static) -> Self {
            Self(Box::pin(async { future.await.into_outcome() }))
        }
    }

    impl Future for Traced {
        type Output = Outcome;

        fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
            self.0.as_mut().poll(context)
        }
    }
}
