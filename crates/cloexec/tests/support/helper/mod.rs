//! What this crate's tests have done in a process of its own.
//!
//! `born-with`, `signals` and `arguments …` say what a program was started with; `run SCENARIO …` calls into
//! this crate; `traced KERNEL SCENARIO …` does so under ptrace, and prints what was asked of the kernel.
//! Exit codes: as `testing` says, and 99 for the child of a fork that came back out of the code that forked.

mod born_with;
mod scenarios;
mod table;

#[cfg(target_arch = "x86_64")]
mod calls;
#[cfg(target_arch = "x86_64")]
mod tracer;

/// Reading and changing the registers of a traced program is written for x86-64 so far.
#[cfg(not(target_arch = "x86_64"))]
mod tracer {
    pub fn print(_kernel: &str, _scenario: &[&str]) -> i32 {
        eprintln!("ptrace: only written for x86-64");
        77
    }
}

/// What the helper does, and its exit code.
pub fn answer(args: &[&str]) -> i32 {
    match args {
        ["born-with"] => born_with::descriptors(),
        ["signals"] => born_with::signals(),
        ["arguments", ..] => born_with::arguments(),
        ["run", scenario @ ..] => scenarios::run(scenario),
        ["traced", kernel, scenario @ ..] => tracer::print(kernel, scenario),
        _ => {
            eprintln!("no such thing is asked of this helper: {args:?}");
            2
        }
    }
}
