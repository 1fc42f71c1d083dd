//! What this crate's tests have done in a process of its own.
//!
//! `born-with`, `signals` and `arguments …` say what a program was started with; `run SCENARIO …` calls into
//! this crate; `traced KERNEL SCENARIO …` does so on a kernel that is played,
//! and prints what was asked of it. Exit codes: as `testing` says, and 99 for the child of a fork that came back
//! out of the code that forked.

use testing::tracer;

mod born_with;
mod calls;
mod kernel;
mod scenarios;
mod table;

/// What the helper does, and its exit code.
pub fn answer(args: &[&str]) -> i32 {
    match args {
        ["born-with"] => born_with::descriptors(),
        ["signals"] => born_with::signals(),
        ["arguments", ..] => born_with::arguments(),
        ["run", scenario @ ..] => scenarios::run(scenario),
        ["traced", kernel, scenario @ ..] if let Some(mut kernel) = kernel::parse(kernel) => {
            tracer::run(&mut kernel, || scenarios::run(scenario))
        }
        _ => {
            eprintln!("no such thing is asked of this helper: {args:?}");
            2
        }
    }
}
