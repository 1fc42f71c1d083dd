//! What crosses threads, in every order of the threads' steps: loom runs a model of a loop and of those that send to it
//! and stop it. And the same of loops that are wrong in one way, to show that the model finds that.

use ioloop::Result;
use loom::sync::Arc;
use loom::sync::atomic::AtomicUsize;
use sync::{AtomicBool, Mutex, Ordering};
use waker::Wake;

/// The module under test once more, with a lock and atomics that are loom's.
#[allow(dead_code, reason = "the model uses a part of it")]
#[path = "../src/shared.rs"]
mod shared;

/// And the waker's flag.
#[path = "../../waker/src/coalesced.rs"]
#[allow(dead_code, reason = "the model uses a part of it")]
mod coalesced;

mod sync {
    pub use loom::sync::atomic::{self, AtomicBool, Ordering};
    pub use loom::sync::{Mutex, MutexGuard};

    pub use super::coalesced::Coalesced;
}

/// What the loop waits for. Relaxed, and each a read and a write in one: what is in the kernel is one truth for all
/// threads, and orders nothing.
trait Kernel: Wake + 'static {
    fn new() -> Self;
    /// What a wait reports.
    fn is_ready(&self) -> bool;
}

/// A pipe, or an eventfd that is watched for its level: ready until it is drained.
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

/// An eventfd that is watched for edges and never drained: each write is an edge, and the wait that reports it takes
/// it.
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

/// What is sent: which one it is, and where it is counted when it is dropped.
struct Item(usize, Arc<AtomicUsize>);

impl Drop for Item {
    fn drop(&mut self) {
        self.1.fetch_add(1, Ordering::Relaxed);
    }
}

/// What a loop and its handles share, right or wrong.
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

/// What is wrong with it.
#[derive(Clone, Copy, PartialEq)]
enum Mistake {
    /// The queue is taken, and then the wake is consumed.
    ConsumedAfterTheQueue,
    /// The loop is woken, and then it is queued.
    WokenBeforeItIsQueued,
    /// The loop is woken, and then the stop is said.
    WokenBeforeTheStop,
    /// Looked at before the lock is taken.
    ClosedOutsideOfTheLock,
    /// The flag is cleared before the loop sleeps, and not after it woke.
    ClearedBeforeTheWait,
    /// The flag is cleared by a store, which reads nothing and so sees nothing of the wakes that found it set.
    ClearedByAStore,
}

/// What is shared, by hand, and wrong in one way.
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

/// Every order of the steps in which a thread is interrupted in its course three times at most. Without that limit it
/// takes many times as long, and has found nothing more.
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

/// A thread that does this.
fn elsewhere<C: Crossing + 'static>(
    shared: &Arc<C>,
    what: impl FnOnce(&C) + 'static,
) -> loom::thread::JoinHandle<()> {
    let shared = Arc::clone(shared);
    loom::thread::spawn(move || what(&shared))
}

// ANCHOR: scenarios
/// The loop comes round twice while they are at it, as it does for timers, and then only if its waker is ready.
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
    assert!(!shared.is_ready(), "the loop has come round, and is still ready: it never sleeps again");
    assert_eq!(
        ran,
        [1, 1],
        "how often each ran: in one order of the steps one lies in the queue while the loop sleeps, or runs twice"
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
        "what ran, and how often it was stopped: in one order of the steps the loop sleeps, and has not seen one of \
         the two"
    );
}

fn one_sends_while_it_is_closed<C: Crossing + 'static>(shared: &Arc<C>, dropped: &Arc<AtomicUsize>) {
    let items = [0, 1].map(|n| Item(n, Arc::clone(dropped)));
    let sender = elsewhere(shared, move |shared| items.into_iter().for_each(|item| shared.send(item)));
    let ran = if shared.is_ready() { shared.receive() } else { Vec::new() };
    assert!(ran.iter().map(|item| item.0).eq(0..ran.len()), "they changed places");
    drop(ran);
    shared.close();
    sender.join().unwrap();
    assert_eq!(
        dropped.load(Ordering::Relaxed),
        2,
        "two were sent while the loop was closed, and so many are gone: in one order of the steps one lies in the \
         queue of a loop that is closed, with all that it holds"
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
fn no_order_leaves_something_in_a_loop_that_is_closed() {
    in_every_order(right::<Level>, one_sends_while_it_is_closed);
    in_every_order(right::<Edge>, one_sends_while_it_is_closed);
}

#[test]
#[should_panic(expected = "one lies in the queue while the loop sleeps")]
fn a_wake_that_is_consumed_after_the_queue_was_taken_is_found() {
    in_every_order(wrong::<Level>(Mistake::ConsumedAfterTheQueue), two_threads_send);
}

#[test]
#[should_panic(expected = "one lies in the queue while the loop sleeps")]
fn a_flag_that_is_cleared_after_the_queue_was_taken_is_found_without_a_drain_too() {
    in_every_order(wrong::<Edge>(Mistake::ConsumedAfterTheQueue), two_threads_send);
}

#[test]
#[should_panic(expected = "one lies in the queue while the loop sleeps")]
fn a_flag_that_is_cleared_before_the_wait_is_found() {
    in_every_order(wrong::<Edge>(Mistake::ClearedBeforeTheWait), two_threads_send);
}

#[test]
#[should_panic(expected = "has not seen one of the two")]
fn a_flag_that_is_cleared_by_a_store_is_found() {
    in_every_order(wrong::<Edge>(Mistake::ClearedByAStore), one_sends_and_another_stops);
}

#[test]
#[should_panic(expected = "one lies in the queue while the loop sleeps")]
fn a_wake_before_there_is_something_to_find_is_found() {
    in_every_order(wrong::<Edge>(Mistake::WokenBeforeItIsQueued), two_threads_send);
}

#[test]
#[should_panic(expected = "has not seen one of the two")]
fn a_wake_before_the_stop_is_found() {
    in_every_order(wrong::<Edge>(Mistake::WokenBeforeTheStop), one_sends_and_another_stops);
}

#[test]
#[should_panic(expected = "one lies in the queue of a loop that is closed")]
fn a_close_that_is_looked_at_outside_of_the_lock_is_found() {
    in_every_order(wrong::<Level>(Mistake::ClosedOutsideOfTheLock), one_sends_while_it_is_closed);
}
