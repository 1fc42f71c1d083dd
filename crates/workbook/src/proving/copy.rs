//! The copy in which the exercises are proved. Every exercise is its starter there, until it is put otherwise.

use std::ffi::OsString;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};

use crate::cargo::Program;
use crate::catalogue::{Catalogue, Exercise};
use crate::checking::{self, Checked, Place, Through};
use crate::{checkout, runner};

/// The copy: sources only, and a target folder of its own.
pub struct Copy {
    from: PathBuf,
    place: Place,
    /// Two at once would put their mistakes into each other's copy. None where the file system has no locks.
    _lock: Option<File>,
}

impl Copy {
    /// Bring the copy of this number up to date.
    pub fn make(catalogue: &Catalogue, number: usize) -> Result<Self> {
        let memory = checkout::memory(&catalogue.root);
        let folder = folder(&memory, number);
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        let taken = || bail!("another verify works in {}: wait for it, or stop it", folder.display());
        let lock = checkout::lock(&folder.join("lock"), taken)?;
        let copy = Self {
            from: catalogue.root.clone(),
            place: Place {
                root: folder.join("checkout"),
                target: Some(target(&memory, number)),
                unchanged: this_run(),
            },
            _lock: lock,
        };
        fs::create_dir_all(&copy.place.root)?;
        // A file that was taken away since last time must not linger; one that is the same is left alone, so
        // that cargo need not build it again.
        for name in ["crates", "experiments"] {
            mirror(&copy.from.join(name), &copy.place.root.join(name))?;
        }
        for name in ["Cargo.toml", "Cargo.lock"] {
            mirror(&copy.from.join(name), &copy.place.root.join(name))?;
        }
        for exercise in catalogue.exercises.iter().filter(|e| e.starter().is_file()) {
            copy.put(exercise, &checkout::read(&exercise.starter())?)?;
        }
        Ok(copy)
    }

    /// In the copy, let this be the reader's file.
    pub fn put(&self, exercise: &Exercise, answer: &str) -> Result<()> {
        write(&exercise.source_in(&self.place.root), answer.as_bytes())
    }

    /// Run the exercise's tests, or `only` some of them, on this answer.
    ///
    /// # Errors
    /// As [`checking::check`].
    pub fn test(
        &self,
        exercise: &Exercise,
        answer: &str,
        through: Through,
        only: Option<&[&str]>,
    ) -> Result<Checked> {
        self.put(exercise, answer)?;
        checking::check(&self.place, exercise, through, only, runner::IDLE_TIMEOUT)
    }

    /// Build the exercise's tests on this answer, and give what rustc says if it fails. They were built before, through cargo.
    ///
    /// # Errors
    /// As [`checking::rebuild`].
    pub fn rebuild(&self, exercise: &Exercise, answer: &str) -> Result<Result<Program, String>> {
        self.put(exercise, answer)?;
        checking::rebuild(&self.place, exercise)
    }

    /// A file of this name beside the copy.
    pub fn file(&self, name: &str) -> PathBuf {
        self.place.root.with_file_name(name)
    }

    /// Compile what the tests need with `cargo check`, which generates no code. How long did it take?
    ///
    /// # Errors
    /// As [`checking::check`].
    pub fn only_check(&self, exercise: &Exercise) -> Result<Duration> {
        let start = Instant::now();
        checking::build(&self.place, exercise, &["check", "--profile", "test"])?;
        Ok(start.elapsed())
    }

    /// Has the exercise a page, with its hints?
    pub fn page_includes_hints(&self, exercise: &Exercise) -> bool {
        let hints = format!("crates/{}/hints/{}.md", exercise.krate, exercise.module);
        let text = exercise.page.as_ref().and_then(|page| checkout::read(&self.from.join(&page.path)).ok());
        text.is_some_and(|text| text.contains(&hints))
    }
}

/// Where the copy of this number is.
fn folder(memory: &Path, number: usize) -> PathBuf {
    memory.join("verify").join(number.to_string())
}

/// Where what it compiles is.
pub fn target(memory: &Path, number: usize) -> PathBuf {
    folder(memory, number).join("target")
}

/// A number for as long as this process works: only it writes in its copy.
fn this_run() -> u64 {
    let mut hasher = DefaultHasher::new();
    (std::process::id(), SystemTime::now()).hash(&mut hasher);
    hasher.finish()
}

/// Make `to` the same as `from`, writing only what differs.
fn mirror(from: &Path, to: &Path) -> Result<()> {
    if from.is_dir() {
        fs::create_dir_all(to).with_context(|| format!("cannot make the folder {}", to.display()))?;
        let names = |path: &Path| -> Result<Vec<_>> {
            fs::read_dir(path)?.map(|entry| Ok(entry?.file_name())).collect()
        };
        // An editor's lock is a link to nowhere, and reading a named pipe would take forever.
        let mut wanted = names(from)?;
        wanted.retain(|name| from.join(name).is_dir() || from.join(name).is_file());
        // Nor are gigabytes copied that cargo has built there, as `just fuzz` lets it.
        wanted.retain(|name| !from.join(name).join("CACHEDIR.TAG").is_file());
        // Nor can a folder take the place of a file.
        let same =
            |name: &OsString| wanted.contains(name) && from.join(name).is_dir() == to.join(name).is_dir();
        for name in names(to)?.iter().filter(|name| !same(name)) {
            let stale = to.join(name);
            if stale.is_dir() { fs::remove_dir_all(&stale)? } else { fs::remove_file(&stale)? }
        }
        return wanted.iter().try_for_each(|name| mirror(&from.join(name), &to.join(name)));
    }
    let content = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    write(to, &content)
}

/// Write a file unless it has this content already.
fn write(to: &Path, content: &[u8]) -> Result<()> {
    if fs::read(to).is_ok_and(|there| there == content) {
        return Ok(());
    }
    fs::write(to, content).with_context(|| format!("cannot write {}", to.display()))
}
