//! Where the time of a build went. No stable option of rustc says it, so it is read from the files that rustc writes.
//!
//! rustc begins a session folder for incremental compilation with a lock file, and writes the last object file there
//! before it calls the linker, which writes the program. The part of the front end is what `cargo check` takes.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::cargo::Program;
use crate::checking::Built;

/// The parts of a wait. They are exact to a tick of the kernel's clock for files, 4 ms or less.
#[derive(Debug, Clone, Copy)]
pub struct Phases {
    /// Looking at the files of the checkout.
    tool: Duration,
    /// From the call of cargo, or of rustc where it is known how, to rustc's start, and after the program is linked.
    cargo: Duration,
    front_end: Duration,
    code: Duration,
    link: Duration,
    tests: Duration,
}

impl Phases {
    pub const HEADER: &str = "tool  cargo  front end  code generation  link  tests";

    /// The phases of a build, between what the tool does and the tests. `checked` is how long rustc took for
    /// `cargo check`.
    pub fn of(program: &Program, built: Built, tool: Duration, total: Duration, checked: Duration) -> Self {
        let since = |from: SystemTime, to: SystemTime| to.duration_since(from).unwrap_or_default();
        let mut objects: Vec<SystemTime> = Vec::new();
        let mut locks: Vec<SystemTime> = Vec::new();
        for file in session_files(&program.path) {
            let Some(written) = written(&file).filter(|time| *time >= built.start) else { continue };
            match file.extension().and_then(|extension| extension.to_str()) {
                Some("o") => objects.push(written),
                Some("lock") => locks.push(written),
                _ => {}
            }
        }
        let start = locks.iter().min().copied().unwrap_or(built.start);
        let last = objects.iter().max().copied().unwrap_or(start);
        let linked = written(&program.path).unwrap_or(last);
        let took = since(built.start, built.end);
        let cargo = took.saturating_sub(since(start, linked));
        let front_end = checked.min(since(start, last));
        Self {
            tool,
            cargo,
            front_end,
            code: since(start, last).saturating_sub(front_end),
            link: since(last, linked),
            tests: total.saturating_sub(tool + took),
        }
    }
}

impl fmt::Display for Phases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tool, cargo, front_end, code, link, tests } = self;
        let [tool, cargo, front_end, code, link, tests] =
            [tool, cargo, front_end, code, link, tests].map(Duration::as_secs_f64);
        write!(f, "{tool:4.2}  {cargo:5.2}  {front_end:9.2}  {code:15.2}  {link:4.2}  {tests:5.2}")
    }
}

/// The files of all sessions of the crate of this program: `deps/flags-1a2b` has them in `incremental/flags-*/`.
fn session_files(program: &Path) -> Vec<PathBuf> {
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let name = name.rsplit_once('-').map_or(&*name, |(name, _)| name);
    let incremental = program.with_file_name("").join("../incremental");
    let of_crate = |path: &PathBuf| {
        path.file_name().is_some_and(|folder| folder.to_string_lossy().starts_with(&format!("{name}-")))
    };
    let sessions = entries(&incremental).into_iter().filter(of_crate).flat_map(|folder| entries(&folder));
    sessions.flat_map(|session| if session.is_dir() { entries(&session) } else { vec![session] }).collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn written(file: &Path) -> Option<SystemTime> {
    fs::metadata(file).and_then(|metadata| metadata.modified()).ok()
}
