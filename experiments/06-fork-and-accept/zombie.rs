//! A child that has exited, and was not waited for.

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
    question: "What is left of a child that has exited and was not waited for?",
    setup: "A child has exited with status 7, and its parent has not waited for it. What is left of the \
            child, and what does SIGKILL do to it?",
    choices: &[
        Choice::new("Nothing is left: the kernel frees all of it at exit. The kill fails with ESRCH.")
            .because("The pid and the status are kept for the parent: kill found the process."),
        Choice::new("All of it, even memory and descriptors, but it does not run. The kill frees them.")
            .because("Memory and descriptors are freed at exit: the child's write end was closed."),
        Choice::new("Its pid and its status. The kill removes them.")
            .because("After the kill it was a zombie as before, with status 7. Only reaping removes it."),
        Choice::new("Its pid and its status. The kill succeeds and changes nothing."),
    ],
    book: 3,
    shows: "When a process exits, the kernel frees its memory and closes its descriptors at once. It keeps the pid \
            and the exit status until the parent asks for them. Until then the process is a zombie, which cannot be \
            killed, because it runs nothing. Reaping removes it. If the parent exits first, the zombie gets a new \
            parent, which can reap it.",
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
            "while the child runs, it has memory and the write end of a pipe",
        );
        // ANCHOR: core
        gate.open()?;
        // Wait for its exit without reaping it.
        let end = waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)?;
        let ended = look(lab, pid, &reader)?;
        let killed = kill(pid, Signal::SIGKILL);
        lab.note(format!("kill with SIGKILL: {}", outcome(killed)));
        let after = look(lab, pid, &reader)?;
        let status = child.wait(lab)?;
        // ANCHOR_END: core
        lab.check(
            status == end && after == ended,
            "after the kill the child is still a zombie, with the same status",
        );
        let gone = [kill(pid, None), waitpid(pid, None).map(drop)];
        lab.note(format!("kill: {}; waitpid: {}", outcome(gone[0]), outcome(gone[1])));
        lab.check(
            gone == [Err(Errno::ESRCH), Err(Errno::ECHILD)],
            "after it was reaped, there is no process and no child with its pid",
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

/// What is left of a child.
#[derive(Debug, PartialEq)]
struct Seen {
    /// The kernel's letter for its state, if the process exists.
    state: Option<char>,
    memory: bool,
    /// Is the pipe at end of file, whose write end the child had?
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

/// A zombie whose parent exits without having waited.
fn adopted(lab: &mut Lab) -> Result {
    prctl::set_child_subreaper(true)?;
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    let helper = lab.fork("helper", |lab| {
        let child = lab.fork("its child", |_| Ok(STATUS))?;
        waitid(Id::Pid(child.pid()), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)?;
        write(&writer, &child.pid().as_raw().to_ne_bytes())?;
        lab.note("its child has exited; do not wait for it");
        // Dropping it would reap it.
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
        "a zombie whose parent exits stays a zombie, and gets a new parent",
    );
    lab.check(orphan.status(lab)? == STATUS, "the new parent can reap it, and gets its status");
    Ok(())
}

fn outcome(result: nix::Result<()>) -> String {
    result.map_or_else(|error| format!("{error:?}"), |()| "it succeeds".into())
}
