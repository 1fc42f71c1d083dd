//! Checking exercises: the tests, on the reader's file.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;

use crate::catalogue::{Catalogue, Exercise};
use crate::proving;
use crate::style::{self, BAD, BOLD, DIM, GOOD};
use crate::suite::{self, Test};
use crate::verdicts::Verdicts;
use crate::{cargo, place, watchdog};

#[derive(clap::Args)]
pub struct Options {
    /// The exercises: `cloexec/flags`, or `flags`. Without a name: all of them
    names: Vec<String>,
    /// How long the tests may be silent before they are stopped
    #[arg(long, value_name = "SECONDS", default_value_t = watchdog::SILENCE.as_secs())]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    patience: u64,
    /// Print a JSON array, and nothing else
    #[arg(long)]
    json: bool,
}

/// What became of one exercise.
#[derive(Debug, Serialize)]
pub struct Checked {
    pub name: String,
    pub passed: bool,
    pub tests: Vec<Test>,
    pub seconds: f64,
    /// Why no test ran: what rustc said, or that there is no file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The names of the known wrong answers that fail as this one does.
    #[serde(skip)]
    pub mistakes: Vec<String>,
}

pub fn run(options: &Options) -> Result<ExitCode> {
    let catalogue = Catalogue::discover()?;
    let exercises: Vec<&Exercise> = match options.names.is_empty() {
        true => catalogue.exercises.iter().collect(),
        false => options.names.iter().map(|name| catalogue.exercise(name)).collect::<Result<_>>()?,
    };
    let mut verdicts = Verdicts::load(&catalogue);
    let mut all = Vec::new();
    for exercise in &exercises {
        let mut checked = check(&catalogue, &mut verdicts, exercise, Duration::from_secs(options.patience))?;
        if !options.json {
            match exercises.len() {
                1 => show(&catalogue, exercise, &checked),
                _ => show_line(exercise, &checked),
            }
        }
        // In JSON there are no colours, also where the reader has a terminal.
        checked.error = checked.error.map(|text| anstream::adapter::strip_str(&text).to_string());
        all.push(checked);
    }
    if options.json {
        println!("{}", serde_json::to_string_pretty(&all)?);
    }
    Ok(ExitCode::from(u8::from(!all.iter().all(|checked| checked.passed))))
}

/// Build the tests on the reader's file, run them, and remember what came of it.
pub fn check(
    catalogue: &Catalogue,
    verdicts: &mut Verdicts,
    exercise: &Exercise,
    patience: Duration,
) -> Result<Checked> {
    let start = Instant::now();
    let name = exercise.name.clone();
    let content = verdicts.content(exercise);
    if !exercise.source().is_file() {
        let reset = place::command(&format!("reset {}", exercise.short));
        let source = exercise.source();
        let source = source.strip_prefix(&catalogue.root).unwrap_or(&source).display();
        let error = format!("{source} is missing. To have it as it was handed out: {reset}");
        let (tests, mistakes) = (Vec::new(), Vec::new());
        return Ok(Checked { name, passed: false, tests, seconds: 0.0, error: Some(error), mistakes });
    }
    // Before anything is compiled: rustc would lay it to the reader's code that these are missing.
    let source = place::read(&exercise.tests())?;
    let spinner = style::spinner(format!("checking {}", exercise.name));
    let feature = exercise.feature();
    let built = cargo::build_tests(&catalogue.root, None, &exercise.krate, &exercise.module, Some(&feature));
    let checked = match built? {
        Err(error) => (Vec::new(), Some(error)),
        Ok((program, _warnings)) => (suite::run(&program, &source, patience, None)?, None),
    };
    spinner.finish_and_clear();
    let (tests, error) = checked;
    let passed = error.is_none() && !tests.is_empty() && tests.iter().all(|test| test.passed);
    let seconds = start.elapsed().as_secs_f64();
    let mistakes = proving::failing_alike(exercise, &tests);
    verdicts.checked(exercise, content, passed, &mistakes);
    Ok(Checked { name, passed, tests, seconds, error, mistakes })
}

/// One line, for many exercises.
fn show_line(exercise: &Exercise, checked: &Checked) {
    let state = match checked {
        _ if checked.passed => format!("{GOOD}done{GOOD:#}"),
        _ if exercise.untouched() => format!("{DIM}not begun{DIM:#}"),
        Checked { error: Some(_), .. } => format!("{BAD}{}{BAD:#}", why_not(exercise)),
        _ => score(checked),
    };
    anstream::println!("{} {:24} {state}", style::sign(checked.passed), checked.name);
}

/// All there is to say about one exercise: the first failed test whole, the rest by name.
pub fn show(catalogue: &Catalogue, exercise: &Exercise, checked: &Checked) {
    let Checked { name, passed, seconds, .. } = checked;
    if let Some(error) = &checked.error {
        anstream::println!("{}", error.trim_end());
        anstream::println!("\n{} {BOLD}{name}{BOLD:#} {}", style::sign(false), why_not(exercise));
        return;
    }
    let score = score(checked);
    anstream::println!("{} {BOLD}{name}{BOLD:#}  {score}  {DIM}{seconds:.2} s{DIM:#}", style::sign(*passed));
    let module = &exercise.short;
    if *passed {
        anstream::println!(
            "\n  {} shows our answer beside yours.",
            style::command(&format!("solution {module}"))
        );
        return;
    }
    let mut failed = checked.tests.iter().filter(|test| !test.passed);
    if let Some(first) = failed.next() {
        anstream::println!("\n  {BAD}{}{BAD:#}", first.name);
        for line in first.message.as_deref().unwrap_or("it failed without a word").lines() {
            anstream::println!("    {line}");
        }
        if let Some(place) = &first.place {
            anstream::println!("    {DIM}{}{DIM:#}", from_root(catalogue, exercise, place));
        }
    }
    match failed.count() {
        0 => {}
        1 => anstream::println!("\n  One more fails."),
        more => anstream::println!("\n  {more} more fail."),
    }
    let source = exercise.source();
    let source = source.strip_prefix(&catalogue.root).unwrap_or(&source).display();
    anstream::println!(
        "\n  Write in {BOLD}{source}{BOLD:#}; stuck? {}",
        style::command(&format!("hint {module}"))
    );
    let why = style::command(&format!("why {module}"));
    match checked.mistakes.len() {
        0 => {}
        1 => anstream::println!("  A known wrong answer fails like this: {why}"),
        several => anstream::println!("  {several} known wrong answers fail like this: {why}"),
    }
}

/// A place as the tests print it, as a path from the checkout. They run in their crate's folder, and the
/// reader's file is compiled as `src/../exercises/flags.rs`.
fn from_root(catalogue: &Catalogue, exercise: &Exercise, place: &str) -> String {
    let place = place.replace("src/../", "");
    let folder = exercise.folder.strip_prefix(&catalogue.root).unwrap_or(&exercise.folder);
    if Path::new(&place).starts_with(folder) { place } else { folder.join(place).display().to_string() }
}

/// Why no test ran, in two or three words.
fn why_not(exercise: &Exercise) -> &'static str {
    if exercise.source().is_file() { "does not compile" } else { "is missing" }
}

fn score(checked: &Checked) -> String {
    let passed = checked.tests.iter().filter(|test| test.passed).count();
    format!("{passed} of {} tests pass", checked.tests.len())
}
