//! What this crate's tests have done in a process of its own: signals are for a whole process, and so is being
//! traced.
//!
//! `run SCENARIO …` calls into this crate; `traced KERNEL SCENARIO …` does so on a kernel that is played, and
//! prints what was asked of it. With `signal-at-every-step` for the kernel, a signal comes between the
//! instructions of the marked code: see `stepper`. Exit codes: as `testing` says.

use testing::tracer;

mod allocations;
mod breakpoint;
mod kernel;
mod scenarios;
mod stepper;

/// What the helper does, and its exit code.
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
