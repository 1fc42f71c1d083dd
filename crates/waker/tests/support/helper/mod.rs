//! The helper of this crate's tests: the test program once more, in a process of its own, because signals and tracing
//! affect a whole process.
//!
//! `run SCENARIO …` calls into this crate; `traced KERNEL SCENARIO …` does the same on a simulated kernel and prints
//! the system calls. With the kernel `signal-at-every-step`, a signal comes between the instructions of the code under
//! test: see `stepper`. The exit codes are the ones in `testing`.

use testing::tracer;

mod allocations;
mod breakpoint;
mod kernel;
mod scenarios;
mod stepper;

/// Does what the arguments say, and returns the exit code.
pub fn answer(args: &[&str]) -> i32 {
    testing::ignore_sigpipe();
    match args {
        ["run", scenario @ ..] => scenarios::run(scenario),
        ["traced", "signal-at-every-step", scenario @ ..] => {
            tracer::start(|| scenarios::run(scenario), stepper::watch)
        }
        ["traced", kernel, scenario @ ..] if let Some(mut kernel) = kernel::parse(kernel) => {
            tracer::run(&mut kernel, || scenarios::run(scenario))
        }
        _ => {
            eprintln!("no such thing is asked of this helper: {args:?}");
            2
        }
    }
}
