//! Failures: an error or a panic of user code goes to the failure hook, or to standard error. If an error panics while the
//! loop formats it for standard error, the panic is printed in its place, and the loop goes on. A broken pipe of a handler is
//! not reported: see `registration`.
//!
//! Contract: a panic of the hook leaves `start`, wherever the loop called the hook. A failure that comes while the hook runs, for
//! example from `run_sync` in the hook, goes to standard error.

use std::any::Any;
use std::cell::RefCell;
use std::io::{self, Write};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use std::rc::Rc;

use super::IoLoop;
use crate::failure::{drop_caught, guarded};
use crate::{Cause, Failure, Origin};

impl IoLoop {
    /// Call `hook` for each error and panic of a callback, a timer, a handler, a signal handler or a task, instead of
    /// writing it to standard error. A handler's `EPIPE` is not reported, because its next event says the same. If
    /// `hook` panics, so does [`IoLoop::start`]; the loop keeps everything queued, due and ready for the next start. A failure
    /// that comes while `hook` runs is written to standard error. A closed loop drops `hook`.
    pub fn handle_callback_exception(&self, hook: impl FnMut(&Self, Failure) + 'static) {
        if self.must_be_open("handle_callback_exception").is_err() {
            return;
        }
        let replaced = self.0.on_failure.replace(Some(Rc::new(RefCell::new(hook))));
        drop(replaced);
    }

    /// Report the failures among these results, in their order.
    pub(crate) fn report_each<const N: usize>(&self, origin: Origin, results: [Result<(), Cause>; N]) {
        for cause in results.into_iter().filter_map(Result::err) {
            self.report(Failure { origin, cause });
        }
    }

    /// Hand a failure to the hook, or write it to standard error.
    pub(crate) fn report(&self, Failure { origin, cause }: Failure) {
        let failure = match cause {
            // The hook was called in code that the loop ran, for a task for example, and its panic has unwound that code. It is
            // no failure of that code.
            Cause::Panic(thrown) if address(&*thrown) == self.0.thrown_by_hook.get() => resume_unwind(thrown),
            cause => Failure { origin, cause },
        };
        let hook = self.0.on_failure.borrow().clone();
        let Some(hook) = hook else { return write(failure) };
        let called = match hook.try_borrow_mut() {
            Ok(mut hook) => catch_unwind(AssertUnwindSafe(|| hook(self, failure))),
            Err(_) => return write(failure),
        };
        // If the hook has replaced itself, this drops it.
        let thrown = match (called, drop_caught(hook)) {
            (Err(thrown), dropped) => {
                mem::forget(dropped);
                thrown
            }
            (Ok(()), Err(Cause::Panic(thrown))) => thrown,
            (Ok(()), _) => return,
        };
        self.0.thrown_by_hook.set(address(&*thrown));
        resume_unwind(thrown);
    }
}

/// Where the payload of a panic is in memory. It stays there while the panic unwinds, even if it is caught and resumed.
fn address(thrown: &(dyn Any + Send)) -> *const () {
    ptr::from_ref(thrown).cast()
}

/// Write a failure to standard error, and drop it.
fn write(failure: Failure) {
    let origin = failure.origin;
    let printed = print(&failure);
    // What was returned or thrown is a value of the program, too.
    let dropped = drop_caught(failure);
    for cause in [printed, dropped].into_iter().filter_map(Result::err) {
        let failure = Failure { origin, cause };
        // Does not panic: a panic's payload is printed only if it is a string.
        let _ = print(&failure);
        // Not dropped, because that could panic, too, and so on.
        mem::forget(failure);
    }
}

/// Write a failure to standard error. If nothing reads standard error, the write fails, and the loop must go on. If the
/// failure's error panics while it is formatted, nothing is written, and that panic is returned.
fn print(failure: &Failure) -> Result<(), Cause> {
    let words = guarded(|| Ok(failure.to_string()))?;
    let _ = writeln!(io::stderr(), "ioloop: {words}");
    Ok(())
}
