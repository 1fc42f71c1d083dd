//! `set` and `clear`: the system calls that change the flag of a descriptor.

use std::fs::File;

use cloexec::flags;
use testing::judged;

use super::support::helper::table;

/// Runs the scenario of that name, and returns the helper's exit code.
pub fn run(scenario: &[&str]) -> i32 {
    testing::exit_code(match scenario {
        ["set"] => change(false, |file| flags::set(file)),
        ["clear"] => change(true, |file| flags::clear(file)),
        _ => Err(format!("no scenario is called {scenario:?}")),
    })
}

/// Changes the flag of a file that is close-on-exec, or is not.
fn change(cloexec: bool, change: impl FnOnce(&File) -> cloexec::Result<()>) -> Result<(), String> {
    table::clean();
    let file = File::open("/dev/null").map_err(|e| e.to_string())?;
    table::set_cloexec(&file, cloexec);
    judged(|| change(&file)).map_err(|error| error.to_string())
}
