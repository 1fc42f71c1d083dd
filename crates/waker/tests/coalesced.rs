//! Exercise `waker/coalesced`: what it must show, in every order of its steps.
//!
//! Four kinds of test: orders that a script plays (the waker behind the flag is the test's own), every order
//! there is (loom), system calls counted by a tracer, and threads that race on the real kernel.

mod support;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use nix::errno::Errno;
use support::scripted::Scripted;
use support::{LONG, contract, traced, wait};
use waker::coalesced::Coalesced;
#[allow(unused_imports, reason = "for the module under test, as its crate has them")]
use waker::{Error, Result, Wake, eventfd, pipe};

/// The module under test once more, with atomics that are loom's.
#[cfg_attr(not(feature = "mine-coalesced"), path = "../src/coalesced.rs")]
#[cfg_attr(feature = "mine-coalesced", path = "../exercises/coalesced.rs")]
#[allow(dead_code, reason = "the model uses a part of it")]
mod modelled;

mod sync {
    #[allow(
        unused_imports,
        reason = "an answer that has its atomics from elsewhere is told so by a test"
    )]
    pub use loom::sync::atomic;
}

fn scripted() -> (Rc<Coalesced<Scripted>>, Scripted) {
    let waker = Scripted::default();
    (Rc::new(Coalesced::new(waker.clone())), waker)
}

#[test]
fn a_second_wake_does_not_reach_the_waker() {
    let (coalesced, waker) = scripted();
    (0..1000).for_each(|_| coalesced.wake().unwrap());
    assert_eq!(
        waker.wakes(),
        1,
        "the loop was woken 1000 times before it came round, and the waker {} times: each costs a system call, and one \
         would do",
        waker.wakes()
    );
}

#[test]
fn a_thousand_wakes_are_one_system_call() {
    let Some(answer) = traced("as-it-is", &["waker", "coalesced", "calls-of-wakes"]) else { return };
    let calls: Vec<&str> = answer.lines("call").collect();
    assert_eq!(
        answer.line("before"),
        "ready",
        "after 1000 wakes the pipe is not ready. The calls: {calls:?}"
    );
    assert_eq!(
        calls,
        ["write -> 1"],
        "1000 wakes asked the kernel {} times, and one write would have done",
        calls.len()
    );
}

#[test]
fn after_it_is_consumed_the_next_wake_counts() {
    let (coalesced, waker) = scripted();
    for round in 1..=3 {
        coalesced.wake().unwrap();
        assert_eq!(
            waker.wakes(),
            round,
            "wake number {round}, after the others were consumed, did not reach the waker: who clears the flag?"
        );
        coalesced.consume_then(|| ()).unwrap();
        assert!(!waker.is_ready(), "the wake was consumed, and the waker is still ready");
    }
}

#[test]
fn what_look_finds_is_returned() {
    let (coalesced, _waker) = scripted();
    assert_eq!(coalesced.consume_then(|| 42).unwrap(), 42);
}

#[test]
fn a_wake_while_the_loop_looks_is_not_lost() {
    let (coalesced, waker) = scripted();
    coalesced.wake().unwrap();
    coalesced.consume_then(|| coalesced.wake().unwrap()).unwrap();
    assert!(
        waker.wakes() == 2,
        "while the loop looked at its queue, something was queued and the loop woken: the flag was still set, so \
         nothing was written. It is cleared before the queue is looked at, or what comes in between waits for ever"
    );
    assert!(
        waker.is_ready(),
        "while the loop looked at its queue it was woken, and that was drained afterwards, with what it was for still \
         in the queue: drain, and then look"
    );
}

#[test]
fn a_wake_while_the_loop_drains_is_not_lost() {
    let (coalesced, waker) = scripted();
    coalesced.wake().unwrap();
    let (news, other) = (Rc::new(Cell::new(false)), coalesced.clone());
    let queue = news.clone();
    waker.before_drain(move || {
        queue.set(true);
        other.wake().unwrap();
    });
    let seen = coalesced.consume_then(|| news.get()).unwrap();
    assert!(
        seen || waker.is_ready(),
        "news came while the waker was being drained: the look did not see it, and the waker is not ready"
    );
    let before = waker.wakes();
    coalesced.wake().unwrap();
    assert!(
        waker.is_ready(),
        "a wake came after the flag was cleared and before the waker was drained: it set the flag, and its byte was \
         drained with the others. Now the flag is set, the waker is not ready ({before} wakes), and nobody will ever \
         wake this loop. Drain, and then clear"
    );
}

#[test]
fn a_loop_that_is_faster_than_its_waker_can_be_woken_again() {
    let (coalesced, waker) = scripted();
    let other = coalesced.clone();
    // The byte is in the pipe: the loop comes round before `wake` has returned.
    waker.after_wake(move || other.consume_then(|| ()).unwrap());
    coalesced.wake().unwrap();
    coalesced.wake().unwrap();
    assert!(
        waker.is_ready(),
        "the loop consumed a wake before the call that made it had returned, and then the flag was set, with nothing \
         pending: the flag is set before the waker is woken, never after"
    );
}

#[test]
fn a_byte_that_comes_late_is_drained_too() {
    let (coalesced, waker) = scripted();
    let other = coalesced.clone();
    // The flag is set and the byte not written: the loop comes round, because of something else.
    waker.before_wake(move || other.consume_then(|| ()).unwrap());
    coalesced.wake().unwrap();
    coalesced.consume_then(|| ()).unwrap();
    assert!(
        !waker.is_ready(),
        "a byte was written after its flag was cleared: the loop came round for something else in between. The waker \
         is ready with the flag clear, and was not drained: the loop spins"
    );
}

#[test]
fn a_wake_that_failed_is_not_pending() {
    let (coalesced, waker) = scripted();
    waker.fail(true);
    assert!(coalesced.wake().is_err(), "the waker failed, and `wake` does not say so");
    assert!(coalesced.wake().is_err(), "a wake failed, and the next one says that one is pending");
    waker.fail(false);
    coalesced.wake().unwrap();
    assert!(waker.is_ready(), "a wake failed, and the ones after it do not reach the waker any more");
}

#[test]
fn a_drain_that_failed_is_an_error() {
    let (coalesced, waker) = scripted();
    coalesced.wake().unwrap();
    waker.fail(true);
    let consumed = coalesced.consume_then(|| panic!("nothing was consumed, and the loop looks at its queue"));
    assert_eq!(
        consumed.map_err(|error| error.errno),
        Err(Errno::EIO),
        "a loop that cannot drain its waker spins"
    );
}

#[test]
fn it_keeps_the_contract_of_a_waker() {
    for each in [0, 1, 2, 3] {
        let waker = Coalesced::new(pipe::Waker::new().unwrap());
        match each {
            0 => contract::a_wake_makes_it_ready(&waker),
            1 => contract::a_consumed_wake_is_gone(&waker),
            2 => contract::it_can_be_woken_again(&waker),
            _ => contract::a_wake_from_another_thread_ends_the_sleep(&waker),
        }
    }
}

// ANCHOR: model
/// What loom runs: threads that queue something and wake a loop, in every order of their steps.
///
/// The waker behind the flag is ready or not. The loop comes round a few times while they are at it, as it does
/// for other descriptors and for timers. When they are done, it comes round once more if the waker is ready,
/// and then it sleeps: whatever is in its queue by then stays there. `preemptions` is how often a thread may be
/// interrupted by another in its course; nothing is every order there is.
fn model(threads: usize, each: usize, rounds: usize, preemptions: Option<usize>) {
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicBool, Ordering::Relaxed};

    struct Pipe(AtomicBool);
    struct Nothing;

    // Relaxed, and each a read and a write in one: what is in a pipe is one truth for all, and orders nothing else.
    impl Wake for Pipe {
        fn wake(&self) -> Result<()> {
            self.0.swap(true, Relaxed);
            Ok(())
        }

        fn consume(&self) -> Result<()> {
            self.0.swap(false, Relaxed);
            Ok(())
        }
    }

    impl Wake for Nothing {
        fn wake(&self) -> Result<()> {
            Ok(())
        }

        fn consume(&self) -> Result<()> {
            Ok(())
        }
    }

    struct Shared {
        coalesced: modelled::Coalesced<Pipe>,
        queue: Vec<AtomicBool>,
        panicked: Cell<bool>,
    }

    impl Shared {
        fn send(&self, item: usize) {
            self.queue[item].store(true, Relaxed);
            self.survive(|| self.coalesced.wake().unwrap());
        }

        fn come_round(&self, seen: &mut [bool]) {
            let look = || {
                seen.iter_mut().zip(&self.queue).for_each(|(seen, item)| *seen |= item.load(Relaxed));
            };
            self.survive(|| self.coalesced.consume_then(look).unwrap());
        }

        /// A panic must not unwind through loom while other threads have yet to end. It is kept for later.
        fn survive(&self, work: impl FnOnce()) {
            if catch_unwind(AssertUnwindSafe(work)).is_err() {
                self.panicked.set(true);
            }
        }

        fn is_ready(&self) -> bool {
            self.coalesced.get_ref().0.fetch_or(false, Relaxed)
        }
    }

    assert!(
        size_of::<modelled::Coalesced<Nothing>>() >= size_of::<AtomicBool>(),
        "the flag is not an atomic of `super::sync`, so loom cannot see it, and no order of steps can be tried"
    );
    let mut model = loom::model::Builder::new();
    model.preemption_bound = preemptions;
    model.check(move || {
        let items = threads * each;
        // And one for when all is quiet.
        let queue = (0..=items).map(|_| AtomicBool::new(false)).collect();
        let coalesced = modelled::Coalesced::new(Pipe(AtomicBool::new(false)));
        let shared = Arc::new(Shared { coalesced, queue, panicked: Cell::new(false) });
        let mut seen = vec![false; items];
        let senders: Vec<_> = (0..threads)
            .map(|thread| {
                let shared = shared.clone();
                loom::thread::spawn(move || (0..each).for_each(|item| shared.send(thread * each + item)))
            })
            .collect();
        (0..rounds).for_each(|_| shared.come_round(&mut seen));
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        assert!(!shared.panicked.get(), "it panicked; what it said is above");
        if shared.is_ready() {
            shared.come_round(&mut seen);
        }
        assert!(!shared.is_ready(), "the loop came round, and the waker is still ready: it will never sleep again");
        assert!(
            seen.iter().all(|seen| *seen),
            "in one order of the steps a wake-up is lost: the loop sleeps, the waker is not ready, and something is in \
             the queue. Two things bring that about: the wrong order of drain, clear and look; and an access to the \
             flag that does not order what it has to. `wake` publishes what was queued before it, whether it finds \
             the flag set or not, and the clear has to read what it takes away, so that `look` sees it"
        );
        shared.send(items);
        assert!(
            shared.is_ready(),
            "in one order of the steps the flag stays set with nothing pending: the loop sleeps, and everybody who \
             wakes it from now on believes that it has been woken"
        );
    });
}
// ANCHOR_END: model

/// Without a limit this takes thirty times as long, and has found nothing more.
#[test]
fn no_order_of_two_threads_loses_a_wake_up() {
    model(2, 1, 1, Some(3));
}

#[test]
fn no_order_of_two_wakes_of_one_thread_loses_a_wake_up() {
    model(1, 2, 2, None);
}

// ANCHOR: race
const THREADS: u64 = 8;
const WAKES: u64 = 100_000;

/// Threads queue and wake as fast as they can, and a loop sleeps in poll whenever it has nothing to do.
fn race(waker: &impl contract::Waker, consume: impl Fn(&dyn Fn() -> u64) -> u64) {
    let queue = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..WAKES {
                    queue.fetch_add(1, Ordering::Relaxed);
                    waker.wake().unwrap();
                }
            });
        }
        let mut seen = 0;
        while seen < THREADS * WAKES {
            let slept = !wait(waker, LONG);
            let left = queue.load(Ordering::Relaxed);
            // A second look: something may have been queued just now, with its wake to come.
            assert!(
                !slept || left == 0 || wait(waker, 1000),
                "the loop slept for {LONG} ms with {left} items in its queue, after {seen} of {}: a wake-up was lost",
                THREADS * WAKES
            );
            seen += consume(&|| queue.swap(0, Ordering::Relaxed));
        }
    });
}
// ANCHOR_END: race

#[test]
fn eight_threads_racing_one_loop_lose_nothing() {
    let waker = Coalesced::new(pipe::Waker::new().unwrap());
    race(&waker, |look| waker.consume_then(look).unwrap());
    let waker = Coalesced::new(eventfd::Waker::new().unwrap());
    race(&waker, |look| waker.consume_then(look).unwrap());
}
