//! Chapters, experiments, exercises: what there is, and looking one up.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::checkout;
use crate::error::Usage;
use crate::terminal::plain_command;

mod discover;
mod files;

/// All of it, in the book's order.
#[derive(Debug)]
pub struct Catalogue {
    pub root: PathBuf,
    pub chapters: Vec<Chapter>,
    pub experiments: Vec<Experiment>,
    pub exercises: Vec<Exercise>,
    pub pages: Vec<Page>,
}

/// A folder of the book that has a number.
#[derive(Debug, Clone)]
pub struct Chapter {
    pub number: u32,
    pub title: String,
}

/// A program that asks the kernel one question.
#[derive(Debug, Clone)]
pub struct Experiment {
    pub name: String,
    pub chapter: u32,
    pub source: PathBuf,
    pub page: Option<Page>,
}

/// A file for the reader to write.
#[derive(Debug, Clone)]
pub struct Exercise {
    /// `crate/module`.
    pub name: String,
    pub krate: String,
    pub module: String,
    /// What the reader types: the module, or the whole name where another crate has such a module too.
    pub short: String,
    /// 0 while it has no page in the book.
    pub chapter: u32,
    pub page: Option<Page>,
    /// The crate's folder.
    pub folder: PathBuf,
}

/// A page of the book: its place in the order, its path from the checkout, its title.
#[derive(Debug, Clone)]
pub struct Page {
    pub place: usize,
    pub path: PathBuf,
    pub title: String,
}

impl Experiment {
    /// The first paragraph of its transcript, on one line. Empty while it has none.
    pub fn question(&self) -> String {
        let transcript = checkout::read(&self.source.with_extension("txt")).unwrap_or_default();
        let paragraph = transcript.split("\n\n").next().unwrap_or_default();
        paragraph.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

impl Exercise {
    /// What the reader writes.
    pub fn source(&self) -> PathBuf {
        self.file("exercises").with_extension("rs")
    }

    /// The same file in another checkout.
    pub fn source_in(&self, root: &Path) -> PathBuf {
        root.join("crates").join(&self.krate).join("exercises").join(&self.module).with_extension("rs")
    }

    /// The same, as it was handed out.
    pub fn starter(&self) -> PathBuf {
        self.file("starters").with_extension("rs")
    }

    /// Our own answer: the one file of this name anywhere below `src/`.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub fn reference(&self) -> Result<PathBuf> {
        let (name, below) = (format!("{}.rs", self.module), self.folder.join("src"));
        let mut found = files::below(&below, "rs");
        found.retain(|path| path.file_name().is_some_and(|file| file == name.as_str()));
        match &found[..] {
            [one] => Ok(one.clone()),
            [] => bail!("no {name} is below {}", below.display()),
            [one, other, ..] => {
                bail!("both {} and {} could be the reference", one.display(), other.display())
            }
        }
    }

    /// What the kernel must show.
    pub fn tests(&self) -> PathBuf {
        self.file("tests").with_extension("rs")
    }

    /// Three steps, between anchors.
    pub fn hints(&self) -> PathBuf {
        self.file("hints").with_extension("md")
    }

    /// Plausible wrong answers, as edits of the reference.
    pub fn mistakes(&self) -> PathBuf {
        self.file("mistakes").with_extension("md")
    }

    /// Right answers of another construction: `NAME-1.rs`, `NAME-2.rs`, and so on.
    pub fn alternatives(&self) -> Vec<PathBuf> {
        let mut found = files::of(&self.folder.join("alternatives"), "rs");
        found.retain(|path| {
            files::stem(path).rsplit_once('-').is_some_and(|(module, _)| module == self.module)
        });
        found
    }

    /// The mutants of the reference that are right answers too. Most exercises have none.
    pub fn equivalent(&self) -> PathBuf {
        self.file("equivalent").with_extension("md")
    }

    /// The feature that puts the reader's file in the reference's place.
    pub fn feature(&self) -> String {
        format!("mine-{}", self.module)
    }

    /// Is the reader's file still the one that was handed out?
    pub fn untouched(&self) -> bool {
        matches!((checkout::read(&self.source()), checkout::read(&self.starter())), (Ok(a), Ok(b)) if a == b)
    }

    fn file(&self, folder: &str) -> PathBuf {
        self.folder.join(folder).join(&self.module)
    }
}

/// Exercises of `ioloop` that have another name now.
const FORMERLY: [(&str, &str); 3] =
    [("blocking", "watchdog"), ("callbacks", "iteration"), ("handlers", "slab")];

impl Catalogue {
    /// The exercises of these names; without a name, all.
    ///
    /// # Errors
    /// As [`exercise`](Self::exercise).
    pub fn exercises_called(&self, names: &[String]) -> Result<Vec<&Exercise>> {
        match names.is_empty() {
            true => Ok(self.exercises.iter().collect()),
            false => names.iter().map(|name| self.exercise(name)).collect(),
        }
    }

    /// The exercise of that name: `crate/module`, or the module alone where only one crate has it.
    ///
    /// # Errors
    /// [`Usage`], with the nearest name, when there is none, or more than one.
    pub fn exercise(&self, name: &str) -> Result<&Exercise> {
        let called: Vec<_> = self.exercises.iter().filter(|e| e.name == name || e.module == name).collect();
        match called[..] {
            [one] => Ok(one),
            [] if let Some(now) = renamed(name) => {
                Err(Usage(format!("no exercise is called `{name}` anymore: it is `{now}` now.")).into())
            }
            [] => {
                Err(self.unknown("exercise", name, self.exercises.iter().flat_map(|e| [&e.name, &e.module])))
            }
            _ => {
                let names: Vec<_> = called.iter().map(|e| e.name.as_str()).collect();
                Err(Usage(format!("`{name}` is in more than one crate: say {}", names.join(" or "))).into())
            }
        }
    }

    /// The experiment of that name.
    ///
    /// # Errors
    /// [`Usage`], with the nearest name, when there is none.
    pub fn experiment(&self, name: &str) -> Result<&Experiment> {
        let found = self.experiments.iter().find(|e| e.name == name);
        found.ok_or_else(|| self.unknown("experiment", name, self.experiments.iter().map(|e| &e.name)))
    }

    /// A path from the checkout, as the reader sees it.
    pub fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }

    fn unknown<'a>(&self, kind: &str, name: &str, names: impl Iterator<Item = &'a String>) -> anyhow::Error {
        let nearest = names
            .map(|known| (strsim::jaro_winkler(known, name), known))
            .filter(|(likeness, _)| *likeness > 0.8)
            .max_by(|a, b| a.0.total_cmp(&b.0));
        let other = match kind {
            "exercise" if self.experiments.iter().any(|e| e.name == name) => {
                format!(" It is an experiment: {}", plain_command(&format!("run {name}")))
            }
            "experiment" if self.exercises.iter().any(|e| e.name == name || e.module == name) => {
                format!(" It is an exercise: {}", plain_command(&format!("check {name}")))
            }
            _ => match nearest {
                Some((_, known)) => format!(" Did you mean `{known}`?"),
                None => format!(" {} names them all.", plain_command("list")),
            },
        };
        Usage(format!("no {kind} is called `{name}`.{other}")).into()
    }
}

/// The present name of an exercise that was called otherwise, for readers who know the old name.
fn renamed(name: &str) -> Option<&'static str> {
    let module = name.strip_prefix("ioloop/").unwrap_or(name);
    FORMERLY.iter().find(|(old, _)| *old == module).map(|&(_, now)| now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_name_leads_to_an_exercise_that_there_is() {
        let crates = Path::new("..");
        for (old, now) in FORMERLY {
            assert_eq!(renamed(&format!("ioloop/{old}")), Some(now));
            let file = |module: &str| crates.join("ioloop/exercises").join(format!("{module}.rs"));
            assert!(file(now).is_file(), "there is no exercise ioloop/{now}, to which `{old}` leads");
            assert!(!file(old).is_file(), "ioloop/{old} is an exercise, so it is not an old name");
        }
        assert_eq!(renamed("slab"), None);
    }
}
