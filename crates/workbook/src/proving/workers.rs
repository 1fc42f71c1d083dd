//! Sharing the exercises out: a process for each, one more at a time than there are cores, because there is always one whose tests
//! wait. With one for each core, two cores take a quarter longer, and a fifth of their time is idle.
//!
//! Processes and not threads, because `runner` takes every orphan of its process for its own program's. Each
//! worker is this program once more, with the name of one exercise and the number of a copy that no other
//! worker uses meanwhile, and its answer is what the command prints with `--json`.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, kill};
use serde::de::DeserializeOwned;

use super::{Copy, dependencies};
use crate::cargo::Program;
use crate::catalogue::{Catalogue, Exercise};
use crate::checkout;
use crate::runner::{self, interrupt};

/// A copy has a target folder of half a gigabyte, so that there are not as many as anybody's cores.
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
        return share(command, &checkout::memory(&catalogue.root), exercises, steps, bar);
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
    memory: &Path,
    exercises: &[&Exercise],
    steps: &[usize],
    bar: &ProgressBar,
) -> Result<Vec<T>> {
    interrupt::catch();
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    // The copies without a worker, and those that wait for what the first one compiles.
    let mut free = vec![1];
    let mut waiting: Vec<usize> = (2..=(cores + 1).min(MOST)).collect();
    let mut queue = Queue::new(exercises, steps);
    let mut answers: Vec<Option<T>> = exercises.iter().map(|_| None).collect();
    // Each with the place of its exercise, and the number of its copy.
    let mut working: Vec<(Worker, usize, usize)> = Vec::new();
    loop {
        if dependencies::are_compiled(memory) || answers.iter().any(Option::is_some) {
            waiting.iter().for_each(|&copy| dependencies::lend(memory, copy));
            free.append(&mut waiting);
        }
        while let Some(&copy) = free.last()
            && let Some(place) = queue.next(copy)
        {
            free.pop();
            let copied = ["--copy", &copy.to_string()];
            working.push((Worker::start(&[command, &copied].concat(), exercises[place])?, place, copy));
        }
        if working.is_empty() {
            return Ok(answers.into_iter().flatten().collect());
        }
        let names: Vec<&str> = working.iter().map(|(_, place, _)| exercises[*place].name.as_str()).collect();
        bar.set_message(names.join(", "));
        let ended = loop {
            interrupt::check()?;
            if let Some(index) = working.iter_mut().position(|(worker, ..)| worker.has_ended()) {
                break Some(working.swap_remove(index));
            }
            if !waiting.is_empty() && dependencies::are_compiled(memory) {
                break None;
            }
            thread::sleep(TICK);
        };
        let Some((ended, place, copy)) = ended else { continue };
        bar.inc(steps[place] as u64);
        free.push(copy);
        answers[place] = Some(ended.answer(exercises[place])?);
    }
}

/// Exercises that wait for a worker.
struct Queue {
    /// The exercises' places, crates and steps.
    waiting: Vec<(usize, String, usize)>,
    /// For each crate, the copies in which it has been compiled.
    compiled: HashMap<String, Vec<usize>>,
}

impl Queue {
    fn new(exercises: &[&Exercise], steps: &[usize]) -> Self {
        let places = exercises.iter().zip(steps).enumerate();
        let waiting =
            places.map(|(place, (exercise, steps))| (place, exercise.krate.clone(), *steps)).collect();
        Self { waiting, compiled: HashMap::new() }
    }

    /// The place of the next one for this copy. Of a crate that was compiled there, or else nowhere, because all that a crate
    /// depends on has to be compiled with it: first of the crate that most is to be done of. Then the longest, or the other
    /// workers would wait for the last one.
    fn next(&mut self, copy: usize) -> Option<usize> {
        let of = |name: &str| -> usize {
            let same = self.waiting.iter().filter(|(_, krate, _)| krate == name);
            same.map(|(_, _, steps)| steps).sum()
        };
        let fitness = |(_, krate, steps): &(usize, String, usize)| match self.compiled.get(krate) {
            Some(copies) if copies.contains(&copy) => (2, 0, *steps),
            None => (1, of(krate), *steps),
            Some(_) => (0, 0, *steps),
        };
        // Of several that are as fit, the first in the book: `max_by_key` takes the last, so they come in reverse.
        let next = (0..self.waiting.len()).rev().max_by_key(|&index| fitness(&self.waiting[index]))?;
        let (place, krate, _) = self.waiting.remove(next);
        self.compiled.entry(krate).or_default().push(copy);
        Some(place)
    }
}

/// How many processes ask a program of several answers at a time: wrong answers let their tests wait more than they let them work.
const ASKING: usize = 12;

/// Let several processes run `workbook COMMAND… --json --program PROGRAM --answers N,N…` for this exercise, each with some of the
/// numbers, and give what they printed. One more, without answers, says which tests the reference fails in that program.
///
/// # Errors
/// As [`share`].
pub fn ask<T: DeserializeOwned>(
    command: &[&str],
    exercise: &Exercise,
    program: &Program,
    numbers: &[usize],
) -> Result<(Vec<T>, Vec<String>)> {
    let program = ["--program", &serde_json::to_string(program)?];
    let reference = Worker::start(&[command, &program].concat(), exercise)?;
    let mut asking = Vec::new();
    for first in 0..ASKING.min(numbers.len()) {
        // In turn, because those whose tests wait for long often stand side by side.
        let mine: Vec<String> = numbers.iter().skip(first).step_by(ASKING).map(usize::to_string).collect();
        asking.push(Worker::start(&[command, &program, &["--answers", &mine.join(",")]].concat(), exercise)?);
    }
    let mut said = Vec::new();
    for worker in asking {
        said.append(&mut worker.wait::<Vec<T>>(exercise)?);
    }
    Ok((said, reference.wait(exercise)?))
}

/// This program once more, which works at one exercise. Dropped, it ends, and whatever it runs ends before it.
struct Worker {
    child: Child,
    output: File,
    errors: File,
}

impl Worker {
    fn start(task: &[&str], exercise: &Exercise) -> Result<Self> {
        let memory = |name| -> Result<File> { Ok(memfd_create(name, MFdFlags::MFD_CLOEXEC)?.into()) };
        let (output, errors) = (memory(c"output")?, memory(c"errors")?);
        // Unlike its path, this is still the same program after the file was replaced: cargo may have built a newer one.
        let mut command = Command::new("/proc/self/exe");
        command.arg0("workbook").args(task).args(["--json", &exercise.name]);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(errors.try_clone()?);
        // Not SIGKILL: it has programs of its own to end.
        runner::ends_with_this(&mut command, Signal::SIGTERM);
        let child = command.spawn().context("cannot start a worker")?;
        Ok(Self { child, output, errors })
    }

    fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    fn wait<T: DeserializeOwned>(mut self, exercise: &Exercise) -> Result<T> {
        while !self.has_ended() {
            interrupt::check()?;
            thread::sleep(TICK);
        }
        self.answer(exercise)
    }

    fn answer<T: DeserializeOwned>(mut self, exercise: &Exercise) -> Result<T> {
        let status = self.child.wait()?;
        // 1 is also an answer that names faults.
        if let Ok(answer) = serde_json::from_str(&read(&mut self.output)?) {
            return Ok(answer);
        }
        interrupt::check()?;
        let said = read(&mut self.errors)?;
        let said = said.trim_end().trim_start_matches("error: ");
        bail!("{} was not proved ({status}): {said}", exercise.name)
    }
}

impl Drop for Worker {
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
