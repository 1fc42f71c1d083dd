//! Another way for `ioloop/tasks`: the waker is apart from the task, and a task is dropped before its slot is free.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use super::IoLoop;
use super::handle::LoopHandle;
use super::sync::{AtomicBool, Ordering::SeqCst};
use super::tracing::Traced;
use crate::failure::{drop_caught, guarded};
use crate::task_cell::TaskCell;
use crate::{Failure, IntoOutcome, Origin, Token};

/// Identifies a task, for [`IoLoop::cancel`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskId(Token);

struct Woken {
    handle: LoopHandle,
    token: Token,
    queued: AtomicBool,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        if !self.queued.fetch_or(true, SeqCst) {
            let this = Arc::clone(&self);
            let _ = self.handle.add_callback(move |ioloop| this.run(ioloop));
        }
    }
}

impl Woken {
    fn run(self: Arc<Self>, ioloop: &IoLoop) {
        self.queued.swap(false, SeqCst);
        let token = self.token;
        let Some(mut future) = ({ ioloop.0.tasks.borrow_mut().get_mut(token).and_then(|slot| slot.take()) })
        else {
            return;
        };
        let waker = Waker::from(self);
        let result = guarded(|| Ok(Pin::new(&mut future).poll(&mut Context::from_waker(&waker))));
        let cause = match result {
            Ok(Poll::Pending) => {
                let mut rest = Some(future);
                if let Some(slot) = ioloop.0.tasks.borrow_mut().get_mut(token) {
                    *slot = rest.take();
                }
                drop(rest);
                return;
            }
            Ok(Poll::Ready(Ok(()))) => None,
            Ok(Poll::Ready(Err(error))) => Some(crate::Cause::Error(error)),
            Err(cause) => Some(cause),
        };
        // Dropped first, then freed.
        let dropped = drop_caught(future).err();
        let _ = ioloop.0.tasks.borrow_mut().remove(token);
        for cause in cause.into_iter().chain(dropped) {
            ioloop.report(Failure { origin: Origin::Task, cause });
        }
    }
}

impl IoLoop {
    /// Spawn a task.
    pub fn spawn<R: IntoOutcome>(&self, future: impl Future<Output = R> + 'static) -> TaskId {
        let mut tasks = self.0.tasks.borrow_mut();
        if self.must_be_open("spawn").is_err() {
            let token = tasks.insert(None);
            tasks.remove(token);
            drop(tasks);
            drop(future);
            return TaskId(token);
        }
        let (_, future) = TaskCell::new((), Traced::new(self, future));
        let token = tasks.insert(Some(future));
        drop(tasks);
        let woken = Arc::new(Woken { handle: self.handle(), token, queued: AtomicBool::new(true) });
        self.add_callback(move |ioloop| woken.run(ioloop));
        TaskId(token)
    }

    /// Cancel a task.
    pub fn cancel(&self, task: TaskId) {
        let gone = self.0.tasks.borrow_mut().remove(task.0);
        drop(gone);
    }
}
