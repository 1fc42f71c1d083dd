//! Blocking work in a thread, and its result on the loop.

mod support;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;

use ioloop::NoResult;
use support::{LONG, on_each, panics, turns};

#[test]
fn the_loop_runs_while_work_blocks_and_gets_its_result() {
    on_each(|ioloop| {
        let (done, may_end) = channel();
        let here = thread::current().id();
        let work = ioloop.offload(move || {
            // It blocks until the loop has continued.
            may_end.recv().expect("the callback sends");
            thread::current().id()
        });
        ioloop.call_later(Duration::from_millis(5), move |_| done.send(()));
        let there =
            ioloop.run_sync(work.unwrap(), Some(LONG)).expect("the loop continued, so the work could finish");
        assert_ne!(there, here, "the work ran in the thread of the loop");
    });
}

#[test]
fn work_that_finished_before_it_is_awaited_is_not_lost() {
    on_each(|ioloop| {
        let (done, came) = channel();
        let work = ioloop.offload(move || done.send(()).map(|()| 42)).unwrap();
        came.recv().unwrap();
        assert_eq!(ioloop.run_sync(work, Some(LONG)).unwrap(), Ok(42));
    });
}

#[test]
fn several_at_once_each_get_their_own_result() {
    on_each(|ioloop| {
        let work: Vec<_> = (0..8).map(|n| ioloop.offload(move || n * n).unwrap()).collect();
        let all = async move {
            let mut results = Vec::new();
            for work in work {
                results.push(work.await);
            }
            results
        };
        assert_eq!(ioloop.run_sync(all, Some(LONG)).unwrap(), [0, 1, 4, 9, 16, 25, 36, 49]);
    });
}

#[test]
fn a_panic_of_the_work_panics_in_the_waiting_task() {
    on_each(|ioloop| {
        let failures = support::operation::failures(ioloop);
        let work = ioloop.offload(|| -> () { panics("in the thread") }).unwrap();
        let ended = ioloop.run_sync(work, Some(LONG));
        assert!(matches!(ended, Err(NoResult::Panicked)), "{ended:?}");
        assert_eq!(failures.take(), ["a task panicked: in the thread"]);
    });
}

#[test]
fn work_that_is_not_awaited_continues_and_drops_its_captures() {
    on_each(|ioloop| {
        let held = Arc::new(());
        let (inside, ours) = (Arc::clone(&held), Arc::downgrade(&held));
        drop(held);
        let (sender, receiver) = channel::<()>();
        drop(ioloop.offload(move || {
            let _goes_with_the_thread = sender;
            inside
        }));
        // The work ends when the sender is dropped.
        assert!(receiver.recv().is_err());
        while ours.upgrade().is_some() {
            thread::yield_now();
        }
        turns(ioloop, 1);
    });
}

/// A task that no longer waits must not be woken.
#[test]
fn a_future_that_is_dropped_leaves_no_waker() {
    struct Nothing;

    impl Wake for Nothing {
        fn wake(self: Arc<Self>) {}
    }

    on_each(|ioloop| {
        let (sender, receiver) = channel::<()>();
        let mut work = ioloop.offload(move || receiver.recv().is_err()).unwrap();
        let woken = Arc::new(Nothing);
        let waker = Waker::from(Arc::clone(&woken));
        assert!(Pin::new(&mut work).poll(&mut Context::from_waker(&waker)).is_pending());
        drop((work, waker));
        assert_eq!(Arc::strong_count(&woken), 1, "the thread keeps the waker of a future that was dropped");
        drop(sender);
    });
}
