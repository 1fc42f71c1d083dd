//! Many answers in one program, so that rustc runs once for all of them.
//!
//! What the program says of an answer is believed when a test catches it as it should, and lets the reference pass in the same
//! program. In every other case the answer is compiled by itself and judged once more. A function with a hundred arms has a
//! large frame, for example, and a thread of a model has a small stack.

use anyhow::Result;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::copy::Copy;
use super::maker::{Arm, Maker};
use super::workers;
use crate::cargo::Program;
use crate::catalogue::Exercise;
use crate::checking::{self, Test};
use crate::output::say;

/// How many times rustc may refuse some of them: it looks at types first, and then at borrows.
const ROUNDS: usize = 8;

/// The program, and which answers are in it.
#[derive(Debug)]
pub struct Together {
    program: Option<Program>,
    within: Vec<bool>,
}

/// What was said of the answers, by their places in the list.
#[derive(Debug)]
pub struct Said<T> {
    pub words: Vec<Option<T>>,
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
                    return Ok(Self { program: Some(Program { path, ..program }), within });
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
        Self { program: None, within: vec![false; answers] }
    }

    /// Ask it with `workbook COMMAND… --program … --answers …`.
    ///
    /// # Errors
    /// As [`workers::ask`].
    pub fn ask<T: DeserializeOwned>(&self, command: &[&str], exercise: &Exercise) -> Result<Said<T>> {
        let mut said = Said { words: self.within.iter().map(|_| None).collect(), not_believed: Vec::new() };
        if let Some(program) = &self.program {
            let numbers: Vec<usize> = (1..=self.within.len()).filter(|n| self.within[n - 1]).collect();
            let (words, failed) = workers::ask::<(usize, T)>(command, exercise, program, &numbers)?;
            words.into_iter().for_each(|(number, words)| said.words[number - 1] = Some(words));
            said.not_believed = failed;
        }
        Ok(said)
    }
}

impl<T> Said<T> {
    /// Does it mean something that this test fails in there?
    pub fn believes(&self, test: &str) -> bool {
        !self.not_believed.iter().any(|failed| failed == test)
    }
}

/// Such a program, in the options of a command that works for another.
#[derive(Debug, clap::Args)]
pub struct Among {
    /// The program, as JSON
    #[arg(long, hide = true)]
    program: Option<String>,
    /// The numbers of the answers. Without them, the reference
    #[arg(long, hide = true, value_delimiter = ',', requires = "program")]
    answers: Vec<usize>,
}

impl Among {
    /// Print what `work` gives of each answer, with its number: it gets the place in the list, and the program. Or which tests
    /// the reference fails. False: there is no such program.
    ///
    /// # Errors
    /// Those of `work`, of [`checking::again`] and of [`say!`], or when the program is not named as JSON.
    pub fn say<T: Serialize>(
        &self,
        exercises: &[&Exercise],
        work: impl Fn(&Exercise, usize, &Program) -> Result<T>,
    ) -> Result<bool> {
        let (Some(program), [exercise]) = (&self.program, exercises) else { return Ok(false) };
        let program: Program = serde_json::from_str(program)?;
        let with = |number: usize| Program { answer: Some(number), ..program.clone() };
        let said = if self.answers.is_empty() {
            let tests = checking::again(exercise, &with(0), None)?;
            let failed = tests.into_iter().filter(Test::failed).map(|test| test.name);
            serde_json::to_string(&failed.collect::<Vec<_>>())?
        } else {
            let said = self.answers.iter().map(|&n| Ok((n, work(exercise, n - 1, &with(n))?)));
            serde_json::to_string(&said.collect::<Result<Vec<_>>>()?)?
        };
        say!("{said}")?;
        Ok(true)
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
