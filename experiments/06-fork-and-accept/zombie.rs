//! A child that has ended, and that nobody has waited for.

use std::fs;
use std::mem;
use std::os::fd::AsFd;
use std::process::ExitCode;

use experiments::{Choice, Lab, Question, Result, ask};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{Pid, getpid, pipe2, read, write};

/// The exit status that is waited for.
const STATUS: i32 = 7;

const QUESTION: Question = Question {
    question: "A child has ended with status 7, and its parent has not waited for it. What is left of the \
               child, and what does SIGKILL do to it?",
    choices: &[
        Choice::new(
            "Nothing is left: the kernel frees it all when a process ends. The kill fails with \
                     ESRCH.",
        ),
        Choice::new("All of it, standing still: memory and descriptors too. The kill frees them."),
        Choice::new("Its pid and its status. The kill ends it for good."),
        Choice::new("Its pid and its status. The kill succeeds, and changes nothing."),
    ],
    book: 3,
    shows: "The end of a process frees its memory and its descriptors at once. The pid and the exit status \
            stay, for the parent to ask: that is a zombie, and it cannot be killed, as it does not live. It \
            goes when it is waited for. If its parent ends first, it comes to whoever adopts its orphans.",
    lane: "parent",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
        let gate = lab.gate()?;
        let child = lab.fork("child", |_| gate.pass().map(|()| STATUS))?;
        let pid = child.pid();
        drop(writer);
        let alive = look(lab, pid, &reader)?;
        lab.check(
            alive.memory && !alive.closed,
            "while it lives, it has memory, and holds the write end of a pipe",
        );
        gate.open()?;
        // To learn of its end, and leave it as it is.
        let end = waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)?;
        let ended = look(lab, pid, &reader)?;
        let killed = kill(pid, Signal::SIGKILL);
        lab.note(format!("kill with SIGKILL: {}", outcome(killed)));
        let after = look(lab, pid, &reader)?;
        let status = child.wait(lab)?;
        lab.check(status == end && after == ended, "after the kill it is what it was, and its status too");
        let gone = [kill(pid, None), waitpid(pid, None).map(drop)];
        lab.note(format!("kill: {}; waitpid: {}", outcome(gone[0]), outcome(gone[1])));
        lab.check(
            gone == [Err(Errno::ESRCH), Err(Errno::ECHILD)],
            "when it has been waited for, nothing is left",
        );
        adopted(lab)?;
        match (&ended, killed, status) {
            (Seen { state: None, .. }, Err(Errno::ESRCH), _) => Ok(0),
            (Seen { memory: true, closed: false, .. }, ..) => Ok(1),
            (_, Ok(()), WaitStatus::Signaled(..)) => Ok(2),
            (
                Seen { state: Some('Z'), memory: false, closed: true },
                Ok(()),
                WaitStatus::Exited(_, STATUS),
            ) => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

/// What there is of a child.
#[derive(Debug, PartialEq)]
struct Seen {
    /// The kernel's letter for it, if it knows of the process.
    state: Option<char>,
    memory: bool,
    /// Has the pipe whose write end it had come to its end?
    closed: bool,
}

fn look(lab: &Lab, pid: Pid, reader: impl AsFd) -> Result<Seen> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let memory = status.lines().any(|line| line.starts_with("VmRSS:"));
    let mut watched = [PollFd::new(reader.as_fd(), PollFlags::POLLIN)];
    let closed = poll(&mut watched, 0_u8)? > 0;
    let yes = |has: bool| if has { "yes" } else { "no" };
    let said = match state {
        None => "nothing",
        Some('Z') => "a zombie",
        Some(_) => "alive",
    };
    lab.note(format!("it is {said}; memory: {}; write end: {}", yes(memory), yes(!closed)));
    Ok(Seen { state, memory, closed })
}

/// A zombie whose parent ends without having waited.
fn adopted(lab: &mut Lab) -> Result {
    prctl::set_child_subreaper(true)?;
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    let helper = lab.fork("helper", |lab| {
        let child = lab.fork("its child", |_| Ok(STATUS))?;
        waitid(Id::Pid(child.pid()), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)?;
        write(&writer, &child.pid().as_raw().to_ne_bytes())?;
        lab.note("its child has ended; do not wait for it");
        // Dropped, it would be waited for.
        mem::forget(child);
        Ok(0)
    })?;
    helper.status(lab)?;
    let mut pid = [0; 4];
    read(&reader, &mut pid)?;
    let orphan = lab.adopt(Pid::from_raw(i32::from_ne_bytes(pid)), "its child");
    let stat = fs::read_to_string(format!("/proc/{}/stat", orphan.pid()))?;
    let (_, rest) = stat.rsplit_once(") ").ok_or("a line of /proc without its name")?;
    let [state, parent] = [0, 1].map(|field| rest.split(' ').nth(field).unwrap_or_default());
    let whose = if parent == getpid().to_string() { "this process" } else { "another" };
    lab.note(format!("state {state}; its parent: {whose}"));
    lab.check(
        state == "Z" && whose == "this process",
        "the zombie's parent has ended: it is a zombie still, and has been adopted",
    );
    lab.check(
        orphan.status(lab)? == STATUS,
        "it is waited for by whoever has adopted it, and has kept its status",
    );
    Ok(())
}

fn outcome(result: nix::Result<()>) -> String {
    result.map_or_else(|error| format!("{error:?}"), |()| "it succeeds".into())
}
