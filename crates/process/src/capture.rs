//! Run a program, feed it input, and collect its output and how it ended.
//!
//! Contract: the program reads the whole input and then end of file. The caller gets everything that the program
//! printed. When `capture` returns, whatever the outcome, the caller has the descriptors that it had before, and no
//! child. The caller may have threads, so the child allocates nothing: it only makes system calls. A signal that reaches
//! the child before its exec runs no handler of the caller.

use std::ffi::CStr;
use std::fs::File;
use std::io::ErrorKind::BrokenPipe;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::{iter, ptr};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc::{_exit, execv};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, dup2_stdin, dup2_stdout, fork, pipe};

use crate::signals::Blocked;

/// What a program printed, and how it ended.
// ANCHOR: captured
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    /// Everything that the program wrote to its standard output.
    pub output: Vec<u8>,
    /// How the program ended.
    pub status: Status,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It exited with this code, from 0 to 255; 127 if it could not be started.
    Exited(i32),
    /// This signal killed it.
    Killed(Signal),
}
// ANCHOR_END: captured

/// Runs `program` with `args`, gives it `input` as its standard input, and returns its output and status.
///
/// `program` is a path, and goes before `args` as `argv[0]`. Standard error, the environment, ignored signals and the
/// signal mask are the caller's. So are all other descriptors of the caller that are not close-on-exec, which leak into
/// the program. If another thread is in `capture` at the same time, the ends of its pipes may be among them. Then each
/// call waits for the other call's program to exit, and two programs that read to end of file wait forever.
///
/// Two limits. A program that prints more than a pipe holds (64 KiB) before it has read an input that is longer than
/// that blocks forever, and `capture` with it. And the output ends when every process that inherited it has closed it:
/// a program that leaves another running in the background may keep `capture` waiting.
///
/// The caller must ignore `SIGPIPE`, as Rust programs do. Otherwise that signal kills the caller if the program closes
/// its input without reading it.
///
/// # Errors
/// `EMFILE` if the process runs out of descriptors, and `ENFILE` from pipe(2); `EAGAIN` and `ENOMEM` from fork(2);
/// `ECHILD` from waitpid(2) if the caller ignores `SIGCHLD`; `EINVAL` if a real-time signal killed the program. If
/// execve(2) fails, that is not an error: the program exits with code 127.
// ANCHOR: capture
pub fn capture(program: &CStr, args: &[&CStr], input: &[u8]) -> io::Result<Captured> {
    let strings = iter::once(program).chain(args.iter().copied());
    let argv: Vec<_> = strings.map(CStr::as_ptr).chain([ptr::null()]).collect();
    let (stdin, to_program) = pipe_above_2()?;
    let (from_program, stdout) = pipe_above_2()?;
    let blocked = Blocked::new()?;

    // SAFETY: the child makes only system calls, and leaves through `execv` or `_exit`.
    match unsafe { fork() }? {
        ForkResult::Child => {
            // Before signals are unblocked: otherwise a handler of the caller could run here, and the program would miss the signal.
            blocked.remove_handlers();
            let moved = dup2_stdin(&stdin).and_then(|()| dup2_stdout(&stdout));
            // With `to_program` open in the program, its own input would never end.
            drop((stdin, to_program, from_program, stdout));
            drop(blocked);
            if moved.is_ok() {
                // SAFETY: both are NUL-terminated: the path is a C string, and argv ends with a null pointer.
                unsafe { execv(program.as_ptr(), argv.as_ptr()) };
            }
            // SAFETY: `_exit` has no preconditions. `exit` would flush the child's copies of the caller's buffers.
            unsafe { _exit(127) }
        }
        ForkResult::Parent { child } => {
            drop(blocked);
            // While this process has `stdout` open, its read below would never reach end of file.
            drop((stdin, stdout));
            let written = File::from(to_program).write_all(input);
            let mut output = Vec::new();
            let read = File::from(from_program).read_to_end(&mut output);
            let status = wait(child);
            read?;
            // EPIPE means that the program does not want the rest of its input.
            written.or_else(|error| if error.kind() == BrokenPipe { Ok(()) } else { Err(error) })?;
            Ok(Captured { output, status: status? })
        }
    }
}
// ANCHOR_END: capture

/// Makes a pipe whose ends are not 0, 1 or 2: if they were, one `dup2` in the child would close what the next one needs.
// ANCHOR: above
fn pipe_above_2() -> nix::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = pipe()?;
    Ok((above_2(reader)?, above_2(writer)?))
}

fn above_2(end: OwnedFd) -> nix::Result<OwnedFd> {
    if end.as_raw_fd() > 2 {
        return Ok(end);
    }
    let copy = fcntl(&end, FcntlArg::F_DUPFD(3))?;
    // SAFETY: F_DUPFD returns a new descriptor, so nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}
// ANCHOR_END: above

/// Waits until the child has ended, and reaps it.
// ANCHOR: wait
fn wait(child: Pid) -> nix::Result<Status> {
    loop {
        match waitpid(child, None) {
            Err(Errno::EINTR) => {}
            Ok(WaitStatus::Exited(_, code)) => return Ok(Status::Exited(code)),
            Ok(WaitStatus::Signaled(_, signal, _)) => return Ok(Status::Killed(signal)),
            other => return other.and(Err(Errno::EINVAL)),
        }
    }
}
// ANCHOR_END: wait
