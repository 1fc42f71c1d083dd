//! What the catalogue is made of: chapters, experiments, exercises and pages, and where their files are.

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, bail};

use super::files_below;

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
    pub question: String,
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

impl Exercise {
    fn file(&self, folder: &str) -> PathBuf {
        self.folder.join(folder).join(&self.module)
    }
    /// What the reader writes.
    pub fn source(&self) -> PathBuf {
        self.file("exercises").with_extension("rs")
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
        let name = format!("{}.rs", self.module);
        let mut found = files_below(&self.folder.join("src"), "rs");
        found.retain(|path| path.file_name().is_some_and(|file| file == name.as_str()));
        match &found[..] {
            [one] => Ok(one.clone()),
            [] => bail!("no {name} is below {}", self.folder.join("src").display()),
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
    /// The feature that puts the reader's file in the reference's place.
    pub fn feature(&self) -> String {
        format!("mine-{}", self.module)
    }
    /// Is the reader's file still the one that was handed out?
    pub fn untouched(&self) -> bool {
        matches!((fs::read(self.source()), fs::read(self.starter())), (Ok(a), Ok(b)) if a == b)
    }
}
