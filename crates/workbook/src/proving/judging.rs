//! One mistake: is it caught as it says?

use anyhow::{Result, anyhow};
use mistakes::{Mistake, edit};

use super::copy::Copy;
use crate::cargo::Program;
use crate::catalogue::Exercise;
use crate::checking::{self, Checked, Test, Through};

/// The reference with this mistake in it.
///
/// # Errors
/// When a hunk does not match exactly one place of the reference.
pub fn edited(mistake: &Mistake, reference: &str) -> Result<String> {
    edit::apply(&mistake.hunks, reference).map_err(|wrong| anyhow!(wrong))
}

/// How often a test that missed a mistake runs again.
const SECOND_CHANCES: usize = 2;

/// Was a mistake caught as it says? The others say why not.
pub enum Judged {
    Caught,
    /// Its test missed it, and caught it when it ran again: the test depends on chance.
    ByChance(String),
    /// Its test could not ask this machine.
    Skipped(String),
    Missed(String),
}

impl Judged {
    /// The same, with the mistake's name before the words.
    pub fn after(self, name: &str) -> Self {
        match self {
            Self::Caught => Self::Caught,
            Self::ByChance(why) => Self::ByChance(format!("{name} {why}")),
            Self::Skipped(why) => Self::Skipped(format!("{name} {why}")),
            Self::Missed(why) => Self::Missed(format!("{name} {why}")),
        }
    }
}

/// Does the test that a mistake names catch it in each of so many `times`, in a program that has it among others? What is not
/// caught there must be judged by itself.
///
/// # Errors
/// When the program cannot be started; `Interrupted` on Ctrl-C.
pub fn is_caught(exercise: &Exercise, mistake: &Mistake, program: &Program, times: usize) -> Result<bool> {
    let named = named(mistake);
    for _ in 0..times {
        if !matches!(verdict(mistake, &checking::again(exercise, program, Some(&named))?), Judged::Caught) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Let the test that a mistake names run this many `times` on it, and those that it is said to pass. If that is once, a test that
/// misses it may run again.
///
/// # Errors
/// When the copy cannot be built or written; `Interrupted` on Ctrl-C.
pub fn judge(
    copy: &Copy,
    exercise: &Exercise,
    mistake: &Mistake,
    answer: &str,
    times: usize,
) -> Result<Judged> {
    let named = named(mistake);
    let only = Some(&named[..]);
    let (tests, program) = match copy.test(exercise, answer, Through::Shortcut, only)? {
        Checked::Ran { tests, program, .. } => (tests, program),
        Checked::DoesNotCompile(said) => return Ok(Judged::Missed(format!("does not compile:\n{said}"))),
    };
    let mut judged = verdict(mistake, &tests);
    if times == 1
        && let Judged::Missed(why) = &judged
    {
        for _ in 0..SECOND_CHANCES {
            if let Judged::Caught = verdict(mistake, &checking::again(exercise, &program, only)?) {
                return Ok(Judged::ByChance(format!(
                    "was missed, and caught when its test ran again. At first it {why}"
                )));
            }
        }
    }
    for time in 2..=times {
        if !matches!(judged, Judged::Caught) {
            break;
        }
        judged = match verdict(mistake, &checking::again(exercise, &program, only)?) {
            Judged::Missed(why) => Judged::Missed(format!("{why} (run {time} of {times})")),
            other => other,
        };
    }
    Ok(judged)
}

/// The tests that it is about. The others may catch it too, and would take their time.
fn named(mistake: &Mistake) -> Vec<&str> {
    [&mistake.caught_by].into_iter().chain(&mistake.passes).map(String::as_str).collect()
}

fn verdict(mistake: &Mistake, tests: &[Test]) -> Judged {
    let Mistake { caught_by: test, message, passes, .. } = mistake;
    let Some(found) = tests.iter().find(|t| t.name == *test) else {
        return Judged::Missed(format!("names the test {test}, which there is not"));
    };
    match (&found.message, &found.skipped) {
        (None, Some(reason)) => {
            Judged::Skipped(format!("was not judged, because {test} was skipped: {reason}"))
        }
        (None, None) => Judged::Missed(format!("passes {test}, which should catch it")),
        (Some(said), _) if !said.contains(message) => {
            Judged::Missed(format!("is caught by {test}, but not with «{message}»: {said}"))
        }
        (Some(_), _) => passes
            .iter()
            .find_map(|name| match tests.iter().find(|t| t.name == *name) {
                None => Some(format!("names the test {name}, which there is not")),
                Some(test) => test
                    .message
                    .as_ref()
                    .map(|said| format!("fails {name}, which it is said to pass: {said}")),
            })
            .map_or(Judged::Caught, Judged::Missed),
    }
}
