//! A test program as its own helper: what it is asked, how it may end, and what is said of that.

use std::env;
use std::process::Command;

use nix::sys::signal::{Signal, raise};
use testing::{Helper, REFUSED, ask};

testing::helper!(answer);

fn answer(args: &[&str]) -> i32 {
    match args {
        ["say", words @ ..] => words.iter().for_each(|word| println!("said {word}")),
        ["exit", code] => return code.parse().unwrap_or(2),
        ["panic"] => panic!("on purpose"),
        ["poll", out] => loop {
            match *out == "stdout" {
                true => println!("polled again"),
                false => eprintln!("polled again"),
            }
        },
        ["raise", signal] => _ = signal.parse::<Signal>().map(raise),
        ["start", args @ ..] => {
            let program = env::current_exe().expect("a program that runs has a path");
            let out = Command::new(program).args(args).output().expect("it can be started once more");
            println!("ended {:?}", out.status.code());
            println!("errors {}", String::from_utf8_lossy(&out.stderr).trim());
        }
        _ => return 2,
    }
    0
}

/// What is said of a helper that ended badly.
fn words(args: &[&str]) -> String {
    Helper::new(args).answer().expect_err("it ends badly")
}

#[test]
fn arguments_arrive_and_lines_come_back() {
    let answer = ask(&["say", "two words", ""]);
    assert_eq!(answer.lines("said").collect::<Vec<_>>(), ["two words", ""]);
    assert_eq!(ask(&["say", "once"]).line("said"), "once");
}

#[test]
fn an_exit_code_is_quoted() {
    let words = words(&["exit", "3"]);
    assert!(words.contains("the helper `exit 3` ended with exit status: 3"), "{words}");
}

/// As with a `println!` in a loop that never ends. Its test would have filled the memory before the helper's alarm.
#[test]
fn a_helper_that_prints_without_end_is_killed() {
    for out in ["stdout", "stderr"] {
        let words = words(&["poll", out]);
        for part in ["printed 4 MiB, so it was killed: does your code print in a loop?", "\npolled again"] {
            assert!(words.contains(part), "no «{part}» in: {words}");
        }
        assert!(words.len() < 1000, "{} bytes repeat what it printed", words.len());
    }
}

#[test]
fn what_is_refused_is_no_answer() {
    assert!(Helper::new(&["exit", &REFUSED.to_string()]).answer().is_ok_and(|answer| answer.is_none()));
}

#[test]
fn a_panic_is_quoted() {
    let words = words(&["panic"]);
    assert!(words.contains("exit status: 101") && words.contains("on purpose"), "{words}");
}

#[test]
fn a_signal_is_named() {
    let killed = words(&["raise", "SIGUSR1"]);
    assert!(killed.contains("was killed by SIGUSR1"), "{killed}");
    let hung = words(&["raise", "SIGALRM"]);
    assert!(hung.contains("hung until its alarm went off"), "{hung}");
}

/// Or it would run all tests, each of which starts helpers, and so on without end.
#[test]
fn what_a_helper_starts_without_arguments_runs_no_tests() {
    for args in [&["start"][..], &["start", "--test-threads=1"]] {
        let answer = ask(args);
        assert_eq!(answer.line("ended"), "Some(2)");
        assert!(answer.line("errors").contains("without the arguments that were meant for it"));
    }
    assert_eq!(ask(&["start", "--helper", "exit", "5"]).line("ended"), "Some(5)");
}
