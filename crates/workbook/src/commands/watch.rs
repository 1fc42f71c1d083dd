//! Checking an exercise each time it is saved.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context, Result};
use notify::{Config, Event, PollWatcher, RecommendedWatcher, RecursiveMode, Watcher};

use crate::attempt;
use crate::catalogue::{Catalogue, Exercise};
use crate::output::say;
use crate::runner::{self, interrupt};
use crate::terminal::{BOLD, DIM};
use crate::verdicts::Verdicts;

/// An editor writes a file in several steps; they are over after this much silence.
const SETTLED: Duration = Duration::from_millis(15);

/// How often Ctrl-C is looked for; a channel is not woken by a signal.
const LOOK: Duration = Duration::from_millis(100);

#[derive(clap::Args)]
pub struct Options {
    /// The exercise to begin with. Without a name: the first that is open
    name: Option<String>,
    /// Look at the files four times a second, where the file system does not report changes
    #[arg(long)]
    poll: bool,
}

pub fn run(options: &Options) -> Result<ExitCode> {
    interrupt::catch();
    let catalogue = Catalogue::discover()?;
    let mut verdicts = Verdicts::load(&catalogue);
    let first = match &options.name {
        Some(name) => Some(catalogue.exercise(name)?),
        None => catalogue.exercises.iter().find(|e| verdicts.exercise(e) != Some(true)),
    };
    let (sender, changes) = channel();
    let told = move |event: notify::Result<Event>| {
        let _ = sender.send(event);
    };
    let how = Config::default().with_poll_interval(Duration::from_millis(250)).with_compare_contents(true);
    let mut watcher: Box<dyn Watcher> = match options.poll {
        true => Box::new(PollWatcher::new(told, how)?),
        false => Box::new(RecommendedWatcher::new(told, how).context("cannot watch files; try --poll")?),
    };
    let mut folders: Vec<PathBuf> = catalogue.exercises.iter().map(|e| e.folder.join("exercises")).collect();
    folders.dedup();
    for folder in &folders {
        let watched = watcher.watch(folder, RecursiveMode::NonRecursive);
        watched.with_context(|| format!("cannot watch {}; try --poll", folder.display()))?;
    }
    match first {
        Some(exercise) => check_one(&catalogue, exercise, &mut verdicts)?,
        None => say!("Every exercise is done.")?,
    }
    let how = if options.poll { "looking four times a second" } else { "told by the kernel (inotify)" };
    say!("\n{DIM}Watching crates/*/exercises, {how}. Save a file; Ctrl-C ends.{DIM:#}")?;
    while let Some(paths) = next_change(&changes)? {
        for exercise in catalogue.exercises.iter().filter(|e| paths.contains(&e.source())) {
            say!("\n{DIM}───{DIM:#} {BOLD}{}{BOLD:#} was saved", exercise.name)?;
            check_one(&catalogue, exercise, &mut verdicts)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn check_one(catalogue: &Catalogue, exercise: &Exercise, verdicts: &mut Verdicts) -> Result<()> {
    let attempt = attempt::check(catalogue, verdicts, exercise, runner::IDLE_TIMEOUT)?;
    attempt::show(catalogue, exercise, &attempt)
}

/// The files that changed, once the editor has written all of them. None when the watcher is gone.
fn next_change(changes: &Receiver<notify::Result<Event>>) -> Result<Option<Vec<PathBuf>>> {
    let event = loop {
        interrupt::check()?;
        match changes.recv_timeout(LOOK) {
            Ok(event) => break event,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
        }
    };
    let mut paths = written(event?);
    loop {
        match changes.recv_timeout(SETTLED) {
            Ok(event) => paths.extend(written(event?)),
            Err(RecvTimeoutError::Timeout) => break,
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
        }
    }
    paths.retain(|path| path.extension() == Some("rs".as_ref()) && Path::exists(path));
    Ok(Some(paths))
}

/// Reading a file, as the compiler does, is an event too, which changes nothing.
fn written(event: Event) -> Vec<PathBuf> {
    if event.kind.is_access() { Vec::new() } else { event.paths }
}
