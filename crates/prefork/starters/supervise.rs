//! Exercise `prefork/supervise`: some children, restarted when they fail, and stopped with their parent.
//!
//! Goal: each child has a number, its task, and whoever replaces it has the same. A child that ends with 0 is not
//! replaced; one that fails or is killed is, until there were `max_restarts` of that, and then it is an error. One
//! that fails at once is replaced after a pause, each time a longer one. SIGTERM and SIGINT are passed on to the
//! children, and nobody is replaced from then on; who is there after the grace period, or at the second signal, is
//! killed. No child outlives its parent, be that killed with SIGKILL itself. No child of somebody else is waited
//! for. A child has none of its parent's descriptors.
//!
//! You have `crate::fork::fork`, and a `Child` that can be polled, signalled and waited for; `Signals`, and
//! `crate::family::after` for a time in the future.
//! Run `cargo run -p workbook check supervise` after each change; `hint supervise` if you are stuck.

use crate::{Ended, Event, Failed, Policy};

/// The task of this process: 0 for the first child, and so on. Nothing in a process that no supervisor started.
pub fn task() -> Option<usize> {
    todo!("say which task this process has: write `task` in exercises/supervise.rs")
}

/// Start the children, and come back when the last of them has ended. A child runs `work` with its task, and ends
/// with the code that this gives: 0 is well. `tell` hears of what happens.
///
/// Meanwhile SIGTERM and SIGINT are this function's, in a thread that has to be the only one.
///
/// # Errors
/// [`Failed::TooManyRestarts`]; `EBUSY` in a supervisor's child; and whatever `fork` says.
pub fn supervise(
    policy: &Policy,
    work: impl Fn(usize) -> i32,
    tell: impl FnMut(Event),
) -> Result<Ended, Failed> {
    let _ = (work, tell, crate::family::after);
    todo!(
        "start {} children and look after them: write `supervise` in exercises/supervise.rs",
        policy.children
    )
}
