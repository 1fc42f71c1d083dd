//! The whole: a loop that has the memory that it needs allocates nothing of its own.
//!
//! The closure of a callback or of a timer is kept in place if it holds three words or less, and in a box if it is
//! larger.

mod support;

use std::cell::Cell;
use std::io::{PipeReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use ioloop::{Event, Events, IoLoop};
use support::counting::allocations;

/// Enough rounds for every buffer to have grown.
const FIRST: u64 = 1000;
const LAST: u64 = 3000;

/// Counts the allocations from one round to another. The test calls `round` once a round, and the last call stops the
/// loop.
#[derive(Clone, Default)]
struct Rounds(Rc<Cell<(u64, usize, usize)>>);

impl Rounds {
    fn round(&self, ioloop: &IoLoop) {
        let (round, mut before, mut after) = self.0.get();
        match round {
            FIRST => before = allocations(),
            LAST => after = allocations(),
            _ => {}
        }
        if round >= LAST {
            ioloop.stop();
        }
        self.0.set((round + 1, before, after));
    }

    /// The allocations in the rounds between.
    fn allocated(&self) -> usize {
        let (round, before, after) = self.0.get();
        assert!(round > LAST, "the loop returned after {round} rounds");
        after - before
    }
}

/// A byte goes through a pipe, again and again: an event and an iteration each time. Callbacks and timers without
/// captures run with it.
#[test]
fn the_steady_state_allocates_nothing() {
    support::on_each(|ioloop| {
        let (reader, mut writer) = support::a_pipe();
        writer.write_all(b"x").unwrap();
        let rounds = Rounds::default();
        let seen = rounds.clone();
        ioloop
            .add_handler(reader, Events::READ, move |ioloop, reader: &mut PipeReader, _| {
                let mut byte = [0];
                reader.read_exact(&mut byte)?;
                ioloop.add_callback(|_| ());
                ioloop.call_later(Duration::ZERO, |_| ());
                seen.round(ioloop);
                writer.write_all(&byte)
            })
            .unwrap();
        ioloop.start().unwrap();
        assert_eq!(rounds.allocated(), 0, "in 2000 iterations, each with an event, a callback, a timer");
    });
}

/// Ten connections, each with its own handler, and what they echo is sent again.
#[test]
fn echoing_allocates_nothing() {
    support::on_each(|ioloop| {
        let rounds = Rounds::default();
        for _ in 0..10 {
            let (client, server) = UnixStream::pair().unwrap();
            (&client).write_all(b"hello").unwrap();
            let echo = |ioloop: &IoLoop, stream: &mut UnixStream, _| {
                let mut buffer = [0; 64];
                match stream.read(&mut buffer)? {
                    0 => ioloop.stop(),
                    read => stream.write_all(&buffer[..read])?,
                }
                Ok::<_, std::io::Error>(())
            };
            ioloop.add_handler(server, Events::READ, echo).unwrap();
            let seen = rounds.clone();
            let again = move |ioloop: &IoLoop, stream: &mut UnixStream, event: Event| {
                seen.round(ioloop);
                echo(ioloop, stream, event)
            };
            ioloop.add_handler(client, Events::READ, again).unwrap();
        }
        ioloop.start().unwrap();
        assert_eq!(rounds.allocated(), 0, "in 2000 answers to ten clients");
    });
}

/// Callbacks that add themselves again: one without captures, one of three words, and one of four.
#[test]
fn a_callback_allocates_from_four_words_on() {
    fn nothing(ioloop: &IoLoop) {
        ioloop.add_callback(nothing);
    }
    fn three(ioloop: &IoLoop, rounds: Rounds, words: [u64; 2]) {
        rounds.round(ioloop);
        ioloop.add_callback(move |ioloop| three(ioloop, rounds, words.map(|word| word + 1)));
    }
    fn four(ioloop: &IoLoop, words: [u64; 4]) {
        ioloop.add_callback(move |ioloop| four(ioloop, words.map(|word| word + 1)));
    }
    for (what, also, allocated) in [("up to three words", false, 0), ("four words, too", true, LAST - FIRST)]
    {
        support::on_each(|ioloop| {
            let rounds = Rounds::default();
            nothing(ioloop);
            three(ioloop, rounds.clone(), [1, 2]);
            if also {
                four(ioloop, [1, 2, 3, 4]);
            }
            ioloop.start().unwrap();
            let seen = rounds.allocated() as u64;
            assert_eq!(seen, allocated, "in 2000 iterations, each with callbacks that hold {what}");
        });
    }
}

/// Timers that rearm themselves, each time beside one that is canceled: its tombstone is compacted away at some point.
#[test]
fn a_timer_of_three_words_allocates_nothing() {
    fn again(ioloop: &IoLoop, rounds: Rounds, words: [u64; 2]) {
        rounds.round(ioloop);
        let long = ioloop.call_later(support::LONG, move |_| assert_eq!(words.len(), 2));
        ioloop.remove_timeout(long);
        ioloop.call_later(Duration::ZERO, move |ioloop| again(ioloop, rounds, words));
    }
    support::on_each(|ioloop| {
        let rounds = Rounds::default();
        again(ioloop, rounds.clone(), [1, 2]);
        ioloop.start().unwrap();
        assert_eq!(
            rounds.allocated(),
            0,
            "in 2000 iterations, each with a timer that ran and one that was canceled. Does compacting allocate a \
             vector?"
        );
    });
}

/// What one word more costs.
#[test]
fn a_timer_of_four_words_allocates_once() {
    fn again(ioloop: &IoLoop, rounds: Rounds, words: [u64; 3]) {
        rounds.round(ioloop);
        ioloop.call_later(Duration::ZERO, move |ioloop| again(ioloop, rounds, words.map(|word| word + 1)));
    }
    support::on_each(|ioloop| {
        let rounds = Rounds::default();
        again(ioloop, rounds.clone(), [1, 2, 3]);
        ioloop.start().unwrap();
        assert_eq!(rounds.allocated() as u64, LAST - FIRST, "in 2000 iterations, each with a timer");
    });
}
