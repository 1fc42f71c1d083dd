//! Forking while guards are alive.

use std::fmt;
use std::panic::{Location, catch_unwind};
use std::thread;

use prefork::fork::ForkGuard;

use super::super::support::helper::children::{raw_wait, start};
use super::{fork_and_wait, say};

/// Make a guard, and print the caller's place in the source.
#[track_caller]
fn guard(what: &str) -> ForkGuard {
    println!("made {what} {}", Location::caller());
    ForkGuard::new(what)
}

fn try_to_fork(when: &str) {
    println!("{when} {}", fork_and_wait(|| 3));
}

/// Fork before, with, and after one guard.
pub fn one() {
    try_to_fork("none");
    let made = guard("an event loop");
    try_to_fork("guarded");
    drop(made);
    try_to_fork("dropped");
}

/// Drop three guards out of order, and make a fourth in between.
pub fn four() {
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

/// Two guards of the same name, as two event loops have, of which the first is dropped.
pub fn of_the_same_name() {
    let (first, second) = (guard("an event loop"), guard("an event loop"));
    drop(first);
    try_to_fork("second");
    drop(second);
    try_to_fork("none");
}

/// A panic drops a guard.
pub fn dropped_by_a_panic() {
    std::panic::set_hook(Box::new(|_| {}));
    let panics = catch_unwind(|| {
        let _guard = guard("an event loop");
        panic!("on purpose");
    });
    println!("panicked {}", panics.is_err());
    try_to_fork("then");
}

/// A thread that has ended made the guard.
pub fn of_another_thread() {
    let made = thread::spawn(|| guard("an event loop")).join().expect("the thread does not panic");
    try_to_fork("guarded");
    drop(made);
    try_to_fork("then");
}

/// What the guard guards makes a guard itself, and then panics, when it is asked for its name.
pub fn whose_name_panics() {
    struct Panics;
    impl fmt::Display for Panics {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            drop(ForkGuard::new("another one"));
            panic!("on purpose");
        }
    }
    std::panic::set_hook(Box::new(|_| {}));
    println!("panicked {}", catch_unwind(|| ForkGuard::new(Panics)).is_err());
    try_to_fork("then");
    let made = guard("an event loop");
    try_to_fork("guarded");
    drop(made);
}

/// Fork by other means while a guard is alive. The child has a copy of the guard.
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
    // The closure has moved `copy`, so the guard is dropped in this process too.
    let again = guard("the parent's other one");
    try_to_fork("parent");
    drop(again);
}
