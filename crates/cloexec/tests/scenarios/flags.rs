//! `set` and `clear`: the system calls that change the flag of a descriptor.

use std::fs::File;
use std::os::fd::AsRawFd;

use cloexec::flags;
use testing::judged;

use super::support::helper::table;

/// Runs the scenario of that name, and returns the helper's exit code.
pub fn run(scenario: &[&str]) -> i32 {
    testing::exit_code(match scenario {
        ["set"] => change(false, |file| flags::set(file)),
        ["clear"] => change(true, |file| flags::clear(file)),
        ["report", what] => report(what),
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

/// Prints `result Ok VALUE` or `result Err ERRNO CALL OBJECT`, the file's `number …`, and `open same` or what is open after
/// the call. The file is close-on-exec before `clear` and `is_set`, and is not before `set` and `is_unset`.
fn report(what: &str) -> Result<(), String> {
    table::clean();
    let file = File::open("/dev/null").map_err(|e| e.to_string())?;
    table::set_cloexec(&file, matches!(what, "clear" | "is_set"));
    let open = || table::open_now().iter().map(|entry| entry.number).collect::<Vec<_>>();
    let before = open();
    let result = judged(|| match what {
        "set" => flags::set(&file).map(|()| None),
        "clear" => flags::clear(&file).map(|()| None),
        _ => flags::is_set(&file).map(Some),
    });
    match result {
        Ok(value) => println!("result Ok {value:?}"),
        Err(error) => println!("result Err {:?} {} on {}", error.errno, error.operation, error.object),
    }
    let after = open();
    println!("number {}", file.as_raw_fd());
    println!(
        "open {}",
        if before == after { "same".into() } else { format!("{after:?} instead of {before:?}") }
    );
    // A wrong answer may have closed it.
    std::mem::forget(file);
    Ok(())
}
