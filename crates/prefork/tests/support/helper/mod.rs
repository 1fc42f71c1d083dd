//! What this crate's tests have done in a process of its own, which has one thread and may fork.
//!
//! `run SCENARIO …` calls into this crate, and prints what it saw.

mod children;
mod scenarios;

/// What the helper does, and its exit code.
pub fn answer(args: &[&str]) -> i32 {
    match args {
        ["run", scenario @ ..] => scenarios::run(scenario),
        _ => {
            eprintln!("no such thing is asked of this helper: {args:?}");
            2
        }
    }
}
