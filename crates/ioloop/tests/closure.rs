//! Closures that a loop gets: each one runs once or is dropped, and drops its captures once, whatever its size. The
//! loop keeps small ones in place and large ones in a box, which must make no visible difference.

mod support;

use std::rc::Rc;
use std::time::Duration;

use ioloop::IoLoop;
use support::{Log, on_each_with_a_fake_clock, turns};

/// Fits into two words, but needs a larger alignment: written at an odd word, it crashes the process.
#[derive(Clone)]
#[repr(align(16))]
struct Aligned(u64);

type Give = fn(&IoLoop, &Rc<Log<u64>>);

/// Gives a loop a closure, as a callback or as a timer.
fn give_both(ioloop: &IoLoop, closure: impl Fn() + Clone + 'static) {
    let timer = closure.clone();
    ioloop.add_callback(move |_| closure());
    ioloop.call_later(Duration::ZERO, move |_| timer());
}

/// Closures of all sizes around the one that is still kept in place: each is a callback and a timer.
fn closures_of_all_sizes() -> [Give; 6] {
    fn give<const WORDS: usize>(ioloop: &IoLoop, log: &Rc<Log<u64>>) {
        let (log, words) = (Rc::clone(log), [7_u64; WORDS]);
        give_both(ioloop, move || log.add(words.iter().sum()));
    }
    fn aligned(ioloop: &IoLoop, log: &Rc<Log<u64>>) {
        // Two in a row, so that one of them would lie at an odd word.
        for _ in 0..2 {
            let value = Aligned(7);
            give_both(ioloop, move || assert_eq!({ &value }.0, 7));
        }
        give::<1>(ioloop, log);
    }
    [give::<0>, give::<1>, give::<2>, give::<3>, give::<100>, aligned]
}

#[test]
fn a_closure_of_any_size_runs_once_with_its_captures() {
    on_each_with_a_fake_clock(|ioloop, _| {
        let log = Rc::new(Log::default());
        closures_of_all_sizes().iter().for_each(|give| give(ioloop, &log));
        ioloop.add_callback(IoLoop::stop);
        ioloop.start().unwrap();
        assert_eq!(
            log.take(),
            [[0, 7, 14, 21, 700, 7]; 2].concat(),
            "first as callbacks, and then as timers"
        );
        assert_eq!(Rc::strong_count(&log), 1, "a closure that ran keeps its captures, or dropped them twice");
    });
}

#[test]
fn a_closure_of_any_size_that_does_not_run_drops_its_captures() {
    on_each_with_a_fake_clock(|ioloop, _| {
        let log = Rc::new(Log::default());
        closures_of_all_sizes().iter().for_each(|give| give(ioloop, &log));
        ioloop.close();
        assert_eq!(log.len(), 0, "a closed loop ran a closure");
        assert_eq!(
            Rc::strong_count(&log),
            1,
            "a closure that is dropped keeps its captures, or dropped them twice"
        );
    });
}

/// The queue of callbacks is never empty here: its memory is reused again and again, and waiting closures are moved.
#[test]
fn callbacks_of_many_sizes_keep_their_order_for_thousands_of_iterations() {
    fn again<const WORDS: usize>(ioloop: &IoLoop, log: &Log<(usize, u64)>, round: u64) {
        let (held, words) = (log.clone(), [round; WORDS]);
        ioloop.add_callback(move |ioloop| {
            assert!(words.iter().all(|word| *word == round), "a closure came out with the words of another");
            held.add((WORDS, round));
            if round < 3000 {
                again::<WORDS>(ioloop, &held, round + 1);
            }
        });
    }
    on_each_with_a_fake_clock(|ioloop, _| {
        let log = Log::default();
        for _ in 0..3 {
            again::<0>(ioloop, &log, 0);
            again::<1>(ioloop, &log, 0);
            again::<2>(ioloop, &log, 0);
            again::<3>(ioloop, &log, 0);
            again::<9>(ioloop, &log, 0);
        }
        turns(ioloop, 3010);
        let wanted = (0..=3000)
            .flat_map(|round| [0, 1, 2, 3, 9].repeat(3).into_iter().map(move |words| (words, round)));
        assert!(log.take().into_iter().eq(wanted), "callbacks run in the order in which they were added");
        assert_eq!(log.clones(), 1, "a closure was not dropped, or twice");
    });
}

#[test]
fn a_removed_timer_drops_its_captures_at_once() {
    on_each_with_a_fake_clock(|ioloop, _| {
        let held = Rc::new(());
        let (small, large) = (Rc::clone(&held), (Rc::clone(&held), [0_u64; 10]));
        let timers = [
            ioloop.call_later(Duration::from_secs(1), move |_| drop(small)),
            ioloop.call_later(Duration::from_secs(1), move |_| drop(large)),
        ];
        assert_eq!(Rc::strong_count(&held), 3);
        timers.iter().for_each(|timer| ioloop.remove_timeout(*timer));
        assert_eq!(
            Rc::strong_count(&held),
            1,
            "a timer that was removed keeps its captures until its deadline"
        );
    });
}

#[test]
fn a_closure_that_panics_drops_its_captures_once() {
    on_each_with_a_fake_clock(|ioloop, _| {
        let (held, failures) = (Rc::new(()), Log::default());
        let log = failures.clone();
        ioloop.handle_callback_exception(move |_, failure| log.add(failure.to_string()));
        let (small, large) = (Rc::clone(&held), (Rc::clone(&held), [0_u64; 10]));
        ioloop.call_later(Duration::ZERO, move |_| -> () {
            let _held = small;
            std::panic::resume_unwind(Box::new("a small one"))
        });
        ioloop.call_later(Duration::ZERO, move |_| -> () {
            let _held = large;
            std::panic::resume_unwind(Box::new("a large one"))
        });
        ioloop.add_callback(IoLoop::stop);
        ioloop.start().unwrap();
        assert_eq!(failures.take(), ["a timer panicked: a small one", "a timer panicked: a large one"]);
        assert_eq!(
            Rc::strong_count(&held),
            1,
            "after a panic a closure keeps its captures, or dropped them twice"
        );
    });
}
