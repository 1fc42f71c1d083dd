//! What other threads may do with a loop.

mod support;

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use ioloop::{IoLoop, LoopHandle};
use support::{Log, on_each};

#[test]
fn a_handle_crosses_threads() {
    fn crosses<T: Send + Sync + Clone>() {}
    crosses::<LoopHandle>();
}

#[test]
fn a_callback_from_another_thread_ends_the_sleep() {
    on_each(|ioloop| {
        let handle = ioloop.handle();
        let start = Instant::now();
        let thread = thread::spawn(move || handle.add_callback(IoLoop::stop));
        ioloop.start().unwrap();
        thread.join().unwrap().unwrap();
        assert!(start.elapsed() < support::LONG, "the loop was not woken");
    });
}

#[test]
fn every_callback_from_many_threads_is_run_in_its_threads_order() {
    const EACH: usize = 20_000;
    on_each(|ioloop| {
        let log: Log<(usize, usize)> = Log::default();
        let (to_loop, from_threads) = channel();
        let handle = ioloop.handle();
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                let (handle, to_loop) = (handle.clone(), to_loop.clone());
                thread::spawn(move || {
                    for n in 0..EACH {
                        let to_loop = to_loop.clone();
                        handle.add_callback(move |_| to_loop.send((thread, n)).unwrap()).unwrap();
                    }
                })
            })
            .collect();
        drop(to_loop);
        let stopper = thread::spawn(move || {
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            handle.stop()
        });
        ioloop.start().unwrap();
        stopper.join().unwrap().unwrap();
        // What was sent before the stop, and is not run yet.
        ioloop.call_later(Duration::ZERO, |ioloop| {
            ioloop.add_callback(|ioloop| ioloop.add_callback(IoLoop::stop));
        });
        ioloop.start().unwrap();
        let mut next = [0; 4];
        for (thread, n) in from_threads.try_iter() {
            assert_eq!(next[thread], n, "thread {thread}'s callbacks changed places, or one was lost");
            next[thread] += 1;
        }
        assert_eq!(next, [EACH; 4]);
        drop(log);
    });
}

#[test]
fn adding_while_it_closes_is_silent() {
    on_each(|ioloop| {
        let handle = ioloop.handle();
        let thread = thread::spawn(move || (0..10_000).try_for_each(|_| handle.add_callback(|_| ())));
        ioloop.close();
        thread.join().unwrap().unwrap();
        let held = Arc::new(());
        let (ours, theirs) = (Arc::clone(&held), Arc::clone(&held));
        ioloop.add_callback(move |_| drop(ours));
        ioloop.handle().add_callback(move |_| drop(theirs)).unwrap();
        assert_eq!(
            Arc::strong_count(&held),
            1,
            "two callbacks were given to a loop that is closed, and what they hold is kept: nobody will ever run them"
        );
    });
}

/// Give it a callback, from a thread in which the loop is not current, and have it hold this.
fn send(handle: &LoopHandle, held: &Arc<()>) {
    let (handle, held) = (handle.clone(), Arc::clone(held));
    thread::spawn(move || handle.add_callback(move |_| drop(held))).join().unwrap().unwrap();
}

#[test]
fn what_was_sent_is_forgotten_when_it_closes_and_what_is_sent_then() {
    on_each(|ioloop| {
        let (handle, held) = (ioloop.handle(), Arc::new(()));
        send(&handle, &held);
        assert_eq!(Arc::strong_count(&held), 2, "it waits for the loop");
        ioloop.close();
        assert_eq!(Arc::strong_count(&held), 1, "it was sent before the close, and is kept");
        send(&handle, &held);
        assert_eq!(Arc::strong_count(&held), 1, "it was sent after the close, and is kept");
    });
}

#[test]
fn a_handle_does_not_keep_the_loop() {
    let ioloop = IoLoop::new().unwrap();
    let (handle, held) = (ioloop.handle(), Arc::new(()));
    send(&handle, &held);
    drop(ioloop);
    assert_eq!(Arc::strong_count(&held), 1, "the loop is gone, and what was sent to it is kept by a handle");
    send(&handle, &held);
    assert_eq!(Arc::strong_count(&held), 1, "nobody will ever run what is sent to a loop that is gone");
    handle.stop().unwrap();
}
