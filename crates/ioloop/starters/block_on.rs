//! Exercise `ioloop/block_on`: run a future on a thread of its own, without a loop.
//!
//! Goal: `block_on` polls the future, and polls it again after each wake, until it is ready; then it returns the output.
//! Between two polls the thread sleeps, without a timeout. One poll answers all the wakes that came before it. No wake is
//! lost: not one during a poll, not one between the poll and the sleep, and not one from another thread at any moment.
//! What a thread did before its wake is visible to the poll that answers this wake, even if several threads wake before one
//! poll. A poll without a wake is a mistake here, although a future must tolerate one.
//!
//! Three facts decide the details.
//! - `thread::park` sleeps until another thread calls `unpark` on this one. An unpark before the park is kept: the next
//!   park returns at once. But there is one token, not a count, and the future may use it up, for example with a channel
//!   of std, which parks as well.
//! - `park` may return without a wake: another part of the program may have called `unpark`.
//! - A wake may come after `block_on` has returned, and while another `block_on` runs, on this thread or another.
//!
//! The tests run your code in every order of the threads' steps. For that it needs the atomics and the thread functions
//! of `super::sync`, which has std's in the crate and loom's in the tests: `AtomicBool`, `Ordering`, and `thread` with
//! `current`, `park` and the type `Thread`.
//! Run `cargo workbook check block_on` after each change; `hint block_on` if you are stuck.

use std::future::Future;

/// Run a future on this thread until it is ready, and return its output.
pub fn block_on<F: Future>(future: F) -> F::Output {
    drop(future);
    todo!("poll the future until it is ready, and park in between: write `block_on` in exercises/block_on.rs")
}
