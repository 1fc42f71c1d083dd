//! The helper process of this crate's tests: forks, limits, the umask, network namespaces, and injected errors.
//!
//! `run SCENARIO …` calls into this crate. `traced KERNEL SCENARIO …` does the same under a tracer, which answers some
//! system calls in the kernel's place and prints all that it sees. For the exit codes, see `testing`.

use testing::tracer;

pub mod children;
mod network;

/// Run the helper with these arguments, where `run` runs the scenarios of one test program, and return the exit code.
pub fn answer(args: &[&str], run: fn(&[&str]) -> i32) -> i32 {
    testing::ignore_sigpipe();
    match args {
        ["run", scenario @ ..] => run(scenario),
        ["traced", kernel, scenario @ ..] if let Some(mut kernel) = network::parse(kernel) => {
            tracer::run(&mut kernel, || run(scenario))
        }
        _ => {
            eprintln!("the helper does not know these arguments: {args:?}");
            2
        }
    }
}
