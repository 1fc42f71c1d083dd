//! Proving the exercises: references pass, starters fail, mistakes are caught.
//!
//! All of it happens in copies of the checkout under `target/`, in which every exercise is its starter: the
//! reader's files are neither used nor touched. Several exercises are shared out among workers.

use std::process::ExitCode;

use anyhow::Result;
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};

use crate::catalogue::{Catalogue, Exercise};
use crate::proving::{self, Mistake};
use crate::style::{self, BAD, BOLD};
use crate::suite::Test;
use crate::{hint, place};

mod copy;
mod workers;

use copy::{Copy, Tested};

#[derive(clap::Args)]
pub struct Options {
    /// The exercises: `cloexec/flags`, or `flags`. Without a name: all of them
    names: Vec<String>,
    /// Print a JSON object, and nothing else
    #[arg(long)]
    json: bool,
    /// Work in the copy of this number, and without other workers
    #[arg(long, hide = true)]
    copy: Option<usize>,
}

/// What was proved, in counts, and what is wrong, in words.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Proof {
    references: References,
    starters: Starters,
    mistakes: Mistakes,
    faults: Vec<String>,
}

impl Proof {
    fn add(&mut self, other: Self) {
        self.references.passed += other.references.passed;
        self.references.failed += other.references.failed;
        self.starters.failing += other.starters.failing;
        self.starters.passing += other.starters.passing;
        self.mistakes.caught += other.mistakes.caught;
        self.mistakes.missed += other.mistakes.missed;
        self.faults.extend(other.faults);
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct References {
    passed: usize,
    failed: usize,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Starters {
    failing: usize,
    passing: usize,
}

#[derive(Debug, Default, Serialize, Deserialize)]
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
    let bar = style::bar(exercises.iter().map(|exercise| steps(exercise)).sum());
    let mut proof = Proof::default();
    if options.copy.is_some() || exercises.len() == 1 {
        let copy = Copy::make(&catalogue, options.copy.unwrap_or(1))?;
        for exercise in &exercises {
            prove(&copy, exercise, &mut proof, &bar)?;
        }
    } else {
        workers::prove(&exercises, &bar)?.into_iter().for_each(|part| proof.add(part));
    }
    bar.finish_and_clear();
    if options.json {
        // In JSON there are no colours, also where the reader has a terminal.
        proof.faults.iter_mut().for_each(|fault| *fault = anstream::adapter::strip_str(fault).to_string());
        println!("{}", serde_json::to_string_pretty(&proof)?);
    } else {
        show(&proof);
    }
    Ok(ExitCode::from(u8::from(!proof.faults.is_empty())))
}

/// How many times the tests of this exercise run.
fn steps(exercise: &Exercise) -> usize {
    2 + proving::mistakes(exercise).map_or(0, |mistakes| mistakes.len())
}

fn prove(copy: &Copy, exercise: &Exercise, proof: &mut Proof, bar: &ProgressBar) -> Result<()> {
    let name = &exercise.name;
    let mistakes = proving::mistakes(exercise).unwrap_or_default();
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
    for (what, file) in [("tests", exercise.tests()), ("starter", exercise.starter())] {
        if !file.is_file() {
            proof.faults.push(format!("{name}: no {what}: {} is missing", file.display()));
            return Ok(());
        }
    }
    let reference = match exercise.reference().and_then(|path| place::read(&path)) {
        Ok(text) => text,
        Err(error) => {
            proof.faults.push(format!("{name}: no reference: {error:#}"));
            return Ok(());
        }
    };
    let starter = place::read(&exercise.starter())?;

    bar.set_message(format!("{name}: the reference"));
    match copy.test(exercise, None, None)? {
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
    match copy.test(exercise, Some(&starter), None)? {
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

    for mistake in &mistakes {
        let missed = match mistake {
            Ok(mistake) => {
                bar.set_message(format!("{name}: the mistake {}", mistake.name));
                missed(copy, exercise, mistake, &reference)?.map(|fault| format!("{} {fault}", mistake.name))
            }
            Err(fault) => Some(fault.clone()),
        };
        match missed {
            None => proof.mistakes.caught += 1,
            Some(fault) => {
                proof.mistakes.missed += 1;
                proof.faults.push(format!("{name}: the mistake {fault}"));
            }
        }
        bar.inc(1);
    }
    copy.put(exercise, &starter)
}

fn fail_reference(proof: &mut Proof, fault: String) {
    proof.references.failed += 1;
    proof.faults.push(fault);
}

/// Why a mistake was not caught as it says, if it was not.
fn missed(copy: &Copy, exercise: &Exercise, mistake: &Mistake, reference: &str) -> Result<Option<String>> {
    let Mistake { caught_by: test, message, .. } = mistake;
    let answer = match proving::edited(mistake, reference) {
        Ok(answer) => answer,
        Err(wrong) => return Ok(Some(format!("is no edit of the reference: {wrong}"))),
    };
    // The others may catch it too, and would take their time.
    let tests = match copy.test(exercise, Some(&answer), Some(test))? {
        Tested::Ran(tests, _) => tests,
        Tested::Not(said) => return Ok(Some(format!("does not compile:\n{said}"))),
    };
    let Some(found) = tests.iter().find(|t| t.name == *test) else {
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
