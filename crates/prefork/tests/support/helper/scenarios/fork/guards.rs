//! What must not cross a fork.

use std::panic::Location;

use prefork::fork::ForkGuard;

use super::super::super::children::{raw_wait, start};
use super::{fork_and_wait, say};

/// Made by whoever calls this.
#[track_caller]
fn guard(what: &str) -> ForkGuard {
    println!("made {what} {}", Location::caller());
    ForkGuard::new(what)
}

fn try_to_fork(when: &str) {
    println!("{when} {}", fork_and_wait(|| 3));
}

/// One, and then none.
pub fn one() {
    try_to_fork("none");
    let made = guard("an event loop");
    try_to_fork("guarded");
    drop(made);
    try_to_fork("dropped");
}

/// Three, which go in no order, and one that comes when another has gone.
pub fn some() {
    let [first, second, third] = ["first", "second", "third"].map(guard);
    try_to_fork("three");
    drop(second);
    try_to_fork("first-and-third");
    let fourth = guard("fourth");
    drop(first);
    try_to_fork("third-and-fourth");
    drop(third);
    try_to_fork("fourth");
    drop(fourth);
    try_to_fork("none");
}

/// A process is forked by other means while something lives that is guarded. In the child, its copy is there.
pub fn copied() {
    let copy = guard("the parent's");
    let child = start(|| {
        say(&format!("copy {}", fork_and_wait(|| 3)));
        let own = ForkGuard::new("the child's");
        say(&format!("own {}", fork_and_wait(|| 3)));
        drop(copy);
        say(&format!("copy-dropped {}", fork_and_wait(|| 3)));
        drop(own);
        say(&format!("own-dropped {}", fork_and_wait(|| 3)));
        0
    });
    let _ = raw_wait(child, 0);
    // What was the closure's is gone here too.
    let again = guard("the parent's other one");
    try_to_fork("parent");
    drop(again);
}
