//! Another way for `process/capture`: `posix_spawn` makes the child, with file actions for its descriptors. glibc blocks
//! signals and resets handlers in it, and returns the error of its exec.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, posix_spawn};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::pipe2;

/// What a program printed, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    /// What it wrote to its standard output.
    pub output: Vec<u8>,
    /// How it ended.
    pub status: Status,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// With this code.
    Exited(i32),
    /// By this signal.
    Killed(Signal),
}

/// Runs a program.
pub fn capture(program: &CStr, args: &[&CStr], input: &[u8]) -> io::Result<Captured> {
    let mut argv = vec![program];
    argv.extend(args);
    let environment: Vec<CString> = std::env::vars_os()
        .filter_map(|(name, value)| {
            CString::new([&name.into_vec()[..], b"=", &value.into_vec()].concat()).ok()
        })
        .collect();
    let (stdin, to_program) = pipe()?;
    let (from_program, stdout) = pipe()?;
    let mut moves = PosixSpawnFileActions::init()?;
    moves.add_dup2(stdin.as_raw_fd(), 0)?;
    moves.add_dup2(stdout.as_raw_fd(), 1)?;
    let child = match posix_spawn(program, &moves, &PosixSpawnAttr::init()?, &argv, &environment) {
        Ok(child) => child,
        Err(errno @ (Errno::EAGAIN | Errno::ENOMEM)) => return Err(errno.into()),
        Err(_) => return Ok(Captured { output: Vec::new(), status: Status::Exited(127) }),
    };
    drop((stdin, stdout));
    let mut to_program = File::from(to_program);
    let _ = to_program.write_all(input);
    drop(to_program);
    let mut output = Vec::new();
    let read = File::from(from_program).read_to_end(&mut output);
    let status = loop {
        match waitpid(child, None) {
            Err(Errno::EINTR) => {}
            Ok(WaitStatus::Exited(_, code)) => break Status::Exited(code),
            Ok(WaitStatus::Signaled(_, signal, _)) => break Status::Killed(signal),
            Ok(_) => return Err(Errno::EINVAL.into()),
            Err(errno) => return Err(errno.into()),
        }
    };
    read.map(|_| Captured { output, status })
}

/// A pipe above 0, 1 and 2, whose ends are close-on-exec, so that only the duplicates at 0 and 1 are in the program.
fn pipe() -> nix::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    Ok((above(reader)?, above(writer)?))
}

fn above(end: OwnedFd) -> nix::Result<OwnedFd> {
    use std::os::fd::FromRawFd;
    if end.as_raw_fd() > 2 {
        return Ok(end);
    }
    let number = fcntl(&end, FcntlArg::F_DUPFD_CLOEXEC(3))?;
    // SAFETY: it is new, so nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}
