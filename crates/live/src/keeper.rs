//! The keeper: a process between the server and a program that it runs. It ends the program, with all that the program has
//! started, when the server closes the run or dies.
//!
//! A server that gets SIGKILL can end nothing, and a program can start others that leave its process group. So the server
//! starts itself once more, as `live -- PROGRAM ARGUMENTS`: that is the keeper. Its standard input is the *lifeline*: a
//! pipe to which nothing is written, and whose write end only the server has. End of file there ends the run, whatever
//! the cause: the program's group gets SIGTERM, and after a grace period every descendant gets SIGKILL. What is left once
//! the program has exited by itself gets SIGKILL, too.
//!
//! Contract: orphans among the descendants become children of the keeper, which is their subreaper (see prctl(2)), so that
//! it finds them in whichever group or session they are. The keeper ends as the program has ended, after all descendants.

use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill, killpg, raise};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpid};
use prefork::pidfd_open;

/// How long a program may take to end what it has started, before all of it is killed.
const GRACE: Duration = Duration::from_secs(2);

/// How long the killed may take to exit. One that sleeps in state D, or runs as another user, is not waited for.
const EXITING: Duration = Duration::from_secs(5);

/// A command with which the server starts this program in a keeper. Its standard input has to be the lifeline.
pub fn command(program: impl Into<OsString>) -> Command {
    // Unlike its path, this is still the same program after the file was replaced: cargo may have built a newer one.
    let mut command = Command::new("/proc/self/exe");
    command.arg0("live").arg("--").arg(program.into());
    command
}

/// Start the program, and wait until it has exited or the lifeline ends. Nothing of it is left afterwards.
///
/// # Errors
/// Those of fork(2), execve(2) and pidfd_open(2).
pub fn run(program: &[OsString]) -> io::Result<ExitCode> {
    prctl::set_child_subreaper(true)?;
    let mut command = Command::new(&program[0]);
    let mut child = command.args(&program[1..]).stdin(Stdio::null()).process_group(0).spawn()?;
    let group = Pid::from_raw(child.id().cast_signed());
    let watched = pidfd_open(group).map(|ended| {
        let lifeline = io::stdin();
        wait(&[ended.as_fd(), lifeline.as_fd()], PollTimeout::NONE);
        if !wait(&[ended.as_fd()], PollTimeout::ZERO) {
            let _ = killpg(group, Signal::SIGTERM);
            wait(&[ended.as_fd()], PollTimeout::try_from(GRACE).unwrap_or(PollTimeout::MAX));
        }
    });
    // Its first process is not reaped yet, so the number is still that of its group.
    let _ = killpg(group, Signal::SIGKILL);
    let status = child.wait()?;
    end_orphans();
    watched?;
    Ok(ends_as(status))
}

/// Wait until one of these is ready, or has ended. False when the time is over.
fn wait(descriptors: &[BorrowedFd<'_>], timeout: PollTimeout) -> bool {
    let mut watched: Vec<_> = descriptors.iter().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect();
    loop {
        match poll(&mut watched, timeout) {
            Err(Errno::EINTR) => {}
            ready => return ready.is_ok_and(|ready| ready > 0),
        }
    }
}

/// Kill and reap the children of this process until it has none. The children of each come here when it exits.
fn end_orphans() {
    let deadline = Instant::now() + EXITING;
    while Instant::now() < deadline {
        for pid in children() {
            let _ = kill(pid, Signal::SIGKILL);
        }
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(Errno::ECHILD) => return,
            Ok(WaitStatus::StillAlive) => thread::yield_now(),
            _ => {}
        }
    }
}

/// The children of this process: field 4 of /proc/PID/stat is the parent. The name before it may hold spaces.
fn children() -> Vec<Pid> {
    let own = getpid().to_string();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let is_child = |pid: &i32| {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        text.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)) == Some(&own)
    };
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(is_child).map(Pid::from_raw).collect()
}

/// The server is to see how the program ended: this process exits with the same status, or dies of the same signal.
fn ends_as(status: ExitStatus) -> ExitCode {
    if let Some(signal) = status.signal().and_then(|signal| Signal::try_from(signal).ok()) {
        let _ = raise(signal);
    }
    // What is still here ignored the signal.
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
