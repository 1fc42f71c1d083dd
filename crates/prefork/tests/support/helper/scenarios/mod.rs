//! The scenarios: what the helper process does with this crate.
//!
//! Contract: a scenario prints what it saw, each line after a keyword, and exits with 0. It exits with 1 if it could
//! not be run, and with `testing::REFUSED` if this machine does not permit it.

mod accept;
mod fork;
mod sockets;
mod status;
mod supervise;

/// Run the scenario of that name, and return the helper's exit code.
pub fn run(scenario: &[&str]) -> i32 {
    match scenario {
        ["accept", what @ ..] => accept::run(what),
        ["fork", what @ ..] => fork::run(what),
        ["sockets", what @ ..] => sockets::run(what),
        ["status", what @ ..] => status::run(what),
        ["supervise", what @ ..] => supervise::run(what),
        _ => {
            eprintln!("no scenario is called {scenario:?}");
            2
        }
    }
}
