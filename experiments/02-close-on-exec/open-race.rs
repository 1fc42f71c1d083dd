//! The moment between open and fcntl, and what another thread can do in it.

use std::fs;
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

use experiments::{Choice, Lab, Question, Result, ask, vary};
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl, open};
use nix::sys::stat::Mode;

/// In 600 runs, with idle and busy cores and with one core, catching the thread took 47 programs at most.
const MOST: usize = 1000;
/// How many programs to start where none can catch it.
const ENOUGH: usize = 100;
/// The exit status of a program that has the file: none that a failure gives.
const HAS_IT: i32 = 100;
/// What the thread opens: nothing else here does, so that a program knows it when it has it.
const PATH: &str = "/dev/zero";

const QUESTION: Question = Question {
    question: "One thread opens files, and marks each close-on-exec in its very next call. Another thread \
               starts programs that have no business with these files. Can a program be born with one?",
    choices: &[
        Choice::new("No: the thread does nothing with a file before it is marked."),
        Choice::new("No: std's Command closes whatever it was not told to pass on."),
        Choice::new("Yes, unless the open itself carries O_CLOEXEC."),
        Choice::new("Yes, and with O_CLOEXEC too: there is a moment before any flag is set."),
    ],
    book: 2,
    shows: "Between open and fcntl there is a moment in which the file is open and not marked, and a program \
            started then has it. With O_CLOEXEC there is no such moment: the kernel puts the descriptor into \
            the table with its flag.",
    lane: "main",
    roles: &[("program", program)],
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let file = open(PATH, OFlag::O_RDONLY, Mode::empty())?;
        let passed_on = has_it(lab)?;
        let gets = if passed_on { "gets" } else { "does not get" };
        lab.note(format!("a file is open and not marked: a program {gets} it"));
        lab.check(passed_on, "what is open and not marked gets into a program that std starts");
        drop(file);
        let by_hand = race(lab, "open, fcntl, close", OFlag::empty(), MOST)?;
        lab.check(by_hand, "open, then fcntl: sooner or later a program gets the file");
        let at_once = race(lab, "open with O_CLOEXEC, close", OFlag::O_CLOEXEC, ENOUGH)?;
        lab.check(!at_once, "open with O_CLOEXEC: none gets it");
        Ok(match (by_hand, at_once) {
            (true, false) => 2,
            (_, true) => 3,
            (false, false) if passed_on => 0,
            (false, false) => 1,
        })
    })
}

/// Start programs while a thread opens files, until one has a file of the thread's. Has one?
fn race(lab: &Lab, what: &str, flag: OFlag, most: usize) -> Result<bool> {
    let opener = lab.thread("opener", "a thread");
    let stop = AtomicBool::new(false);
    let (ready, begun) = mpsc::channel();
    let found = thread::scope(|scope| {
        let thread = scope.spawn(|| {
            opener.note(format!("{what}, over and over"));
            let _ = ready.send(());
            open_and_close(flag, &stop)
        });
        begun.recv()?;
        let found = first_with_it(lab, most);
        // Whatever came of it: the scope waits for the thread.
        stop.store(true, Ordering::Relaxed);
        thread.join().map_err(|_| "the thread panicked")??;
        found
    })?;
    match found {
        // How many it took is chance.
        Some(n) => lab.note(format!("start programs until one has the file: number {}", vary("n", n))),
        None => lab.note(format!("start {most} programs: none of them has the file")),
    }
    lab.ended(&opener, "told to stop");
    Ok(found.is_some())
}

fn first_with_it(lab: &Lab, most: usize) -> Result<Option<usize>> {
    for n in 1..=most {
        if has_it(lab)? {
            return Ok(Some(n));
        }
    }
    Ok(None)
}

/// What the thread does until it is told to stop.
fn open_and_close(flag: OFlag, stop: &AtomicBool) -> nix::Result<()> {
    while !stop.load(Ordering::Relaxed) {
        let file = open(PATH, OFlag::O_RDONLY | flag, Mode::empty())?;
        if flag.is_empty() {
            fcntl(&file, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        }
        drop(file);
    }
    Ok(())
}

/// Start this program as `program`, the way std starts programs. Does it have the file?
fn has_it(lab: &Lab) -> Result<bool> {
    match lab.program("program", &[])?.stdin(Stdio::null()).status()?.code() {
        Some(0) => Ok(false),
        Some(HAS_IT) => Ok(true),
        other => Err(format!("the program ended with {other:?}").into()),
    }
}

fn program(lab: &mut Lab) -> Result<i32> {
    let has_it =
        |n: &i32| fs::read_link(format!("/proc/self/fd/{n}")).is_ok_and(|path| path == Path::new(PATH));
    Ok(if lab.descriptors()?.iter().any(has_it) { HAS_IT } else { 0 })
}
