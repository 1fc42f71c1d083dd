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

/// In 600 runs, with idle and busy cores and with one core, it took at most 47 programs to catch the thread.
const MOST: usize = 1000;
/// How many programs to start where none can inherit a file.
const ENOUGH: usize = 100;
/// The exit status of a program that has the file, and of no failure.
const HAS_IT: i32 = 100;
/// What the thread opens. Nothing else here opens it, so a program that has it got it from the thread.
const PATH: &str = "/dev/zero";

const QUESTION: Question = Question {
    question: "Can a program inherit a file between open and fcntl?",
    setup: "One thread opens files and sets close-on-exec on each with its very next call. Meanwhile another \
            thread starts programs. Can such a program inherit one of the files?",
    choices: &[
        Choice::new("No: the thread does nothing else before it sets the flag.").because(
            "The other thread does not wait for the flag: its fork can come between open and fcntl.",
        ),
        Choice::new("No: std's Command closes every descriptor that it was not told to pass on.").because(
            "Command closes nothing: a descriptor without the flag was open in the program that it started.",
        ),
        Choice::new("Yes, unless open itself is given O_CLOEXEC."),
        Choice::new("Yes, with O_CLOEXEC too: there is a moment before any flag is set.").because(
            "With O_CLOEXEC no program had a file: the descriptor has the flag as soon as it exists.",
        ),
    ],
    book: 2,
    shows: "Between open and fcntl there is a moment in which the file is open without close-on-exec. A program \
            that is started at that moment inherits it. With O_CLOEXEC there is no such moment: the kernel \
            puts the descriptor into the table together with its flag.",
    lane: "main",
    roles: &[("program", program)],
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let file = open(PATH, OFlag::O_RDONLY, Mode::empty())?;
        let inherited = has_it(lab)?;
        let gets = if inherited { "gets" } else { "does not get" };
        lab.note(format!("first, a file open without close-on-exec: a program {gets} it"));
        lab.check(inherited, "std's Command closes nothing: the program inherits a file without the flag");
        drop(file);
        let by_hand = race(lab, "open, fcntl, close", OFlag::empty(), MOST)?;
        lab.check(by_hand, "open, then fcntl: sooner or later a program inherits the file");
        let at_once = race(lab, "open with O_CLOEXEC, close", OFlag::O_CLOEXEC, ENOUGH)?;
        lab.check(!at_once, "open with O_CLOEXEC: no program inherits it");
        Ok(match (by_hand, at_once) {
            (true, false) => 2,
            (_, true) => 3,
            (false, false) if inherited => 0,
            (false, false) => 1,
        })
    })
}

/// Start programs while a thread opens files, until a program has one of them. Gives whether one had it.
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
        // Even after an error: the scope waits for the thread.
        stop.store(true, Ordering::Relaxed);
        thread.join().map_err(|_| "the thread panicked")??;
        found
    })?;
    match found {
        // The number varies by chance.
        Some(n) => lab.note(format!("start programs until one has the file: number {}", vary("n", n))),
        None => lab.note(format!("start {most} programs: none of them has the file")),
    }
    lab.ended(&opener, "main tells it to stop");
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
// ANCHOR: core
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
// ANCHOR_END: core

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
