//! What the server says on the standard error.

/// Print a line on the standard error, if a process still reads it. `eprintln!` would panic otherwise, and the caller would not
/// do what comes next: not even stop.
macro_rules! complain {
    ($($words:tt)+) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($words)+);
    }};
}

pub(crate) use complain;
