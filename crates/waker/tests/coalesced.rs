//! Tests of the exercise `waker/coalesced`, in every order of its steps.
//!
//! There are four kinds: chosen orders, with a scripted waker behind the flag; every order within a bound, with loom;
//! system calls, counted by the tracer; and threads that race on the real kernel.

mod support;

#[path = "scenarios/wakers.rs"]
mod scenarios;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use nix::errno::Errno;
use support::scripted::Scripted;
use support::{LONG, contract, traced, wait};
use waker::coalesced::Coalesced;
#[allow(unused_imports, reason = "the module under test imports them from its parent")]
use waker::{Error, Result, Wake, eventfd, pipe};

testing::helper!(|args| support::helper::answer(args, scenarios::run));

/// The module under test once more, with loom's atomics.
#[cfg_attr(not(feature = "mine-coalesced"), path = "../src/coalesced.rs")]
#[cfg_attr(feature = "mine-coalesced", path = "../exercises/coalesced.rs")]
#[allow(dead_code, reason = "the model uses a part of it")]
mod modelled;

mod sync {
    #[allow(unused_imports, reason = "a test reports an answer with other atomics")]
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
        "`wake` was called 1000 times before the loop consumed it, and the waker was woken {} times. Each is a \
         system call; only the first one is needed",
        waker.wakes()
    );
}

#[test]
fn a_thousand_wakes_make_one_system_call() {
    let Some(answer) = traced("as-it-is", &["waker", "coalesced", "calls-of-wakes"]) else { return };
    let calls: Vec<&str> = answer.lines("call").collect();
    assert_eq!(
        answer.line("before"),
        "ready",
        "after 1000 wakes, the pipe is not readable. The calls: {calls:?}"
    );
    assert_eq!(calls, ["write -> 1"], "1000 wakes made {} system calls instead of one write", calls.len());
}

#[test]
fn the_next_wake_after_consume_reaches_the_waker() {
    let (coalesced, waker) = scripted();
    for round in 1..=3 {
        coalesced.wake().unwrap();
        assert_eq!(
            waker.wakes(),
            round,
            "wake number {round}, after the earlier ones were consumed, did not reach the waker. Does `consume_then` \
             clear the flag?"
        );
        coalesced.consume_then(|| ()).unwrap();
        assert!(!waker.is_ready(), "the wake was consumed, and the waker is still ready");
    }
}

#[test]
fn consume_then_returns_the_result_of_check() {
    let (coalesced, _waker) = scripted();
    assert_eq!(coalesced.consume_then(|| 42).unwrap(), 42);
}

#[test]
fn a_wake_during_the_check_is_not_lost() {
    let (coalesced, waker) = scripted();
    coalesced.wake().unwrap();
    coalesced.consume_then(|| coalesced.wake().unwrap()).unwrap();
    assert!(
        waker.wakes() == 2,
        "a wake came while the loop checked its queue, and it did not reach the waker, because the flag was still \
         set. Clear the flag before you check, or an item that is queued between the two waits forever"
    );
    assert!(
        waker.is_ready(),
        "a wake came while the loop checked its queue, and `consume_then` drained its byte afterwards, with the \
         item still in the queue. Drain first, then check"
    );
}

#[test]
fn a_wake_during_the_drain_is_not_lost() {
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
        "an item was queued while the waker was drained, `check` did not see it, and the waker is not ready"
    );
    let before = waker.wakes();
    coalesced.wake().unwrap();
    assert!(
        waker.is_ready(),
        "a wake came after the flag was cleared and before the waker was drained. It set the flag, and its byte was \
         drained with the others. Now the flag is set and the waker is not ready (after {before} wakes), so no later \
         wake reaches the loop. Drain first, then clear"
    );
}

#[test]
fn a_consume_before_wake_returns_loses_no_later_wake() {
    let (coalesced, waker) = scripted();
    let other = coalesced.clone();
    // The byte is in the pipe, and the loop consumes it before `wake` has returned.
    waker.after_wake(move || other.consume_then(|| ()).unwrap());
    coalesced.wake().unwrap();
    coalesced.wake().unwrap();
    assert!(
        waker.is_ready(),
        "the loop consumed a wake before that `wake` returned, and then the flag was set, although no wake was \
         pending. Set the flag before you wake the waker"
    );
}

#[test]
fn a_byte_written_after_the_clear_is_drained() {
    let (coalesced, waker) = scripted();
    let other = coalesced.clone();
    // The flag is set and the byte is not written yet; the loop runs because of another event.
    waker.before_wake(move || other.consume_then(|| ()).unwrap());
    coalesced.wake().unwrap();
    coalesced.consume_then(|| ()).unwrap();
    assert!(
        !waker.is_ready(),
        "the loop ran because of another event and cleared the flag, and then the byte of that wake was written. The \
         waker is ready with the flag clear, and `consume_then` did not drain it, so the loop spins. Always drain"
    );
}

#[test]
fn a_failed_wake_is_not_pending() {
    let (coalesced, waker) = scripted();
    waker.fail(true);
    assert!(coalesced.wake().is_err(), "the waker failed, and `wake` did not return its error");
    assert_eq!(
        waker.wakes(),
        1,
        "the waker failed, and `wake` woke it {} times. Wake it once and return the error: only the caller knows whether to \
         try again",
        waker.wakes()
    );
    assert!(
        coalesced.wake().is_err(),
        "a wake failed, and the next one returned Ok, as if a wake were pending. Clear the flag after a failure"
    );
    waker.fail(false);
    coalesced.wake().unwrap();
    assert!(waker.is_ready(), "after a failed wake, later wakes do not reach the waker");
}

#[test]
fn a_failed_drain_is_an_error() {
    let (coalesced, waker) = scripted();
    coalesced.wake().unwrap();
    waker.fail(true);
    let consumed = coalesced.consume_then(|| panic!("the drain failed, and `check` was called"));
    assert_eq!(
        consumed.map_err(|error| error.errno),
        Err(Errno::EIO),
        "the drain failed, and `consume_then` did not return the error. A loop that cannot drain its waker spins"
    );
}

#[test]
fn coalesced_keeps_the_wakers_contract() {
    for each in [0, 1, 2, 3] {
        let waker = Coalesced::new(pipe::Waker::new().unwrap());
        match each {
            0 => contract::a_wake_makes_the_waker_ready(&waker),
            1 => contract::consume_ends_the_readiness(&waker),
            2 => contract::a_consumed_waker_can_be_woken_again(&waker),
            _ => contract::a_wake_from_another_thread_ends_the_sleep(&waker),
        }
    }
}

// ANCHOR: model
/// The model that loom runs: threads that queue items and wake a loop, in every order of their steps.
///
/// The waker behind the flag is only a Boolean: ready or not. While the threads run, the loop consumes `rounds` times,
/// as it does because of other descriptors and timers. When they have finished, it consumes once more if the waker is
/// ready, and then it sleeps: an item that is still in its queue stays there. `preemptions` limits how often one
/// thread may interrupt another.
fn model(threads: usize, each: usize, rounds: usize, preemptions: usize) {
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicBool, Ordering::Relaxed};

    struct Pipe(AtomicBool);
    struct Nothing;

    // A thread that reads a pipe gets every byte that was written before, so the model must read the latest value. A swap
    // and a fetch_or do; a load may return an older one. Relaxed, because a pipe does not order other memory accesses.
    impl Wake for Pipe {
        fn wake(&self) -> Result<()> {
            // Like a waker that does nothing if it is ready already. If nothing orders the last drain before this wake, the
            // load may return the value from before the drain, and the wake is lost.
            if !self.0.load(Relaxed) {
                self.0.swap(true, Relaxed);
            }
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
        /// A Cell, because loom runs all threads of the model in turns, on one real thread.
        panicked: Cell<bool>,
    }

    impl Shared {
        fn send(&self, item: usize) {
            self.queue[item].store(true, Relaxed);
            self.survive(|| self.coalesced.wake().unwrap());
        }

        fn come_round(&self, seen: &mut [bool]) {
            let check = || {
                seen.iter_mut().zip(&self.queue).for_each(|(seen, item)| *seen |= item.load(Relaxed));
            };
            self.survive(|| self.coalesced.consume_then(check).unwrap());
        }

        /// Catches a panic and records it, because a panic must not unwind through loom while other threads run.
        fn survive(&self, work: impl FnOnce()) {
            if catch_unwind(AssertUnwindSafe(work)).is_err() {
                self.panicked.set(true);
            }
        }

        fn is_ready(&self) -> bool {
            self.coalesced.get_ref().0.fetch_or(false, Relaxed)
        }
    }

    // loom sees only its own atomics. They are larger than std's, so around a waker without fields the size shows which
    // of them the flag is.
    assert!(
        size_of::<modelled::Coalesced<Nothing>>() >= size_of::<AtomicBool>(),
        "the flag is not an atomic of `super::sync`, so loom cannot see it or vary the order of the steps"
    );
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(move || {
        let items = threads * each;
        // One item more, for the time when all threads have finished.
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
        assert!(!shared.panicked.get(), "the code under test panicked; its message is above");
        if shared.is_ready() {
            shared.come_round(&mut seen);
        }
        assert!(
            !shared.is_ready(),
            "the loop consumed the wake, and the waker is still ready, so the loop never sleeps again"
        );
        assert!(
            seen.iter().all(|seen| *seen),
            "in one order of the steps, a wake-up is lost: the loop sleeps, the waker is not ready, and an item is \
             in the queue. There are two usual causes: the wrong order of drain, clear and check, or an access to the \
             flag with too weak an ordering. `wake` must publish the queued item whether the flag is set or clear, \
             and the clear must read the value that the last wake wrote, so that `check` sees the item. A wake that finds \
             the flag clear must come after the drain: the clear releases, and that wake acquires"
        );
        shared.send(items);
        assert!(
            shared.is_ready(),
            "in one order of the steps, the flag stays set although no wake is pending: the loop sleeps, and every \
             later wake finds the flag set and does not reach the waker"
        );
    });
}
// ANCHOR_END: model

/// The model of a wake that fails: thread A's wake does, and meanwhile thread B queues an item and finds the flag set. The
/// next wake that succeeds leads to a `check` that sees B's item.
fn model_of_a_failed_wake() {
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicBool, Ordering::Relaxed};

    /// Fails once. The loop of this model does not sleep, so the waker need not be ready.
    struct Failing(AtomicBool);

    impl Wake for Failing {
        fn wake(&self) -> Result<()> {
            match self.0.swap(false, Relaxed) {
                true => Err(Error::on("write", "the model's waker")(Errno::EIO)),
                false => Ok(()),
            }
        }

        fn consume(&self) -> Result<()> {
            Ok(())
        }
    }

    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(PREEMPTIONS);
    model.check(|| {
        let coalesced = Arc::new(modelled::Coalesced::new(Failing(AtomicBool::new(true))));
        let (item, woke) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let a = coalesced.clone();
        let a = loom::thread::spawn(move || drop(a.wake()));
        let b = (coalesced.clone(), item.clone(), woke.clone());
        let b = loom::thread::spawn(move || {
            let (coalesced, item, woke) = b;
            item.store(true, Relaxed);
            // Relaxed, so that only the flag may make the item visible.
            woke.swap(coalesced.wake().is_ok(), Relaxed);
        });
        let b_woke = woke.fetch_or(false, Relaxed);
        let woken = coalesced.wake().is_ok();
        let seen = coalesced.consume_then(|| item.load(Relaxed)).unwrap();
        // Before the joins, which would make everything visible.
        assert!(
            seen || !b_woke || !woken,
            "in one order of the steps, a wake failed while another thread found the flag set, and the next `check` did \
             not see that thread's item. Clear the flag after a failure with a swap: a store reads nothing, so it does \
             not pass on the items that other threads have published to the flag"
        );
        a.join().unwrap();
        b.join().unwrap();
    });
}

#[test]
fn no_order_of_a_failed_wake_hides_an_item() {
    model_of_a_failed_wake();
}

/// How often one thread may interrupt another. Without this limit the two tests take twenty times as long, and found no
/// further mistakes.
const PREEMPTIONS: usize = 3;

#[test]
fn no_order_of_two_threads_loses_a_wake_up() {
    model(2, 1, 1, PREEMPTIONS);
}

#[test]
fn no_order_of_two_wakes_of_one_thread_loses_a_wake_up() {
    model(1, 2, 2, PREEMPTIONS);
}

// ANCHOR: race
const THREADS: u64 = 8;
const WAKES: u64 = 10_000;

/// Threads queue items and call `wake` as fast as they can, and a loop sleeps in poll whenever its queue is empty.
/// `consume` drains the waker, calls the closure that it gets, which empties the queue, and returns the closure's count.
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
            // Wait once more, because an item may have been queued just now, and its wake may still come.
            assert!(
                !slept || left == 0 || wait(waker, 1000),
                "a wake-up was lost: the loop slept for {LONG} ms with {left} items in its queue, after {seen} items \
                 of {}",
                THREADS * WAKES
            );
            seen += consume(&|| queue.swap(0, Ordering::Relaxed));
        }
    });
}
// ANCHOR_END: race

#[test]
fn eight_racing_threads_lose_no_wake_up() {
    let waker = Coalesced::new(pipe::Waker::new().unwrap());
    race(&waker, |check| waker.consume_then(check).unwrap());
    let waker = Coalesced::new(eventfd::Waker::new().unwrap());
    race(&waker, |check| waker.consume_then(check).unwrap());
}
