//! Skipping a test: what this machine cannot be asked is no verdict on the code under test.
//!
//! libtest knows no test that finds out while it runs that it cannot judge: such a test returns, and would be counted as
//! passed. So it first prints a marked line, `skipped: NAME: REASON`, past libtest, which drops what a test prints if it
//! passes. `cargo test` shows the line among the results, and `workbook` reads it: see `checking/libtest.rs` there.

use std::fmt::Display;
use std::io;
use std::thread;

use nix::errno::Errno;
use nix::unistd::write;

/// Say that the test that calls this cannot ask this machine something, and why. The test is *skipped* if it then
/// returns, even if it has judged a part: nothing that fails only in the other part would be caught.
///
/// Call it in the thread of the test, which libtest names after the test, and before the code under test is run: the
/// reason must not be a fault of that code.
pub fn skipped(reason: impl Display) {
    print(thread::current().name().unwrap_or("?"), reason);
}

/// Say that no test of this program can ask this machine anything, and why.
pub fn all(reason: impl Display) {
    print("*", reason);
}

fn print(name: &str, reason: impl Display) {
    let reason = reason.to_string();
    let reason: Vec<&str> = reason.split_whitespace().collect();
    let line = format!("skipped: {name}: {}\n", reason.join(" "));
    // One call of write(2) for a line, so that no other thread's words come into the middle.
    while write(io::stdout(), line.as_bytes()) == Err(Errno::EINTR) {}
}

/// Skip the test: say why, as `format!` would, and return.
///
/// ```ignore
/// if limit < 1500 {
///     testing::skip!("this process may not have descriptor 1500 (its hard limit is {limit})");
/// }
/// ```
#[macro_export]
macro_rules! skip {
    ($($reason:tt)+) => {
        return $crate::skipped(format_args!($($reason)+))
    };
}

/// Skip the test if this machine lacks one of these: `testing::needs!(loopback, descriptors(256))`. They are functions in
/// [`machine`](crate::machine).
#[macro_export]
macro_rules! needs {
    ($($what:ident $(($least:expr))?),+) => {{
        $(if let Err(reason) = $crate::machine::$what($($least)?) {
            $crate::skip!("{reason}");
        })+
    }};
}
