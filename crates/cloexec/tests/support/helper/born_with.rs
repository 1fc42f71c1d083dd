//! What this program was born with: descriptors, signals, arguments.

use std::fs;

use super::table;

/// One line a descriptor: `NUMBER DEVICE:INODE TARGET`.
pub fn descriptors() -> i32 {
    for entry in table::open_now() {
        println!("{} {} {}", entry.number, entry.identity, entry.target);
    }
    0
}

/// The lines of /proc/self/status that say which signals are blocked and ignored, as masks.
pub fn signals() -> i32 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in status.lines().filter(|line| line.starts_with("SigBlk") || line.starts_with("SigIgn")) {
        println!("{line}");
    }
    0
}

/// Every argument from the program's own name on, and one variable of the environment.
pub fn arguments() -> i32 {
    for argument in std::env::args_os() {
        println!("argument {}", argument.display());
    }
    println!("variable {}", std::env::var("CLOEXEC_TEST").unwrap_or_default());
    0
}
