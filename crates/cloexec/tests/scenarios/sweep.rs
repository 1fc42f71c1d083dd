//! `sweep FIRST PLACES`: open descriptors at chosen numbers, sweep from `FIRST` up, and print every descriptor's flag.
//!
//! PLACES is like `5 7* 60 limit=50 exec`: a star means close-on-exec already; `limit` lowers RLIMIT_NOFILE, which
//! new descriptors must stay below; with `exec`, the process executes `inherited` after the sweep.

use std::collections::BTreeMap;
use std::ffi::CString;

use cloexec::sweep;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::execv;
use testing::judged;

use super::support::helper::table;

/// Runs the scenario of that name, and returns the helper's exit code.
pub fn run(scenario: &[&str]) -> i32 {
    testing::exit_code(match scenario {
        ["sweep", first, places] => sweep(first, places),
        _ => Err(format!("no scenario is called {scenario:?}")),
    })
}

/// Prints `result Ok` or `result Err ERRNO TEXT`, and for each descriptor `at NUMBER BEFORE AFTER`.
fn sweep(first: &str, places: &str) -> Result<(), String> {
    let first = first.parse().map_err(|_| format!("{first} is not a number"))?;
    table::clean();
    let mut exec = false;
    let mut placed = Vec::new();
    for place in places.split_whitespace() {
        if let Some(limit) = place.strip_prefix("limit=") {
            let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(|e| e.to_string())?;
            let limit = limit.parse().map_err(|_| format!("{limit} is not a number"))?;
            setrlimit(Resource::RLIMIT_NOFILE, limit, hard).map_err(|e| e.to_string())?;
        } else if place == "exec" {
            exec = true;
        } else {
            let number =
                place.trim_end_matches('*').parse().map_err(|_| format!("{place} is not a place"))?;
            placed.push(table::place(place, number, place.ends_with('*')).map_err(|e| e.to_string())?);
        }
    }
    let before = states();
    match judged(|| sweep::set_from(first)) {
        Ok(()) => println!("result Ok"),
        Err(error) => println!("result Err {:?} {error}", error.errno),
    }
    if exec {
        let program = CString::from(c"/proc/self/exe");
        let Err(error) = execv(&program, &[c"helper", c"--helper", c"inherited"]);
        return Err(format!("execv: {error}"));
    }
    let after = states();
    for number in before.keys().chain(after.keys().filter(|number| !before.contains_key(number))) {
        let state = |states: &BTreeMap<i32, &'static str>| states.get(number).copied().unwrap_or("closed");
        println!("at {number} {} {}", state(&before), state(&after));
    }
    // A wrong sweep may have closed them, and closing them twice would panic.
    placed.into_iter().for_each(std::mem::forget);
    Ok(())
}

fn states() -> BTreeMap<i32, &'static str> {
    let entries = table::open_now().into_iter();
    entries.map(|entry| (entry.number, entry.state())).collect()
}
