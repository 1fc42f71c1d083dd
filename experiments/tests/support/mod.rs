//! Finding the experiments, and running one so that nothing of it can be left behind unseen.

#![allow(dead_code, reason = "each test uses a part of this")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

pub mod case;

/// `BLESS=1` writes what the experiments print instead of comparing it.
pub fn blessing() -> bool {
    std::env::var_os("BLESS").is_some_and(|value| value == "1")
}

/// The checkout's folder.
pub fn root() -> PathBuf {
    PathBuf::from("..")
}

/// Every program in a numbered folder: its name, and the path of its transcript.
pub fn experiments() -> BTreeMap<String, PathBuf> {
    let folders = fs::read_dir(root().join("experiments")).expect("the experiments' folder").flatten();
    let numbered = folders
        .filter(|folder| folder.file_name().to_string_lossy().starts_with(|c: char| c.is_ascii_digit()));
    let files = numbered.flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten().flatten());
    let sources = files.map(|file| file.path()).filter(|path| path.extension().is_some_and(|e| e == "rs"));
    let found: BTreeMap<_, _> = sources
        .map(|path| {
            (path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), path.with_extension("txt"))
        })
        .collect();
    assert!(!found.is_empty(), "no experiment was found");
    found
}

/// The program of an experiment, as Cargo built it for this test, whose own program is in a folder below. (`CARGO_BIN_EXE_…` is
/// where it was built, and a checkout may be moved.)
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("this program");
    let folder = test.ancestors().nth(2).expect("a folder of programs");
    folder.join(name)
}

/// How a run ended, and what it printed.
pub struct Run {
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    /// Processes of its group that outlived it.
    pub left: Vec<String>,
}

/// Run a command to its end. It writes into files without a name, because processes that it leaves behind would keep a
/// pipe open, and this would wait for them instead of reporting them.
pub fn run(command: &mut Command) -> Run {
    let [mut out, mut err] = [(); 2].map(|()| tempfile::tempfile().expect("a file without a name"));
    let copy = |file: &File| file.try_clone().expect("a second descriptor");
    command.stdin(std::process::Stdio::null()).stdout(copy(&out)).stderr(copy(&err)).process_group(0);
    let mut child = command.spawn().unwrap_or_else(|error| {
        panic!(
            "{} does not start: {error}. Does it have an entry in experiments/Cargo.toml?",
            command.get_program().display()
        )
    });
    let group = Pid::from_raw(child.id().cast_signed());
    let status = child.wait().expect("the end of a child").code();
    let left = left_behind(group);
    Run { status, stdout: text(&mut out), stderr: text(&mut err), left }
}

fn text(file: &mut File) -> String {
    let mut text = String::new();
    file.rewind().and_then(|()| file.read_to_string(&mut text)).expect("what was printed, in UTF-8");
    text
}

/// Kill and name the processes that are alive in a process group whose leader has exited.
///
/// A process that was killed with its parent needs a moment to be gone, of which only its parent is notified.
fn left_behind(group: Pid) -> Vec<String> {
    let deadline = Instant::now() + Duration::from_secs(2);
    while killpg(group, None) != Err(Errno::ESRCH) {
        let alive = members(group);
        if alive.is_empty() {
            break; // exited, but not reaped yet by the process that adopted them
        }
        if Instant::now() > deadline {
            let _ = killpg(group, Signal::SIGKILL);
            return alive;
        }
        thread::sleep(Duration::from_millis(5));
    }
    Vec::new()
}

/// The processes of a group that have not exited, by /proc/PID/stat: `pid (name) state ppid pgrp …`.
fn members(group: Pid) -> Vec<String> {
    let mut members = Vec::new();
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let Some((name, rest)) = stat.rsplit_once(") ") else { continue };
        if let [state, _, pgrp, ..] = rest.split(' ').collect::<Vec<_>>()[..]
            && pgrp == group.to_string()
            && state != "Z"
        {
            members.push(format!("{name}) {state}"));
        }
    }
    members
}
