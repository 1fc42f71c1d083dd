//! `tr a-z A-Z`, which klibc does not have: one of the programs that the book's server runs.

use std::io::{self, Read, Write};
use std::process::ExitCode;

use super::quiet;

/// Copy the standard input with capital letters, as it comes.
pub fn main() -> ExitCode {
    quiet::reader_may_leave();
    let mut bytes = [0; 4096];
    loop {
        match io::stdin().read(&mut bytes) {
            Ok(0) => return ExitCode::SUCCESS,
            Ok(length) => {
                bytes[..length].make_ascii_uppercase();
                // One write for each read, as tr(1) does.
                if io::stdout().write_all(&bytes[..length]).and_then(|()| io::stdout().flush()).is_err() {
                    return ExitCode::FAILURE;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return ExitCode::FAILURE,
        }
    }
}
