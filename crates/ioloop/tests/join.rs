//! Tasks whose results other tasks await.

mod support;

use std::future::{Future, pending, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use ioloop::JoinError;
use support::operation::{Operation, failures, on_each_for_weeks};
use support::{panics, turns};

const S: Duration = Duration::from_secs(1);

#[test]
fn awaiting_a_task_returns_its_result() {
    on_each_for_weeks(|ioloop| {
        let sleep = ioloop.sleep(3 * S);
        let task = ioloop.spawn_joined(async move {
            sleep.await;
            String::from("slept")
        });
        assert!(!task.is_finished());
        assert_eq!(ioloop.run_sync(task, None).unwrap(), Ok("slept".into()));
        assert_eq!(ioloop.time(), 3 * S, "the wait took exactly as long as the task");
    });
}

#[test]
fn a_task_that_finished_before_can_be_awaited() {
    on_each_for_weeks(|ioloop| {
        let task = ioloop.spawn_joined(ready(42));
        turns(ioloop, 3);
        assert!(task.is_finished());
        assert_eq!(ioloop.run_sync(task, Some(S)).unwrap(), Ok(42));
    });
}

#[test]
fn a_task_that_is_canceled_ends_the_wait() {
    on_each_for_weeks(|ioloop| {
        let task = ioloop.spawn_joined(pending::<()>());
        turns(ioloop, 1);
        task.cancel();
        task.cancel();
        assert_eq!(ioloop.run_sync(task, Some(S)).unwrap(), Err(JoinError::Canceled));
        let task = ioloop.spawn_joined(pending::<()>());
        let id = task.id();
        ioloop.add_callback(move |ioloop| ioloop.cancel(id));
        assert_eq!(
            ioloop.run_sync(task, Some(S)).unwrap(),
            Err(JoinError::Canceled),
            "by its id, while its result is awaited"
        );
    });
}

#[test]
fn a_task_that_panics_ends_the_wait_and_is_reported() {
    on_each_for_weeks(|ioloop| {
        let failures = failures(ioloop);
        let task = ioloop.spawn_joined(async { panics("in the task") });
        assert_eq!(ioloop.run_sync::<Result<(), _>>(task, None).unwrap(), Err(JoinError::Panicked));
        assert_eq!(failures.take(), ["a task panicked: in the task"]);
    });
}

#[test]
fn a_handle_that_is_dropped_leaves_the_task_alone() {
    on_each_for_weeks(|ioloop| {
        let operation = Operation::default();
        drop(ioloop.spawn_joined(operation.clone()));
        turns(ioloop, 2);
        assert!(operation.is_kept(), "the task was dropped with its handle");
        operation.end();
        turns(ioloop, 2);
        assert!(!operation.is_kept(), "it was polled to its end");
    });
}

/// A task that no longer waits must not be woken.
#[test]
fn a_handle_that_is_dropped_leaves_no_waker() {
    struct Nothing;

    impl Wake for Nothing {
        fn wake(self: Arc<Self>) {}
    }

    on_each_for_weeks(|ioloop| {
        let (mut task, woken) = (ioloop.spawn_joined(pending::<()>()), Arc::new(Nothing));
        let waker = Waker::from(Arc::clone(&woken));
        assert!(Pin::new(&mut task).poll(&mut Context::from_waker(&waker)).is_pending());
        drop((task, waker));
        assert_eq!(Arc::strong_count(&woken), 1, "the task keeps the waker of a handle that was dropped");
    });
}

#[test]
fn a_loop_that_closes_ends_the_wait() {
    on_each_for_weeks(|ioloop| {
        let task = ioloop.spawn_joined(pending::<()>());
        ioloop.close();
        assert!(task.is_finished(), "no loop will ever poll the task, and its result is still awaited");
        let task = ioloop.spawn_joined(pending::<()>());
        assert!(task.is_finished(), "a closed loop drops what is spawned, so the wait would never end");
    });
}
