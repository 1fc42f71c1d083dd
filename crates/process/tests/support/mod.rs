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
    match helper.answer() {
        Ok(answer) => answer.expect("the helper does nothing that a machine may refuse"),
        Err(words) if words.contains("hung until its alarm") => {
            panic!("`capture` did not return within 5 seconds. {hung}\n{words}")
        }
        Err(words) => panic!("{words}"),
    }
}
