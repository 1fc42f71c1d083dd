//! Mechanical mutants of a reference: which of them do the tests let pass?
//!
//! The program `mutants`, a crate of its own, lists the edits: see there for the kinds. One that compiles and passes all
//! tests shows a hole in the tests, or is a right answer too. The latter are listed in `equivalent/NAME.md`.

use anyhow::{Context, Result};
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};

use super::Copy;
use super::maker::{Maker, Mutant};
use super::together::Together;
use crate::cargo::Program;
use crate::catalogue::Exercise;
use crate::checking::{self, Brief, Checked, Test, Through};
use crate::{checkout, runner};

pub mod equivalent;

use equivalent::Change;

/// What became of the mutants of one exercise.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Survey {
    pub exercise: String,
    pub made: usize,
    pub does_not_compile: usize,
    pub caught: usize,
    /// Alive, and listed.
    pub equivalent: usize,
    /// Alive, and not listed: each as a line to list it with.
    pub alive: Vec<String>,
    /// Listed, but a test catches it.
    pub caught_although_listed: Vec<String>,
    /// How many tests could not ask this machine. What is alive may be caught elsewhere.
    pub skipped: usize,
    pub faults: Vec<String>,
}

/// Try all mutants of an exercise in a copy.
///
/// # Errors
/// When the copy cannot be built or written; `Interrupted` on Ctrl-C. What is wrong with the exercise is a fault.
pub fn survey(
    copy: &Copy,
    maker: &Maker,
    exercise: &Exercise,
    mutants: &[Mutant],
    bar: &ProgressBar,
) -> Result<Survey> {
    let mut survey = Survey { exercise: exercise.name.clone(), made: mutants.len(), ..Survey::default() };
    let reference = checkout::read(&exercise.reference()?)?;
    let listed = match checkout::read(&exercise.equivalent()) {
        Ok(text) => equivalent::parse(&text),
        Err(_) => Vec::new(),
    };
    let wrong = listed.iter().filter_map(|line| line.as_ref().err());
    survey.faults.extend(wrong.map(|wrong| format!("{}: {wrong}", exercise.equivalent().display())));
    let listed: Vec<&Change> = listed.iter().flatten().collect();
    let made: Vec<Option<(Change, String)>> = mutants
        .iter()
        .map(|mutant| {
            let text = mutant.applied(&reference)?;
            Some((Change::between(&mutant.function, &reference, &text), text))
        })
        .collect();
    for change in &listed {
        if !made.iter().flatten().any(|(made, _)| made == *change) {
            survey.faults.push(format!("{}: no mutant is {change}", exercise.equivalent().display()));
        }
    }

    bar.set_message(format!("{}: the reference", exercise.name));
    // Through cargo, so that the way to the tests is known from then on.
    let passes = match copy.test(exercise, &reference, Through::Cargo, None)? {
        Checked::Ran { tests, .. } => {
            survey.skipped = tests.iter().filter(|test| test.skipped.is_some()).count();
            !tests.is_empty() && !tests.iter().any(Test::failed)
        }
        Checked::DoesNotCompile(_) => false,
    };
    if !passes {
        survey.faults.push("the reference does not pass: `verify` says why".to_owned());
        return Ok(survey);
    }
    bar.set_message(format!("{}: the mutants in one program", exercise.name));
    let made: Vec<(Change, String)> =
        made.into_iter().collect::<Option<_>>().context("an edit lies outside of the reference")?;
    let texts: Vec<&str> = made.iter().map(|(_, text)| text.as_str()).collect();
    let together = Together::build(copy, maker, exercise, &texts)?;
    let said = together.ask::<Option<String>>(&["mutants"], exercise)?;
    let (mut right, mut caught) = (Vec::new(), Vec::new());
    for ((change, text), failure) in made.iter().zip(&said.words) {
        bar.set_message(format!("{}: {change}", exercise.name));
        let is_listed = listed.contains(&change);
        let brief = match failure.iter().flatten().find(|test| said.believes(test)) {
            Some(test) => Some(Brief::Fails(test.clone())),
            None => brief(copy, exercise, text)?,
        };
        match brief {
            None => survey.does_not_compile += 1,
            Some(Brief::Fails(test)) => {
                survey.caught += 1;
                caught.extend(is_listed.then_some((change, test)));
            }
            Some(Brief::Passes) if is_listed => {
                survey.equivalent += 1;
                right.push(change);
            }
            Some(Brief::Passes) => survey.alive.push(change.to_string()),
        }
        bar.inc(1);
    }
    // The same statement may stand in two places, and be needed in one of them.
    caught.retain(|(change, _)| !right.contains(change));
    survey.caught_although_listed =
        caught.into_iter().map(|(change, test)| format!("{change} (by {test})")).collect();
    copy.put(exercise, &checkout::read(&exercise.starter())?)?;
    Ok(survey)
}

/// Which test fails first in this program, if one does?
///
/// # Errors
/// When it cannot be started; `Interrupted` on Ctrl-C.
pub fn first_failure(program: &Program) -> Result<Option<String>> {
    Ok(match checking::briefly(program, runner::IDLE_TIMEOUT)? {
        Brief::Fails(test) => Some(test),
        Brief::Passes => None,
    })
}

/// What do the tests say of this text? None: it does not compile.
fn brief(copy: &Copy, exercise: &Exercise, text: &str) -> Result<Option<Brief>> {
    match copy.rebuild(exercise, text)? {
        Ok(program) => Ok(Some(checking::briefly(&program, runner::IDLE_TIMEOUT)?)),
        Err(_) => Ok(None),
    }
}
