//! What the helper of the tests of `waker/signal` does, in a process whose signals it may change.
//!
//! Contract: a scenario prints what it saw and exits 0; if its preparation fails, it exits 1. With the kernel
//! `signal-at-every-step`, a signal comes between the instructions of the code under test: see `stepper`. With
//! `handler-held`, a handler stops before its write: see `held`.

use testing::tracer;

use super::support::helper;

mod allocations;
mod breakpoint;
mod disposition;
mod held;
mod inherited;
mod model;
mod owners;
mod registers;
mod sent;
mod stepper;
mod storm;

/// Does what the arguments say, and returns the exit code.
pub fn answer(args: &[&str]) -> i32 {
    match args {
        ["traced", "signal-at-every-step", scenario @ ..] => {
            testing::ignore_sigpipe();
            tracer::start(|| run(scenario), stepper::watch)
        }
        ["traced", "handler-held", scenario @ ..] => {
            testing::ignore_sigpipe();
            tracer::start(|| run(scenario), held::watch)
        }
        _ => helper::answer(args, run),
    }
}

fn run(scenario: &[&str]) -> i32 {
    testing::exit_code(match scenario {
        ["signal", what] => sent::run(what),
        ["inherited", what] => inherited::run(what),
        ["model", what] => model::run(what),
        ["owner", what] => owners::run(what),
        ["storm"] => storm::run(),
        _ => Err(format!("no scenario is called {scenario:?}").into()),
    })
}
