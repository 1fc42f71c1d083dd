//! The program that the tests of this crate start, because a test process has threads and must not fork.
//!
//! `born-with`, `signals` and `arguments …` say what a program was started with; `run SCENARIO …` calls into
//! this crate; `traced KERNEL SCENARIO …` does so under ptrace, and prints what was asked of the kernel.
//! Exit codes: 0 done; 1 could not be done; 2 asked for something unknown; 77 ptrace is refused here; 99 the
//! child of a fork came back out of the code that forked; 101 a panic.

// Rust's runtime opens /dev/null on 0, 1 and 2 where they are closed, before `main`. A program that is to say
// what it was born with has to do without that. (glibc hands the arguments to `std::env::args` all the same.)
#![no_main]

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

/// In seconds. Nothing that is asked of this program takes that long, unless it waits for what never comes.
const HUNG: u32 = 10;

/// The C entry point; see the note on `no_main` above.
// SAFETY: the only symbol of this name in the program, with the signature that the C runtime calls it by.
#[unsafe(no_mangle)]
pub extern "C" fn main(_argc: i32, _argv: *const *const u8) -> i32 {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    nix::unistd::alarm::set(HUNG);
    // A panic must not cross into C; it ends the program as it would end any other in Rust.
    std::panic::catch_unwind(|| answer(&args)).unwrap_or(101)
}

fn answer(args: &[&str]) -> i32 {
    match args {
        ["born-with"] => born_with::descriptors(),
        ["signals"] => born_with::signals(),
        ["arguments", ..] => born_with::arguments(),
        ["run", scenario @ ..] => scenarios::run(scenario),
        ["traced", kernel, scenario @ ..] => tracer::print(kernel, scenario),
        _ => {
            eprintln!("cloexec-helper: started by the tests, not by hand; see its main.rs");
            2
        }
    }
}
