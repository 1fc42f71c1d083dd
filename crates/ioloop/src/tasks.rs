//! Futures on the loop: a small executor, whose wakers are callbacks.
//!
//! Contract: a task is polled when it is spawned and once after each wake, never inside of one. A wake may come from
//! any thread, and any number of them before the poll is one. A task that panics is dropped, and reported.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use crate::handlers::Handlers;
use crate::{IoLoop, LoopHandle, Outcome, Reply, Token};

type Boxed = Pin<Box<dyn Future<Output = Outcome>>>;

/// What is spawned and has yet to come to its end.
#[derive(Default)]
pub(crate) struct Tasks {
    tasks: RefCell<Handlers<Task>>,
}

#[derive(Default)]
struct Task {
    /// Out of its place while it is polled.
    future: Option<Boxed>,
    waker: Option<Arc<TaskWaker>>,
}

/// The waker of one task: std's, so it is Send and Sync.
// ANCHOR: waker
struct TaskWaker {
    ioloop: LoopHandle,
    task: Token,
    /// Is a callback that polls the task in the queue?
    queued: AtomicBool,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            let task = self.task;
            // From the loop's own thread this is a push, from another one a push and a wake. A loop that cannot be
            // woken has lost its descriptor: it will not poll anybody again.
            let _ = self.ioloop.add_callback(move |ioloop| ioloop.poll_task(task));
        }
    }
}
// ANCHOR_END: waker

impl IoLoop {
    /// Run a future to its end. An error that it comes to is reported, as a callback's.
    pub fn spawn<R: Reply>(&self, future: impl Future<Output = R> + 'static) -> TaskId {
        let future: Boxed = Box::pin(async move { future.await.outcome() });
        let task = self.0.tasks.tasks.borrow_mut().insert(Task { future: Some(future), waker: None });
        let waker = TaskWaker { ioloop: self.handle(), task, queued: AtomicBool::new(false) };
        let waker = Arc::new(waker);
        if let Some(place) = self.0.tasks.tasks.borrow_mut().get_mut(task) {
            place.waker = Some(Arc::clone(&waker));
        }
        waker.wake();
        TaskId(task)
    }

    /// Drop a task where it stands. One that has come to its end is no error.
    pub fn cancel(&self, task: TaskId) {
        let removed = self.0.tasks.tasks.borrow_mut().remove(task.0);
        drop(removed);
    }

    // ANCHOR: poll_task
    fn poll_task(&self, task: Token) -> Outcome {
        let found = self
            .0
            .tasks
            .tasks
            .borrow_mut()
            .get_mut(task)
            .map(|task| (task.future.take(), task.waker.clone()));
        let Some((Some(mut future), Some(waker))) = found else { return Ok(()) };
        // Before the poll: a wake during it is for the next one.
        waker.queued.store(false, Ordering::Release);
        let gone = Gone { ioloop: self, task, done: Cell::new(true) };
        match future.as_mut().poll(&mut Context::from_waker(&Waker::from(waker))) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => {
                gone.done.set(false);
                let homeless = match self.0.tasks.tasks.borrow_mut().get_mut(task) {
                    Some(place) => place.future.replace(future),
                    // It was cancelled from inside.
                    None => Some(future),
                };
                drop(homeless);
                Ok(())
            }
        }
    }
    // ANCHOR_END: poll_task

    pub(crate) fn close_tasks(&self) {
        let tasks = self.0.tasks.tasks.take();
        drop(tasks);
    }
}

/// Which task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskId(Token);

/// Gives up the task's place, also when the poll panics.
struct Gone<'a> {
    ioloop: &'a IoLoop,
    task: Token,
    done: Cell<bool>,
}

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        if self.done.get() {
            self.ioloop.cancel(TaskId(self.task));
        }
    }
}
