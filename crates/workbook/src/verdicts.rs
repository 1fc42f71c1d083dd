//! What passed, remembered by content.
//!
//! A verdict is stored with a hash of everything it depends on: the reader's file or the experiment, the tests, the crates,
//! the kernel. When any of it changes the hash does not match, and the verdict does not count: so status answers at
//! once, and is never stale.

use std::collections::BTreeMap;
use std::fs;
use std::mem;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::catalogue::{Catalogue, Exercise, Experiment};
use crate::checkout;
use crate::error::Interrupted;
use crate::output::complain;
use crate::runner::interrupt;

mod hashes;

use hashes::Hashes;

/// All verdicts, as they are in the file.
#[derive(Debug, Default)]
pub struct Verdicts {
    file: PathBuf,
    root: PathBuf,
    known: BTreeMap<String, Known>,
    hashes: Hashes,
    /// Was it said that nothing can be remembered?
    said: bool,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Known {
    content: u64,
    good: bool,
    /// Could this machine not be asked? Then it is not known to be good or bad.
    #[serde(default)]
    skipped: bool,
    /// Of an exercise: has it ever passed?
    #[serde(default)]
    solved: bool,
    /// Of an exercise: the mistakes that fail as it failed the last time.
    #[serde(default)]
    mistakes: Vec<String>,
}

/// What is remembered of an exercise's last check.
#[derive(Debug, Clone)]
pub struct Last {
    /// Has nothing changed since?
    pub current: bool,
    pub passed: bool,
    /// Has it ever passed?
    pub solved: bool,
    /// The names of the mistakes that fail as it failed the last time, which may be some checks ago.
    pub mistakes: Vec<String>,
}

/// A hash of all that a verdict depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content(u64);

impl Verdicts {
    /// What is remembered in this checkout. A file that is missing or cannot be read is an empty memory.
    pub fn load(catalogue: &Catalogue) -> Self {
        let file = Self::file(&catalogue.root);
        let text = fs::read_to_string(&file).unwrap_or_default();
        let (known, root) = (known(&text).unwrap_or_default(), catalogue.root.clone());
        Self { known, file, root, hashes: Hashes::default(), said: false }
    }

    /// The file of a checkout's verdicts. Each one that is remembered replaces it.
    pub fn file(root: &Path) -> PathBuf {
        checkout::memory(root).join("verdicts.json")
    }

    /// Has nothing ever been remembered? Then the reader is new.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Is the exercise, as it is now, known to pass (or to fail)?
    pub fn exercise(&self, exercise: &Exercise) -> Option<bool> {
        self.get(&exercise.name, self.hashes.of_exercise(&self.root, exercise))
    }

    /// What is remembered of its last check.
    pub fn last(&self, exercise: &Exercise) -> Last {
        let Known { content, good, solved, mistakes, .. } =
            self.known.get(&exercise.name).cloned().unwrap_or_default();
        Last {
            current: content == self.hashes.of_exercise(&self.root, exercise),
            passed: good,
            solved,
            mistakes,
        }
    }

    /// Did the kernel, as it is now, agree?
    pub fn experiment(&self, experiment: &Experiment) -> Option<bool> {
        self.get(&experiment.name, self.hashes.of_experiment(&self.root, experiment))
    }

    /// Did the tests of this exercise, as it is now, skip all, because they could not ask this machine?
    pub fn skips_exercise(&self, exercise: &Exercise) -> bool {
        self.skips(&exercise.name, self.hashes.of_exercise(&self.root, exercise))
    }

    /// Could this experiment, as it is now, not ask this machine?
    pub fn skips_experiment(&self, experiment: &Experiment) -> bool {
        self.skips(&experiment.name, self.hashes.of_experiment(&self.root, experiment))
    }

    /// What the exercise's verdict depends on, as it is now: take it before the check begins.
    pub fn content(&self, exercise: &Exercise) -> Content {
        self.hashes.forget();
        Content(self.hashes.of_exercise(&self.root, exercise))
    }

    /// What building the exercise's tests depends on, apart from the reader's file, as it was for `content`.
    pub fn surroundings(&self, exercise: &Exercise) -> u64 {
        self.hashes.around(&self.root, exercise)
    }

    /// Remember a check of that content. Where the folder cannot be written, nothing is remembered, which is said once. Nothing
    /// is remembered either when the reader saved something meanwhile, because either content may
    /// have been checked.
    ///
    /// `mistakes` names the mistakes that fail as it did. An exercise that passes keeps its earlier ones.
    pub fn checked(&mut self, exercise: &Exercise, content: Content, good: bool, mistakes: &[String]) {
        if content != self.content(exercise) {
            return;
        }
        self.put(&exercise.name, |known| {
            (known.content, known.good, known.skipped) = (content.0, good, false);
            known.solved |= good;
            if !good {
                known.mistakes = mistakes.to_vec();
            }
        });
    }

    /// What the verdicts of these experiments depend on, as it is now: take it before they are built.
    pub fn contents(&self, experiments: &[&Experiment]) -> Vec<Content> {
        self.hashes.forget();
        experiments.iter().map(|one| Content(self.hashes.of_experiment(&self.root, one))).collect()
    }

    /// Remember a run of that content; nothing where something was saved meanwhile, as for a check.
    pub fn agreed(&mut self, experiment: &Experiment, content: Content, good: bool) {
        if self.contents(&[experiment]) != [content] {
            return;
        }
        self.put(&experiment.name, |known| *known = Known { content: content.0, good, ..Known::default() });
    }

    /// Remember that nothing could be asked about that content. A verdict on it that there is still counts.
    pub fn skipped(&mut self, name: &str, content: Content) {
        self.put(name, |known| {
            if known.content != content.0 {
                (known.content, known.good, known.skipped) = (content.0, false, true);
            }
        });
    }

    fn get(&self, name: &str, content: u64) -> Option<bool> {
        let known = self.known.get(name).filter(|known| known.content == content && !known.skipped);
        known.map(|known| known.good)
    }

    fn skips(&self, name: &str, content: u64) -> bool {
        self.known.get(name).is_some_and(|known| known.content == content && known.skipped)
    }

    fn put(&mut self, name: &str, change: impl FnOnce(&mut Known)) {
        // Another terminal may have remembered something since, which must not be lost here.
        let remembered = checkout::change(&self.file, interrupt::check, |text| {
            self.known = text.and_then(|text| known(&text)).unwrap_or_default();
            change(self.known.entry(name.to_owned()).or_default());
            Ok(serde_json::to_string_pretty(&self.known)?)
        });
        if let Err(error) = remembered
            && !error.is::<Interrupted>()
            && !mem::replace(&mut self.said, true)
        {
            complain!("the verdict is not remembered: {error:#}");
        }
    }
}

fn known(text: &str) -> Option<BTreeMap<String, Known>> {
    serde_json::from_str(text).ok()
}
