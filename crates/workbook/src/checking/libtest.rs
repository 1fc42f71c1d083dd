//! What libtest printed, test by test.

use serde::{Deserialize, Serialize};

use crate::terminal::readable;

/// The module of tests that were compiled into their crate: see `checking::check`. libtest names each test by its path.
const MODULE: &str = "t::";

/// What one test said.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Test {
    pub name: String,
    pub passed: bool,
    /// Why it failed, in its own words; null when it did not.
    pub message: Option<String>,
    /// Why it could not ask this machine, or not all that it asks: then it has neither passed nor failed. Else null.
    pub skipped: Option<String>,
    /// Where it failed: `tests/flags.rs:31:5`.
    #[serde(skip)]
    pub place: Option<String>,
}

impl Test {
    pub fn failed(&self) -> bool {
        self.message.is_some()
    }

    /// Did another test hang first? These words are the ones of the tests' helpers, too: see the crate `testing`.
    pub fn not_run(&self) -> bool {
        self.message.as_ref().is_some_and(|message| message.starts_with("not run: "))
    }

    /// Was it running when the test program was stopped?
    pub fn did_not_finish(&self) -> bool {
        self.message.as_ref().is_some_and(|message| message.starts_with(UNFINISHED))
    }

    /// Take the module out of the name, and out of the names of threads, which libtest calls after their test.
    pub fn tidy(&mut self) {
        self.name = without_module(&self.name).to_owned();
        if let Some(message) = &mut self.message {
            for before in ["thread ", "thread '"] {
                *message = message.replace(&format!("{before}{MODULE}"), before);
            }
        }
    }
}

/// How the message of a test begins that was running when the test program was stopped.
pub const UNFINISHED: &str = "it did not finish: ";

/// The name of a test without the module that it was compiled into.
pub fn without_module(name: &str) -> &str {
    name.strip_prefix(MODULE).unwrap_or(name)
}

/// What a test's output says of it.
pub enum Judged {
    Parsed(Test),
    Ignored,
    /// It failed, but the program was stopped before it printed what its tests had said.
    Silent,
    Unfinished,
}

/// Find the result of the test of this name.
pub fn judge(name: &str, output: &str) -> Judged {
    // One search for all that follows: the output may have megabytes of other words.
    let heading = format!("test {name}");
    let behind = output.match_indices(&heading).map(|(at, _)| &output[at + heading.len()..]);
    let result = |rest: &'_ str| rest.strip_prefix(" - should panic").unwrap_or(rest).starts_with(" ... ");
    let results: Vec<&str> = behind.filter(|rest| result(rest)).collect();
    let said = |word: &str| {
        results
            .iter()
            .any(|rest| rest.split_once(" ... ").is_some_and(|(_, result)| result.starts_with(word)))
    };
    if said("FAILED") {
        let said = said_by(name, output);
        said.map_or(Judged::Silent, |(message, place)| {
            Judged::Parsed(failed(name.to_owned(), message, place))
        })
    } else if said("ok") {
        Judged::Parsed(not_failed(name.to_owned(), output))
    } else if said("ignored") {
        Judged::Ignored
    } else {
        Judged::Unfinished
    }
}

/// A test that did not fail: it passed, or it says in the output that it was skipped. The crate `testing` prints a line
/// for each reason, which may stand behind other words.
pub fn not_failed(name: String, output: &str) -> Test {
    let mark = format!("skipped: {name}: ");
    let mut reasons: Vec<&str> = Vec::new();
    for reason in output.lines().filter_map(|line| line.split_once(&mark).map(|(_, reason)| reason.trim())) {
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    let skipped = (!reasons.is_empty()).then(|| reasons.join("; "));
    Test { name, passed: skipped.is_none(), skipped, ..Test::default() }
}

/// Why no test of the program could ask this machine anything, if it says so.
pub fn all_skipped(output: &str) -> Option<&str> {
    output.lines().find_map(|line| line.strip_prefix("skipped: *: "))
}

pub fn skipped(name: String, reason: &str) -> Test {
    Test { name, skipped: Some(reason.to_owned()), ..Test::default() }
}

pub fn failed(name: String, message: String, place: Option<String>) -> Test {
    Test { name, message: Some(message), place, ..Test::default() }
}

/// The words of a failed test, between its heading and the next.
fn said_by(name: &str, output: &str) -> Option<(String, Option<String>)> {
    let heading = format!("---- {name} stdout ----\n");
    let (_, section) = output.split_once(&heading)?;
    let end = ["\n---- ", "\nfailures:\n"].iter().filter_map(|mark| section.find(mark)).min();
    Some(words(&section[..end.unwrap_or(section.len())]))
}

/// As much as is read of what was printed, without the noise around a panic, and where the first panic was. Its words are in the
/// middle where something prints on.
pub fn words(section: &str) -> (String, Option<String>) {
    let section = section.trim();
    let Some((before, panic)) = section.split_once("panicked at ") else {
        return (readable(section), None);
    };
    let (place, message) = panic.split_once('\n').unwrap_or((panic, ""));
    // There may be a second panic, of the thread that waited for the first.
    let lines = message.lines().filter(|line| !line.starts_with("note: run with `RUST_BACKTRACE"));
    let message = lines.collect::<Vec<_>>().join("\n").trim().to_owned();
    // What the test printed before it failed comes first, without the line that names the thread.
    let printed = before.trim_end().rsplit_once('\n').map_or("", |(printed, _thread)| printed.trim());
    let (printed, message) = (readable(printed), readable(&message));
    let message = if printed.is_empty() { message } else { format!("{printed}\n{message}") };
    (message, Some(place.trim_end_matches(':').to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "
running 6 tests
test b ... ok
test a ... FAILED
skipped: f: ptrace: EPERM
test d - should panic ... ok
test e ... ignored, not on this kernel
test f ... test g ... skipped: ff: not mine
ok
test f ... ok
skipped: f: ptrace: EPERM
test h ... FAILED
skipped: f: no ::1

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

    fn parsed(name: &str) -> Test {
        let Judged::Parsed(test) = judge(name, OUTPUT) else { panic!("{name} has a result") };
        test
    }

    #[test]
    fn a_failed_test_is_quoted_without_the_noise_around_it() {
        let a = parsed("a");
        assert_eq!(a.message.as_deref(), Some("descriptor 7 is still open\nafter exec"));
        assert_eq!(a.place.as_deref(), Some("tests/flags.rs:31:5"));
        assert!(parsed("b").passed && parsed("d").passed);
        assert!(matches!(judge("e", OUTPUT), Judged::Ignored));
    }

    #[test]
    fn a_test_without_a_result_did_not_finish_and_one_without_words_is_silent() {
        assert!(matches!(judge("c", OUTPUT), Judged::Unfinished));
        assert!(matches!(judge("h", OUTPUT), Judged::Silent));
    }

    #[test]
    fn a_skipped_test_has_neither_passed_nor_failed() {
        let f = parsed("f");
        assert_eq!(f.skipped.as_deref(), Some("ptrace: EPERM; no ::1"));
        assert!(!f.passed && !f.failed());
    }
}
