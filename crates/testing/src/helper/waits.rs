//! What the threads of a helper that hangs wait for, as /proc shows it: see proc(5).

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;

use nix::libc;
use syscalls::Sysno;

use crate::proc::{stat, state};

/// A line for each thread of this process and of its descendants.
pub fn what_threads_wait_for(process: u32) -> String {
    let processes = with_descendants(process);
    let mut lines = String::new();
    for &pid in &processes {
        for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let at = |name: &str| line(&task.path().join(name).to_string_lossy());
            let state = state(task.file_name().display());
            let what = what(pid, &at("syscall"), state, &processes);
            let _ = write!(lines, "\n  process {pid}, thread {}: {what}", at("comm"));
        }
    }
    lines
}

/// Parents come before their children, whose numbers are higher unless numbers start again.
fn with_descendants(process: u32) -> BTreeSet<u32> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            Some((pid, stat(pid)?.split(' ').nth(1)?.parse().ok()?))
        })
        .collect();
    let mut found = BTreeSet::from([process]);
    loop {
        let below = parents.iter().filter(|(_, parent)| found.contains(parent)).map(|(pid, _)| *pid);
        let below: BTreeSet<u32> = below.filter(|pid| !found.contains(pid)).collect();
        if below.is_empty() {
            return found;
        }
        found.extend(below);
    }
}

fn what(pid: u32, syscall: &str, state: Option<char>, processes: &BTreeSet<u32>) -> String {
    match state {
        Some('Z') => return "has exited, and its parent did not wait for it (a zombie)".into(),
        Some('R') => return "is running: a loop that does not end?".into(),
        _ => {}
    }
    let mut words = syscall.split_whitespace();
    let call = words.next().and_then(|number| number.parse().ok()).and_then(Sysno::new);
    let name = call.map_or("a system call", |call| call.name());
    if !matches!(name, "read" | "write") {
        return format!("sleeps in {name}");
    }
    let number = words.next().and_then(|hex| i32::from_str_radix(hex.trim_start_matches("0x"), 16).ok());
    let Some(number) = number else { return format!("sleeps in {name}") };
    let target = file(pid, number);
    let mut text = format!("sleeps in {name} on descriptor {number} ({target})");
    if name == "read" && target.starts_with("pipe:") {
        let writers = processes.iter().flat_map(|pid| writers(*pid, &target));
        let writers = writers.collect::<Vec<_>>().join(", ");
        text += &match writers.is_empty() {
            true => ", whose write end is open elsewhere".to_owned(),
            false => format!(", whose write end is open: {writers}"),
        };
    }
    text
}

/// The descriptors of a process with which it can write to this pipe.
fn writers(pid: u32, pipe: &str) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let writes = |number: &i32| {
        let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{number}")).unwrap_or_default();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap_or_default();
        let flags = i32::from_str_radix(flags.trim(), 8).unwrap_or_default();
        file(pid, *number) == pipe && flags & libc::O_ACCMODE != libc::O_RDONLY
    };
    numbers.filter(writes).map(|number| format!("descriptor {number} of process {pid}")).collect()
}

fn file(pid: u32, number: i32) -> String {
    let target = fs::read_link(format!("/proc/{pid}/fd/{number}"));
    target.map_or("closed".into(), |path| path.to_string_lossy().into_owned())
}

fn line(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim_end().to_owned()
}
