//! What the tests share: the helper, which runs `capture` in a process of its own.

#![allow(dead_code, reason = "each test program uses a part of this")]

use testing::Helper;

pub use testing::Answer;

pub mod helper;

/// Runs the helper, in a process of its own, with one variable more in its environment. `hung` says what it means if
/// the helper never returns.
#[track_caller]
pub fn ask(args: &[&str], hung: &str) -> Answer {
    let mut helper = Helper::new(args);
    helper.command().env("PROCESS_TEST", "it is here");
    answer(helper, hung).expect("the helper does nothing that a machine may refuse")
}

/// Runs the helper on a kernel where calls fail. `None` if this machine refuses ptrace: then the test is skipped.
#[track_caller]
pub fn traced(kernel: &str, args: &[&str], hung: &str) -> Option<Answer> {
    let answer = answer(Helper::new(&[&["traced", kernel], args].concat()), hung);
    if answer.is_none() {
        testing::skipped("this machine does not permit ptrace");
    }
    answer
}

#[track_caller]
fn answer(helper: Helper, hung: &str) -> Option<Answer> {
    helper.answer().unwrap_or_else(|words| {
        let hangs = ["hung until its alarm", "killed by SIGALRM"].iter().any(|alarm| words.contains(alarm));
        assert!(!hangs, "`capture` did not return within 5 seconds. {hung}\n{words}");
        panic!("{words}")
    })
}
