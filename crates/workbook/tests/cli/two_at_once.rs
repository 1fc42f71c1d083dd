//! Two copies of the tool at once in one checkout.

use std::fs::File;

use crate::checkout::{ADD_SOLVED, Checkout, TWICE_SOLVED};
use crate::tool::named;

/// Enough that two meet.
const ROUNDS: usize = 8;

#[test]
fn both_are_remembered() {
    let checkout = Checkout::new();
    checkout.solve("add", ADD_SOLVED);
    checkout.solve("twice", TWICE_SOLVED);
    checkout.workbook(&["check"]).expect(0, &[]);
    for round in 0..ROUNDS {
        checkout.solve("add", &format!("{ADD_SOLVED}// {round}\n"));
        checkout.solve("twice", &format!("{TWICE_SOLVED}// {round}\n"));
        let both = ["add", "twice"].map(|name| checkout.start(checkout.command(&["check", name])));
        both.into_iter().for_each(|one| _ = one.end().expect(0, &["tests pass"]));
        let list = checkout.workbook(&["list", "--json"]).json();
        assert!(
            list["exercises"].as_array().is_some_and(|all| all.iter().all(|e| e["done"] == true)),
            "{list}"
        );
    }
}

#[test]
fn hints_of_two_exercises_are_counted_by_both() {
    let checkout = Checkout::new();
    for step in 1..=3 {
        let both = ["add", "twice"].map(|name| checkout.start(checkout.command(&["hint", name])));
        both.into_iter().for_each(|one| _ = one.end().expect(0, &[&format!("hint {step} of 3")]));
    }
}

#[test]
fn two_checks_of_one_exercise_have_the_same_verdict() {
    let checkout = Checkout::new();
    checkout.solve("twice", TWICE_SOLVED);
    for _ in 0..ROUNDS {
        let both = [(); 3].map(|()| checkout.start(checkout.command(&["check", "twice"])));
        both.into_iter().for_each(|one| _ = one.end().expect(0, &["1 of 1 tests pass"]));
    }
}

/// Its program must not be replaced between the build and the tests.
#[test]
fn a_check_waits_for_another_one_of_the_same_exercise() {
    let checkout = Checkout::new();
    checkout.solve("twice", TWICE_SOLVED);
    checkout.workbook(&["check", "twice"]).expect(0, &[]);
    let name = checkout.target().join("workbook/shortcuts/toy-twice.lock");
    let lock = File::open(&name).expect("the check left its lock");
    lock.lock().expect("no process has it");
    let running = checkout.start(checkout.command(&["check", "twice"]));
    // What is saved while it waits is what it checks.
    running.await_open(&name);
    // The other one may be stopped, by Ctrl-Z, and nothing else would say why this one does not go on.
    running.await_complaint("waiting for another copy of this tool, which checks toy/twice");
    checkout.solve("twice", &TWICE_SOLVED.replace("a + a", "a * a"));
    lock.unlock().expect("it can be released");
    running.end().expect(1, &["twice 3 is 6, not 9"]);
}

#[test]
fn two_resets_keep_what_the_reader_wrote() {
    let checkout = Checkout::new();
    for round in 1..=ROUNDS {
        let mine = format!("my attempt {round}");
        checkout.solve("add", &mine);
        let both = [(); 3].map(|()| checkout.start(checkout.command(&["reset", "add"])));
        both.into_iter().for_each(|one| _ = one.end().expect(0, &["as it was handed out"]));
        assert_eq!(named(&checkout.path("crates/toy/exercises"), ".kept").len(), round);
        assert_eq!(checkout.read(&format!("crates/toy/exercises/add.rs.{round}.kept")), mine);
    }
}
