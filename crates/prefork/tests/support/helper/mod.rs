//! What this crate's tests have done in a process of its own.
//!
//! `run SCENARIO …` calls into this crate. Exit codes: as `testing` says.

mod scenarios;

/// What the helper does, and its exit code.
pub fn answer(args: &[&str]) -> i32 {
    testing::ignore_sigpipe();
    match args {
        ["run", scenario @ ..] => scenarios::run(scenario),
        _ => {
            eprintln!("no such thing is asked of this helper: {args:?}");
            2
        }
    }
}
