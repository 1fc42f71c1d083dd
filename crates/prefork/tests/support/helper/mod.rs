//! The helper process of this crate's tests: forks, limits, the umask, network namespaces, and injected errors.
//!
//! `run SCENARIO …` calls into this crate. `traced KERNEL SCENARIO …` does the same under a tracer, which answers some
//! system calls in the kernel's place and prints all that it sees. For the exit codes, see `testing`.

use testing::tracer;

mod children;
mod network;
mod scenarios;

/// Run the helper with these arguments, and return its exit code.
pub fn answer(args: &[&str]) -> i32 {
    testing::ignore_sigpipe();
    match args {
        ["run", scenario @ ..] => scenarios::run(scenario),
        ["traced", kernel, scenario @ ..] if let Some(mut kernel) = network::parse(kernel) => {
            tracer::run(&mut kernel, || scenarios::run(scenario))
        }
        _ => {
            eprintln!("the helper does not know these arguments: {args:?}");
            2
        }
    }
}
