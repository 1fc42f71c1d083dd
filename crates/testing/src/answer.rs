//! Which of several answers in one test program is switched on.

use std::ffi::CStr;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::libc;

/// Its number comes from here, so that a helper, which is the same program again, has the same.
const VARIABLE: &CStr = c"WORKBOOK_ANSWER";

const UNKNOWN: usize = usize::MAX;

/// The number of the answer that is switched on; 0 is the reference. `workbook verify` compiles many answers into one program:
/// each is an arm of a `match` on this.
///
/// It allocates nothing, makes no system call and takes no lock, so that it changes nothing for a test that forbids them.
pub fn answer() -> usize {
    static NUMBER: AtomicUsize = AtomicUsize::new(UNKNOWN);
    let number = NUMBER.load(Ordering::Relaxed);
    if number != UNKNOWN {
        return number;
    }
    let number = from_environment();
    NUMBER.store(number, Ordering::Relaxed);
    number
}

fn from_environment() -> usize {
    // SAFETY: the name ends with a zero byte. No test changes the environment of its own process.
    let value = unsafe { libc::getenv(VARIABLE.as_ptr()) };
    if value.is_null() {
        return 0;
    }
    // SAFETY: the value ends with a zero byte, and stays where it is, because nobody changes it.
    let value = unsafe { CStr::from_ptr(value) };
    value.to_str().ok().and_then(|value| value.parse().ok()).unwrap_or(0)
}
