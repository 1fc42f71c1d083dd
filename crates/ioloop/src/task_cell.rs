//! A task's future and the state that its wakers share, in one allocation.
//!
//! Contract: only the [`TaskFuture`] uses the future, in the thread that made it: it polls the future, and the future is dropped
//! when it is dropped. The wakers, in any thread, use the state. The allocation is freed with the last of them.
//!
//! With the future in a box and the state in an `Arc`, a task that slept for long would cost more cache misses for its wake,
//! its poll and its end. `just rows sleeping` measures it.

use std::cell::UnsafeCell;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::Outcome;

/// The allocation. It dereferences to the state.
// In this order, because a wake writes to the state and to the counts of the `Arc` before it.
#[repr(C)]
pub(crate) struct TaskCell<T, F> {
    state: T,
    /// The `TaskFuture` drops it. The cell must not, because a waker in another thread may be the last owner of the cell.
    future: UnsafeCell<ManuallyDrop<F>>,
}

// SAFETY: whoever has a cell gets at its state, which is Send and Sync. Only the `TaskFuture`, which is not Send, gets at the
// future.
unsafe impl<T: Send + Sync, F> Send for TaskCell<T, F> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync, F> Sync for TaskCell<T, F> {}

impl<T, F> Deref for TaskCell<T, F> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.state
    }
}

/// The owner of the future in a cell, as a `Pin<Box<dyn Future>>` is the owner of a future in a box. It is not Send.
pub(crate) struct TaskFuture(Arc<dyn Cell>);

impl<T: 'static, F: Future<Output = Outcome> + 'static> TaskCell<T, F> {
    pub(crate) fn new(state: T, future: F) -> (Arc<Self>, TaskFuture) {
        let future = UnsafeCell::new(ManuallyDrop::new(future));
        let cell = Arc::new(Self { state, future });
        (Arc::clone(&cell), TaskFuture(cell))
    }
}

/// A cell with a future of any type.
trait Cell {
    /// # Safety
    /// Nothing else may use the future during the call, and it must not be dropped yet.
    unsafe fn poll(&self, context: &mut Context<'_>) -> Poll<Outcome>;

    /// # Safety
    /// As for `poll`, and nothing may use the future afterwards.
    unsafe fn drop_future(&self);
}

impl<T, F: Future<Output = Outcome>> Cell for TaskCell<T, F> {
    unsafe fn poll(&self, context: &mut Context<'_>) -> Poll<Outcome> {
        // SAFETY: the caller promises that this is the only reference.
        let future: &mut F = unsafe { &mut *self.future.get() };
        // SAFETY: the future stays in this allocation until it is dropped there.
        unsafe { Pin::new_unchecked(future) }.poll(context)
    }

    unsafe fn drop_future(&self) {
        // SAFETY: the caller promises that this is the only reference.
        let future = unsafe { &mut *self.future.get() };
        // SAFETY: the caller promises that this is the last use.
        unsafe { ManuallyDrop::drop(future) };
    }
}

impl Future for TaskFuture {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        // SAFETY: a cell has one `TaskFuture`, and this borrows it mutably.
        unsafe { self.0.poll(context) }
    }
}

impl Drop for TaskFuture {
    fn drop(&mut self) {
        // SAFETY: as above, and nothing uses a value after its drop.
        unsafe { self.0.drop_future() };
    }
}
