//! Ask cargo to build, and learn where it put what.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use nix::unistd::{AccessFlags, access};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{checkout, runner};

/// What came of a build.
pub enum Built {
    /// The programs, what rustc said although it succeeded (warnings), and the calls of rustc, quoted for a shell.
    Programs { programs: Vec<Program>, said: String, calls: Vec<String> },
    /// What rustc said.
    Failed(String),
}

/// What cargo does, by the words that it says it with.
const PROGRESS: [&str; 14] = [
    "Fresh",
    "Dirty",
    "Compiling",
    "Checking",
    "Finished",
    "Executable",
    "Blocking",
    "Updating",
    "Locking",
    "Adding",
    "Downloading",
    "Downloaded",
    "Unpacking",
    "Removing",
];

/// A program that cargo built.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Program {
    pub package: String,
    pub kind: Kind,
    pub name: String,
    pub path: PathBuf,
    /// Its package's folder, where its tests expect to run.
    pub folder: PathBuf,
    /// Has cargo not compiled it now, because it found it to be newer than its sources?
    pub fresh: bool,
    /// If it has several answers: the number of the one that it runs with.
    pub answer: Option<usize>,
}

impl Program {
    /// The command that runs it.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.current_dir(&self.folder);
        if let Some(number) = self.answer {
            command.env("WORKBOOK_ANSWER", number.to_string());
        }
        command
    }

    /// The same for tests of the reader's code, which may ask for memory without end.
    pub fn bounded(&self) -> Command {
        let mut command = self.command();
        runner::bound_memory(&mut command);
        command
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    Program,
    /// A library or a program, compiled with its tests inside.
    UnitTests,
    /// A file in `tests/`.
    Test,
}

/// The program of that package, kind and name.
///
/// # Errors
/// When it is not among these.
pub fn find<'a>(programs: &'a [Program], package: &str, kind: Kind, name: &str) -> Result<&'a Program> {
    let found = programs.iter().find(|p| p.package == package && p.kind == kind && p.name == name);
    found.with_context(|| format!("cargo built no program called {name} in {package}"))
}

/// Run `cargo ARGS` in the checkout at `root` and collect the programs it made. `target` is another target
/// folder than the usual one, for builds that must not disturb the reader's.
pub fn build(root: &Path, target: Option<&Path>, args: &[&str]) -> Result<Built> {
    let mut command = checkout::cargo(root);
    command.args(args).args(["--verbose", "--message-format=json-render-diagnostics"]);
    if has_colors() {
        command.args(["--color", "always"]);
    }
    if let Some(target) = target {
        command.arg("--target-dir").arg(target);
    }
    let (status, output, said) = runner::collect(&mut command).map_err(cannot_run)?;
    let (said, calls) = without_progress(&said);
    if !status.success() && refuses_code(&said) {
        return Ok(Built::Failed(said));
    }
    if !status.success() {
        let target = target.map_or_else(|| checkout::target(root), Path::to_owned);
        let advice = match writable(&target) {
            true => String::new(),
            false => format!(
                "\nNothing can be written in {}: set CARGO_TARGET_DIR to a folder where that is possible.",
                target.display()
            ),
        };
        bail!("cargo cannot build here ({status}):\n{}{advice}", said.trim_end());
    }
    let programs = output.lines().filter_map(|line| program(&serde_json::from_str(line).ok()?)).collect();
    Ok(Built::Programs { programs, said, calls })
}

/// Has rustc refused the code? Else cargo failed before it called rustc, or rustc could not do its work: no linker, no room
/// for files, a signal. What rustc has against code is an error with a place; only the linker gives none. A warning has a
/// place too, and refuses nothing.
fn refuses_code(said: &str) -> bool {
    let said = anstream::adapter::strip_str(said).to_string();
    let mut in_error = false;
    let mut refuses = said.lines().filter(|line| {
        match line.split([':', '[']).next() {
            Some("error") => in_error = true,
            Some("warning") => in_error = false,
            _ => {}
        }
        in_error && (line.trim_start().starts_with("--> ") || line.contains("undefined "))
    });
    refuses.next().is_some() && said.contains("could not compile")
}

/// What cargo printed without its progress, and the calls of rustc in that: `     Running `rustc …``. The words of the
/// progress end in column 12.
fn without_progress(printed: &str) -> (String, Vec<String>) {
    let (mut said, mut calls) = (String::new(), Vec::new());
    for line in printed.split_inclusive('\n') {
        let plain = anstream::adapter::strip_str(line).to_string();
        let word = plain.get(..12).map(str::trim_start).filter(|_| plain.get(12..13) == Some(" "));
        match word {
            Some("Running") => {
                let call = plain[12..].trim().trim_matches('`');
                calls.extend(call.contains("--crate-name").then(|| call.to_owned()));
            }
            Some(word) if PROGRESS.contains(&word) => {}
            _ => said += line,
        }
    }
    // A failed call is repeated at the end, with all its arguments.
    let end = said.find("\nCaused by:\n  process didn't exit successfully: ").unwrap_or(said.len());
    said.truncate(end);
    (said, calls)
}

/// The program that a message of cargo's is about, if it is about one.
fn program(message: &Value) -> Option<Program> {
    let folder = Path::new(message["manifest_path"].as_str()?).parent()?;
    let target = &message["target"];
    let kind = match (message["profile"]["test"].as_bool()?, target["kind"][0].as_str()?) {
        (true, "test") => Kind::Test,
        (true, _) => Kind::UnitTests,
        (false, _) => Kind::Program,
    };
    Some(Program {
        package: folder.file_name()?.to_string_lossy().into_owned(),
        kind,
        name: target["name"].as_str()?.to_owned(),
        path: message["executable"].as_str()?.into(),
        folder: folder.to_owned(),
        fresh: message["fresh"] == true,
        answer: None,
    })
}

/// The error of a call of cargo, which is missing only where no such program was found.
pub fn cannot_run(error: anyhow::Error) -> anyhow::Error {
    let found = |error: &io::Error| error.kind() != io::ErrorKind::NotFound;
    match error.root_cause().downcast_ref::<io::Error>().is_none_or(found) {
        true => error.context("cannot run cargo"),
        false => error.context("cannot run cargo; is Rust installed?"),
    }
}

/// Does the reader see colors? cargo writes into a pipe here and cannot know.
fn has_colors() -> bool {
    anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never
}

/// Can something be written in this folder, or the folder be made?
fn writable(folder: &Path) -> bool {
    let there = folder.ancestors().find(|path| path.exists());
    there.is_some_and(|path| access(path, AccessFlags::W_OK | AccessFlags::X_OK).is_ok())
}
