//! What the kernel says about processes, read from /proc: see proc(5).

use std::collections::BTreeMap;
use std::fmt;
use std::fs;

use nix::unistd::Pid;
use syscalls::Sysno;

/// All processes below this one: its children, theirs, and so on; but not these, nor what is below them.
pub fn below(top: Pid, except: &[Pid]) -> Vec<Pid> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()) {
        if let Some(parent) = parent(pid) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = Vec::new();
    let mut parents = vec![top.as_raw()];
    while let Some(pid) = parents.pop() {
        let mut below = children.remove(&pid).unwrap_or_default();
        below.retain(|pid| !except.contains(&Pid::from_raw(*pid)));
        found.extend(below.iter().copied().map(Pid::from_raw));
        parents.extend(below);
    }
    found
}

/// Field 4 of /proc/PID/stat. The name before it may hold spaces and parentheses.
fn parent(pid: i32) -> Option<i32> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    text.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// What one thread of a process is doing.
#[derive(Debug)]
pub struct Doing {
    pid: Pid,
    program: String,
    thread: String,
    what: String,
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, program, thread, what } = self;
        write!(f, "process {pid} ({program}), thread {thread}: {what}")
    }
}

impl Doing {
    /// Is this a thread of that name? The kernel keeps 15 bytes of it.
    pub fn is_thread(&self, name: &str) -> bool {
        !self.thread.is_empty() && self.thread.as_bytes() == &name.as_bytes()[..name.len().min(15)]
    }
}

/// What every thread of these processes is doing now.
pub fn doing(pids: &[Pid]) -> Vec<Doing> {
    let mut doing = Vec::new();
    for &pid in pids {
        let program = line(&format!("/proc/{pid}/comm"));
        for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let task = task.path();
            let at = |name: &str| line(&task.join(name).to_string_lossy());
            let what = what(pid, &at("syscall"), &at("wchan"), &at("stat"));
            doing.push(Doing { pid, program: program.clone(), thread: at("comm"), what });
        }
    }
    doing
}

/// In words: the system call, what its first argument points to, and where in the kernel it sleeps.
fn what(pid: Pid, syscall: &str, wchan: &str, stat: &str) -> String {
    let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next());
    if state == Some('Z') {
        return "has exited, and its parent did not wait for it (a zombie)".into();
    }
    if syscall == "running" || state == Some('R') {
        return "runs, in no system call: a loop that does not end?".into();
    }
    let mut words = syscall.split_whitespace();
    let number = words.next().and_then(|n| n.parse::<usize>().ok());
    let name = number.and_then(Sysno::new).map_or("a system call", |call| call.name());
    let first = words.next().and_then(|hex| i32::from_str_radix(hex.trim_start_matches("0x"), 16).ok());
    let takes_descriptor =
        ["read", "write", "recv", "send", "accept", "connect", "fcntl", "flock", "epoll", "close"]
            .iter()
            .any(|prefix| name.starts_with(prefix));
    let mut text = format!("sleeps in {name}");
    if let Some(fd) = first.filter(|_| takes_descriptor) {
        let target = fs::read_link(format!("/proc/{pid}/fd/{fd}"));
        let target = target.map_or("closed".into(), |path| path.to_string_lossy().into_owned());
        text += &format!(" on descriptor {fd} ({target})");
    }
    if !wchan.is_empty() && wchan != "0" {
        text += &format!(", in the kernel's {wchan}");
    }
    text
}

fn line(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim_end().to_owned()
}
