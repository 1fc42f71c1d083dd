//! Proving the exercises: references pass, starters fail, mistakes are caught.
//!
//! All of it happens in a copy of the checkout under `target/`, in which every exercise is its starter: the
//! reader's files are neither used nor touched.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use indicatif::ProgressBar;
use serde::Serialize;

use crate::catalogue::{Catalogue, Exercise};
use crate::style::{self, BAD, BOLD};
use crate::suite::{self, Test};
use crate::{cargo, hint, place, watchdog};

#[derive(clap::Args)]
pub struct Options {
    /// The exercises: `cloexec/flags`, or `flags`. Without a name: all of them
    names: Vec<String>,
    /// Print a JSON object, and nothing else
    #[arg(long)]
    json: bool,
}

/// What was proved, in counts, and what is wrong, in words.
#[derive(Debug, Default, Serialize)]
struct Proof {
    references: References,
    starters: Starters,
    mistakes: Mistakes,
    faults: Vec<String>,
}

#[derive(Debug, Default, Serialize)]
struct References {
    passed: usize,
    failed: usize,
}

#[derive(Debug, Default, Serialize)]
struct Starters {
    failing: usize,
    passing: usize,
}

#[derive(Debug, Default, Serialize)]
struct Mistakes {
    caught: usize,
    missed: usize,
}

pub fn run(options: &Options) -> Result<ExitCode> {
    let catalogue = Catalogue::discover()?;
    let exercises: Vec<&Exercise> = match options.names.is_empty() {
        true => catalogue.exercises.iter().collect(),
        false => options.names.iter().map(|name| catalogue.exercise(name)).collect::<Result<_>>()?,
    };
    let copy = Copy::make(&catalogue)?;
    let bar = style::bar(exercises.iter().map(|e| 2 + e.mistakes().len()).sum());
    let mut proof = Proof::default();
    for exercise in &exercises {
        prove(&copy, exercise, &mut proof, &bar)?;
    }
    bar.finish_and_clear();
    if options.json {
        println!("{}", serde_json::to_string_pretty(&proof)?);
    } else {
        show(&proof);
    }
    Ok(ExitCode::from(u8::from(!proof.faults.is_empty())))
}

fn prove(copy: &Copy, exercise: &Exercise, proof: &mut Proof, bar: &ProgressBar) -> Result<()> {
    let name = &exercise.name;
    let mistakes = exercise.mistakes();
    if exercise.page.is_none() {
        proof.faults.push(format!("{name}: no page of the book includes its hints"));
    }
    match hint::steps(exercise) {
        Ok(steps) if steps.len() == 3 => {}
        Ok(steps) => proof.faults.push(format!("{name}: {} hints, where three are meant", steps.len())),
        Err(error) => proof.faults.push(format!("{name}: {error:#}")),
    }
    if mistakes.len() < 3 {
        proof.faults.push(format!("{name}: {} mistakes, where three are the least", mistakes.len()));
    }
    if !exercise.tests().is_file() {
        proof.faults.push(format!("{name}: no tests"));
        return Ok(());
    }

    bar.set_message(format!("{name}: the reference"));
    match copy.test(exercise, None)? {
        Tested::Ran(tests, warnings) => {
            match tests.iter().find(|test| !test.passed) {
                None if tests.is_empty() => fail_reference(proof, format!("{name}: no test ran")),
                None => proof.references.passed += 1,
                Some(test) => fail_reference(proof, format!("{name}: the reference fails {}", quoted(test))),
            }
            proof.faults.extend(
                warnings.map(|said| format!("{name}: the reference compiles with warnings:\n{said}")),
            );
        }
        Tested::Not(said) => {
            fail_reference(proof, format!("{name}: the reference does not compile:\n{said}"));
        }
    }
    bar.inc(1);

    bar.set_message(format!("{name}: the starter"));
    match copy.test(exercise, Some(&exercise.starter()))? {
        Tested::Ran(tests, warnings) => {
            if tests.iter().all(|test| test.passed) {
                proof.starters.passing += 1;
                proof.faults.push(format!("{name}: the starter passes, and nothing is written yet"));
            } else {
                proof.starters.failing += 1;
            }
            proof
                .faults
                .extend(warnings.map(|said| format!("{name}: the starter compiles with warnings:\n{said}")));
        }
        Tested::Not(said) => proof.faults.push(format!("{name}: the starter does not compile:\n{said}")),
    }
    bar.inc(1);

    for mistake in mistakes {
        let file = mistake.file_name().unwrap_or_default().to_string_lossy().into_owned();
        bar.set_message(format!("{name}: the mistake {file}"));
        match missed(copy, exercise, &mistake)? {
            None => proof.mistakes.caught += 1,
            Some(fault) => {
                proof.mistakes.missed += 1;
                proof.faults.push(format!("{name}: the mistake {file} {fault}"));
            }
        }
        bar.inc(1);
    }
    copy.put(exercise, &exercise.starter())
}

fn fail_reference(proof: &mut Proof, fault: String) {
    proof.references.failed += 1;
    proof.faults.push(fault);
}

/// Why a mistake was not caught as its header says, if it was not.
fn missed(copy: &Copy, exercise: &Exercise, mistake: &Path) -> Result<Option<String>> {
    let text = place::read(mistake)?;
    let header =
        |key: &str| text.lines().find_map(|l| l.strip_prefix(&format!("//! {key}: "))).map(str::trim);
    let (Some(test), Some(message)) = (header("Caught by"), header("Message")) else {
        return Ok(Some("has no header `Caught by:` and `Message:`".into()));
    };
    let tests = match copy.test(exercise, Some(mistake))? {
        Tested::Ran(tests, _) => tests,
        Tested::Not(said) => return Ok(Some(format!("does not compile:\n{said}"))),
    };
    let Some(found) = tests.iter().find(|t| t.name == test) else {
        return Ok(Some(format!("names the test {test}, which there is not")));
    };
    Ok(match &found.message {
        None => Some(format!("passes {test}, which was to catch it")),
        Some(said) if !said.contains(message) => {
            Some(format!("is caught by {test}, but not with «{message}»: {said}"))
        }
        Some(_) => None,
    })
}

fn quoted(test: &Test) -> String {
    format!("{}: {}", test.name, test.message.as_deref().unwrap_or("without a word"))
}

/// What came of one exercise's tests in the copy.
enum Tested {
    /// They ran; rustc may have warned.
    Ran(Vec<Test>, Option<String>),
    /// They do not compile.
    Not(String),
}

/// The copy: sources only, and a target folder of its own.
struct Copy {
    from: PathBuf,
    root: PathBuf,
    target: PathBuf,
}

impl Copy {
    fn make(catalogue: &Catalogue) -> Result<Self> {
        let memory = place::memory(&catalogue.root);
        let copy = Self {
            from: catalogue.root.clone(),
            root: memory.join("verify/checkout"),
            target: memory.join("verify/target"),
        };
        // A file that was taken away since last time must not linger; one that is the same is left alone, so
        // that cargo need not build it again.
        for name in ["crates", "experiments"] {
            mirror(&copy.from.join(name), &copy.root.join(name))?;
        }
        for name in ["Cargo.toml", "Cargo.lock"] {
            mirror(&copy.from.join(name), &copy.root.join(name))?;
        }
        for exercise in &catalogue.exercises {
            copy.put(exercise, &exercise.starter())?;
        }
        Ok(copy)
    }

    /// In the copy, let the exercise be this file.
    fn put(&self, exercise: &Exercise, file: &Path) -> Result<()> {
        let exercise = exercise.source();
        let inside = exercise.strip_prefix(&self.from).context("an exercise outside the checkout")?;
        mirror(file, &self.root.join(inside))
    }

    /// Run the exercise's tests: on the reference, or on this file.
    fn test(&self, exercise: &Exercise, file: Option<&Path>) -> Result<Tested> {
        let feature = exercise.feature();
        if let Some(file) = file {
            self.put(exercise, file)?;
        }
        let feature = file.map(|_| feature.as_str());
        match cargo::build_tests(&self.root, Some(&self.target), &exercise.krate, &exercise.module, feature)?
        {
            Err(said) => Ok(Tested::Not(said)),
            Ok((program, said)) => {
                let source = place::read(&exercise.tests())?;
                let tests = suite::run(&program, &source, watchdog::SILENCE)?;
                Ok(Tested::Ran(tests, Some(said).filter(|said| said.contains("warning"))))
            }
        }
    }
}

/// Make `to` the same as `from`, writing only what differs.
fn mirror(from: &Path, to: &Path) -> Result<()> {
    if from.is_dir() {
        fs::create_dir_all(to).with_context(|| format!("cannot make the folder {}", to.display()))?;
        let names = |path: &Path| -> Result<Vec<_>> {
            fs::read_dir(path)?.map(|entry| Ok(entry?.file_name())).collect()
        };
        let wanted = names(from)?;
        for name in names(to)?.iter().filter(|name| !wanted.contains(name)) {
            let stale = to.join(name);
            if stale.is_dir() { fs::remove_dir_all(&stale)? } else { fs::remove_file(&stale)? }
        }
        return wanted.iter().try_for_each(|name| mirror(&from.join(name), &to.join(name)));
    }
    let content = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if fs::read(to).is_ok_and(|there| there == content) {
        return Ok(());
    }
    fs::write(to, content).with_context(|| format!("cannot write {}", to.display()))
}

fn show(proof: &Proof) {
    let Proof { references, starters, mistakes, faults } = proof;
    let line = |good: bool, text: String| anstream::println!("{} {text}", style::sign(good));
    line(
        references.failed == 0,
        format!("references: {} pass, {} fail", references.passed, references.failed),
    );
    line(
        starters.passing == 0,
        format!("starters: {} fail as they should, {} pass", starters.failing, starters.passing),
    );
    line(mistakes.missed == 0, format!("mistakes: {} caught, {} missed", mistakes.caught, mistakes.missed));
    for fault in faults {
        anstream::println!("\n{BAD}fault{BAD:#} {fault}");
    }
    if faults.is_empty() {
        anstream::println!("\n{BOLD}The exercises are proved.{BOLD:#}");
    }
}
