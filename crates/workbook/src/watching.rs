//! Watching the reader's files, and the folders that they are in.
//!
//! The kernel watches a folder, and not its name: one that is removed and made anew, as by a change of branches, would
//! never be heard of again. So each folder is looked up again twice a second. If it is another one now, it is watched
//! anew, and the files in it that have another content count as saved.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use notify::{Config, Event, PollWatcher, RecommendedWatcher, RecursiveMode, Watcher};

use crate::catalogue::Exercise;
use crate::runner::interrupt;

/// An editor writes a file in several steps; they are over after this much silence.
const SETTLED: Duration = Duration::from_millis(15);

/// Where something is written all the time there is no silence. It is not waited for longer than this.
const LONGEST: Duration = Duration::from_secs(1);

/// How often Ctrl-C is looked for; a channel is not woken by a signal.
const LOOK: Duration = Duration::from_millis(100);

/// How often the folders are looked up.
const FOLDERS: Duration = Duration::from_millis(500);

/// What tells a folder from another one that has its name later, and perhaps its number too.
type Identity = (u64, u64, Option<SystemTime>);

/// The exercises' folders, watched.
pub struct Watch<'a> {
    exercises: &'a [Exercise],
    watcher: Box<dyn Watcher>,
    changes: Receiver<notify::Result<Event>>,
    /// The folders, and which one of that name is watched; `None`: not watched, because there was none.
    folders: BTreeMap<PathBuf, Option<Identity>>,
    /// What the reader's files contained the last time.
    contents: BTreeMap<PathBuf, Vec<u8>>,
    looked: Instant,
    polls: bool,
}

impl<'a> Watch<'a> {
    /// Watch the folders of these exercises: told by the kernel, or looking four times a second.
    ///
    /// # Errors
    /// When the kernel cannot watch them.
    pub fn start(exercises: &'a [Exercise], polls: bool) -> Result<Self> {
        let (sender, changes) = channel();
        let told = move |event: notify::Result<Event>| {
            let _ = sender.send(event);
        };
        let how =
            Config::default().with_poll_interval(Duration::from_millis(250)).with_compare_contents(true);
        let mut watcher: Box<dyn Watcher> = match polls {
            true => Box::new(PollWatcher::new(told, how)?),
            false => Box::new(RecommendedWatcher::new(told, how).context("cannot watch files; try --poll")?),
        };
        let mut folders = BTreeMap::new();
        for folder in exercises.iter().map(|exercise| exercise.folder.join("exercises")) {
            if folders.contains_key(&folder) {
                continue;
            }
            // Known before it is watched: if it is replaced in between, that is seen later.
            let known = identity(&folder);
            if known.is_some() {
                let watched = watcher.watch(&folder, RecursiveMode::NonRecursive);
                watched.with_context(|| format!("cannot watch {}; try --poll", folder.display()))?;
            }
            folders.insert(folder, known);
        }
        let contents = exercises.iter().map(|exercise| (exercise.source(), content(exercise))).collect();
        Ok(Self { exercises, watcher, changes, folders, contents, looked: Instant::now(), polls })
    }

    /// Wait for a save. Gives the exercises that were saved, once the editor has written all of them. None when the
    /// watcher is gone.
    ///
    /// # Errors
    /// `Interrupted` on Ctrl-C.
    pub fn next(&mut self) -> Result<Option<Vec<&'a Exercise>>> {
        loop {
            interrupt::check()?;
            let mut paths = match self.changes.recv_timeout(LOOK) {
                Ok(event) => self.written(event),
                Err(RecvTimeoutError::Timeout) => Vec::new(),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
            };
            let start = Instant::now();
            while !paths.is_empty() && start.elapsed() < LONGEST {
                match self.changes.recv_timeout(SETTLED) {
                    Ok(event) => paths.extend(self.written(event)),
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => return Ok(None),
                }
            }
            let look = self.looked.elapsed() >= FOLDERS;
            let another = look && self.watch_what_was_replaced();
            let saved = |exercise: &&Exercise| {
                let source = exercise.source();
                // A link leads to a file in a folder that is not watched.
                let another = another || look && source.is_symlink();
                let changed = || self.contents.get(&source) != Some(&content(exercise));
                // The kernel reports a save that changes nothing, too, which is a wish for a verdict.
                let saved = paths.contains(&source) && (!self.polls || changed());
                source.is_file() && (saved || another && changed())
            };
            let saved: Vec<&Exercise> = self.exercises.iter().filter(saved).collect();
            for exercise in &saved {
                self.contents.insert(exercise.source(), content(exercise));
            }
            if !saved.is_empty() {
                return Ok(Some(saved));
            }
        }
    }

    /// What this event says was written. Reading a file, as the compiler does, is an event too, which changes nothing.
    /// After an error, or when events were lost, every folder is looked at again.
    fn written(&mut self, event: notify::Result<Event>) -> Vec<PathBuf> {
        match event {
            Ok(event) if event.kind.is_access() => Vec::new(),
            Ok(event) if !event.need_rescan() => {
                for path in event.paths.iter().filter(|_| event.kind.is_remove()) {
                    if let Some(known) = self.folders.get_mut(path) {
                        *known = None;
                    }
                }
                event.paths
            }
            _ => {
                self.folders.values_mut().for_each(|known| *known = None);
                Vec::new()
            }
        }
    }

    /// Watch each folder that is another one than before. Was there one?
    fn watch_what_was_replaced(&mut self) -> bool {
        self.looked = Instant::now();
        let mut another = false;
        for (folder, known) in &mut self.folders {
            let now = identity(folder);
            if now.is_none() || now == *known {
                continue;
            }
            let _ = self.watcher.unwatch(folder);
            if self.watcher.watch(folder, RecursiveMode::NonRecursive).is_ok() {
                (*known, another) = (now, true);
            }
        }
        another
    }
}

fn identity(folder: &Path) -> Option<Identity> {
    let metadata = fs::metadata(folder).ok()?;
    Some((metadata.dev(), metadata.ino(), metadata.created().ok()))
}

/// What the reader wrote; nothing while there is no such file.
fn content(exercise: &Exercise) -> Vec<u8> {
    fs::read(exercise.source()).unwrap_or_default()
}
