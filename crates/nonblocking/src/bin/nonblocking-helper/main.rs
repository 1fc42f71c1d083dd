//! The program that the tests of this crate start: for what a child does, for limits and privileges of its
//! own, and for kernels that are not at hand.
//!
//! `run SCENARIO …` calls into this crate; `traced KERNEL SCENARIO …` does so under ptrace, and prints what
//! was asked of the kernel. Exit codes: 0 done; 1 could not be done; 2 asked for something unknown; 77 ptrace
//! is refused here; 101 a panic.

mod scenarios;

#[cfg(target_arch = "x86_64")]
mod calls;
#[cfg(target_arch = "x86_64")]
mod kernel;
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

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    nix::unistd::alarm::set(HUNG);
    std::process::exit(match args[..] {
        ["run", ref scenario @ ..] => scenarios::run(scenario),
        ["traced", kernel, ref scenario @ ..] => tracer::print(kernel, scenario),
        _ => {
            eprintln!("nonblocking-helper: started by the tests, not by hand; see its main.rs");
            2
        }
    });
}
