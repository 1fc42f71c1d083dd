//! Which files of the checkout have changed: the kernel says so, and a change is passed on once the editor has written all of it.
//!
//! The kernel watches a folder, and not its name. A folder that was made anew is watched a moment later, so all files in it count
//! as changed; one of the outermost folders, which no watch would show, is looked up twice a second.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};

use crate::output::complain;

/// An editor writes a file in several steps; they are over after this much silence.
const SETTLED: Duration = Duration::from_millis(30);

/// Reading a file is an event, too, so a compiler at work can prevent the silence. It is not waited for longer than this.
const LONGEST: Duration = Duration::from_secs(1);

/// How often something else is looked at.
pub const LOOK: Duration = Duration::from_millis(500);

/// Folders that are watched, with all in them.
pub struct Watched {
    watcher: RecommendedWatcher,
    changes: Receiver<notify::Result<Event>>,
    /// The outermost folders, and which one of that name is watched.
    folders: BTreeMap<PathBuf, Option<(u64, u64)>>,
}

impl Watched {
    /// Watch these folders.
    ///
    /// # Errors
    /// When the kernel cannot watch them: the user has too many watches, say.
    pub fn start(folders: impl IntoIterator<Item = PathBuf>) -> notify::Result<Self> {
        let (sender, changes) = channel();
        let mut watcher = RecommendedWatcher::new(sender, notify::Config::default())?;
        let mut known = BTreeMap::new();
        for folder in folders {
            // Known before it is watched: if it is replaced in between, that is seen later.
            let identity = identity(&folder);
            watcher.watch(&folder, RecursiveMode::Recursive)?;
            known.insert(folder, identity);
        }
        Ok(Self { watcher, changes, folders: known })
    }

    /// Wait until something has changed, for [`LOOK`] at most. Gives the files that have changed or are gone.
    ///
    /// # Errors
    /// When the watcher's thread has ended.
    pub fn next(&mut self) -> Result<BTreeSet<PathBuf>, RecvTimeoutError> {
        let mut changed = settled(&self.changes, self.folders.keys())?;
        for (folder, known) in &mut self.folders {
            let now = identity(folder);
            if now.is_none() || now == *known {
                continue;
            }
            let _ = self.watcher.unwatch(folder);
            if self.watcher.watch(folder, RecursiveMode::Recursive).is_ok() {
                *known = now;
                changed.insert(folder.clone());
            }
        }
        let inside: Vec<PathBuf> = changed.iter().flat_map(|path| below(path)).collect();
        changed.extend(inside);
        Ok(changed)
    }
}

/// Wait for changes, and return what has changed. Where the kernel has lost events, all of the folders have.
fn settled<'a>(
    changes: &Receiver<notify::Result<Event>>,
    all: impl Iterator<Item = &'a PathBuf> + Clone,
) -> Result<BTreeSet<PathBuf>, RecvTimeoutError> {
    let start = Instant::now();
    let mut changed = BTreeSet::new();
    while start.elapsed() < LONGEST {
        match changes.recv_timeout(if changed.is_empty() { LOOK } else { SETTLED }) {
            Ok(Ok(event)) if event.need_rescan() => changed.extend(all.clone().cloned()),
            Ok(Ok(event)) if event.kind.is_access() => {}
            Ok(Ok(event)) => changed.extend(event.paths),
            Ok(Err(error)) => complain!("what is saved may not be noticed anymore: {error}"),
            Err(RecvTimeoutError::Timeout) => break,
            Err(RecvTimeoutError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
        }
    }
    Ok(changed)
}

/// What tells a folder from another one that has its name later.
fn identity(folder: &Path) -> Option<(u64, u64)> {
    let metadata = fs::metadata(folder).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// All files below a folder. Below a file there are none.
pub fn below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files.extend(below(&entry.path())),
            _ => files.push(entry.path()),
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use notify::EventKind;
    use notify::event::{AccessKind, AccessMode, CreateKind, Flag};

    use super::*;

    #[test]
    fn files_that_are_read_all_the_time_do_not_keep_a_change_back() {
        let (sender, changes) = channel();
        let event = |kind| Ok(Event::new(kind).add_path("saved".into()));
        sender.send(event(EventKind::Create(CreateKind::File))).expect("a receiver");
        let is_over = AtomicBool::new(false);
        let changed = thread::scope(|scope| {
            scope.spawn(|| {
                let start = Instant::now();
                while !is_over.load(Ordering::Relaxed) && start.elapsed() < Duration::from_secs(20) {
                    let read = event(EventKind::Access(AccessKind::Open(AccessMode::Any)));
                    sender.send(read).expect("a receiver");
                    thread::sleep(Duration::from_millis(5));
                }
                assert!(start.elapsed() < Duration::from_secs(20), "a reader kept the change back for 20 s");
            });
            let changed = settled(&changes, [].iter());
            is_over.store(true, Ordering::Relaxed);
            changed
        });
        assert_eq!(changed.expect("a change"), BTreeSet::from(["saved".into()]));
    }

    #[test]
    fn all_folders_have_changed_where_the_kernel_has_lost_events() {
        let (sender, changes) = channel();
        sender.send(Ok(Event::new(EventKind::Other).set_flag(Flag::Rescan))).expect("a receiver");
        let folders = [PathBuf::from("book"), PathBuf::from("crates")];
        assert_eq!(settled(&changes, folders.iter()).expect("a change"), BTreeSet::from(folders));
    }
}
