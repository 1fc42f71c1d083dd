//! Three processes that write to a pipe without a reader.

use std::ffi::CString;
use std::fs::{self, File};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitCode};

use experiments::{Choice, Question, Result, ask, cannot_ask};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;
use nix::unistd::{dup2_stderr, dup2_stdout, execv, pipe2, write};

// ANCHOR: script
/// Writes, and exits with status 7 if it survives the write.
const SCRIPT: &str = "echo alpha; exit 7";
// ANCHOR_END: script

const QUESTION: Question = Question {
    question: "Which processes survive a write to a pipe without a reader?",
    setup: "A pipe has no reader left. Three processes write to it: a Rust program, a shell that this \
            program started with Command, and a shell that it started with fork and execv. Which of them \
            survive their write?",
    choices: &[
        Choice::new("None: the kernel sends SIGPIPE, which kills each of them.")
            .because("Rust ignores SIGPIPE: its write failed with EPIPE, and it went on."),
        Choice::new("All three: the write fails with EPIPE, and they go on.")
            .because("Command restores SIGPIPE's default action in its child: that shell was killed."),
        Choice::new("The Rust program alone: Rust ignores SIGPIPE, and a shell does not.")
            .because("exec keeps an ignored signal ignored, so the shell started with execv survived."),
        Choice::new("The Rust program, and the shell started with fork and execv."),
    ],
    book: 3,
    shows: "When a process writes to a pipe without a reader, the kernel sends it SIGPIPE, which kills it. If the \
            process ignores SIGPIPE, the write fails with EPIPE. Rust's runtime ignores SIGPIPE, and exec keeps \
            ignored signals ignored. Command restores the default before exec.",
    lane: "parent",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        if !Path::new("/bin/sh").exists() {
            return Err(cannot_ask("/bin/sh does not exist"));
        }
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
        drop(reader);
        lab.note("a pipe; close the read end");
        lab.check(ignores_sigpipe()?, "this Rust program ignores SIGPIPE, although its code does not say so");

        let rust = lab.fork("rust", |lab| {
            // ANCHOR: core
            let outcome = write(&writer, b"alpha"); // no process has the read end open
            // ANCHOR_END: core
            lab.note(format!("write: {outcome:?}"));
            lab.check(outcome == Err(Errno::EPIPE), "a process that ignores SIGPIPE gets EPIPE from write");
            Ok(7)
        })?;
        let rust = survives(rust.wait(lab)?)?;

        // A shell that survives its write complains on stderr, which must not reach the reader's terminal.
        let silent = File::create("/dev/null")?;
        // ANCHOR: command
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", SCRIPT]).stdout(writer.try_clone()?).stderr(silent.try_clone()?);
        // ANCHOR_END: command
        let command = lab.fork("command", |lab| {
            lab.note(format!("Command::exec: sh -c '{SCRIPT}'"));
            Err(shell.exec().into())
        })?;
        let command = survives(command.wait(lab)?)?;

        let spawned = shell.status()?;
        lab.note(format!("Command::status: the same; {spawned}"));
        lab.check(
            spawned.signal() == Some(Signal::SIGPIPE as i32),
            "Command::status restores the default, too: its shell is killed",
        );

        let execv = lab.fork("execv", |lab| {
            lab.note("execv: the same");
            let script = CString::new(SCRIPT)?;
            // ANCHOR: execv
            dup2_stdout(&writer)?;
            dup2_stderr(&silent)?;
            execv(c"/bin/sh", &[c"sh", c"-c", &script])?;
            // ANCHOR_END: execv
            Ok(1)
        })?;
        let execv = survives(execv.wait(lab)?)?;

        match (rust, command, execv) {
            (false, false, false) => Ok(0),
            (true, true, true) => Ok(1),
            (true, false, false) => Ok(2),
            (true, false, true) => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

/// Did a process that ended like this survive its write?
fn survives(end: WaitStatus) -> Result<bool> {
    match end {
        WaitStatus::Exited(_, 7) => Ok(true),
        WaitStatus::Signaled(_, Signal::SIGPIPE, _) => Ok(false),
        other => Err(format!("this has nothing to do with the write: {other:?}").into()),
    }
}

/// Does this process ignore SIGPIPE? /proc has a mask of what it ignores, a bit for each signal, the lowest for signal 1.
fn ignores_sigpipe() -> Result<bool> {
    let status = fs::read_to_string("/proc/self/status")?;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).ok_or("no SigIgn in status")?;
    Ok(u64::from_str_radix(mask.trim(), 16)? >> (Signal::SIGPIPE as i32 - 1) & 1 == 1)
}
