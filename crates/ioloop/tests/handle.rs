//! What other threads can do with a loop: add callbacks, wake it, stop it; and what a signal does.

mod support;

#[path = "scenarios/interrupted.rs"]
mod scenarios;

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use ioloop::poller::Kind;
use ioloop::{IoLoop, LoopHandle, SignalToken, TaskId, Token};
use support::{LONG, Log, helper_said, on_each, turns};

testing::helper!(|args| testing::exit_code(match args {
    ["interrupted", poller] => poller.parse().map_err(Into::into).and_then(scenarios::run),
    _ => support::unknown(args),
}));

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
        // Callbacks that were sent before the stop, and have not run yet.
        ioloop.call_later(Duration::ZERO, |ioloop| {
            ioloop.add_callback(|ioloop| ioloop.add_callback(IoLoop::stop));
        });
        ioloop.start().unwrap();
        let mut next = [0; 4];
        for (thread, n) in from_threads.try_iter() {
            assert_eq!(next[thread], n, "callbacks of thread {thread} changed their order, or one was lost");
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
            "two callbacks were added to a closed loop, which keeps their captures although they will never run"
        );
    });
}

/// Adds a callback with this capture, from a thread in which the loop is not current.
fn send(handle: &LoopHandle, held: &Arc<()>) {
    let (handle, held) = (handle.clone(), Arc::clone(held));
    thread::spawn(move || handle.add_callback(move |_| drop(held))).join().unwrap().unwrap();
}

#[test]
fn a_close_drops_what_was_sent_and_what_is_sent_then() {
    on_each(|ioloop| {
        let (handle, held) = (ioloop.handle(), Arc::new(()));
        send(&handle, &held);
        assert_eq!(Arc::strong_count(&held), 2, "it waits for the loop");
        ioloop.close();
        assert_eq!(Arc::strong_count(&held), 1, "a callback that was sent before the close is kept");
        send(&handle, &held);
        assert_eq!(Arc::strong_count(&held), 1, "a callback that was sent after the close is kept");
    });
}

#[test]
fn a_handle_does_not_keep_the_loop_alive() {
    let ioloop = IoLoop::new().unwrap();
    let (handle, held) = (ioloop.handle(), Arc::new(()));
    send(&handle, &held);
    drop(ioloop);
    assert_eq!(
        Arc::strong_count(&held),
        1,
        "the loop is gone, and a handle keeps a callback that was sent to it"
    );
    send(&handle, &held);
    assert_eq!(
        Arc::strong_count(&held),
        1,
        "a callback that is sent to a loop that is gone is kept, although it will never run"
    );
    handle.stop().unwrap();
}

/// Runs this with the loop's handle in another thread, and returns when that thread has finished.
fn elsewhere(ioloop: &IoLoop, what: impl FnOnce(&LoopHandle) -> ioloop::Result<()> + Send + 'static) {
    let handle = ioloop.handle();
    thread::spawn(move || what(&handle)).join().unwrap().unwrap();
}

#[test]
fn a_wake_before_the_sleep_ends_it_at_once() {
    on_each(|ioloop| {
        elsewhere(ioloop, |handle| handle.add_callback(IoLoop::stop));
        // The guard of `on_each` aborts if the loop keeps sleeping.
        ioloop.start().unwrap();
    });
}

#[test]
fn three_wakes_are_one_event_and_then_there_is_silence() {
    on_each(|ioloop| {
        let events = Log::default();
        let seen = events.clone();
        ioloop.subscribe(move |_, iteration| seen.add(iteration.events));
        for _ in 0..2 {
            elsewhere(ioloop, |handle| {
                handle.add_callback(|_| ())?;
                handle.add_callback(|_| ())?;
                handle.add_callback(IoLoop::stop)
            });
            ioloop.start().unwrap();
            assert_eq!(events.take(), [1], "three wakes that came before the loop looked are one event");
        }
        turns(ioloop, 5);
        assert!(events.take().iter().all(|events| *events == 0), "a wake that was drained is reported again");
    });
}

#[test]
fn a_plain_wake_ends_the_sleep_and_nothing_else_happens() {
    on_each(|ioloop| {
        let log = Log::default();
        let seen = log.clone();
        ioloop.subscribe(move |ioloop, iteration| {
            seen.add((iteration.callbacks, iteration.timers, iteration.events));
            ioloop.stop();
        });
        let handle = ioloop.handle();
        let thread = thread::spawn(move || handle.wake());
        // The guard of `on_each` aborts if the loop keeps sleeping.
        ioloop.start().unwrap();
        thread.join().unwrap().unwrap();
        assert_eq!(log.take(), [(0, 0, 1)], "an iteration with the wake as its only event");
    });
}

#[test]
fn any_number_of_plain_wakes_before_the_sleep_end_it_once() {
    on_each(|ioloop| {
        elsewhere(ioloop, |handle| (0..1000).try_for_each(|_| handle.wake()));
        assert!(ioloop.turn(LONG).unwrap(), "the first sleep ends at once");
        let start = Instant::now();
        let short = Duration::from_millis(20);
        assert!(ioloop.turn(short).unwrap());
        assert!(start.elapsed() >= short, "a thousand wakes were more than one");
    });
}

#[test]
fn a_plain_wake_in_the_loops_own_thread_ends_its_next_sleep() {
    on_each(|ioloop| {
        let handle = ioloop.handle();
        ioloop.add_callback(move |_| handle.wake());
        let start = Instant::now();
        assert!(ioloop.turn(LONG).unwrap());
        assert!(start.elapsed() < LONG, "the loop slept although it was woken");
    });
}

#[test]
fn a_plain_wake_of_a_closed_loop_is_accepted() {
    on_each(|ioloop| {
        let handle = ioloop.handle();
        ioloop.close();
        handle.wake().unwrap();
    });
}

#[test]
fn thousands_of_queued_callbacks_all_run() {
    const QUEUED: usize = 5000;
    on_each(|ioloop| {
        let (to_loop, ran) = channel();
        elsewhere(ioloop, move |handle| {
            for n in 0..QUEUED {
                let to_loop = to_loop.clone();
                handle.add_callback(move |_| to_loop.send(n))?;
            }
            handle.add_callback(IoLoop::stop)
        });
        ioloop.start().unwrap();
        assert!(ran.try_iter().eq(0..QUEUED), "a callback was lost, or they changed their order");
    });
}

#[test]
fn a_signal_during_the_sleep_is_neither_an_event_nor_an_error() {
    for poller in Kind::ALL {
        let answer = helper_said(&["interrupted", &poller.to_string()]);
        assert_eq!(answer.line("handled"), "1 signal", "{poller}");
        assert_eq!(
            answer.line("events"),
            "0",
            "{poller}: a signal without a handler on the loop was an event"
        );
        assert_eq!(
            answer.line("timer"),
            "not early",
            "{poller}: the loop was interrupted before its deadline"
        );
        assert_eq!(answer.line("ended"), "Ok", "{poller}: `start` returned EINTR");
    }
}

/// The compiler checks this: if a loop were `Send`, two impls of `NotSend` would apply to it, and the call would be
/// ambiguous.
#[test]
fn a_loop_stays_in_its_thread() {
    trait NotSend<Way> {
        fn stays() -> bool {
            true
        }
    }
    struct Always;
    struct BySend;
    impl<T> NotSend<Always> for T {}
    impl<T: Send> NotSend<BySend> for T {}
    assert!(<IoLoop as NotSend<_>>::stays());

    fn crosses<T: Send>() {}
    crosses::<(LoopHandle, Token, TaskId, SignalToken)>();
}

#[test]
fn in_the_loops_own_thread_a_handle_does_not_wake() {
    on_each(|ioloop| {
        let events = Log::default();
        let seen = events.clone();
        ioloop.make_current();
        ioloop.subscribe(move |_, iteration| seen.add(iteration.events));
        let (to_us, ran) = channel();
        let handle = ioloop.handle();
        ioloop.add_callback(move |_| handle.add_callback(move |_| to_us.send(())));
        turns(ioloop, 4);
        assert_eq!(ran.try_iter().count(), 1, "how often the callbacks of the handle ran");
        assert!(events.take().iter().all(|events| *events == 0), "the loop wrote to its own waker");
    });
}
