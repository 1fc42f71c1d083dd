//! What is done with this crate in a process of its own.
//!
//! Contract: a scenario prints what it saw and gives 0; 2 if there is none of that name; `testing::REFUSED` for
//! what this machine does not permit.

mod fork;
mod status;

/// Run the scenario of that name.
pub fn run(scenario: &[&str]) -> i32 {
    match scenario {
        ["fork", what @ ..] => fork::run(what),
        ["status", what @ ..] => status::run(what),
        _ => {
            eprintln!("no scenario is called {scenario:?}");
            2
        }
    }
}
