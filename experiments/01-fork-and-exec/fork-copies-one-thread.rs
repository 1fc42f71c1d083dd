//! A thread that is in the middle of its work while another thread forks.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::sync::mpsc;
use std::thread;

use experiments::{Choice, Prepared, Question, Result, ask};
use nix::unistd::{Pid, getpid, read, write};

/// The two numbers that belong together: the writer changes both, one after the other.
static FIRST: AtomicU8 = AtomicU8::new(0);
static SECOND: AtomicU8 = AtomicU8::new(0);

const QUESTION: Question = Question {
    question: "Which threads of a process run in the child of its fork?",
    setup: "A process has two threads. The thread `writer` changes the first of two numbers. Then the thread \
            `main` forks. Then `writer` changes the second number. Which threads does the child have, and \
            which numbers are changed in the child?",
    choices: &[
        Choice::new("Both threads, and both numbers: the child's copy of `writer` goes on.")
            .because("The child had one thread, so nothing in it changed the second number."),
        Choice::new("Only `main`, and both numbers: the parent's `writer` changes memory that they share.")
            .because("The child has its own copy of the memory: the parent's change did not reach it."),
        Choice::new("Only `main`, and neither number: fork undoes the work of the missing `writer`.")
            .because("fork copied the memory as it was: in the child, the first number was changed."),
        Choice::new("Only `main`, and the first number: the work of `writer` stays half done."),
    ],
    book: 3,
    shows: "fork copies all of the memory, but only the thread that called it. If another thread was in the \
            middle of some work, this work stays half done in the child. A lock that this thread held stays \
            locked, and the lists of the allocator may be half changed.",
    lane: "main",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let lane = lab.thread("writer", "starts a thread");
        let (changed, first_is_changed) = mpsc::channel();
        let (go_on, told) = mpsc::channel::<()>();
        thread::scope(move |scope| {
            let thread_lane = lane.clone();
            let writer = scope.spawn(move || {
                FIRST.store(1, SeqCst);
                thread_lane.note("change the first number");
                let _ = changed.send(());
                // Returns also if main fails, because that drops the sender.
                let _ = told.recv();
                SECOND.store(1, SeqCst);
                thread_lane.note("change the second number");
            });
            first_is_changed.recv()?;
            let (mut line, child_line) = UnixStream::pair()?;
            let look = lab.prepare("child", "look at both numbers");
            // SAFETY: `numbers_in_the_child` makes only system calls, on what exists already.
            let child =
                unsafe { lab.fork_with_threads("child", || numbers_in_the_child(&child_line, &look)) }?;
            drop(child_line);
            let [ours, its] = [threads(getpid())?, threads(child.pid())?];
            lab.note(format!("threads here: {ours}; in the child: {its}"));
            go_on.send(())?;
            writer.join().map_err(|_| "the thread panicked")?;
            lab.ended(&lane, "ends");
            line.write_all(&[0])?;
            let mut numbers = [0; 2];
            line.read_exact(&mut numbers)?;
            child.status(lab)?;
            lab.note(format!("the numbers here: {:?}; in the child: {numbers:?}", here()));
            lab.check(here() == [1, 1], "in the parent, the other thread has finished its work");
            lab.check(its == 1, "the child has one thread");
            match (its, numbers) {
                (2, [1, 1]) => Ok(0),
                (1, [1, 1]) => Ok(1),
                (1, [0, 0]) => Ok(2),
                (1, [1, 0]) => Ok(3),
                other => Err(format!("none of the choices: {other:?}").into()),
            }
        })
    })
}

// ANCHOR: core
/// What the child does: waits for a byte, and answers with both numbers.
fn numbers_in_the_child(line: &UnixStream, look: &Prepared) -> i32 {
    let asked = read(line, &mut [0]) == Ok(1);
    look.write();
    i32::from(!asked || write(line, &here()) != Ok(2))
}
// ANCHOR_END: core

/// Both numbers, as this process sees them.
fn here() -> [u8; 2] {
    [FIRST.load(SeqCst), SECOND.load(SeqCst)]
}

/// How many threads a process has, by its tasks in /proc.
fn threads(pid: Pid) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/task"))?.count())
}
