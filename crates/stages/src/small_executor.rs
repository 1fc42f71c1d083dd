//! Futures on the small loop: an executor of some 40 lines, and a future that waits for a deadline.
//!
//! Contract: each task is polled once after [`Executor::spawn`], and then once after one or more wakes, from any thread, in
//! the next iteration whose poll(2) reports the executor's eventfd. A task is dropped as soon as it is done. While a task is
//! polled, it may spawn other tasks.

// ANCHOR: uses
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;
use std::{io, mem};

use nix::poll::PollFlags;
use waker::eventfd;

use crate::small_loop::{Handle, Loop};
// ANCHOR_END: uses

/// Polls tasks on a loop. Clones share the tasks.
// ANCHOR: executor
#[derive(Clone)]
pub struct Executor {
    tasks: Rc<RefCell<BTreeMap<u64, Task>>>,
    last_number: Rc<Cell<u64>>,
    woken: Arc<Woken>,
}

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// The numbers of the tasks that must be polled. Any thread may add one.
struct Woken {
    numbers: Mutex<BTreeSet<u64>>,
    eventfd: Arc<eventfd::Waker>,
}

/// What is behind the waker of a task.
struct TaskWaker {
    number: u64,
    woken: Arc<Woken>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.woken.numbers.lock().unwrap_or_else(PoisonError::into_inner).insert(self.number);
        let _ = self.woken.eventfd.wake();
    }
}

impl Executor {
    /// Makes an executor without tasks, and adds its handler to a loop.
    ///
    /// # Errors
    /// `EMFILE` if the process has no free descriptor.
    pub fn new(event_loop: &mut Loop) -> io::Result<Self> {
        let eventfd = Arc::new(eventfd::Waker::new()?);
        let woken = Arc::new(Woken { numbers: Mutex::default(), eventfd: Arc::clone(&eventfd) });
        let executor = Self { tasks: Rc::default(), last_number: Rc::default(), woken };
        let handler = executor.clone();
        event_loop.add_handler(eventfd, PollFlags::POLLIN, move |_, _| handler.poll_woken());
        Ok(executor)
    }

    /// Adds a task and wakes it, so that the executor's handler polls it after the loop's next wait.
    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        let number = self.last_number.get() + 1;
        self.last_number.set(number);
        self.tasks.borrow_mut().insert(number, Box::pin(future));
        self.waker(number).wake();
    }

    fn waker(&self, number: u64) -> Waker {
        Waker::from(Arc::new(TaskWaker { number, woken: Arc::clone(&self.woken) }))
    }

    fn poll_woken(&self) {
        let _ = self.woken.eventfd.consume(); // Before the numbers: the other way round a wake would be lost.
        let woken = mem::take(&mut *self.woken.numbers.lock().unwrap_or_else(PoisonError::into_inner));
        for number in woken {
            // Out of the table, which must not be borrowed while the task runs: the task may spawn another one.
            let Some(mut task) = self.tasks.borrow_mut().remove(&number) else { continue };
            if task.as_mut().poll(&mut Context::from_waker(&self.waker(number))).is_pending() {
                self.tasks.borrow_mut().insert(number, task);
            }
        }
    }
}
// ANCHOR_END: executor

/// A future that is ready at a deadline.
// ANCHOR: sleep
pub struct Sleep {
    deadline: Instant,
    event_loop: Handle,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let deadline = self.deadline;
        if Instant::now() >= deadline {
            return Poll::Ready(());
        }
        let waker = context.waker().clone();
        let _ = self.event_loop.call_soon(move |event_loop| {
            event_loop.call_at(deadline, move |_| waker.wake());
        });
        Poll::Pending
    }
}
// ANCHOR_END: sleep

/// Returns a future that is ready at `deadline`.
pub fn sleep_until(event_loop: &Handle, deadline: Instant) -> Sleep {
    Sleep { deadline, event_loop: event_loop.clone() }
}
