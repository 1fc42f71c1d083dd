//! The helper of this crate's tests: the test program once more, in a process of its own.
//!
//! `capture CLOSED INPUT PROGRAM …` calls `capture`, and prints what came back and what is left; `program ROLE …` is
//! the program that it runs. The exit codes are the ones in `testing`, and 99 for a child of a fork that returned from
//! `capture`.

mod call;
mod interrupt;
mod program;
mod table;

/// Does what the arguments say, and returns the exit code.
pub fn answer(args: &[&str]) -> i32 {
    match args {
        ["capture", closed, input, program, args @ ..] => {
            testing::exit_code(call::run(closed, input, program, args))
        }
        ["program", role @ ..] => program::run(role),
        _ => {
            eprintln!("no such thing is asked of this helper: {args:?}");
            2
        }
    }
}
