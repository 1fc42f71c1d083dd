//! The mechanism sees what it should: operations that answer a fault in a wrong way are not explained.

use std::mem;

use faults::verdict::{Verdict, judge};
use faults::{Fault, Place, scene, trial};
use nix::errno::Errno;
use nix::sys::eventfd::EventFd;
use testing::Helper;

testing::helper!(answer);

fn answer(args: &[&str]) -> i32 {
    let [name, faults @ ..] = args else { return 2 };
    trial::answer(name, faults, || operation(name))
}

/// Makes an eventfd, and answers in its own way if that fails.
fn operation(name: &str) {
    let made = scene::judged(EventFd::new);
    match (name, made) {
        (_, Ok(_)) => println!("ok"),
        ("says so", Err(errno)) => println!("error eventfd: {errno}"),
        ("says something else", Err(_)) => println!("error something failed"),
        ("leaks", Err(errno)) => {
            println!("error eventfd: {errno}");
            mem::forget(EventFd::new());
        }
        ("panics", Err(errno)) => panic!("{errno}"),
        ("hangs", Err(_)) => loop {
            nix::unistd::pause();
        },
        ("exits", Err(_)) => std::process::exit(0),
        (_, Err(_)) => println!("ok"),
    }
}

/// What is made of an operation in which eventfd fails. `None` if this machine refuses ptrace.
fn verdict(name: &str) -> Option<Verdict> {
    let place = Place { task: 0, call: "eventfd2".into(), nth: 1 };
    let fault = Fault { place, errno: Errno::EMFILE, lasting: false };
    let answer = Helper::new(&[name, &fault.to_string()]).if_permitted()?;
    let (lines, code) = trial::runs(&answer).pop().expect("the helper ran the operation");
    Some(judge(name, &fault, &lines, code))
}

#[track_caller]
fn is_unexplained(name: &str, words: &str) {
    let Some(verdict) = verdict(name) else { return };
    assert!(
        matches!(&verdict, Verdict::Unexplained(why) if why.contains(words)),
        "an operation that {name} should not be explained, with the words `{words}`: {verdict:?}"
    );
}

#[test]
fn an_error_that_names_the_errno_is_one() {
    let Some(verdict) = verdict("says so") else { return };
    assert_eq!(verdict, Verdict::Error);
}

#[test]
fn an_error_must_name_the_errno() {
    is_unexplained("says something else", "does not name the errno");
}

#[test]
fn a_success_needs_a_documented_fallback() {
    is_unexplained("swallows it", "no fallback is documented");
}

#[test]
fn a_descriptor_that_is_left_is_seen() {
    is_unexplained("leaks", "left descriptor");
}

#[test]
fn a_panic_is_seen() {
    is_unexplained("panics", "panic");
}

#[test]
fn a_hang_is_seen() {
    is_unexplained("hangs", "hung");
}

#[test]
fn an_operation_that_does_not_come_back_is_seen() {
    is_unexplained("exits", "was killed or exited");
}
