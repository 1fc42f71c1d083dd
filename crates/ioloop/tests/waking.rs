//! Waking a loop: before it sleeps, many times, by the thousand, and by a signal that is not meant for it.

mod support;

use std::sync::mpsc::channel;
use std::thread;

use ioloop::poller::Kind;
use ioloop::{IoLoop, LoopHandle, SignalToken, TaskId, Token};
use support::{Log, helper_said, on_each, turns};

/// Do this with the loop's handle in another thread, and come back when that has ended.
fn elsewhere(ioloop: &IoLoop, what: impl FnOnce(&LoopHandle) -> ioloop::Result<()> + Send + 'static) {
    let handle = ioloop.handle();
    thread::spawn(move || what(&handle)).join().unwrap().unwrap();
}

#[test]
fn a_wake_before_the_sleep_ends_it_at_once() {
    on_each(|ioloop| {
        elsewhere(ioloop, |handle| handle.add_callback(IoLoop::stop));
        // The guard of `on_each` ends a loop that sleeps on.
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
        assert!(
            events.take().iter().all(|events| *events == 0),
            "a wake that was consumed is reported again"
        );
    });
}

#[test]
fn thousands_that_are_queued_are_all_run() {
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
        assert!(ran.try_iter().eq(0..QUEUED), "one was lost, or they changed places");
    });
}

#[test]
fn a_signal_during_the_sleep_is_neither_an_event_nor_an_error() {
    for poller in Kind::ALL {
        let answer = helper_said(&["interrupted", &poller.to_string()]);
        assert_eq!(answer.line("handled"), "1 signal", "{poller}");
        assert_eq!(answer.line("events"), "0", "{poller}: a signal that no loop asked for was an event");
        assert_eq!(
            answer.line("timer"),
            "not early",
            "{poller}: the loop was interrupted before its deadline"
        );
        assert_eq!(answer.line("ended"), "Ok", "{poller}: EINTR came out of the loop");
    }
}

/// Checked by the compiler: if a loop were `Send`, there would be two ways for it to be `NotSend`, and no telling
/// which one is meant.
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
fn in_its_own_thread_a_handle_wakes_nobody() {
    on_each(|ioloop| {
        let events = Log::default();
        let seen = events.clone();
        ioloop.make_current();
        ioloop.subscribe(move |_, iteration| seen.add(iteration.events));
        let (to_us, ran) = channel();
        let handle = ioloop.handle();
        ioloop.add_callback(move |_| handle.add_callback(move |_| to_us.send(())));
        turns(ioloop, 4);
        assert_eq!(ran.try_iter().count(), 1, "how often what was given to the handle has run");
        assert!(events.take().iter().all(|events| *events == 0), "it wrote to its own waker");
    });
}
