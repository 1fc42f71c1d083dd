//! What is made of a run: an error, a fallback, or something unexplained.

use nix::errno::Errno;

use crate::{FALLBACKS, Fault, fallbacks::Fallback};

/// How an operation took a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// An error that names the errno.
    Error,
    /// A documented way out.
    Fallback(&'static Fallback),
    /// Neither, or something was lost or left: in these words.
    Unexplained(String),
    /// The run did not get as far as the call.
    Missed,
}

/// Judge the lines that an operation printed under a fault, and its exit code.
pub fn judge(operation: &str, fault: &Fault, lines: &[&str], code: i32) -> Verdict {
    let bad: Vec<&str> = ["lost", "left", "panic", "endless"]
        .into_iter()
        .flat_map(|word| lines.iter().copied().filter(move |line| line.starts_with(word)))
        .collect();
    if !bad.is_empty() {
        return Verdict::Unexplained(bad.join("; "));
    }
    if !lines.contains(&"done") {
        let how = if code == crate::scene::HUNG { "hung" } else { "was killed or exited" };
        return Verdict::Unexplained(format!("it {how} (exit code {code})"));
    }
    if !lines.contains(&"struck") {
        return Verdict::Missed;
    }
    let errors: Vec<&str> = lines.iter().copied().filter(|line| line.starts_with("error")).collect();
    if errors.iter().any(|text| names(text, fault.errno)) {
        return Verdict::Error;
    }
    match FALLBACKS.iter().find(|fallback| fallback.is_for(operation, fault)) {
        Some(fallback) => Verdict::Fallback(fallback),
        None if errors.is_empty() => Verdict::Unexplained("no error, and no fallback is documented".into()),
        None => Verdict::Unexplained(format!("the error does not name the errno: {}", errors.join("; "))),
    }
}

/// Does this text name the errno, as nix or std writes it?
fn names(text: &str, errno: Errno) -> bool {
    text.contains(&format!("{errno:?}")) || text.contains(&format!("(os error {})", errno as i32))
}
