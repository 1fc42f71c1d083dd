//! Build an exercise's tests on a file, run them, and read what each said.

use std::cell::Cell;
use std::fs;
use std::io::{self, IsTerminal};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

use crate::cargo::{self, Kind, Program};
use crate::catalogue::Exercise;
use crate::checkout;
use crate::output::complain;
use crate::runner::{self, interrupt};

mod briefly;
mod each;
mod libtest;
mod place;
mod shortcut;

pub use briefly::{Brief, briefly};
use each::each;
pub use libtest::Test;
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
    let lock = shortcut::file(&memory, exercise).with_extension("lock");
    let _alone = checkout::lock(&lock, waiting(exercise))?;
    let start = SystemTime::now();
    let ran = |program: Program, said: String| {
        let built = Built { start, end: SystemTime::now() };
        Ok(Checked::Ran { tests: each(&program, &source, idle, only)?, said, program, built })
    };
    if through == Through::Shortcut
        && let Some(shortcut) = Shortcut::load(&memory, exercise, place.unchanged)
        && let Ok(program) = shortcut.build(&place.root, exercise)?
    {
        return ran(program, String::new());
    }
    match build_as_it_is(place, exercise)? {
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

/// What is done ten times a second while another copy of the tool checks the exercise. One that was stopped by Ctrl-Z never ends.
fn waiting(exercise: &Exercise) -> impl Fn() -> Result<()> {
    let waited = Cell::new(0);
    move || {
        waited.set(waited.get() + 1);
        if waited.get() == 20 {
            // What turns meanwhile is in the line.
            let clear = if io::stderr().is_terminal() { "\r\u{1b}[K" } else { "" };
            let name = &exercise.name;
            complain!(
                "{clear}waiting for another copy of this tool, which checks {name} (is it stopped, by Ctrl-Z?)"
            );
        }
        interrupt::check()
    }
}

/// Run `only` some of the tests once more, in a program that [`check`] built.
///
/// # Errors
/// When the tests cannot be read or the program cannot start; `Interrupted` on Ctrl-C.
pub fn again(exercise: &Exercise, program: &Program, only: Option<&[&str]>) -> Result<Vec<Test>> {
    each(program, &checkout::read(&exercise.tests())?, runner::IDLE_TIMEOUT, only)
}

/// Let cargo build the tests on the file as it is now. cargo compares times: it takes the last program for one of this file
/// where that program is newer. But a file keeps its time when it is moved, or copied with `cp -p`; a clock can be put back; and
/// the last program may be one that the shortcut built.
fn build_as_it_is(place: &Place, exercise: &Exercise) -> Result<cargo::Built> {
    let command = ["test", "--no-run"];
    let built = build(place, exercise, &command)?;
    if let cargo::Built::Programs { programs, .. } = &built
        && let Ok(last) = cargo::find(programs, &exercise.krate, Kind::UnitTests, &exercise.krate)
        && last.fresh
    {
        fs::remove_file(&last.path).with_context(|| format!("cannot remove {}", last.path.display()))?;
        return build(place, exercise, &command);
    }
    Ok(built)
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
