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

/// Says something, and ends with status 7 if it lives to do so.
const SCRIPT: &str = "echo alpha; exit 7";

const QUESTION: Question = Question {
    question: "The reader of a pipe is gone. Three processes write to it: a Rust program; a shell that the \
               Rust program started with Command; and a shell that it started with fork and execv. Which of \
               them outlive their write?",
    choices: &[
        Choice::new("None: the kernel sends SIGPIPE, which kills."),
        Choice::new("All three: the write fails with EPIPE, and they go on."),
        Choice::new("The Rust program alone: Rust ignores SIGPIPE, and a shell does not."),
        Choice::new("The Rust program, and the shell started with fork and execv."),
    ],
    book: 3,
    shows: "A write to a pipe without a reader sends SIGPIPE, which kills, and fails with EPIPE where it is \
            ignored. Rust's runtime ignores it. A new program keeps what its parent ignores: execv does not \
            change that, and Command gives the default back first.",
    lane: "parent",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        if !Path::new("/bin/sh").exists() {
            return Err(cannot_ask("there is no /bin/sh here"));
        }
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
        drop(reader);
        lab.note("a pipe; close the read end");
        lab.check(ignores_sigpipe()?, "this Rust program ignores SIGPIPE, and never asked for it");

        let rust = lab.fork("rust", |lab| {
            let outcome = write(&writer, b"alpha");
            lab.note(format!("write: {outcome:?}"));
            lab.check(outcome == Err(Errno::EPIPE), "where SIGPIPE is ignored, write fails with EPIPE");
            Ok(7)
        })?;
        let rust = survives(rust.wait(lab)?)?;

        // A shell that outlives its write complains about it, and that is not for the reader's terminal.
        let silent = File::create("/dev/null")?;
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", SCRIPT]).stdout(writer.try_clone()?).stderr(silent.try_clone()?);
        let command = lab.fork("command", |lab| {
            lab.note(format!("Command::exec: sh -c '{SCRIPT}'"));
            Err(shell.exec().into())
        })?;
        let command = survives(command.wait(lab)?)?;

        let spawned = shell.status()?;
        lab.note(format!("Command::status: the same; {spawned}"));
        lab.check(
            spawned.signal() == Some(Signal::SIGPIPE as i32),
            "Command::status, which forks as well, does as Command::exec does",
        );

        let execv = lab.fork("execv", |lab| {
            dup2_stdout(&writer)?;
            dup2_stderr(&silent)?;
            lab.note("execv: the same");
            let script = CString::new(SCRIPT)?;
            execv(c"/bin/sh", &[c"sh", c"-c", &script])?;
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

/// Did a process with this end outlive its write?
fn survives(end: WaitStatus) -> Result<bool> {
    match end {
        WaitStatus::Exited(_, 7) => Ok(true),
        WaitStatus::Signaled(_, Signal::SIGPIPE, _) => Ok(false),
        other => Err(format!("an end that has nothing to do with the write: {other:?}").into()),
    }
}

/// What /proc says of the signals that this process ignores: a bit each, the lowest for signal 1.
fn ignores_sigpipe() -> Result<bool> {
    let status = fs::read_to_string("/proc/self/status")?;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).ok_or("no SigIgn in status")?;
    Ok(u64::from_str_radix(mask.trim(), 16)? >> (Signal::SIGPIPE as i32 - 1) & 1 == 1)
}
