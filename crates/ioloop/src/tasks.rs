//! The futures that are given to the loop, each until it has come to its end.
//!
//! Contract: a task is polled when it is spawned and once after each wake, never inside of one, and it is dropped as
//! soon as it has ended, panicked or been cancelled. How it is polled is said in `run_sync`.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Wake;

use crate::handlers::Handlers;
use crate::run_sync::TaskWaker;
use crate::{IoLoop, Outcome, Reply, Token};

// ANCHOR: tasks
/// A future, as the loop keeps it.
pub(crate) type Boxed = Pin<Box<dyn Future<Output = Outcome>>>;

/// What is spawned and has yet to come to its end.
pub(crate) type Tasks = RefCell<Handlers<Task>>;

/// One of them.
pub(crate) struct Task {
    /// Out of its place while it is polled.
    pub(crate) future: Option<Boxed>,
    /// One for its whole life. Its place is needed to make it.
    pub(crate) waker: Option<Arc<TaskWaker>>,
}
// ANCHOR_END: tasks

/// Which task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskId(pub(crate) Token);

impl IoLoop {
    // ANCHOR: spawn
    /// Run a future to its end. An error that it comes to is reported, as a callback's. Closed, the loop forgets it.
    pub fn spawn<R: Reply>(&self, future: impl Future<Output = R> + 'static) -> TaskId {
        let future: Boxed = Box::pin(async move { future.await.outcome() });
        let task = self.0.tasks.borrow_mut().insert(Task { future: Some(future), waker: None });
        let waker = Arc::new(TaskWaker::new(self.handle(), task));
        if let Some(place) = self.0.tasks.borrow_mut().get_mut(task) {
            place.waker = Some(Arc::clone(&waker));
        }
        waker.wake();
        if self.0.closed.get() {
            self.cancel(TaskId(task));
        }
        TaskId(task)
    }
    // ANCHOR_END: spawn

    /// Drop a task where it stands. One that has come to its end is no error.
    pub fn cancel(&self, task: TaskId) {
        // Dropped outside of the borrow: what it holds may cancel another.
        let removed = self.0.tasks.borrow_mut().remove(task.0);
        drop(removed);
    }

    pub(crate) fn close_tasks(&self) {
        let tasks = self.0.tasks.take();
        drop(tasks);
    }
}
