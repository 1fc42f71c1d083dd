//! What came of an experiment or of a program of tests on a kernel.

use serde::{Deserialize, Serialize};

use super::guest::Ended;
use crate::report::{difference, last_paragraph};

/// What came of it, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The report is the book's transcript; or all tests passed.
    Agrees,
    /// The kernel agrees, and a row of the report is another one; or some tests were skipped.
    Partly,
    /// It cannot be asked there.
    Skipped,
    /// The kernel disagrees with the book, or there was no verdict; or a test failed.
    Differs,
}

/// One of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outcome {
    /// `zombie`, or `cloexec/flags`.
    pub name: String,
    /// What came of it.
    pub verdict: Verdict,
    /// Why it does not simply agree: as it says itself.
    pub reason: String,
    /// How many tests passed, and how many were skipped.
    pub tests: Option<(u32, u32)>,
    /// How often it was tried.
    pub tries: u32,
    /// What it printed, where it does not agree.
    pub printed: String,
}

/// What came of everything on one kernel.
#[derive(Serialize, Deserialize)]
pub struct Results {
    /// `6.1`.
    pub name: String,
    /// `6.1.176`.
    pub version: String,
    /// What was run.
    /// What was run: the digest of the guest.
    pub digest: String,
    /// The experiments in the order of the book, then the tests.
    pub outcomes: Vec<Outcome>,
}

/// What an experiment's output says, beside its transcript.
pub fn of_experiment(name: &str, ended: Ended, transcript: &str) -> Outcome {
    let (verdict, reason, printed) = match ended {
        Ended::Lost(reason) => (Verdict::Differs, reason, String::new()),
        Ended::Exited(0, printed) if printed == transcript => (Verdict::Agrees, String::new(), String::new()),
        Ended::Exited(0, printed) => (Verdict::Partly, first_other_row(&printed, transcript), printed),
        Ended::Exited(3, printed) => (
            Verdict::Skipped,
            last_paragraph(&printed).replacen("This cannot be asked here: ", "", 1),
            printed,
        ),
        Ended::Exited(1, printed) => {
            let said = last_paragraph(&printed);
            (Verdict::Differs, said.replacen("This kernel disagrees with the book: ", "", 1), printed)
        }
        Ended::Exited(status, printed) => {
            (Verdict::Differs, format!("it ended with status {status}"), printed)
        }
    };
    Outcome { name: name.to_owned(), verdict, reason, tests: None, tries: 1, printed }
}

fn first_other_row(printed: &str, transcript: &str) -> String {
    difference(transcript, printed).1.unwrap_or("the end").trim().to_owned()
}

/// What a program of tests says: libtest's last line, and the lines of the tests that cannot ask.
pub fn of_tests(name: &str, ended: Ended) -> Outcome {
    let new = |verdict, reason, tests, printed| Outcome {
        name: name.to_owned(),
        verdict,
        reason,
        tests,
        tries: 1,
        printed,
    };
    let (status, printed) = match ended {
        Ended::Lost(reason) => return new(Verdict::Differs, reason, None, String::new()),
        Ended::Exited(status, printed) => (status, printed),
    };
    let passed = printed.lines().find_map(|line| {
        let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
        counts.split_once(" passed")?.0.parse().ok()
    });
    let skipped: Vec<_> =
        printed.lines().filter_map(|line| line.strip_prefix("skipped: ")).map(str::to_owned).collect();
    let failed: Vec<_> =
        printed.lines().filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED")).collect();
    let count = u32::try_from(skipped.len()).unwrap_or(u32::MAX);
    match (status, passed) {
        (0, Some(passed)) if skipped.is_empty() => {
            new(Verdict::Agrees, String::new(), Some((passed, 0)), String::new())
        }
        (0, Some(passed)) => {
            new(Verdict::Partly, skipped.join("; "), Some((passed.saturating_sub(count), count)), printed)
        }
        (_, Some(passed)) => new(Verdict::Differs, failed.join(", "), Some((passed, count)), printed),
        (status, None) => new(Verdict::Differs, format!("it ended with status {status}"), None, printed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn experiment(status: i32, printed: &str) -> (Verdict, String) {
        let outcome = of_experiment("zombie", Ended::Exited(status, printed.to_owned()), "a\n\nb\n");
        (outcome.verdict, outcome.reason)
    }

    #[test]
    fn an_experiment_is_compared_with_its_transcript() {
        assert_eq!(experiment(0, "a\n\nb\n"), (Verdict::Agrees, String::new()));
        assert_eq!(experiment(0, "a\n\n  c\n"), (Verdict::Partly, "c".to_owned()));
        assert_eq!(experiment(0, "a\n"), (Verdict::Partly, "the end".to_owned()));
    }

    #[test]
    fn the_reason_of_an_experiment_is_its_last_paragraph() {
        let skipped = "a\n\nThis cannot be asked here: epoll_pwait2 is\nmissing\n\n";
        assert_eq!(experiment(3, skipped), (Verdict::Skipped, "epoll_pwait2 is missing".to_owned()));
        let disagrees = "a\n\nThis kernel disagrees with the book: seen: a;\nthe book says b\n";
        assert_eq!(experiment(1, disagrees), (Verdict::Differs, "seen: a; the book says b".to_owned()));
        assert_eq!(experiment(142, "a\n"), (Verdict::Differs, "it ended with status 142".to_owned()));
        let lost = of_experiment("zombie", Ended::Lost("nothing within 90 s".to_owned()), "");
        assert_eq!((lost.verdict, lost.reason.as_str()), (Verdict::Differs, "nothing within 90 s"));
    }

    #[test]
    fn tests_are_counted_and_the_failed_ones_named() {
        let of = |status, printed: &str| {
            let outcome = of_tests("cloexec/flags", Ended::Exited(status, printed.to_owned()));
            (outcome.verdict, outcome.reason, outcome.tests)
        };
        let passed = "test a ... ok\n\ntest result: ok. 2 passed; 0 failed; 0 ignored\n";
        assert_eq!(of(0, passed), (Verdict::Agrees, String::new(), Some((2, 0))));
        let skipped = format!("skipped: b: no IPv6\n{passed}");
        assert_eq!(of(0, &skipped), (Verdict::Partly, "b: no IPv6".to_owned(), Some((1, 1))));
        let failed =
            "test a ... FAILED\ntest b ... ok\n\ntest result: FAILED. 1 passed; 1 failed; 0 ignored\n";
        assert_eq!(of(101, failed), (Verdict::Differs, "a".to_owned(), Some((1, 0))));
        assert_eq!(of(139, "").1, "it ended with status 139");
    }
}
