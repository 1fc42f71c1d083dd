//! State that crosses threads, in every order of the threads' steps: loom runs a model of a loop and of the threads
//! that send to it and stop it. It also runs models that are wrong in one way, to show that it finds the bug.

use ioloop::Result;
use loom::sync::Arc;
use loom::sync::atomic::AtomicUsize;
use sync::{AtomicBool, Mutex, Ordering};
use waker::Wake;

/// The module under test again, with the lock and the atomics of loom.
#[allow(dead_code, reason = "the model uses a part of it")]
#[path = "../src/shared.rs"]
mod shared;

/// The flag of the waker.
#[path = "../../waker/src/coalesced.rs"]
#[allow(dead_code, reason = "the model uses a part of it")]
mod coalesced;

mod sync {
    pub use loom::sync::atomic::{self, AtomicBool, Ordering};
    pub use loom::sync::{Mutex, MutexGuard};

    pub use super::coalesced::Coalesced;
}

/// The event that the loop waits for. Relaxed, and each access is a read and a write in one: all threads see the same
/// state of the kernel, which orders nothing.
trait Kernel: Wake + 'static {
    fn new() -> Self;
    /// What a wait reports.
    fn is_ready(&self) -> bool;
}

/// A pipe, or a level-triggered eventfd: ready until it is drained.
struct Level(AtomicBool);

impl Wake for Level {
    fn wake(&self) -> Result<()> {
        self.0.swap(true, Ordering::Relaxed);
        Ok(())
    }

    fn consume(&self) -> Result<()> {
        self.0.swap(false, Ordering::Relaxed);
        Ok(())
    }
}

impl Kernel for Level {
    fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    fn is_ready(&self) -> bool {
        self.0.fetch_or(false, Ordering::Relaxed)
    }
}

/// An edge-triggered eventfd that is never drained: each write is an edge, and the wait that reports it consumes it.
struct Edge(AtomicBool);

impl Wake for Edge {
    fn wake(&self) -> Result<()> {
        self.0.swap(true, Ordering::Relaxed);
        Ok(())
    }

    fn consume(&self) -> Result<()> {
        Ok(())
    }
}

impl Kernel for Edge {
    fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    fn is_ready(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// A message: its number, and the counter of its drops.
struct Item(usize, Arc<AtomicUsize>);

impl Drop for Item {
    fn drop(&mut self) {
        self.1.fetch_add(1, Ordering::Relaxed);
    }
}

/// The state that a loop and its handles share, right or wrong.
trait Crossing {
    fn send(&self, item: Item);
    fn receive(&self) -> Vec<Item>;
    fn stop(&self);
    fn take_stop(&self) -> bool;
    fn close(&self);
    fn is_ready(&self) -> bool;
}

impl<K: Kernel> Crossing for shared::Shared<Item, K> {
    fn send(&self, item: Item) {
        self.send(item).unwrap();
    }

    fn receive(&self) -> Vec<Item> {
        let mut received = Vec::new();
        self.receive(|item| received.push(item)).unwrap();
        received
    }

    fn stop(&self) {
        self.stop().unwrap();
    }

    fn take_stop(&self) -> bool {
        self.take_stop()
    }

    fn close(&self) {
        self.close();
    }

    fn is_ready(&self) -> bool {
        self.waker().get_ref().is_ready()
    }
}

/// The bug.
#[derive(Clone, Copy, PartialEq)]
enum Mistake {
    /// The loop takes the queue, and then drains the wake.
    ConsumedAfterTheQueue,
    /// A thread wakes the loop, and then queues the message.
    WokenBeforeItIsQueued,
    /// A thread wakes the loop, and then sets the stop.
    WokenBeforeTheStop,
    /// A thread checks for a close before it takes the lock.
    ClosedOutsideOfTheLock,
    /// The loop clears the flag before it sleeps, instead of after it woke.
    ClearedBeforeTheWait,
    /// The loop clears the flag with a store, which does not synchronize with the wakes that found the flag set.
    ClearedByAStore,
}

/// The shared state, written by hand, with one bug.
struct Wrong<K> {
    mistake: Mistake,
    queue: Mutex<Vec<Item>>,
    closed: AtomicBool,
    stop: AtomicBool,
    pending: AtomicBool,
    kernel: K,
}

impl<K: Kernel> Wrong<K> {
    fn new(mistake: Mistake) -> Self {
        let [closed, stop, pending] = [false; 3].map(AtomicBool::new);
        Self { mistake, queue: Mutex::default(), closed, stop, pending, kernel: K::new() }
    }

    fn take(&self) -> Vec<Item> {
        std::mem::take(&mut *self.queue.lock().unwrap())
    }

    fn wake(&self) {
        if !self.pending.swap(true, Ordering::AcqRel) {
            self.kernel.wake().unwrap();
        }
    }

    fn consume(&self) {
        self.kernel.consume().unwrap();
        match self.mistake {
            Mistake::ClearedByAStore => self.pending.store(false, Ordering::Release),
            Mistake::ClearedBeforeTheWait => {}
            _ => drop(self.pending.swap(false, Ordering::AcqRel)),
        }
    }
}

impl<K: Kernel> Crossing for Wrong<K> {
    fn send(&self, item: Item) {
        if self.mistake == Mistake::WokenBeforeItIsQueued {
            self.wake();
        }
        if self.mistake == Mistake::ClosedOutsideOfTheLock && self.closed.load(Ordering::Acquire) {
            return;
        }
        let mut queue = self.queue.lock().unwrap();
        if self.mistake == Mistake::ClosedOutsideOfTheLock || !self.closed.load(Ordering::Relaxed) {
            queue.push(item);
        }
        drop(queue);
        if self.mistake != Mistake::WokenBeforeItIsQueued {
            self.wake();
        }
    }

    fn receive(&self) -> Vec<Item> {
        if self.mistake == Mistake::ConsumedAfterTheQueue {
            let received = self.take();
            self.consume();
            return received;
        }
        self.consume();
        self.take()
    }

    fn stop(&self) {
        if self.mistake == Mistake::WokenBeforeTheStop {
            self.wake();
        }
        self.stop.store(true, Ordering::Release);
        if self.mistake != Mistake::WokenBeforeTheStop {
            self.wake();
        }
    }

    fn take_stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed) && self.stop.swap(false, Ordering::AcqRel)
    }

    fn close(&self) {
        let mut queue = self.queue.lock().unwrap();
        self.closed.store(true, Ordering::Release);
        let dropped = std::mem::take(&mut *queue);
        drop(queue);
        drop(dropped);
    }

    fn is_ready(&self) -> bool {
        if self.mistake == Mistake::ClearedBeforeTheWait {
            self.pending.swap(false, Ordering::AcqRel);
        }
        self.kernel.is_ready()
    }
}

/// Every order of the steps with at most three preemptions. Without that limit the run takes many times as long, and
/// finds no more bugs.
fn in_every_order<C: Crossing + 'static>(
    make: impl Fn() -> C + Send + Sync + 'static,
    scenario: impl Fn(&Arc<C>, &Arc<AtomicUsize>) + Send + Sync + 'static,
) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || scenario(&Arc::new(make()), &Arc::new(AtomicUsize::new(0))));
}

fn right<K: Kernel>() -> shared::Shared<Item, K> {
    shared::Shared::new(K::new())
}

fn wrong<K: Kernel>(mistake: Mistake) -> impl Fn() -> Wrong<K> {
    move || Wrong::new(mistake)
}

/// A thread that runs this.
fn elsewhere<C: Crossing + 'static>(
    shared: &Arc<C>,
    what: impl FnOnce(&C) + 'static,
) -> loom::thread::JoinHandle<()> {
    let shared = Arc::clone(shared);
    loom::thread::spawn(move || what(&shared))
}

// ANCHOR: scenarios
/// The loop iterates twice while the threads run, as it does for timers, and then only if its waker is ready.
fn two_threads_send<C: Crossing + 'static>(shared: &Arc<C>, dropped: &Arc<AtomicUsize>) {
    let senders = [0, 1].map(|n| {
        let item = Item(n, Arc::clone(dropped));
        elsewhere(shared, move |shared| shared.send(item))
    });
    let mut ran = [0; 2];
    let mut come_round = || {
        if shared.is_ready() {
            shared.receive().iter().for_each(|item| ran[item.0] += 1);
        }
    };
    come_round();
    come_round();
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    come_round();
    assert!(!shared.is_ready(), "the loop has iterated, and its waker is still ready: it never sleeps again");
    assert_eq!(
        ran,
        [1, 1],
        "how often each callback ran: in one order of the steps a callback stays in the queue while the loop sleeps, \
         or runs twice"
    );
}

fn one_sends_and_another_stops<C: Crossing + 'static>(shared: &Arc<C>, dropped: &Arc<AtomicUsize>) {
    let item = Item(0, Arc::clone(dropped));
    let others = [elsewhere(shared, move |shared| shared.send(item)), elsewhere(shared, Crossing::stop)];
    let (mut ran, mut stops) = (0, 0);
    let mut come_round = || {
        if shared.is_ready() {
            ran += shared.receive().len();
            stops += usize::from(shared.take_stop());
        }
    };
    come_round();
    come_round();
    others.into_iter().for_each(|other| other.join().unwrap());
    come_round();
    assert_eq!(
        (ran, stops),
        (1, 1),
        "what ran, and how often the loop was stopped: in one order of the steps the loop sleeps, and misses one of \
         the two"
    );
}

fn one_sends_while_it_is_closed<C: Crossing + 'static>(shared: &Arc<C>, dropped: &Arc<AtomicUsize>) {
    let items = [0, 1].map(|n| Item(n, Arc::clone(dropped)));
    let sender = elsewhere(shared, move |shared| items.into_iter().for_each(|item| shared.send(item)));
    let ran = if shared.is_ready() { shared.receive() } else { Vec::new() };
    assert!(ran.iter().map(|item| item.0).eq(0..ran.len()), "the callbacks changed their order");
    drop(ran);
    shared.close();
    sender.join().unwrap();
    assert_eq!(
        dropped.load(Ordering::Relaxed),
        2,
        "two callbacks were sent while the loop was being closed, and this many were dropped: in one order of the \
         steps a callback stays in the queue of a closed loop, with its captures"
    );
}
// ANCHOR_END: scenarios

#[test]
fn no_order_loses_what_two_threads_send_or_runs_it_twice() {
    in_every_order(right::<Level>, two_threads_send);
    in_every_order(right::<Edge>, two_threads_send);
}

#[test]
fn no_order_loses_a_stop() {
    in_every_order(right::<Level>, one_sends_and_another_stops);
    in_every_order(right::<Edge>, one_sends_and_another_stops);
}

#[test]
fn no_order_leaves_a_callback_in_a_closed_loop() {
    in_every_order(right::<Level>, one_sends_while_it_is_closed);
    in_every_order(right::<Edge>, one_sends_while_it_is_closed);
}

#[test]
#[should_panic(expected = "a callback stays in the queue while the loop sleeps")]
fn a_wake_that_is_drained_after_the_queue_was_taken_is_found() {
    in_every_order(wrong::<Level>(Mistake::ConsumedAfterTheQueue), two_threads_send);
}

#[test]
#[should_panic(expected = "a callback stays in the queue while the loop sleeps")]
fn a_flag_that_is_cleared_after_the_queue_was_taken_is_found_without_a_drain_too() {
    in_every_order(wrong::<Edge>(Mistake::ConsumedAfterTheQueue), two_threads_send);
}

#[test]
#[should_panic(expected = "a callback stays in the queue while the loop sleeps")]
fn a_flag_that_is_cleared_before_the_wait_is_found() {
    in_every_order(wrong::<Edge>(Mistake::ClearedBeforeTheWait), two_threads_send);
}

#[test]
#[should_panic(expected = "misses one of the two")]
fn a_flag_that_is_cleared_by_a_store_is_found() {
    in_every_order(wrong::<Edge>(Mistake::ClearedByAStore), one_sends_and_another_stops);
}

#[test]
#[should_panic(expected = "a callback stays in the queue while the loop sleeps")]
fn a_wake_before_the_message_is_queued_is_found() {
    in_every_order(wrong::<Edge>(Mistake::WokenBeforeItIsQueued), two_threads_send);
}

#[test]
#[should_panic(expected = "misses one of the two")]
fn a_wake_before_the_stop_is_found() {
    in_every_order(wrong::<Edge>(Mistake::WokenBeforeTheStop), one_sends_and_another_stops);
}

#[test]
#[should_panic(expected = "a callback stays in the queue of a closed loop")]
fn a_close_that_is_checked_outside_the_lock_is_found() {
    in_every_order(wrong::<Level>(Mistake::ClosedOutsideOfTheLock), one_sends_while_it_is_closed);
}
