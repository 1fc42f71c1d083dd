//! `sort`, which klibc does not have: one of the programs that the book's server runs.

use std::io::{self, Read};
use std::process::ExitCode;

use super::quiet;

/// Print the lines of the standard input in the order of their bytes.
pub fn main() -> ExitCode {
    quiet::reader_may_leave();
    let mut text = String::new();
    if io::stdin().read_to_string(&mut text).is_err() {
        return ExitCode::FAILURE;
    }
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines.iter().for_each(|line| println!("{line}"));
    ExitCode::SUCCESS
}
