//! What this crate's tests have done in a process of its own: forks, limits, the umask, networks, and kernels that
//! are not at hand.
//!
//! `run SCENARIO …` calls into this crate; `traced KERNEL SCENARIO …` does so on a kernel that is played, and
//! prints what was asked of it. Exit codes: as `testing` says.

use testing::tracer;

mod children;
mod network;
mod scenarios;

/// What the helper does, and its exit code.
pub fn answer(args: &[&str]) -> i32 {
    testing::ignore_sigpipe();
    match args {
        ["run", scenario @ ..] => scenarios::run(scenario),
        ["traced", kernel, scenario @ ..] if let Some(mut kernel) = network::parse(kernel) => {
            tracer::run(&mut kernel, || scenarios::run(scenario))
        }
        _ => {
            eprintln!("no such thing is asked of this helper: {args:?}");
            2
        }
    }
}
