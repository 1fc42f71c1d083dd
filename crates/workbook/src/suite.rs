//! Running the tests of one exercise, and reading what they said.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::cargo::Program;
use crate::watchdog::{self, Ending, Outcome};

/// Before the names of tests that were compiled into their crate: see `cargo::build_tests`.
pub const INSIDE: &str = "t::";

/// What one test said.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Test {
    pub name: String,
    pub passed: bool,
    /// Why it failed, in its own words; null when it passed.
    pub message: Option<String>,
    /// Where it failed: `tests/flags.rs:31:5`.
    #[serde(skip)]
    pub place: Option<String>,
}

/// Run a test program under the watchdog: all of its tests, or `only` one, if it has that. They come in the
/// order of their source, so that the first that fails is the first to think about.
pub fn run(program: &Program, source: &str, silence: Duration, only: Option<&str>) -> Result<Vec<Test>> {
    let mut names = list(&program.path, &program.folder)?;
    names.retain(|name| only.is_none_or(|only| name.trim_start_matches(INSIDE) == only));
    if names.is_empty() {
        return Ok(Vec::new());
    }
    // With one thread libtest prints a test's name before it runs, and what the test's children print comes
    // between the name and the result.
    let threads = thread::available_parallelism().map_or(2, |cores| cores.get().max(2));
    let threads = format!("--test-threads={threads}");
    let mut args = vec![threads.as_str()];
    if only.is_some() {
        args.extend(["--exact", &names[0]]);
    }
    let outcome = watchdog::run(&program.path, &args, &program.folder, silence, watchdog::CROWD)?;
    let (mut tests, mut unbegun) = (Vec::new(), Vec::new());
    for name in names {
        match (judge(&name, &outcome.output), &outcome.ending) {
            (Judged::Ignored, _) => {}
            (Judged::Told(test), _) => tests.push(test),
            // One of them took the others down with it. Which one is seen when each runs by itself.
            (Judged::Unfinished, Ending::Ended(_)) => tests.extend(alone(program, &name, &threads, silence)?),
            // libtest names a thread after its test; as long as others hang, the rest waits for its turn.
            (Judged::Unfinished, Ending::Silent(_, doing)) if !doing.iter().any(|d| d.is_thread(&name)) => {
                unbegun.push(failed(name, "it did not get its turn: others hang".into(), None));
            }
            (Judged::Unfinished, ending) => {
                tests.push(failed(name, format!("it did not finish: {ending}"), None));
            }
        }
    }
    if !tests.is_empty() && tests.iter().all(|test| test.passed) && !outcome.ending.good() {
        let message = format!("every test passed, and then the test program ended badly: {}", outcome.ending);
        tests.push(failed("(the test program)".into(), message, None));
    }
    tests.sort_by_key(|test| place_in(source, &test.name));
    unbegun.sort_by_key(|test| place_in(source, &test.name));
    tests.append(&mut unbegun);
    tests.iter_mut().for_each(|test| test.name = test.name.trim_start_matches(INSIDE).to_owned());
    Ok(tests)
}

fn place_in(source: &str, test: &str) -> usize {
    let function = test.rsplit("::").next().unwrap_or(test);
    source.find(&format!("fn {function}(")).unwrap_or(usize::MAX)
}

/// Run one test without a result among the others': they may have taken it down, or what their children
/// printed may stand in the middle of its line. What it prints is not held back, or it would be lost with the
/// program. None: it is one that is ignored.
///
/// Its own line may be torn apart again. libtest writes how many passed, failed and were ignored in one piece.
fn alone(program: &Program, name: &str, threads: &str, silence: Duration) -> Result<Option<Test>> {
    let args = ["--exact", name, "--nocapture", threads];
    let Outcome { output, ending } =
        watchdog::run(&program.path, &args, &program.folder, silence, watchdog::CROWD)?;
    let counts = |numbers: &str| output.contains(&format!(". {numbers} ignored; "));
    if counts("0 passed; 0 failed; 1") {
        return Ok(None);
    }
    if counts("1 passed; 0 failed; 0") && ending.good() {
        return Ok(Some(passed(name.to_owned())));
    }
    let heading = format!("test {name} ... ");
    let noise = ["running 1 test", "failures:", "test result:", &heading];
    let lines = output.lines().filter(|line| !noise.iter().any(|start| line.starts_with(start)));
    let (words, place) = words(&lines.collect::<Vec<_>>().join("\n"));
    let message = match ending {
        _ if counts("0 passed; 1 failed; 0") => words,
        Ending::Ended(_) => format!("the test program ended in the middle of it ({ending})\n{words}"),
        _ => format!("it did not finish: {ending}\n{words}"),
    };
    Ok(Some(failed(name.to_owned(), message.trim_end().to_owned(), place)))
}

/// The names of the tests, as the program itself lists them.
fn list(program: &Path, folder: &Path) -> Result<Vec<String>> {
    let output = Command::new(program).current_dir(folder).arg("--list").stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("cannot start {}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
}

/// What a test's output says of it.
enum Judged {
    Told(Test),
    Ignored,
    Unfinished,
}

fn judge(name: &str, output: &str) -> Judged {
    let said = |word: &str| {
        ["", " - should panic"].iter().any(|how| output.contains(&format!("test {name}{how} ... {word}")))
    };
    if said("FAILED") {
        let (message, place) = said_by(name, output);
        Judged::Told(failed(name.to_owned(), message, place))
    } else if said("ok") {
        Judged::Told(passed(name.to_owned()))
    } else if said("ignored") {
        Judged::Ignored
    } else {
        Judged::Unfinished
    }
}

fn passed(name: String) -> Test {
    Test { name, passed: true, message: None, place: None }
}

fn failed(name: String, message: String, place: Option<String>) -> Test {
    Test { name, passed: false, message: Some(message), place }
}

/// The words of a failed test, between its heading and the next.
fn said_by(name: &str, output: &str) -> (String, Option<String>) {
    let heading = format!("---- {name} stdout ----\n");
    let Some((_, section)) = output.split_once(&heading) else {
        return ("it failed without a word".into(), None);
    };
    let end = ["\n---- ", "\nfailures:\n"].iter().filter_map(|mark| section.find(mark)).min();
    words(&section[..end.unwrap_or(section.len())])
}

/// What was printed, without the noise around a panic, and where the first panic was.
fn words(section: &str) -> (String, Option<String>) {
    let section = section.trim();
    let Some((before, panic)) = section.split_once("panicked at ") else {
        return (section.to_owned(), None);
    };
    let (place, message) = panic.split_once('\n').unwrap_or((panic, ""));
    // There may be a second panic, of the thread that waited for the first.
    let lines = message.lines().filter(|line| !line.starts_with("note: run with `RUST_BACKTRACE"));
    let message = lines.collect::<Vec<_>>().join("\n").trim().to_owned();
    // What the test printed before it failed comes first, without the line that names the thread.
    let printed = before.trim_end().rsplit_once('\n').map_or("", |(printed, _thread)| printed.trim());
    let message = if printed.is_empty() { message } else { format!("{printed}\n{message}") };
    (message, Some(place.trim_end_matches(':').to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "
running 4 tests
test b ... ok
test a ... FAILED
test d - should panic ... ok
test e ... ignored, not on this kernel

failures:

---- a stdout ----

thread 'a' (123) panicked at tests/flags.rs:31:5:
descriptor 7 is still open
after exec
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace


failures:
    a

test result: FAILED. 1 passed; 1 failed; 0 ignored
";

    #[test]
    fn a_failed_test_is_quoted_without_the_noise_around_it() {
        let Judged::Told(a) = judge("a", OUTPUT) else { panic!("a has a result") };
        assert_eq!(a.message.as_deref(), Some("descriptor 7 is still open\nafter exec"));
        assert_eq!(a.place.as_deref(), Some("tests/flags.rs:31:5"));
        assert!(matches!(judge("b", OUTPUT), Judged::Told(Test { passed: true, .. })));
        assert!(matches!(judge("d", OUTPUT), Judged::Told(Test { passed: true, .. })));
        assert!(matches!(judge("e", OUTPUT), Judged::Ignored));
    }

    #[test]
    fn a_test_without_a_result_did_not_finish() {
        assert!(matches!(judge("c", OUTPUT), Judged::Unfinished));
    }
}
