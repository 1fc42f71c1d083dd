//! `--try`: every experiment in the machine, compared with the book's transcript by the rules of the experiments' own test.

use std::collections::BTreeMap;
use std::iter::repeat_n;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::digest::Inputs;
use crate::machines::{self, Run, Wanted};
use crate::place::{Place, read, write};
use crate::report;
use crate::running::{AT_ONCE, say};
use crate::sources::{Experiment, experiments};
use crate::state::State;
use crate::step::step;

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The book's transcript, byte for byte.
    Agrees,
    /// The experiment says that it cannot be asked there, and why.
    Skipped(String),
    /// Anything else.
    Differs(String),
}

/// What came of the runs of each experiment.
pub type Found = BTreeMap<String, Vec<Outcome>>;

/// Run these experiments, or all if none is named, each `times` times in fresh machines, of which so many run `at_once`. Gives what
/// came of each.
///
/// # Errors
/// When the machine does not start, or a name is none of an experiment.
pub fn tried(place: &Place, state: &State, names: &[String], times: u32, at_once: usize) -> Result<Found> {
    let all = experiments(place)?;
    if let Some(unknown) = names.iter().find(|name| all.iter().all(|experiment| experiment.name != **name)) {
        bail!("there is no experiment {unknown}");
    }
    let wanted = all.iter().filter(|experiment| names.is_empty() || names.contains(&experiment.name));
    let wanted: Vec<&Experiment> = wanted.collect();
    let list: Vec<Wanted> = wanted
        .iter()
        .flat_map(|Experiment { name, .. }| {
            let run = Wanted { name: name.clone(), line: format!("{name} --plain"), put: None };
            repeat_n(run, times as usize)
        })
        .collect();
    let mut found = Found::new();
    machines::run(place, state, &list, at_once, |run| {
        let experiment =
            wanted.iter().find(|experiment| experiment.name == run.name).context("an unknown run")?;
        let transcript = place.root.join("experiments").join(&experiment.file).with_extension("txt");
        let outcome = outcome(&run, &transcript)?;
        say(&format!("{:28} {:6.2} s  {}", run.name, run.seconds, words(&outcome)));
        found.entry(run.name).or_default().push(outcome);
        Ok(())
    })?;
    Ok(found)
}

fn outcome(run: &Run, transcript: &Path) -> Result<Outcome> {
    let Some(status) = run.status else { return Ok(Outcome::Differs("it did not end".to_owned())) };
    let expected = read(transcript)?;
    Ok(match status {
        0 if run.text == expected => Outcome::Agrees,
        3 => Outcome::Skipped(report::last_paragraph(&run.text)),
        0 => Outcome::Differs(difference(&expected, &run.text)),
        other => Outcome::Differs(format!("exit status {other}; {}", difference(&expected, &run.text))),
    })
}

/// The first line that differs.
fn difference(expected: &str, found: &str) -> String {
    match report::difference(expected, found) {
        (None, None) => "only line ends differ".to_owned(),
        (book, machine) => format!("the book has {book:?}, the machine printed {machine:?}"),
    }
}

fn words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Agrees => "agrees".to_owned(),
        Outcome::Skipped(why) => format!("skipped: {why}"),
        Outcome::Differs(how) => format!("DIFFERS: {how}"),
    }
}

/// Every experiment once, and once more if it differs, unless that was done with this machine and these transcripts.
///
/// # Errors
/// As [`tried`].
pub fn once(place: &Place, state: &State) -> Result<Found> {
    let mut inputs = Inputs::default();
    inputs.text(&state.digest).file(&machines::script(place)?)?;
    inputs
        .tree(&place.root.join("experiments"), &|name| name.extension().is_some_and(|kind| kind == "txt"))?;
    let file = place.work.join("tried.json");
    step(place, "experiments", &inputs, &file, |_| {
        let mut found = tried(place, state, &[], 1, AT_ONCE)?;
        let differ = |outcomes: &Vec<Outcome>| outcomes.iter().any(|o| matches!(o, Outcome::Differs(_)));
        let names: Vec<String> =
            found.iter().filter(|(_, outcomes)| differ(outcomes)).map(|(name, _)| name.clone()).collect();
        if !names.is_empty() {
            // The emulator is slow, and what measures time differs where something else takes the processor.
            say("once more:");
            found.extend(tried(place, state, &names, 1, 1)?);
        }
        write(&file, &serde_json::to_vec(&found)?)
    })?;
    Ok(serde_json::from_str(&read(&file)?)?)
}

/// How many runs agree, are skipped, and differ.
pub fn counts(found: &Found) -> (usize, usize, usize) {
    let runs = || found.values().flatten();
    let agree = runs().filter(|outcome| **outcome == Outcome::Agrees).count();
    let skipped = runs().filter(|outcome| matches!(outcome, Outcome::Skipped(_))).count();
    (agree, skipped, runs().count() - agree - skipped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_the_last_paragraph_on_one_line() {
        assert_eq!(
            report::last_paragraph("Question\n\nSkipped: there is\n  no memory.\n"),
            "Skipped: there is no memory."
        );
    }

    #[test]
    fn the_first_line_that_differs_is_named() {
        let how = difference("a\nb\nc\n", "a\nx\nc\n");
        assert!(how.contains("\"b\"") && how.contains("\"x\""), "{how}");
        assert!(difference("a\n", "a\nb\n").contains("None"));
    }
}
