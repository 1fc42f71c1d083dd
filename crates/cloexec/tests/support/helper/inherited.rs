//! What this program was started with: descriptors, signals, arguments.

use std::fs;
use std::os::fd::BorrowedFd;

use nix::unistd::write;

use super::table;

/// Prints a line per descriptor: `NUMBER DEVICE:INODE TARGET`.
pub fn descriptors() -> i32 {
    for entry in table::open_now() {
        println!("{} {} {}", entry.number, entry.identity, entry.target);
    }
    0
}

/// Writes the same to this descriptor, because standard output may be closed.
pub fn descriptors_to(number: &str) -> i32 {
    let line = |entry: table::Entry| format!("{} {} {}\n", entry.number, entry.identity, entry.target);
    let text: String = table::open_now().into_iter().map(line).collect();
    let Ok(number) = number.parse() else { return 2 };
    // SAFETY: if it is not open, the write fails.
    let written = write(unsafe { BorrowedFd::borrow_raw(number) }, text.as_bytes());
    i32::from(written != Ok(text.len()))
}

/// Prints the lines of `/proc/self/status` with the masks of blocked and ignored signals.
pub fn signals() -> i32 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in status.lines().filter(|line| line.starts_with("SigBlk") || line.starts_with("SigIgn")) {
        println!("{line}");
    }
    0
}

/// Prints every argument, including `argv[0]`, and one variable of the environment.
pub fn arguments() -> i32 {
    for argument in std::env::args_os() {
        println!("argument {}", argument.display());
    }
    println!("variable {}", std::env::var("CLOEXEC_TEST").unwrap_or_default());
    0
}
