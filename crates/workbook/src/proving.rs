//! What is proved of an exercise: its reference passes, and so do right answers of another construction; its starter
//! fails, and its mistakes are caught.
//!
//! All of it happens in copies of the checkout under `target/`, in which every exercise is its starter: the
//! reader's files are neither used nor touched. Several exercises are shared out among workers.

use anyhow::Result;
use indicatif::ProgressBar;
use mistakes::Mistake;

use crate::catalogue::Exercise;
use crate::checking::{Checked, Test, Through};
use crate::{checkout, hints};

mod copy;
mod dependencies;
mod judging;
mod maker;
pub mod mutants;
mod proof;
mod together;
pub mod workers;

pub use copy::Copy;
pub use judging::edited;
pub use judging::is_caught;
use judging::{Judged, judge};
pub use maker::{Maker, Mutant};
pub use proof::Proof;
pub use together::Among;
use together::Together;

/// The mistakes of an exercise, in the order of their file. One that cannot be read says why, after its name.
///
/// # Errors
/// When the file is missing.
pub fn mistakes(exercise: &Exercise) -> Result<Vec<Result<Mistake, String>>> {
    Ok(mistakes::parse(&checkout::read(&exercise.mistakes())?))
}

/// The names of the mistakes whose test is among these, and failed with their message; or was not run because another
/// test hung, with their message.
pub fn failing_alike(exercise: &Exercise, tests: &[Test]) -> Vec<String> {
    let alike = |mistake: &Mistake| {
        let says = |message: &String| message.contains(&mistake.message);
        let not_run = tests.iter().any(|test| test.name == mistake.caught_by && test.not_run());
        let mut failed = tests.iter().filter(|test| test.message.as_ref().is_some_and(says));
        failed.any(|test| not_run || test.name == mistake.caught_by)
    };
    if !tests.iter().any(Test::failed) {
        return Vec::new();
    }
    // A file that is missing knows none, which `verify` and the checks of the repository complain of.
    let known = mistakes(exercise).unwrap_or_default();
    known.into_iter().flatten().filter(alike).map(|mistake| mistake.name).collect()
}

/// How many times the tests of this exercise run.
pub fn steps(exercise: &Exercise) -> usize {
    2 + exercise.alternatives().len() + mistakes(exercise).map_or(0, |mistakes| mistakes.len())
}

/// Prove one exercise in a copy, each of its mistakes this many `times`. Without a maker each is compiled by itself.
///
/// # Errors
/// When the copy cannot be built or written; `Interrupted` on Ctrl-C. What is wrong with the exercise is a fault.
pub fn prove(
    copy: &Copy,
    maker: Option<&Maker>,
    exercise: &Exercise,
    times: usize,
    proof: &mut Proof,
    bar: &ProgressBar,
) -> Result<()> {
    let name = &exercise.name;
    let mistakes = mistakes(exercise).unwrap_or_default();
    if !copy.page_includes_hints(exercise) {
        proof.faults.push(format!("{name}: no page of the book includes its hints"));
    }
    match hints::steps(exercise) {
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
    let reference = match exercise.reference().and_then(|path| checkout::read(&path)) {
        Ok(text) => text,
        Err(error) => {
            proof.faults.push(format!("{name}: no reference: {error:#}"));
            return Ok(());
        }
    };
    let starter = checkout::read(&exercise.starter())?;

    let warnings = |what: &str, said: String| {
        said.contains("warning").then(|| format!("{name}: the {what} compiles with warnings:\n{said}"))
    };
    bar.set_message(format!("{name}: the reference"));
    match copy.test(exercise, &reference, Through::Cargo, None)? {
        Checked::Ran { tests, said, .. } => {
            proof.skipped.extend(skipped(name, &tests));
            match tests.iter().find(|test| test.failed()) {
                None if tests.is_empty() => fail_reference(proof, format!("{name}: no test ran")),
                None if tests.iter().all(|test| test.skipped.is_some()) => proof.references.skipped += 1,
                None => proof.references.passed += 1,
                Some(test) => fail_reference(proof, format!("{name}: the reference fails {}", quoted(test))),
            }
            proof.faults.extend(warnings("reference", said));
        }
        Checked::DoesNotCompile(said) => {
            fail_reference(proof, format!("{name}: the reference does not compile:\n{said}"));
        }
    }
    bar.inc(1);

    bar.set_message(format!("{name}: the starter"));
    match copy.test(exercise, &starter, Through::Cargo, None)? {
        Checked::Ran { tests, said, .. } => {
            if tests.iter().any(Test::failed) {
                proof.starters.failing += 1;
            } else if tests.iter().any(|test| test.skipped.is_some()) {
                proof.starters.skipped += 1;
                proof.skipped.push(format!("{name}: the starter was not judged"));
            } else {
                proof.starters.passing += 1;
                proof.faults.push(format!("{name}: the starter passes, although it is not written yet"));
            }
            proof.faults.extend(warnings("starter", said));
        }
        Checked::DoesNotCompile(said) => {
            proof.faults.push(format!("{name}: the starter does not compile:\n{said}"));
        }
    }
    bar.inc(1);

    for path in exercise.alternatives() {
        let file = path.file_name().unwrap_or_default().display();
        bar.set_message(format!("{name}: {file}"));
        let refused = match copy.test(exercise, &checkout::read(&path)?, Through::Cargo, None)? {
            Checked::Ran { tests, said, .. } => {
                proof.faults.extend(warnings(&format!("alternative {file}"), said));
                if !tests.is_empty() && tests.iter().all(|test| test.skipped.is_some()) {
                    proof.alternatives.skipped += 1;
                    bar.inc(1);
                    continue;
                }
                tests.iter().find(|test| test.failed()).map(|test| format!("is refused by {}", quoted(test)))
            }
            Checked::DoesNotCompile(said) => Some(format!("does not compile:\n{said}")),
        };
        match refused {
            None => proof.alternatives.passed += 1,
            Some(fault) => {
                proof.alternatives.refused += 1;
                proof.faults.push(format!("{name}: the alternative {file} {fault}"));
            }
        }
        bar.inc(1);
    }

    let answers: Vec<Result<String, String>> = mistakes
        .iter()
        .map(|mistake| {
            let mistake = mistake.as_ref().map_err(String::clone)?;
            let wrong = |wrong| format!("{} does not fit the reference: {wrong:#}", mistake.name);
            edited(mistake, &reference).map_err(wrong)
        })
        .collect();
    bar.set_message(format!("{name}: the mistakes in one program"));
    let texts: Vec<&str> = answers.iter().map(|answer| answer.as_deref().unwrap_or_default()).collect();
    let together = match maker {
        Some(maker) => Together::build(copy, maker, exercise, &texts)?,
        None => Together::none(texts.len()),
    };
    let said = together.ask::<bool>(&["verify", "--times", &times.to_string()], exercise)?;
    for (place, (mistake, answer)) in mistakes.iter().zip(&answers).enumerate() {
        let judged = match (mistake, answer) {
            (Ok(mistake), Ok(_)) if said.words[place] == Some(true) && said.believes(&mistake.caught_by) => {
                Judged::Caught
            }
            (Ok(mistake), Ok(answer)) => {
                bar.set_message(format!("{name}: the mistake {}", mistake.name));
                judge(copy, exercise, mistake, answer, times)?.after(&mistake.name)
            }
            (Err(fault), _) | (_, Err(fault)) => Judged::Missed(fault.clone()),
        };
        match judged {
            Judged::Caught => proof.mistakes.caught += 1,
            Judged::ByChance(why) => {
                proof.mistakes.caught += 1;
                proof.by_chance.push(format!("{name}: the mistake {why}"));
            }
            Judged::Skipped(why) => {
                proof.mistakes.skipped += 1;
                proof.skipped.push(format!("{name}: the mistake {why}"));
            }
            Judged::Missed(fault) => {
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

/// A line for the tests that were skipped with the reference, if there are some: for each, which one and why.
fn skipped(name: &str, tests: &[Test]) -> Option<String> {
    let skipped = tests.iter().filter_map(|test| Some(format!("{} ({})", test.name, test.skipped.as_ref()?)));
    let skipped: Vec<String> = skipped.collect();
    let (some, all) = (skipped.len(), tests.len());
    (some > 0).then(|| format!("{name}: {some} of {all} tests were skipped: {}", skipped.join(", ")))
}

fn quoted(test: &Test) -> String {
    format!("{}: {}", test.name, test.message.as_deref().unwrap_or("without a word"))
}
