//! The helper of this crate's tests: the test program once more, in a process of its own, with its own limits,
//! privileges and kernel.
//!
//! `run SCENARIO …` calls into this crate; `traced KERNEL SCENARIO …` does the same on a simulated kernel and prints
//! the system calls. The exit codes are the ones in `testing`.

use testing::tracer;

mod calls;
mod kernel;
mod scenarios;

/// Does what the arguments say, and returns the exit code.
pub fn answer(args: &[&str]) -> i32 {
    testing::ignore_sigpipe();
    match args {
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
