//! Exercise `ioloop/callbacks`: what the queue of a loop must do. Here callbacks are numbers, and whoever takes them
//! plays the loop.

#[path = "support/counting.rs"]
mod counting;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use counting::allocations;
use ioloop::callbacks::Callbacks;

/// A turn of the loop.
fn run<T>(callbacks: &Callbacks<T>) -> Vec<T> {
    callbacks.take().drain().collect()
}

#[test]
fn they_come_in_the_order_they_were_added() {
    let callbacks = Callbacks::default();
    (0..100).for_each(|n| callbacks.add(n));
    assert_eq!(callbacks.len(), 100);
    assert!(!callbacks.is_empty());
    assert_eq!(run(&callbacks), (0..100).collect::<Vec<_>>(), "first come, first served");
    assert!(callbacks.is_empty(), "all were taken, and some are there");
    assert_eq!(callbacks.len(), 0);
    assert_eq!(run(&callbacks), [], "they were taken, and are there again");
}

#[test]
fn a_callback_may_add_another_while_it_runs() {
    let callbacks = Callbacks::default();
    callbacks.add(1);
    callbacks.add(2);
    for n in callbacks.take().drain() {
        let added = catch_unwind(AssertUnwindSafe(|| callbacks.add(10 * n)));
        assert!(added.is_ok(), "a callback runs while the queue is borrowed, so that it cannot add another");
    }
    assert_eq!(run(&callbacks), [10, 20]);
}

#[test]
fn what_is_added_meanwhile_waits_for_the_next_batch() {
    let callbacks = Callbacks::default();
    callbacks.add(0);
    for turn in 0..5 {
        let mut ran = Vec::new();
        // Whoever runs until nothing is left would do it for ever.
        for n in callbacks.take().drain().take(10) {
            ran.push(n);
            callbacks.add(n + 1);
        }
        assert_eq!(
            ran,
            [turn],
            "a callback adds the next one, and that belongs to the same batch: the descriptors would never have \
             their turn"
        );
    }
}

#[test]
fn a_batch_says_how_many_there_are() {
    let callbacks = Callbacks::default();
    (0..3).for_each(|n| callbacks.add(n));
    let batch = callbacks.take();
    callbacks.add(3);
    assert_eq!(batch.len(), 3, "what was queued when it was taken, and not what came since");
    assert!(!batch.is_empty());
    assert_eq!(callbacks.len(), 1, "what is queued, and not what was taken");
    let empty = Callbacks::<u8>::default();
    assert!(empty.take().is_empty(), "nothing was queued, and there is something in the batch");
}

#[test]
fn what_is_left_of_a_batch_is_forgotten() {
    let callbacks = Callbacks::default();
    for ran in [0, 2] {
        (0..4).for_each(|n| callbacks.add(n));
        {
            let mut batch = callbacks.take();
            if ran > 0 {
                assert_eq!(batch.drain().take(ran).collect::<Vec<_>>(), [0, 1]);
                assert_eq!(
                    batch.drain().collect::<Vec<_>>(),
                    [],
                    "whoever drained the batch asked for {ran} of 4, and the rest is handed out later"
                );
            }
        }
        // The room of one batch is a queue again, of the next or of the next but one.
        for turn in 10..14 {
            callbacks.add(turn);
            assert_eq!(
                run(&callbacks),
                [turn],
                "a batch was dropped after {ran} of 4 had run, and what was left in it came back"
            );
        }
    }
}

/// Adds one more when it is dropped: the last owner of a connection, say, whose end is told to somebody.
struct AddsOne(Rc<Callbacks<Option<Self>>>);

impl Drop for AddsOne {
    fn drop(&mut self) {
        // A second panic would end the program, and tell nobody of the first.
        if !std::thread::panicking() {
            self.0.add(None);
        }
    }
}

#[test]
fn a_callback_that_is_dropped_may_add_another() {
    let callbacks: Rc<Callbacks<Option<AddsOne>>> = Rc::default();
    for what in ["`clear`", "a batch that is dropped"] {
        callbacks.add(Some(AddsOne(Rc::clone(&callbacks))));
        let dropped = catch_unwind(AssertUnwindSafe(|| match what {
            "`clear`" => callbacks.clear(),
            _ => drop(callbacks.take()),
        }));
        assert!(
            dropped.is_ok(),
            "{what} drops callbacks while the queue is borrowed, and one of them adds another"
        );
        assert_eq!(
            run(&callbacks).iter().filter(|added| added.is_none()).count(),
            1,
            "{what} drops a callback, which adds another, and that is not queued. Is it dropped as well, since dropping \
             goes on until nothing is queued? Or was the first one never dropped?"
        );
    }
}

#[test]
fn clearing_forgets_all_of_them() {
    let callbacks = Callbacks::default();
    (0..4).for_each(|n| callbacks.add(n));
    callbacks.clear();
    assert!(callbacks.is_empty(), "four are queued after all were to be forgotten");
    callbacks.add(9);
    assert_eq!(run(&callbacks), [9]);
}

#[test]
fn a_turn_like_the_last_one_allocates_nothing() {
    let callbacks = Callbacks::default();
    let turn = || {
        (0..100).for_each(|n| callbacks.add(n));
        assert_eq!(callbacks.take().drain().count(), 100);
    };
    (0..10).for_each(|_| turn());
    let before = allocations();
    (0..100).for_each(|_| turn());
    assert_eq!(
        allocations() - before,
        0,
        "allocations in 100 turns of 100 callbacks each: the room of a batch is thrown away, and had again"
    );
}
