//! Many answers in one program, so that rustc runs once for all of them.
//!
//! What the program says of an answer is believed when a test catches it as it should, and lets the reference pass in the same
//! program. In every other case the answer is compiled by itself and judged once more. A function with a hundred arms has a
//! large frame, for example, and a thread of a model has a small stack.

use anyhow::Result;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::copy::Copy;
use super::maker::{Arm, Maker};
use super::workers;
use crate::cargo::Program;
use crate::catalogue::Exercise;
use crate::checking::{self, Test};

/// How many times rustc may refuse some of them: it looks at types first, and then at borrows.
const ROUNDS: usize = 8;

/// The program, and which answers are in it.
#[derive(Debug)]
pub struct Together {
    program: Option<Program>,
    within: Vec<bool>,
    /// The tests that the reference fails in there.
    not_believed: Vec<String>,
}

impl Together {
    /// Build the tests on as many of these answers as rustc accepts in one source. The exercise's tests were built before.
    ///
    /// # Errors
    /// When the copy cannot be built or written; `Interrupted` on Ctrl-C.
    pub fn build(copy: &Copy, maker: &Maker, exercise: &Exercise, answers: &[&str]) -> Result<Self> {
        let mut answers = answers.to_vec();
        for _ in 0..ROUNDS {
            let schemata = maker.schemata(exercise, &answers, &copy.file("answers.json"))?;
            if schemata.arms.is_empty() {
                break;
            }
            match copy.rebuild(exercise, &schemata.source)? {
                Ok(program) => {
                    let mut within = vec![false; answers.len()];
                    schemata.arms.iter().for_each(|arm| within[arm.answer - 1] = true);
                    // The next program that is built for this exercise has the same name.
                    let path = copy.file("together");
                    std::fs::copy(&program.path, &path)?;
                    let program = Program { path, ..program };
                    let reference = Program { answer: Some(0), ..program.clone() };
                    let tests = checking::again(exercise, &reference, None)?;
                    let failed = tests.into_iter().filter(Test::failed).map(|test| test.name);
                    return Ok(Self { program: Some(program), within, not_believed: failed.collect() });
                }
                Err(said) => {
                    let refused = refused(&said, &schemata.arms);
                    if refused.is_empty() {
                        break;
                    }
                    // An empty file is no answer to this exercise, and keeps the numbers of the others.
                    refused.iter().for_each(|number| answers[number - 1] = "");
                }
            }
        }
        Ok(Self::none(answers.len()))
    }

    /// None of so many answers.
    pub fn none(answers: usize) -> Self {
        Self { program: None, within: vec![false; answers], not_believed: Vec::new() }
    }

    /// Does it mean something that this test fails in there?
    pub fn believes(&self, test: &str) -> bool {
        !self.not_believed.iter().any(|failed| failed == test)
    }

    /// What `workbook COMMAND… --program … --answers …` prints of the answers in it, by their places in the list.
    ///
    /// # Errors
    /// As [`workers::ask`].
    pub fn ask<T: DeserializeOwned>(&self, command: &[&str], exercise: &Exercise) -> Result<Vec<Option<T>>> {
        let mut said: Vec<Option<T>> = self.within.iter().map(|_| None).collect();
        if let Some(program) = &self.program {
            let numbers: Vec<usize> = (1..=said.len()).filter(|number| self.within[number - 1]).collect();
            for (number, words) in workers::ask::<(usize, T)>(command, exercise, program, &numbers)? {
                said[number - 1] = Some(words);
            }
        }
        Ok(said)
    }
}

/// Some answers of such a program, in the options of a command that works for another.
#[derive(Debug, clap::Args)]
pub struct Among {
    /// The program, as JSON
    #[arg(long, hide = true, requires = "answers")]
    program: Option<String>,
    /// The numbers of the answers
    #[arg(long, hide = true, value_delimiter = ',')]
    answers: Vec<usize>,
}

impl Among {
    /// What `work` gives of each, with its number, if there are any. It gets the place in the list, and the program.
    ///
    /// # Errors
    /// Those of `work`, or when the program is not named as JSON.
    pub fn each<T>(
        &self,
        mut work: impl FnMut(usize, &Program) -> Result<T>,
    ) -> Result<Option<Vec<(usize, T)>>> {
        let Some(program) = &self.program else { return Ok(None) };
        let program: Program = serde_json::from_str(program)?;
        let with = |number: usize| Program { answer: Some(number), ..program.clone() };
        let said = self.answers.iter().map(|&number| Ok((number, work(number - 1, &with(number))?)));
        said.collect::<Result<_>>().map(Some)
    }
}

/// The answers in whose arms rustc found errors. It prints a line of JSON for each message.
fn refused(said: &str, arms: &[Arm]) -> Vec<usize> {
    #[derive(Deserialize)]
    struct Message {
        level: String,
        spans: Vec<Span>,
    }
    #[derive(Deserialize)]
    struct Span {
        byte_start: usize,
        byte_end: usize,
        is_primary: bool,
    }
    let messages = said.lines().filter_map(|line| serde_json::from_str::<Message>(line).ok());
    let mut refused: Vec<usize> = messages
        .filter(|message| message.level == "error")
        .flat_map(|message| message.spans)
        .filter(|span| span.is_primary)
        .filter_map(|span| arms.iter().find(|arm| arm.start <= span.byte_start && span.byte_end <= arm.end))
        .map(|arm| arm.answer)
        .collect();
    refused.sort_unstable();
    refused.dedup();
    refused
}
