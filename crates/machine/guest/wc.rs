//! `wc -c`, which klibc does not have: one of the programs that the book's server runs.

use std::io;
use std::process::ExitCode;

use super::quiet;

/// Print how many bytes the standard input has.
pub fn main() -> ExitCode {
    quiet::reader_may_leave();
    match io::copy(&mut io::stdin(), &mut io::sink()) {
        Ok(count) => {
            println!("{count}");
            ExitCode::SUCCESS
        }
        Err(_) => ExitCode::FAILURE,
    }
}
