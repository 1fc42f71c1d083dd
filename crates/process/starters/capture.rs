//! Exercise `process/capture`: run a program, feed it input, and collect its output and how it ended.
//!
//! Goal: the program has the input at 0 and the output at 1, reads the whole input and then end of file. The caller
//! gets all of the output, however large, and the status. It makes no difference which of 0, 1 and 2 the caller has closed,
//! how often a signal interrupts a call (EINTR, or a write that returns early), whether the program reads its input at
//! all, is stopped for a while, or dumps core. If it cannot be started, or dup2 fails, its status is `Exited(127)`.
//! Standard error, the environment, ignored signals and the signal mask are the caller's.
//! Afterwards the caller has the descriptors that it had before, and no child of this call, even if `capture` fails: with
//! EMFILE, EAGAIN from fork, the error of a read, ECHILD from waitpid, or EINVAL if a real-time signal killed the program.
//! Its other children are left to the caller.
//! The caller may have threads, so the child must not allocate or print between fork and exec, nor if exec fails: it only
//! makes system calls. A signal that reaches the child before exec runs no handler of the caller.
//! `crate::signals::Blocked` does that: make one before the fork; in the child, call `remove_handlers()`, and drop it just
//! before exec; in the caller, drop it right after the fork.
//!
//! From nix: `unistd::{fork, ForkResult, pipe, dup2_stdin, dup2_stdout}`, `sys::wait::{waitpid, WaitStatus}`,
//! `fcntl::{fcntl, FcntlArg}` and `libc::{execv, _exit}`.
//! Run `cargo workbook check capture` after each change; `hint capture` if you are stuck.

use std::ffi::CStr;
use std::io;

use nix::sys::signal::Signal;

/// What a program printed, and how it ended.
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

/// Runs `program` with `args`, gives it `input` as its standard input, and returns its output and status.
///
/// `program` is a path (PATH is not searched), and goes before `args` as `argv[0]`. `SIGPIPE` is ignored, as Rust does by default.
pub fn capture(program: &CStr, args: &[&CStr], input: &[u8]) -> io::Result<Captured> {
    todo!(
        "run {program:?} with {args:?} and {} bytes of input: write `capture` in exercises/capture.rs",
        input.len()
    )
}
