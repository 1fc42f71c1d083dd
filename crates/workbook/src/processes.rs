//! What the kernel says about processes, read from /proc: see proc(5).

use std::fmt;
use std::fs;

use nix::unistd::Pid;
use syscalls::Sysno;

/// The processes of a group.
pub fn of_group(group: Pid) -> Vec<Pid> {
    all(|stat| stat.group == group.as_raw())
}

/// The children of a process.
pub fn children_of(parent: Pid) -> Vec<Pid> {
    all(|stat| stat.parent == parent.as_raw())
}

struct Stat {
    parent: i32,
    group: i32,
}

fn all(wanted: impl Fn(&Stat) -> bool) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| stat(*pid).is_some_and(|stat| wanted(&stat))).map(Pid::from_raw).collect()
}

/// Fields 4 and 5 of /proc/PID/stat. The name before them may hold spaces and parentheses.
fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(1);
    Some(Stat { parent: fields.next()?.parse().ok()?, group: fields.next()?.parse().ok()? })
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
        return "has ended, and nobody waited for it (a zombie)".into();
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
