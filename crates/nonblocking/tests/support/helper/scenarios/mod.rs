//! What the helper does with this crate, in a process of its own.
//!
//! Contract: a scenario prints what it saw and exits 0; if its preparation fails, it exits 1.

use std::io;

mod drain;
mod flags;
mod outbox;
mod output;
mod pipe;

/// Runs the scenario of that name.
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
