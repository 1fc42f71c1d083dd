//! Another right answer: a waker from a vtable by hand, and `fetch_or` and `fetch_and` in place of the swaps.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use super::sync::{AtomicBool, Ordering, thread};

struct Owner(thread::Thread, AtomicBool);

static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, release);

fn clone(owner: *const ()) -> RawWaker {
    // SAFETY: each waker owns one count of the `Arc` that it points into, and this adds one for the clone.
    unsafe { Arc::increment_strong_count(owner.cast::<Owner>()) };
    RawWaker::new(owner, &VTABLE)
}

fn wake(owner: *const ()) {
    wake_by_ref(owner);
    release(owner);
}

fn wake_by_ref(owner: *const ()) {
    // SAFETY: the waker owns a count, so the value is alive.
    let Owner(thread, woken) = unsafe { &*owner.cast::<Owner>() };
    woken.fetch_or(true, Ordering::AcqRel);
    thread.unpark();
}

fn release(owner: *const ()) {
    // SAFETY: the waker owns a count, and is gone after this.
    unsafe { Arc::decrement_strong_count(owner.cast::<Owner>()) };
}

/// Run a future on this thread until it is ready, and return its output.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let owner = Arc::new(Owner(thread::current(), AtomicBool::new(false)));
    let raw = RawWaker::new(Arc::into_raw(Arc::clone(&owner)).cast(), &VTABLE);
    // SAFETY: the functions of the vtable keep the counts of an `Arc` that may be used in any thread.
    let waker = unsafe { Waker::from_raw(raw) };
    let mut future = pin!(future);
    loop {
        let output = future.as_mut().poll(&mut Context::from_waker(&waker));
        if let Poll::Ready(output) = output {
            return output;
        }
        while !owner.1.fetch_and(false, Ordering::AcqRel) {
            thread::park();
        }
    }
}
