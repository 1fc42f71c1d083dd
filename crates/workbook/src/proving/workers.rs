//! Sharing the exercises out: a process for each, as many at a time as there are cores. With more, nothing is gained:
//! most of the time is rustc's, and each copy has to compile what the crates depend on.
//!
//! Processes and not threads, because `runner` takes every orphan of its process for its own program's. Each
//! worker is this program once more, with the name of one exercise and the number of a copy that no other
//! worker uses meanwhile, and its answer is what the command prints with `--json`.

use std::cmp::Reverse;
use std::fs::File;
use std::io::{Read, Seek};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, kill};
use serde::de::DeserializeOwned;

use super::Copy;
use crate::catalogue::{Catalogue, Exercise};
use crate::runner::{self, interrupt};

/// A copy has a target folder of some hundred megabytes, so that there are not as many as anybody's cores.
const MOST: usize = 4;

/// How often the workers are looked at.
const TICK: Duration = Duration::from_millis(50);

/// Do `work` for each of these exercises, whose place it gets: in a copy, if there is one exercise, or this process is a worker,
/// which has the number of its copy; else shared out.
///
/// # Errors
/// Those of `work`, of [`Copy::make`] and of [`share`].
pub fn each<T: DeserializeOwned>(
    command: &[&str],
    catalogue: &Catalogue,
    (exercises, steps): (&[&Exercise], &[usize]),
    copy: Option<usize>,
    bar: &ProgressBar,
    mut work: impl FnMut(&Copy, usize) -> Result<T>,
) -> Result<Vec<T>> {
    if copy.is_none() && exercises.len() != 1 {
        return share(command, exercises, steps, bar);
    }
    let copy = Copy::make(catalogue, copy.unwrap_or(1))?;
    (0..exercises.len()).map(|place| work(&copy, place)).collect()
}

/// Let workers run `workbook COMMAND… --json` for these exercises, and give what each printed, in their order. `steps` says
/// how long each takes.
///
/// # Errors
/// When a worker cannot work, in its words, and [`Interrupted`](crate::error::Interrupted) on Ctrl-C. All workers have ended then.
fn share<T: DeserializeOwned>(
    command: &[&str],
    exercises: &[&Exercise],
    steps: &[usize],
    bar: &ProgressBar,
) -> Result<Vec<T>> {
    interrupt::catch();
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut free: Vec<usize> = (1..=cores.min(MOST)).rev().collect();
    // The longest first, or the other workers would wait for the last one.
    let mut order: Vec<usize> = (0..exercises.len()).collect();
    order.sort_by_key(|&place| Reverse(steps[place]));
    let mut order = order.into_iter();
    let mut answers: Vec<Option<T>> = exercises.iter().map(|_| None).collect();
    let mut working: Vec<Worker<'_>> = Vec::new();
    loop {
        while let Some(&copy) = free.last()
            && let Some(place) = order.next()
        {
            free.pop();
            working.push(Worker::start(command, exercises[place], place, copy)?);
        }
        if working.is_empty() {
            return Ok(answers.into_iter().flatten().collect());
        }
        let names: Vec<&str> = working.iter().map(|worker| worker.exercise.name.as_str()).collect();
        bar.set_message(names.join(", "));
        let ended = loop {
            interrupt::check()?;
            if let Some(index) = working.iter_mut().position(Worker::has_ended) {
                break working.swap_remove(index);
            }
            thread::sleep(TICK);
        };
        bar.inc(steps[ended.place] as u64);
        free.push(ended.copy);
        let place = ended.place;
        answers[place] = Some(ended.answer()?);
    }
}

/// A process that works at one exercise. Dropped, it ends, and whatever it runs ends before it.
struct Worker<'a> {
    exercise: &'a Exercise,
    /// Where in the list of exercises this one is.
    place: usize,
    /// The number of its copy.
    copy: usize,
    child: Child,
    output: File,
    errors: File,
}

impl<'a> Worker<'a> {
    fn start(task: &[&str], exercise: &'a Exercise, place: usize, copy: usize) -> Result<Self> {
        let memory = |name| -> Result<File> { Ok(memfd_create(name, MFdFlags::MFD_CLOEXEC)?.into()) };
        let (output, errors) = (memory(c"output")?, memory(c"errors")?);
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut command = Command::new(program);
        command.args(task).args(["--json", "--copy", &copy.to_string(), &exercise.name]);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(errors.try_clone()?);
        // Not SIGKILL: it has programs of its own to end.
        runner::ends_with_this(&mut command, Signal::SIGTERM);
        let child = command.spawn().context("cannot start a worker")?;
        Ok(Self { exercise, place, copy, child, output, errors })
    }

    fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    fn answer<T: DeserializeOwned>(mut self) -> Result<T> {
        let status = self.child.wait()?;
        // 1 is also an answer that names faults.
        if let Ok(answer) = serde_json::from_str(&read(&mut self.output)?) {
            return Ok(answer);
        }
        interrupt::check()?;
        let said = read(&mut self.errors)?;
        let said = said.trim_end().trim_start_matches("error: ");
        bail!("{} was not proved ({status}): {said}", self.exercise.name)
    }
}

impl Drop for Worker<'_> {
    fn drop(&mut self) {
        if !self.has_ended() {
            let _ = kill(runner::pid_of(&self.child), Signal::SIGTERM);
            let _ = self.child.wait();
        }
    }
}

fn read(file: &mut File) -> Result<String> {
    let mut text = String::new();
    file.rewind()?;
    file.read_to_string(&mut text)?;
    Ok(text)
}
