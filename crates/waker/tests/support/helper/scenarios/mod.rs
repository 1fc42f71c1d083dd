//! What the helper does with this crate, in a process of its own.
//!
//! Contract: a scenario prints what it saw and exits 0; if its preparation fails, it exits 1.

mod disposition;
mod outcome;
mod owners;
mod signals;
mod storm;
mod wakers;

/// Runs the scenario of that name.
pub fn run(scenario: &[&str]) -> i32 {
    testing::exit_code(match scenario {
        ["waker", kind, what] => wakers::run(kind, what),
        ["signal", what] => signals::run(what),
        ["owner", what] => owners::run(what),
        ["storm"] => storm::run(),
        _ => Err(format!("no scenario is called {scenario:?}").into()),
    })
}
