//! The helper of this crate's tests: the test program once more, in a process of its own.
//!
//! `inherited`, `inherited-to NUMBER`, `signals` and `arguments …` print what this program was started with; `run SCENARIO …` calls into
//! this crate; `traced KERNEL SCENARIO …` does the same on a simulated kernel and prints the system calls. The exit
//! codes are the ones in `testing`, and 99 for a child of a fork that returned from the code that forked.

use testing::tracer;

mod calls;
mod inherited;
mod kernel;
pub mod table;

/// Does what the arguments say, where `run` runs the scenarios of one test program, and returns the exit code.
pub fn answer(args: &[&str], run: fn(&[&str]) -> i32) -> i32 {
    match args {
        ["inherited"] => inherited::descriptors(),
        ["inherited-to", number] => inherited::descriptors_to(number),
        ["signals"] => inherited::signals(),
        ["arguments", ..] => inherited::arguments(),
        ["run", scenario @ ..] => run(scenario),
        ["traced", kernel, scenario @ ..] if let Some(mut kernel) = kernel::parse(kernel) => {
            tracer::run(&mut kernel, || run(scenario))
        }
        _ => {
            eprintln!("no such thing is asked of this helper: {args:?}");
            2
        }
    }
}
