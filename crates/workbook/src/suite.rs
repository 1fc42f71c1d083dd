//! Running the tests of one exercise, and reading what they said.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::cargo::Program;
use crate::watchdog::{self, Ending};

/// What one test said.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Test {
    pub name: String,
    pub passed: bool,
    /// Why it failed, in its own words; null when it passed.
    pub message: Option<String>,
    /// Where it failed: `tests/flags.rs:31:5`.
    #[serde(skip)]
    pub place: Option<String>,
}

/// Run a test program under the watchdog. The tests come in the order of their source, so that the first
/// that fails is the first to think about.
pub fn run(program: &Program, source: &str, silence: Duration) -> Result<Vec<Test>> {
    let names = list(&program.path, &program.folder)?;
    let outcome = watchdog::run(&program.path, &[], &program.folder, silence)?;
    let mut tests: Vec<Test> = names
        .into_iter()
        .filter(|name| !outcome.output.contains(&format!("test {name} ... ignored")))
        .map(|name| judge(name, &outcome.output, &outcome.ending))
        .collect();
    tests.sort_by_key(|test| source.find(&format!("fn {}(", test.name)).unwrap_or(usize::MAX));
    Ok(tests)
}

/// The names of the tests, as the program itself lists them.
fn list(program: &Path, folder: &Path) -> Result<Vec<String>> {
    let output = Command::new(program).current_dir(folder).arg("--list").stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("cannot start {}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
}

fn judge(name: String, output: &str, ending: &Ending) -> Test {
    if output.contains(&format!("test {name} ... ok")) {
        return Test { name, passed: true, message: None, place: None };
    }
    if output.contains(&format!("test {name} ... FAILED")) {
        let (message, place) = said(&name, output);
        return Test { name, passed: false, message: Some(message), place };
    }
    Test { name, passed: false, message: Some(format!("it did not finish: {ending}")), place: None }
}

/// The words of a failed test, between its heading and the next.
fn said(name: &str, output: &str) -> (String, Option<String>) {
    let heading = format!("---- {name} stdout ----\n");
    let Some((_, section)) = output.split_once(&heading) else {
        return ("it failed without a word".into(), None);
    };
    let end = ["\n---- ", "\nfailures:\n"].iter().filter_map(|mark| section.find(mark)).min();
    let section = section[..end.unwrap_or(section.len())].trim();
    let Some((before, panic)) = section.split_once("panicked at ") else {
        return (section.to_owned(), None);
    };
    let (place, message) = panic.split_once('\n').unwrap_or((panic, ""));
    let message = message.split("\nnote: run with `RUST_BACKTRACE").next().unwrap_or(message).trim();
    // What the test printed before it failed comes first, without the line that names the thread.
    let printed = before.trim_end().rsplit_once('\n').map_or("", |(printed, _thread)| printed.trim());
    let message = if printed.is_empty() { message.to_owned() } else { format!("{printed}\n{message}") };
    (message, Some(place.trim_end_matches(':').to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "
running 2 tests
test b ... ok
test a ... FAILED

failures:

---- a stdout ----

thread 'a' (123) panicked at tests/flags.rs:31:5:
descriptor 7 is still open
after exec
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace


failures:
    a

test result: FAILED. 1 passed; 1 failed; 0 ignored
";

    #[test]
    fn a_failed_test_is_quoted_without_the_noise_around_it() {
        let ending = Ending::Crowd(0);
        let a = judge("a".into(), OUTPUT, &ending);
        assert_eq!(a.message.as_deref(), Some("descriptor 7 is still open\nafter exec"));
        assert_eq!(a.place.as_deref(), Some("tests/flags.rs:31:5"));
        assert!(judge("b".into(), OUTPUT, &ending).passed);
    }

    #[test]
    fn a_test_without_a_result_did_not_finish() {
        let c = judge("c".into(), OUTPUT, &Ending::Crowd(500));
        assert!(!c.passed && c.message.is_some_and(|m| m.contains("500 processes")));
    }
}
