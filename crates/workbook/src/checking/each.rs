//! Run a test program, and say of each of its tests what came of it.

use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::libtest::{self, Judged, Test, UNFINISHED, failed, judge, not_failed, skipped, words};
use crate::cargo::Program;
use crate::runner::{self, Doing, Ending, Outcome};
use crate::terminal::readable;

/// How many times as long as a program may be silent the tests may take in all that run once more, each by itself.
const BY_THEMSELVES: u32 = 2;

/// Run a test program: all of its tests, or `only` some, if it has those. They come in the
/// order of their source, so that the first that fails is the first to think about.
pub fn each(program: &Program, source: &str, idle: Duration, only: Option<&[&str]>) -> Result<Vec<Test>> {
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
    // Those without a result, or whose words are lost, run by themselves. If these hang too, that is not to take minutes.
    let stopped = Instant::now();
    let bound = idle.saturating_mul(BY_THEMSELVES);
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
            (Judged::Silent, _) if stopped.elapsed() > bound => {
                tests.push(failed(
                    name,
                    "it failed, and its words are lost, because a test hung".into(),
                    None,
                ));
            }
            (Judged::Silent, _) => tests.push(its_words(alone(program, &name, &threads, idle)?, name)),
            // One of them took the others down with it. Which one is seen when each runs by itself.
            (Judged::Unfinished, ending) if ending.is_of_one() && stopped.elapsed() <= bound => {
                tests.extend(alone(program, &name, &threads, idle)?);
            }
            (Judged::Unfinished, ending) if ending.is_of_one() => {
                unbegun.push(failed(
                    name,
                    "not run: one test took the others down with it, and of these too many hang".into(),
                    None,
                ));
            }
            // libtest names a thread after its test; as long as others hang, the rest waits for its turn.
            (Judged::Unfinished, Ending::Idle(..)) if !has_begun => {
                unbegun.push(failed(
                    name,
                    "not run: it did not get its turn, because others hang".into(),
                    None,
                ));
            }
            (Judged::Unfinished, ending) => {
                tests.push(failed(name, unfinished(ending), None));
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
    tests.iter_mut().for_each(Test::tidy);
    Ok(tests)
}

/// libtest's argument: two tests for each core, because the tests of an exercise wait more than they work. With one thread
/// libtest prints a test's name before it runs, and what the test's children print comes between the name and the result.
pub fn threads() -> String {
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
        _ => format!("{}\n{words}", unfinished(&ending)),
    };
    let message = message.trim_end();
    let message = if message.is_empty() { "it failed without a word" } else { message };
    Ok(Some(failed(name.to_owned(), message.to_owned(), place)))
}

/// Why a test did not finish. A thousand threads may have been doing something.
fn unfinished(ending: &Ending) -> String {
    format!("{UNFINISHED}{}", readable(&ending.to_string()))
}

/// The names of the tests, as the program itself lists them.
fn list(program: &Program) -> Result<Vec<String>> {
    let output = program.command().arg("--list").stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("cannot start {}", program.path.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
}
