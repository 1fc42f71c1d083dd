//! The helper of this crate's tests: the test program once more, in a process of its own.
//!
//! `capture CALLER INPUT PROGRAM …` calls `capture`, and prints what came back and what is left; `program ROLE …` is
//! the program that it runs. `traced KERNEL …` does the same on a simulated kernel. `dumps FOLDER` says whether a program
//! that SIGABRT kills there dumps core. The exit codes are the ones in `testing`, and 99 for a child of a fork that
//! returned from `capture`.

use testing::tracer;

mod call;
mod caller;
mod interrupt;
mod kernel;
mod program;
mod stop;
mod table;

/// Does what the arguments say, and returns the exit code.
pub fn answer(args: &[&str]) -> i32 {
    match args {
        ["capture", caller, input, program, args @ ..] => {
            testing::exit_code(call::run(caller, input, program, args))
        }
        ["traced", kernel, scenario @ ..] if let Some(mut kernel) = kernel::parse(kernel) => {
            tracer::run(&mut kernel, || answer(scenario))
        }
        ["dumps", folder] => testing::exit_code(program::dumps(folder)),
        ["program", role @ ..] => program::run(role),
        _ => {
            eprintln!("no such thing is asked of this helper: {args:?}");
            2
        }
    }
}
