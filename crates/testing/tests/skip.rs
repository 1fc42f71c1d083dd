//! Skipping a test: the line that says so, and what a machine lacks.

use std::iter::repeat_n;
use std::thread::{self, JoinHandle};

use nix::sched::{CloneFlags, unshare};
use testing::{Answer, Helper, REFUSED, ask, machine};

testing::helper!(answer);

fn answer(args: &[&str]) -> i32 {
    match args {
        ["skip", reason] => {
            let reason = reason.to_string();
            let skips = move || testing::skipped(reason);
            _ = thread::Builder::new().name("a_test".into()).spawn(skips).map(JoinHandle::join);
        }
        ["skip-here"] => skip_here(),
        ["needs", what] => needs(what),
        ["temporary"] => println!("temporary {:?}", machine::temporary_folder()),
        ["without-network"] => {
            if let Err(error) = unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET) {
                eprintln!("a network namespace: {error}");
                return REFUSED;
            }
            needs("network");
        }
        _ => return 2,
    }
    0
}

fn skip_here() {
    let limit = 1024;
    if limit < 1500 {
        testing::skip!("its limit is {limit}");
    }
    println!("judged");
}

fn needs(what: &str) {
    match what {
        "network" => testing::needs!(loopback, ipv6),
        "temporary" => testing::needs!(temporary),
        _ => testing::needs!(proc),
    }
    println!("judged");
}

/// The helper with this as its TMPDIR.
fn with_tmpdir(tmpdir: &str, scenario: &[&str]) -> Answer {
    let mut helper = Helper::new(scenario);
    helper.command().env("TMPDIR", tmpdir);
    helper.ask()
}

#[test]
fn a_skip_is_one_line_with_the_name_of_the_thread() {
    let answer = ask(&["skip", "the first\n  and the second line\n"]);
    assert_eq!(answer.0, "skipped: a_test: the first and the second line\n");
}

#[test]
fn a_skipped_test_returns_with_its_reason() {
    assert_eq!(ask(&["skip-here"]).0, "skipped: ?: its limit is 1024\n");
}

#[test]
fn a_test_whose_needs_are_met_goes_on() {
    testing::needs!(proc, temporary);
    assert_eq!(ask(&["needs", "proc"]).0, "judged\n");
    assert_eq!(ask(&["needs", "temporary"]).0, "judged\n");
}

#[test]
fn without_a_network_the_loopback_address_cannot_be_used() {
    let Some(answer) = Helper::new(&["without-network"]).if_permitted() else { return };
    assert_eq!(answer.line("skipped:"), "?: 127.0.0.1 cannot be used: Network is unreachable (os error 101)");
}

#[test]
fn where_nothing_can_be_written_in_tmpdir_tmp_is_taken() {
    testing::needs!(temporary);
    let long = format!("/{}", repeat_n('a', 100).collect::<String>());
    for tmpdir in ["/nowhere", "/proc/self", "/dev/full", &long] {
        assert_eq!(
            with_tmpdir(tmpdir, &["temporary"]).line("temporary"),
            "Ok(\"/tmp\")",
            "TMPDIR is {tmpdir}"
        );
    }
}
