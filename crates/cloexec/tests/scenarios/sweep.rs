//! `sweep FIRST PLACES`: open descriptors at chosen numbers, sweep from `FIRST` up, and print every descriptor's flag.
//!
//! PLACES is like `5 7* 60 limit=50 exec`: a star means close-on-exec already; `limit` lowers RLIMIT_NOFILE, which
//! new descriptors must stay below; with `exec`, the process executes `inherited` after the sweep.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::io;

use cloexec::sweep;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, execv, fork};
use testing::allocations::{self, Watched};
use testing::judged;

use super::support::helper::table;

#[global_allocator]
static ALLOCATOR: Watched = Watched;

/// Runs the scenario of that name, and returns the helper's exit code.
pub fn run(scenario: &[&str]) -> i32 {
    testing::exit_code(match scenario {
        ["sweep", first, places] => sweep(first, places),
        ["twice", first, places, later] => twice(first, places, later),
        ["list", places] => list(places),
        ["list-many", count] => list_many(count),
        ["in-a-child"] => in_a_child(),
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
        Err(error) => println!("result Err {:?} {} on {}", error.errno, error.operation, error.object),
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

/// Sweeps, opens descriptors at the later places, sweeps again, and prints `again Ok` and `later NUMBER STATE`.
fn twice(first: &str, places: &str, later: &str) -> Result<(), String> {
    sweep(first, places)?;
    let first = first.parse().map_err(|_| format!("{first} is not a number"))?;
    for number in later.split_whitespace() {
        let at = number.parse().map_err(|_| format!("{number} is not a number"))?;
        std::mem::forget(table::place(number, at, false).map_err(|e| e.to_string())?);
    }
    println!(
        "again {}",
        judged(|| sweep::set_from(first)).map_or_else(|error| error.to_string(), |()| "Ok".into())
    );
    let states = states();
    for number in later.split_whitespace() {
        let state = number.parse().ok().and_then(|number: i32| states.get(&number));
        println!("later {number} {}", state.unwrap_or(&"closed"));
    }
    Ok(())
}

/// Prints what `open_descriptors` lists, as `listed …`, and what is open, as `open …`.
fn list(places: &str) -> Result<(), String> {
    table::clean();
    for place in places.split_whitespace() {
        let number = place.trim_end_matches('*').parse().map_err(|_| format!("{place} is not a place"))?;
        std::mem::forget(table::place(place, number, place.ends_with('*')).map_err(|e| e.to_string())?);
    }
    let listed = sweep::open_descriptors().map_err(|error| error.to_string())?;
    let words = |numbers: &mut dyn Iterator<Item = i32>| {
        numbers.map(|number| number.to_string()).collect::<Vec<_>>().join(" ")
    };
    println!("listed {}", words(&mut listed.into_iter()));
    println!("open {}", words(&mut states().into_keys()));
    Ok(())
}

/// Opens this many descriptors, and prints how many of them `open_descriptors` `missed`.
fn list_many(count: &str) -> Result<(), String> {
    let count: usize = count.parse().map_err(|_| format!("{count} is not a number"))?;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(|e| e.to_string())?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_err(|e| e.to_string())?;
    let copies = (0..count).map(|_| fcntl(io::stdin(), FcntlArg::F_DUPFD_CLOEXEC(3)));
    let mut missed: BTreeSet<i32> = copies.collect::<nix::Result<_>>().map_err(|e| e.to_string())?;
    for number in sweep::open_descriptors().map_err(|error| error.to_string())? {
        missed.remove(&number);
    }
    println!("missed {}", missed.len());
    Ok(())
}

/// Forks, and calls in the child what a child may call. Prints whether the child `allocated`.
fn in_a_child() -> Result<(), String> {
    let (waited, allocated) = allocations::in_a_child(|| {
        judged(|| {
            // SAFETY: the process has one thread, and the child makes a system call and exits.
            match unsafe { fork() }.map_err(|e| e.to_string())? {
                ForkResult::Child => {
                    let errno = sweep::close_range_cloexec(1000).err().unwrap_or(Errno::ENOSYS);
                    let refused = sweep::is_refusal(errno);
                    // SAFETY: `_exit` has no preconditions.
                    unsafe { libc::_exit(refused.into()) }
                }
                ForkResult::Parent { child } => waitpid(child, None).map_err(|e| e.to_string()),
            }
        })
    })
    .map_err(|e| e.to_string())?;
    println!("allocated {}", if allocated { "yes" } else { "no" });
    waited.map(drop)
}
