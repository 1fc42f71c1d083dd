//! An attempt at an exercise: run its tests on the reader's file, remember what came of it, and show it.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;

use crate::catalogue::{Catalogue, Exercise};
use crate::checking::{self, Checked, Place, Test, Through};
use crate::proving;
use crate::terminal::{self, BAD, BOLD, DIM, GOOD};
use crate::verdicts::Verdicts;

/// What came of one exercise.
#[derive(Debug, Serialize)]
pub struct Attempt {
    pub name: String,
    pub passed: bool,
    pub tests: Vec<Test>,
    pub seconds: f64,
    /// Why no test ran: what rustc said, or that the file is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The names of the known wrong answers that fail as this one does.
    #[serde(skip)]
    pub mistakes: Vec<String>,
}

/// Run the tests on the reader's file, and remember what came of it.
///
/// # Errors
/// As [`checking::check`].
pub fn check(
    catalogue: &Catalogue,
    verdicts: &mut Verdicts,
    exercise: &Exercise,
    patience: Duration,
) -> Result<Attempt> {
    let start = Instant::now();
    let content = verdicts.content(exercise);
    let name = exercise.name.clone();
    if !exercise.source().is_file() {
        let reset = terminal::plain_command(&format!("reset {}", exercise.short));
        let source = catalogue.shown(&exercise.source());
        let error = format!("{source} is missing. Put back as it was handed out: {reset}");
        let (tests, mistakes) = (Vec::new(), Vec::new());
        return Ok(Attempt { name, passed: false, tests, seconds: 0.0, error: Some(error), mistakes });
    }
    let place =
        Place { root: catalogue.root.clone(), target: None, unchanged: verdicts.surroundings(exercise) };
    let spinner = terminal::spinner(format!("checking {}", exercise.name));
    let checked = checking::check(&place, exercise, Through::Shortcut, None, patience);
    spinner.finish_and_clear();
    let (tests, error) = match checked? {
        Checked::Ran { tests, .. } => (tests, None),
        Checked::DoesNotCompile(said) => (Vec::new(), Some(said)),
    };
    let passed = error.is_none() && !tests.is_empty() && tests.iter().all(|test| test.passed);
    let seconds = start.elapsed().as_secs_f64();
    let mistakes = proving::failing_alike(exercise, &tests);
    verdicts.checked(exercise, content, passed, &mistakes);
    Ok(Attempt { name, passed, tests, seconds, error, mistakes })
}

impl Attempt {
    /// Without colors, as JSON must be even in a terminal.
    pub fn without_colors(mut self) -> Self {
        self.error = self.error.map(|text| anstream::adapter::strip_str(&text).to_string());
        self
    }
}

/// One line, for many exercises.
pub fn show_line(exercise: &Exercise, attempt: &Attempt) {
    let state = match attempt {
        _ if attempt.passed => format!("{GOOD}done{GOOD:#}"),
        _ if exercise.untouched() => format!("{DIM}not begun{DIM:#}"),
        Attempt { error: Some(_), .. } => format!("{BAD}{}{BAD:#}", why_not(exercise)),
        _ => score(attempt),
    };
    anstream::println!("{} {:24} {state}", terminal::sign(attempt.passed), attempt.name);
}

/// Show one exercise: the first failed test whole, and how many more failed.
pub fn show(catalogue: &Catalogue, exercise: &Exercise, attempt: &Attempt) {
    let Attempt { name, passed, seconds, .. } = attempt;
    if let Some(error) = &attempt.error {
        anstream::println!("{}", error.trim_end());
        anstream::println!("\n{} {BOLD}{name}{BOLD:#} {}", terminal::sign(false), why_not(exercise));
        return;
    }
    let score = score(attempt);
    anstream::println!(
        "{} {BOLD}{name}{BOLD:#}  {score}  {DIM}{seconds:.2} s{DIM:#}",
        terminal::sign(*passed)
    );
    let module = &exercise.short;
    if *passed {
        anstream::println!(
            "\n  {} shows our answer beside yours.",
            terminal::command(&format!("solution {module}"))
        );
        return;
    }
    let not_run = attempt.tests.iter().filter(|test| test.not_run()).count();
    let mut failed = attempt.tests.iter().filter(|test| !test.passed && !test.not_run());
    if let Some(first) = failed.next() {
        anstream::println!("\n  {BAD}{}{BAD:#}", first.name);
        for line in first.message.as_deref().unwrap_or("it failed without a word").lines() {
            anstream::println!("    {line}");
        }
        if let Some(place) = &first.place {
            anstream::println!("    {DIM}{}{DIM:#}", from_root(&catalogue.root, &exercise.folder, place));
        }
    }
    match failed.count() {
        0 => {}
        1 => anstream::println!("\n  One more fails."),
        more => anstream::println!("\n  {more} more fail."),
    }
    match not_run {
        0 => {}
        1 => anstream::println!("\n  One more was not run, because a test hung."),
        more => anstream::println!("\n  {more} more were not run, because a test hung."),
    }
    let source = catalogue.shown(&exercise.source());
    anstream::println!(
        "\n  Write in {BOLD}{source}{BOLD:#}; stuck? {}",
        terminal::command(&format!("hint {module}"))
    );
    let why = terminal::command(&format!("why {module}"));
    match attempt.mistakes.len() {
        0 => {}
        1 => anstream::println!("  A known wrong answer fails like this: {why}"),
        several => anstream::println!("  {several} known wrong answers fail like this: {why}"),
    }
}

/// A place as the tests print it, as a path from the checkout. rustc prints the files of the tests' own crate from its
/// folder, those of the other crates from the checkout, and the reader's file as `src/../exercises/flags.rs`.
fn from_root(root: &Path, crate_folder: &Path, place: &str) -> String {
    let place = place.replace("src/../", "");
    let file = place.split(':').next().unwrap_or_default();
    if !crate_folder.join(file).is_file() {
        return place;
    }
    crate_folder.strip_prefix(root).unwrap_or(crate_folder).join(place).display().to_string()
}

/// Why no test ran, in two or three words.
fn why_not(exercise: &Exercise) -> &'static str {
    if exercise.source().is_file() { "does not compile" } else { "is missing" }
}

fn score(attempt: &Attempt) -> String {
    let passed = attempt.tests.iter().filter(|test| test.passed).count();
    format!("{passed} of {} tests pass", attempt.tests.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_shown_from_the_checkout_whichever_crate_it_is_in() {
        // Any crate will do: this one, and a file in another.
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = folder.ancestors().nth(2).expect("crates/workbook");
        let shown = |place| from_root(root, folder, place);
        assert_eq!(shown("src/main.rs:3:5"), "crates/workbook/src/main.rs:3:5");
        assert_eq!(shown("src/../src/main.rs:3:5"), "crates/workbook/src/main.rs:3:5");
        assert_eq!(shown("crates/testing/src/helper.rs:94:46"), "crates/testing/src/helper.rs:94:46");
        assert_eq!(shown("/elsewhere/src/lib.rs:1:1"), "/elsewhere/src/lib.rs:1:1");
    }
}
