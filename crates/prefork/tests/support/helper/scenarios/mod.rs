//! What is done with this crate in a process of its own.
//!
//! Contract: a scenario prints what it saw, after its marks, and ends with 0; what could not even be tried ends
//! with 1, and what this machine does not permit with `testing::REFUSED`.

mod accept;
mod fork;
mod sockets;
mod status;
mod supervise;

/// Run the scenario of that name.
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
