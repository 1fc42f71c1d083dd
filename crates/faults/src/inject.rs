//! Running an operation under the tracer, which lists its calls or lets some of them fail.
//!
//! Contract: only calls between the two marks of [`testing::judged`] count, in the operation's process and in whatever
//! it forks or starts. A run ends: an alarm [bounds](crate::scene::run) it, and so does the number of calls.
//! After a run no process of it is left.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow::{Break, Continue};

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use testing::tracer::{self, Call, MARK, Stop, to_call, unless_killed};

use crate::{Fault, Place};

/// More calls than any operation needs.
const ENDLESS: usize = 20_000;

/// Run `scenario` and print a line `place …` for each of its calls. Returns its exit code.
pub fn list(scenario: impl FnOnce() -> i32) -> i32 {
    tracer::start(scenario, |pid| Run::default().follow(pid, None))
}

/// Run `scenario` with a fault, and print `struck` if it got as far as the call that fails.
pub fn with_fault(fault: &Fault, scenario: impl FnOnce() -> i32) -> i32 {
    tracer::start(scenario, |pid| Run::default().follow(pid, Some(fault)))
}

#[derive(Default)]
struct Run {
    /// The processes and threads, in the order of their first call.
    tasks: Vec<Pid>,
    /// All that have stopped, even outside of the marks.
    seen: BTreeSet<Pid>,
    /// Those that have become another program, whose calls are none of the operation's.
    programs: BTreeSet<Pid>,
    /// How many calls each has made, by name.
    made: BTreeMap<(usize, &'static str), usize>,
    /// Has the fault come?
    struck: bool,
    judging: bool,
}

impl Run {
    fn follow(&mut self, scenario: Pid, fault: Option<&Fault>) -> nix::Result<i32> {
        let mut last = scenario;
        self.tasks.push(scenario);
        // Each process that is in a call which will get this answer.
        let mut failing = BTreeMap::new();
        for _ in 0..ENDLESS {
            let stop = match to_call(scenario, last, None)? {
                Continue(stop) => stop,
                Break(code) => {
                    self.end(scenario);
                    return Ok(code);
                }
            };
            last = stop.pid;
            self.seen.insert(last);
            let leaves = stop.answer.is_some();
            if stop.call.name == "execve" && stop.answer == Some(0) && !failing.contains_key(&last) {
                self.programs.insert(last);
            }
            if leaves && let Some(errno) = failing.remove(&stop.pid) {
                unless_killed(tracer::answer(stop.pid, -i64::from(errno as i32)))?;
            } else if stop.pid == scenario && stop.call.name == MARK {
                self.judging ^= leaves;
            } else if !leaves
                && self.judging
                && !self.programs.contains(&last)
                && let Some(errno) = self.enter(&stop, fault)
            {
                if !happens(&stop.call, errno) {
                    unless_killed(tracer::keep(stop.pid))?;
                }
                failing.insert(stop.pid, errno);
            }
        }
        println!("endless");
        let _ = kill(scenario, Signal::SIGKILL);
        self.end(scenario);
        Ok(1)
    }

    /// Count the call. The errno that it shall return, if it shall fail.
    fn enter(&mut self, stop: &Stop, fault: Option<&Fault>) -> Option<Errno> {
        let known = self.tasks.iter().position(|pid| *pid == stop.pid);
        let task = known.unwrap_or_else(|| {
            self.tasks.push(stop.pid);
            self.tasks.len() - 1
        });
        let name = name(&stop.call);
        let made = self.made.entry((task, name)).or_default();
        *made += 1;
        let Some(fault) = fault else {
            println!("place {}", Place { task, call: name.into(), nth: *made });
            return None;
        };
        let Place { task: its, call, nth } = &fault.place;
        let now = (*its, &**call, *nth) == (task, name, *made);
        let later = self.struck && fault.lasting && call == name;
        if now && !self.struck {
            self.struck = true;
            println!("struck");
        }
        (now || later).then_some(fault.errno)
    }

    /// Kill and reap what is left.
    fn end(&self, scenario: Pid) {
        for pid in self.seen.iter().filter(|pid| **pid != scenario) {
            let _ = kill(*pid, Signal::SIGKILL);
        }
        while let Ok(status) = waitpid(None, Some(WaitPidFlag::__WALL)) {
            // One that had not made a call yet.
            if !matches!(status, WaitStatus::Exited(..) | WaitStatus::Signaled(..)) {
                let _ = status.pid().map(|pid| kill(pid, Signal::SIGKILL));
            }
        }
    }
}

/// Does the kernel do what it is asked, although the answer is this errno?
fn happens(call: &Call, errno: Errno) -> bool {
    match (call.name, errno) {
        // The descriptor is closed whatever close(2) returns.
        ("close", _) => true,
        // Other code has reaped the child.
        ("wait4", Errno::ECHILD) => true,
        // A pipe or an eventfd that is full is ready.
        ("write", Errno::EAGAIN) => true,
        _ => false,
    }
}

/// The name of a call, with its command: fcntl(2) is many calls.
fn name(call: &Call) -> &'static str {
    match (call.name, call.args[1] as i32) {
        ("fcntl", libc::F_GETFD) => "fcntl(F_GETFD)",
        ("fcntl", libc::F_SETFD) => "fcntl(F_SETFD)",
        ("fcntl", libc::F_DUPFD) => "fcntl(F_DUPFD)",
        ("fcntl", libc::F_DUPFD_CLOEXEC) => "fcntl(F_DUPFD_CLOEXEC)",
        ("fcntl", libc::F_GETFL) => "fcntl(F_GETFL)",
        ("fcntl", libc::F_SETFL) => "fcntl(F_SETFL)",
        ("fcntl", libc::F_SETOWN) => "fcntl(F_SETOWN)",
        // F_SETSIG of asm-generic/fcntl.h, which the crate libc does not have.
        ("fcntl", 10) => "fcntl(F_SETSIG)",
        (name, _) => name,
    }
}
