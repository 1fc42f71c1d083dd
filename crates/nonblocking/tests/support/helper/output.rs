//! How the scenarios print results and errors.

use std::fmt::{Debug, Display};

/// Prints `result Ok VALUE` or `result Err ERRNO TEXT`.
pub fn print<T: Debug>(result: &nonblocking::Result<T>) {
    match result {
        Ok(value) => println!("result Ok {value:?}"),
        Err(error) => println!("result Err {:?} {error}", error.errno),
    }
}

/// Describes an error of the preparation, which is not under test.
pub fn in_words(error: impl Display) -> String {
    error.to_string()
}
