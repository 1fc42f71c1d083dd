//! The tracer: which calls are shown, which are changed, and how a scenario may end.

use std::process::exit;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, chdir, fork, getpgrp, getpid, getuid};
use testing::tracer::{self, Call, Kernel};
use testing::{Answer, Helper, judged, traced};

testing::helper!(answer);

fn answer(args: &[&str]) -> i32 {
    match args {
        ["traced", "a-kernel", scenario] => tracer::run(&mut Played, || run(scenario)),
        ["traced", "for-one-process", scenario] => tracer::run(&mut Alone, || run(scenario)),
        ["traced", "counted", scenario] => tracer::counted(|| run(scenario)),
        _ => 2,
    }
}

/// Knows no folder, and has one user more than there are.
struct Played;

impl Kernel for Played {
    fn words(&self, call: &Call) -> Option<String> {
        ["chdir", "getuid", "getpgrp", "getpid"].contains(&call.name).then(|| call.name.to_owned())
    }

    fn instead(&mut self, call: &Call) -> Option<i64> {
        (call.name == "chdir").then_some(-(Errno::ENOENT as i64))
    }

    fn told(&mut self, call: &Call, answer: i64) -> i64 {
        if call.name == "getuid" { answer + 1 } else { answer }
    }
}

/// Serves the scenario, and none of its children.
struct Alone;

impl Kernel for Alone {
    fn words(&self, call: &Call) -> Option<String> {
        Played.words(call)
    }

    fn serves_children(&self) -> bool {
        false
    }
}

fn run(scenario: &str) -> i32 {
    match scenario {
        "changed" => {
            let user = getuid();
            println!("result {:?} {}", judged(|| chdir("/")), judged(getuid).as_raw() - user.as_raw());
            println!("result {:?} {}", chdir("/"), getuid().as_raw() - user.as_raw());
        }
        "marked" => {
            getpgrp();
            judged(|| getrlimit(Resource::RLIMIT_NOFILE)).expect("there is such a limit");
            judged(getpgrp);
            getpgrp();
        }
        "forks" => judged(|| {
            // SAFETY: this program has one thread, so the child may do whatever the parent may.
            match unsafe { fork() }.expect("one process more") {
                ForkResult::Child => {
                    getpgrp();
                    exit(0);
                }
                ForkResult::Parent { child } => waitpid(child, None).expect("it is ours"),
            };
            getpid();
        }),
        "endless" => judged(|| {
            loop {
                getpid();
            }
        }),
        "panics" => judged(|| panic!("on purpose")),
        "faults" => judged(|| raise(Signal::SIGSEGV)).expect("there is such a signal"),
        "killed" => raise(Signal::SIGTERM).expect("there is such a signal"),
        _ => return 2,
    }
    0
}

fn of(scenario: &str) -> Option<Answer> {
    traced("a-kernel", &[scenario])
}

#[test]
fn a_call_is_kept_from_the_kernel_or_answered_otherwise() {
    let Some(answer) = of("changed") else { return };
    let results: Vec<&str> = answer.lines("result").collect();
    assert_eq!(results, ["Err(ENOENT) 1", "Ok(()) 0"], "between the marks, and outside");
    assert!(answer.0.contains("call chdir -> -2\ncall getuid -> "), "{}", answer.0);
}

#[test]
fn calls_are_shown_between_the_marks_and_those_that_have_words() {
    let Some(answer) = of("marked") else { return };
    let calls: Vec<&str> = answer.lines("call").collect();
    assert!(matches!(calls[..], [one] if one.starts_with("getpgrp -> ")), "{calls:?}");
}

#[test]
fn what_the_scenario_forks_is_traced_too() {
    let Some(answer) = of("forks") else { return };
    assert_eq!(answer.lines("call").filter(|call| call.starts_with("getpgrp")).count(), 1, "{}", answer.0);
}

#[test]
fn what_the_scenario_forks_can_be_left_out() {
    let Some(answer) = traced("for-one-process", &["forks"]) else { return };
    let calls: Vec<&str> = answer.lines("call").collect();
    assert!(matches!(calls[..], [one] if one.starts_with("getpid -> ")), "{calls:?}");
}

#[test]
fn one_call_after_the_other_comes_to_an_end() {
    let Some(answer) = of("endless") else { return };
    assert_eq!(answer.line("endless"), "getpid");
}

/// If it were taken for a refusal of this machine, the test that should catch it would be skipped.
#[test]
fn a_scenario_that_ends_while_it_is_stepped_is_a_failure() {
    if of("marked").is_none() {
        return;
    }
    for (scenario, words) in [("faults", "got a signal"), ("panics", "on purpose")] {
        let mut helper = Helper::new(&["traced", "counted", scenario]);
        // With one, a panic takes millions of steps.
        helper.command().env("RUST_BACKTRACE", "0");
        let answer = helper.answer();
        assert!(
            answer.as_ref().is_err_and(|said| said.contains(words)),
            "the scenario {scenario} between the marks, so the helper should fail with the words `{words}`: {answer:?}"
        );
    }
}

#[test]
#[should_panic(expected = "the scenario was killed by SIGTERM")]
fn a_scenario_that_is_killed_is_a_failure() {
    if of("killed").is_none() {
        panic!("not tried, since nothing can be traced here: the scenario was killed by SIGTERM");
    }
}
