//! An attempt at an exercise: run its tests on the reader's file, remember what came of it, and show it.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;

use crate::catalogue::{Catalogue, Exercise};
use crate::checking::{self, Checked, Place, Test, Through};
use crate::output::say;
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
    // Where every test was skipped, nothing was judged.
    let passed = error.is_none() && tests.iter().any(|test| test.passed) && !tests.iter().any(Test::failed);
    let seconds = start.elapsed().as_secs_f64();
    let mistakes = proving::failing_alike(exercise, &tests);
    let attempt = Attempt { name, passed, tests, seconds, error, mistakes };
    match attempt.all_skipped() {
        true => verdicts.skipped(&exercise.name, content),
        false => verdicts.checked(exercise, content, passed, &attempt.mistakes),
    }
    Ok(attempt)
}

impl Attempt {
    /// The tests that could not ask this machine.
    fn skipped(&self) -> impl Iterator<Item = (&str, &str)> {
        self.tests.iter().filter_map(|test| Some((test.name.as_str(), test.skipped.as_deref()?)))
    }

    /// Could no test ask this machine anything? Then there is no verdict.
    pub fn all_skipped(&self) -> bool {
        !self.tests.is_empty() && self.tests.iter().all(|test| test.skipped.is_some())
    }

    /// Without colors, as JSON must be even in a terminal.
    pub fn without_colors(mut self) -> Self {
        self.error = self.error.map(|text| anstream::adapter::strip_str(&text).to_string());
        self
    }
}

/// One line, for many exercises.
///
/// # Errors
/// As [`say!`].
pub fn show_line(exercise: &Exercise, attempt: &Attempt) -> Result<()> {
    let state = match attempt {
        _ if attempt.passed && attempt.skipped().count() == 0 => format!("{GOOD}done{GOOD:#}"),
        _ if attempt.passed => format!("{GOOD}done{GOOD:#}, {} skipped", attempt.skipped().count()),
        _ if exercise.untouched() => format!("{DIM}not begun{DIM:#}"),
        _ if attempt.all_skipped() => "not judged: every test was skipped".into(),
        Attempt { error: Some(_), .. } => format!("{BAD}{}{BAD:#}", why_not(exercise)),
        _ => score(attempt),
    };
    say!("{} {:24} {state}", sign(attempt), attempt.name)
}

/// Show one exercise: the first failed test whole, and how many more failed.
///
/// # Errors
/// As [`say!`].
pub fn show(catalogue: &Catalogue, exercise: &Exercise, attempt: &Attempt) -> Result<()> {
    let Attempt { name, passed, seconds, .. } = attempt;
    if let Some(error) = &attempt.error {
        say!("{}", error.trim_end())?;
        return say!("\n{} {BOLD}{name}{BOLD:#} {}", terminal::sign(false), why_not(exercise));
    }
    let score = score(attempt);
    say!("{} {BOLD}{name}{BOLD:#}  {score}  {DIM}{seconds:.2} s{DIM:#}", sign(attempt))?;
    show_skipped(attempt)?;
    if attempt.all_skipped() {
        return say!("\n  Nothing is known of your code: no test could ask this machine.");
    }
    let module = &exercise.short;
    if *passed {
        return say!(
            "\n  {} shows our answer beside yours.",
            terminal::command(&format!("solution {module}"))
        );
    }
    let not_run = attempt.tests.iter().filter(|test| test.not_run()).count();
    let mut failed = attempt.tests.iter().filter(|test| test.failed() && !test.not_run());
    let hung: Vec<&str> =
        failed.clone().skip(1).filter(|test| test.did_not_finish()).map(|test| test.name.as_str()).collect();
    if let Some(first) = failed.next() {
        say!("\n  {BAD}{}{BAD:#}", first.name)?;
        for line in first.message.as_deref().unwrap_or("it failed without a word").lines() {
            say!("    {line}")?;
        }
        if let Some(place) = &first.place {
            say!("    {DIM}{}{DIM:#}", from_root(&catalogue.root, &exercise.folder, place))?;
        }
    }
    match failed.count() {
        0 => {}
        1 => say!("\n  One more fails.")?,
        more => say!("\n  {more} more fail.")?,
    }
    if !hung.is_empty() {
        say!("  Of these, {BOLD}{}{BOLD:#} did not finish.", hung.join(", "))?;
    }
    match not_run {
        0 => {}
        1 => say!("\n  One more was not run, because a test hung.")?,
        more => say!("\n  {more} more were not run, because a test hung.")?,
    }
    let source = catalogue.shown(&exercise.source());
    say!("\n  Write in {BOLD}{source}{BOLD:#}; stuck? {}", terminal::command(&format!("hint {module}")))?;
    let why = terminal::command(&format!("why {module}"));
    match attempt.mistakes.len() {
        0 => Ok(()),
        1 => say!("  A known wrong answer fails like this: {why}"),
        several => say!("  {several} known wrong answers fail like this: {why}"),
    }
}

/// What could not be asked: for each reason, the tests that it kept from judging.
fn show_skipped(attempt: &Attempt) -> Result<()> {
    let mut reasons: Vec<&str> = Vec::new();
    for (_, reason) in attempt.skipped() {
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    for reason in reasons {
        let names = attempt.skipped().filter(|(_, why)| *why == reason).map(|(name, _)| name);
        say!("\n  {DIM}–{DIM:#} skipped: {reason}")?;
        say!("    {}", names.collect::<Vec<_>>().join(", "))?;
    }
    Ok(())
}

/// The sign of its verdict.
fn sign(attempt: &Attempt) -> String {
    if attempt.all_skipped() { terminal::neither() } else { terminal::sign(attempt.passed) }
}

/// A place as the tests print it, as a path from the checkout. rustc prints the files of the tests' own crate from its
/// folder, those of the other crates from the checkout, and the reader's file as `src/../exercises/flags.rs`.
fn from_root(root: &Path, crate_folder: &Path, place: &str) -> String {
    // Rust's standard library was compiled on another machine: `/rustc/HASH/library/core/src/str/mod.rs`.
    if let Some((_, of_rust)) =
        place.split_once("/library/").filter(|(start, _)| start.starts_with("/rustc/"))
    {
        return format!("library/{of_rust}, in Rust's standard library");
    }
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
    let skipped = match attempt.skipped().count() {
        0 => String::new(),
        skipped => format!(", {skipped} skipped"),
    };
    format!("{passed} of {} tests pass{skipped}", attempt.tests.len())
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
