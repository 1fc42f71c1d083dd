//! A lock that one thread holds while another thread forks.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::{Mutex, mpsc};
use std::thread;

use experiments::{Choice, Prepared, Question, Result, ask};
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::WaitStatus;
use nix::unistd::{Pid, getpid, read, write};

/// The lock. From the fork on, parent and child have a copy each.
static LOCK: Mutex<()> = Mutex::new(());

const QUESTION: Question = Question {
    question: "Can the child of a fork take a lock that another thread held?",
    setup: "One thread of a process holds a lock, and another thread forks. How many threads does the child \
            have, and can it ever take the lock?",
    choices: &[
        Choice::new(
            "Two, and it can: the child is a copy of the process, and its copy of the holder unlocks \
                     it.",
        )
        .because("fork copies one thread, the caller's: the holder does not exist in the child."),
        Choice::new("One, and it can: the lock is free, because the holder is not there.")
            .because("fork copied the lock as it was, locked: try_lock failed in the child."),
        Choice::new("One, and it can once the holder unlocks the lock in the parent.")
            .because("Parent and child have separate copies: in the child it stayed locked."),
        Choice::new(
            "One, and it cannot: the lock stays locked forever, because no thread is there to unlock \
                     it.",
        ),
    ],
    book: 3,
    shows: "fork copies all of the memory and one of the threads. A lock is a part of the memory, so the child's copy \
            is locked, and the thread that would unlock it exists in the parent only. So until its exec, the child of \
            a process with threads must not do anything that takes a lock.",
    lane: "main",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let holder = lab.thread("holder", "a thread");
        let (locked, is_locked) = mpsc::channel();
        let (unlock, told) = mpsc::channel();
        thread::scope(move |scope| {
            let thread_lane = holder.clone();
            let thread = scope.spawn(move || {
                let guard = LOCK.lock();
                thread_lane.note("lock it");
                let _ = locked.send(());
                // Also if main fails, because that drops the sender.
                let _ = told.recv();
                drop(guard);
                thread_lane.note("unlock it");
            });
            is_locked.recv()?;
            let (line, its_line) = UnixStream::pair()?;
            let notes = [LOCKED, FREE, "lock it: wait for it"].map(|text| lab.prepare("child", text));
            // SAFETY: `ask_for_the_lock` does what is allowed, and one thing that is not: it takes the lock that
            // this is about. It is killed below, and with this process at the latest.
            let child = unsafe { lab.fork_with_threads("child", || ask_for_the_lock(&its_line, &notes)) }?;
            drop(its_line);
            let at_first = answer(&line)?;
            let [ours, its] = [threads(getpid())?, threads(child.pid())?];
            lab.note(format!("threads here: {ours}; in the child: {its}"));
            unlock.send(())?;
            thread.join().map_err(|_| "the thread panicked")?;
            lab.ended(&holder, "ends");
            let here = LOCK.try_lock().is_ok();
            lab.note(if here { FREE } else { LOCKED });
            write(&line, &[0])?;
            let later = answer(&line)?;
            lab.check(
                here && !later,
                "the holder unlocks the lock in the parent; the child's copy stays locked",
            );
            write(&line, &[0])?;
            answer(&line)?;
            let events = poll(&mut [PollFd::new(line.as_fd(), PollFlags::POLLIN)], 100_u8)?;
            lab.note(format!("wait for the child for 100 ms: {events} events"));
            kill(child.pid(), Signal::SIGKILL)?;
            let end = child.wait(lab)?;
            lab.check(
                events == 0 && matches!(end, WaitStatus::Signaled(_, Signal::SIGKILL, _)),
                "a child that waits for the lock waits until it is killed",
            );
            match (its, at_first, later) {
                (2, ..) => Ok(0),
                (1, true, _) => Ok(1),
                (1, false, true) => Ok(2),
                (1, false, false) => Ok(3),
                other => Err(format!("none of the choices: {other:?}").into()),
            }
        })
    })
}

const FREE: &str = "try to lock it: it was free";
const LOCKED: &str = "try to lock it: it is locked";

// ANCHOR: child
/// What the child does. The experiment's lock is not the only one that may be locked here. So the
/// child uses nothing but system calls and this lock: nothing here allocates, formats or prints.
fn ask_for_the_lock(line: &UnixStream, [locked, free, waits]: &[Prepared; 3]) -> i32 {
    for _ in 0..2 {
        let is_free = LOCK.try_lock().is_ok();
        if is_free { free } else { locked }.write();
        // A byte each way: its answer to the parent, and the parent's permission to go on.
        if write(line, &[u8::from(is_free)]) != Ok(1) || read(line, &mut [0]) != Ok(1) {
            return 1;
        }
    }
    waits.write();
    if write(line, &[0]) != Ok(1) {
        return 1;
    }
    drop(LOCK.lock());
    i32::from(write(line, &[1]) != Ok(1))
}
// ANCHOR_END: child

/// The child's answer: is the lock free?
fn answer(line: &UnixStream) -> Result<bool> {
    let mut byte = [0];
    match read(line, &mut byte)? {
        0 => Err("the child has exited".into()),
        _ => Ok(byte == [1]),
    }
}

/// How many threads a process has, by its tasks in /proc.
fn threads(pid: Pid) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/task"))?.count())
}
