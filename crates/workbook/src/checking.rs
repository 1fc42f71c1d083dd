//! Build an exercise's tests on a file, run them, and read what each said.

use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};

use crate::cargo::{self, Kind, Program};
use crate::catalogue::Exercise;
use crate::checkout;
use crate::runner::{self, Doing, Ending, Outcome, interrupt};

mod briefly;
mod libtest;
mod place;
mod shortcut;

pub use briefly::{Brief, briefly};
pub use libtest::Test;
use libtest::{Judged, UNFINISHED, failed, judge, not_failed, skipped, words};
pub use place::Place;
use shortcut::Shortcut;
pub use shortcut::rebuild;

/// How rustc is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Through {
    /// cargo, which looks at all files, and passes warnings on.
    Cargo,
    /// This program, where it knows how from the last time. Warnings are lost.
    Shortcut,
}

/// When a build started and ended.
#[derive(Debug, Clone, Copy)]
pub struct Built {
    pub start: SystemTime,
    pub end: SystemTime,
}

/// What came of an exercise's tests.
pub enum Checked {
    /// They ran. `said` is what rustc said although it compiled: warnings.
    Ran { tests: Vec<Test>, said: String, program: Program, built: Built },
    /// What rustc said.
    DoesNotCompile(String),
}

/// Build the tests of an exercise in a checkout, on the file in `exercises/`, and run them, or `only` some of them. A test
/// program that prints nothing for `idle` is killed.
///
/// The crate is compiled with the tests inside, in the module `t`: one run of rustc instead of two. See the end of any
/// topic crate's `src/lib.rs`.
///
/// # Errors
/// When the tests cannot be read or cargo cannot build at all; `Interrupted` on Ctrl-C.
pub fn check(
    place: &Place,
    exercise: &Exercise,
    through: Through,
    only: Option<&[&str]>,
    idle: Duration,
) -> Result<Checked> {
    // Before anything is compiled: rustc would lay it to the reader's code that these are missing.
    let source = checkout::read(&exercise.tests())?;
    let memory = place.target.clone().unwrap_or_else(|| checkout::memory(&place.root));
    // Two at once would replace each other's program between its build and its tests.
    let _alone = checkout::lock(&shortcut::file(&memory, exercise).with_extension("lock"), interrupt::check)?;
    let start = SystemTime::now();
    let ran = |program: Program, said: String| {
        let built = Built { start, end: SystemTime::now() };
        Ok(Checked::Ran { tests: run(&program, &source, idle, only)?, said, program, built })
    };
    if through == Through::Shortcut
        && let Some(shortcut) = Shortcut::load(&memory, exercise, place.unchanged)
        && let Ok(program) = shortcut.build(&place.root, exercise)?
    {
        return ran(program, String::new());
    }
    match build(place, exercise, &["test", "--no-run"])? {
        cargo::Built::Failed(said) => Ok(Checked::DoesNotCompile(said)),
        cargo::Built::Programs { programs, said, calls } => {
            let program = cargo::find(&programs, &exercise.krate, Kind::UnitTests, &exercise.krate)?.clone();
            let output = format!("--crate-name {} ", exercise.krate);
            if let Some(rustc) =
                calls.into_iter().find(|call| call.contains(&output) && call.contains(" --test "))
            {
                Shortcut::remember(&memory, exercise, place.unchanged, rustc, &program);
            }
            ran(program, said)
        }
    }
}

/// Run `only` some of the tests once more, in a program that [`check`] built.
///
/// # Errors
/// When the tests cannot be read or the program cannot start; `Interrupted` on Ctrl-C.
pub fn again(exercise: &Exercise, program: &Program, only: Option<&[&str]>) -> Result<Vec<Test>> {
    run(program, &checkout::read(&exercise.tests())?, runner::IDLE_TIMEOUT, only)
}

/// Call cargo, with this command, for the crate with the exercise's tests inside.
///
/// # Errors
/// As [`cargo::build`].
pub fn build(place: &Place, exercise: &Exercise, command: &[&str]) -> Result<cargo::Built> {
    let krate = &exercise.krate;
    // The fewer pieces a crate is compiled in, the faster it is from nothing, and the more of it one change touches.
    // Here one file changes all the time.
    let pieces = format!("profile.dev.package.{krate}.codegen-units=256");
    let features = format!("check,{}", exercise.feature());
    let what = ["--package", krate, "--config", &pieces, "--lib", "--features", &features];
    cargo::build(&place.root, place.target.as_deref(), &[command, &what].concat())
}

/// Run a test program: all of its tests, or `only` some, if it has those. They come in the
/// order of their source, so that the first that fails is the first to think about.
fn run(program: &Program, source: &str, idle: Duration, only: Option<&[&str]>) -> Result<Vec<Test>> {
    let mut names = list(program)?;
    names.retain(|name| only.is_none_or(|only| only.contains(&libtest::without_module(name))));
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let threads = threads();
    let mut args = vec![threads.as_str()];
    if only.is_some() {
        args.push("--exact");
        args.extend(names.iter().map(String::as_str));
    }
    let outcome = runner::run(program.bounded().args(&args), idle, runner::PROCESS_LIMIT)?;
    if let Some(reason) = libtest::all_skipped(&outcome.output) {
        return Ok(names
            .iter()
            .map(|name| skipped(libtest::without_module(name).to_owned(), reason))
            .collect());
    }
    let (mut tests, mut unbegun) = (Vec::new(), Vec::new());
    // Those whose words are lost run by themselves, but not for longer than one that hangs.
    let stopped = Instant::now();
    let mut running: Vec<&Doing> = match &outcome.ending {
        Ending::Idle(_, doing) => doing.iter().collect(),
        _ => Vec::new(),
    };
    for name in names {
        let judged = judge(&name, &outcome.output);
        // The tests begin in this order. Of several whose threads have the same name, the first ones have begun.
        let thread = running.iter().position(|d| matches!(judged, Judged::Unfinished) && d.is_thread(&name));
        let has_begun = thread.map(|place| running.remove(place)).is_some();
        match (judged, &outcome.ending) {
            (Judged::Ignored, _) => {}
            (Judged::Parsed(test), _) if test.not_run() => unbegun.push(test),
            (Judged::Parsed(test), _) => tests.push(test),
            (Judged::Silent, _) if stopped.elapsed() > idle => {
                tests.push(failed(
                    name,
                    "it failed, and its words are lost, because a test hung".into(),
                    None,
                ));
            }
            (Judged::Silent, _) => tests.push(its_words(alone(program, &name, &threads, idle)?, name)),
            // One of them took the others down with it. Which one is seen when each runs by itself.
            (Judged::Unfinished, Ending::Ended(_)) => tests.extend(alone(program, &name, &threads, idle)?),
            // libtest names a thread after its test; as long as others hang, the rest waits for its turn.
            (Judged::Unfinished, Ending::Idle(..)) if !has_begun => {
                unbegun.push(failed(
                    name,
                    "not run: it did not get its turn, because others hang".into(),
                    None,
                ));
            }
            (Judged::Unfinished, ending) => {
                tests.push(failed(name, format!("{UNFINISHED}{ending}"), None));
            }
        }
    }
    if !tests.is_empty() && !tests.iter().any(Test::failed) && !outcome.ending.good() {
        let message = format!("every test passed, and then the test program ended badly: {}", outcome.ending);
        tests.push(failed("(the test program)".into(), message, None));
    }
    tests.sort_by_key(|test| place_in(source, &test.name));
    unbegun.sort_by_key(|test| place_in(source, &test.name));
    tests.append(&mut unbegun);
    tests.iter_mut().for_each(Test::leave_module);
    Ok(tests)
}

/// libtest's argument: two tests for each core, because the tests of an exercise wait more than they work. With one thread
/// libtest prints a test's name before it runs, and what the test's children print comes between the name and the result.
fn threads() -> String {
    let threads = thread::available_parallelism().map_or(2, |cores| 2 * cores.get());
    format!("--test-threads={threads}")
}

/// Where in the source a test stands.
fn place_in(source: &str, test: &str) -> usize {
    let function = test.rsplit("::").next().unwrap_or(test);
    source.find(&format!("fn {function}(")).unwrap_or(usize::MAX)
}

/// A test that failed among the others, as it says when it runs alone.
fn its_words(alone: Option<Test>, name: String) -> Test {
    match alone {
        Some(test) if test.failed() => test,
        _ => failed(name, "it failed among the other tests, and not when it ran alone".into(), None),
    }
}

/// Run one test without a result among the others': they may have taken it down, or what their children
/// printed may stand in the middle of its line. What it prints is not held back, or it would be lost with the
/// program. None: it is one that is ignored.
///
/// Its own line may be torn apart again. libtest writes how many passed, failed and were ignored in one piece.
fn alone(program: &Program, name: &str, threads: &str, idle: Duration) -> Result<Option<Test>> {
    let args = ["--exact", name, "--nocapture", threads];
    let Outcome { output, ending } = runner::run(program.bounded().args(args), idle, runner::PROCESS_LIMIT)?;
    let counts = |numbers: &str| output.contains(&format!(". {numbers} ignored; "));
    if counts("0 passed; 0 failed; 1") {
        return Ok(None);
    }
    if counts("1 passed; 0 failed; 0") && ending.good() {
        return Ok(Some(not_failed(name.to_owned(), &output)));
    }
    let heading = format!("test {name} ... ");
    let noise = ["running 1 test", "failures:", "test result:", &heading];
    let is_noise = |line: &str| noise.iter().any(|start| line.starts_with(start)) || line.trim() == name;
    let lines = output.lines().filter(|line| !is_noise(line));
    let (words, place) = words(&lines.collect::<Vec<_>>().join("\n"));
    let message = match ending {
        _ if counts("0 passed; 1 failed; 0") => words,
        Ending::Ended(_) => format!("the test program ended in the middle of it ({ending})\n{words}"),
        _ => format!("{UNFINISHED}{ending}\n{words}"),
    };
    let message = message.trim_end();
    let message = if message.is_empty() { "it failed without a word" } else { message };
    Ok(Some(failed(name.to_owned(), message.to_owned(), place)))
}

/// The names of the tests, as the program itself lists them.
fn list(program: &Program) -> Result<Vec<String>> {
    let output = program.command().arg("--list").stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("cannot start {}", program.path.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
}
