//! What is done with this crate in a process of its own.
//!
//! Contract: a scenario prints what it saw, after its marks, and ends with 0; what could not even be tried
//! ends with 1.

use std::fmt::Debug;
use std::io;

mod drain;
mod flags;
mod outbox;
mod pipe;

/// Run the scenario of that name.
pub fn run(scenario: &[&str]) -> i32 {
    testing::exit_code(match scenario {
        ["flags", what] => flags::on_a_pipe(what),
        ["flags-of-stdin", what] => flags::change(what, io::stdin()),
        ["pipe"] => pipe::made(),
        ["pipe-without-numbers"] => pipe::without_numbers(),
        ["capacity-above-the-limit"] => pipe::above_the_limit(),
        ["drain", limit, ends, pieces @ ..] => drain::from_a_pipe(limit, ends, pieces),
        ["drain-without-end", limit] => drain::without_end(limit),
        ["outbox", pieces @ ..] => outbox::into_a_pipe(false, pieces),
        ["outbox-into-a-full-pipe", pieces @ ..] => outbox::into_a_pipe(true, pieces),
        _ => Err(format!("no scenario is called {scenario:?}")),
    })
}

/// `result Ok VALUE`, or `result Err ERRNO TEXT`.
fn print<T: Debug>(result: &nonblocking::Result<T>) {
    match result {
        Ok(value) => println!("result Ok {value:?}"),
        Err(error) => println!("result Err {:?} {error}", error.errno),
    }
}

/// For what is not under test.
fn in_words(error: impl std::fmt::Display) -> String {
    error.to_string()
}
