//! A program that runs for a client, with pipes that never make the server wait. Stage 3 is the first to use it.

// ANCHOR: program
use std::fs::File;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::{io, mem};

use nix::poll::{PollFd, PollFlags};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use nonblocking::drain::{Stop, drain};
use nonblocking::flags;
use nonblocking::outbox::{Flushed, Outbox};

use crate::stage_2;

/// How many bytes of a client are read at a time, and how many wait for a client that does not read.
pub const CHUNK: usize = 64 * 1024;

/// A program, and the server's ends of its pipes. An end is closed when no more bytes go through it.
/// Dropping it kills a program that was not reaped, because its client has left.
pub struct Program {
    pid: Pid,
    reaped: bool,
    killed: bool,
    // In an Arc, because from stage 7 on the loop holds the pipes, too, while it waits for them.
    stdin: Option<Arc<File>>,
    stdout: Option<Arc<File>>,
    input: Outbox,
}

impl Program {
    /// Starts a program, as stage 2 does, and queues its input.
    pub fn start(command: &str, input: &[u8]) -> io::Result<Self> {
        let (pid, stdin, stdout) = stage_2::start(command)?;
        // Only these ends: the program's own ends block, as programs expect.
        flags::set(&stdin)?;
        flags::set(&stdout)?;
        let mut outbox = Outbox::new(input.len());
        outbox.push(input).map_err(io::Error::other)?;
        let [stdin, stdout] = [stdin, stdout].map(|pipe| Some(Arc::new(pipe)));
        Ok(Self { pid, reaped: false, killed: false, stdin, stdout, input: outbox })
    }

    /// The pipes that poll waits for. While there is no room for its output, the program must wait.
    pub fn fds(&self, has_room: bool) -> impl Iterator<Item = PollFd<'_>> {
        let stdin = self.stdin.iter().map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLOUT));
        let stdout = self.stdout.iter().filter(move |_| has_room);
        stdin.chain(stdout.map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)))
    }

    /// The same pipes, each with the event that the program waits for.
    pub fn pipes(&self, has_room: bool) -> impl Iterator<Item = (Arc<File>, PollFlags)> {
        let stdin = self.stdin.iter().map(|pipe| (Arc::clone(pipe), PollFlags::POLLOUT));
        let stdout = self.stdout.iter().filter(move |_| has_room);
        stdin.chain(stdout.map(|pipe| (Arc::clone(pipe), PollFlags::POLLIN)))
    }

    /// Writes as much input as the pipe takes now, and reads as much output as there is room for. Returns whether more
    /// output may come.
    // ANCHOR: copy
    pub fn copy(&mut self, output: &mut Outbox) -> io::Result<bool> {
        let mut bytes = Vec::new();
        let prints = self.copy_to(&mut bytes, output.room())?;
        output.push(bytes).map_err(io::Error::other)?;
        Ok(prints)
    }

    /// Does the same with a buffer for up to `room` bytes of output.
    pub fn copy_to(&mut self, bytes: &mut Vec<u8>, room: usize) -> io::Result<bool> {
        if let Some(stdin) = &self.stdin
            && self.input.flush(stdin) != Ok(Flushed::WouldBlock)
        {
            // All of the input is written, or the program reads no more: the only error is EPIPE.
            self.stdin = None;
        }
        if let Some(stdout) = &self.stdout
            && drain(stdout, bytes, room)? == Stop::EndOfFile
        {
            self.stdout = None;
        }
        Ok(self.stdout.is_some())
    }
    // ANCHOR_END: copy

    /// Kills the program, which was not reaped yet, and closes its pipes, because a child of the program may have them, too.
    /// Returns false if it was killed before.
    pub fn kill(&mut self) -> bool {
        (self.stdin, self.stdout) = (None, None);
        // It cannot fail: until the program is reaped, its pid belongs to it.
        let _ = kill(self.pid, Signal::SIGKILL);
        !mem::replace(&mut self.killed, true)
    }

    /// Waits until the program exits, and reaps it. With WNOHANG, returns `None` at once if it is still running.
    pub fn wait(&mut self, flags: WaitPidFlag) -> Option<nix::Result<WaitStatus>> {
        let status = waitpid(self.pid, Some(flags));
        // After an error, too, the pid may be another process's: see `ending`.
        self.reaped = status != Ok(WaitStatus::StillAlive);
        self.reaped.then_some(status)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if !self.reaped {
            let _ = kill(self.pid, Signal::SIGKILL);
            let _ = waitpid(self.pid, None);
        }
    }
}
// ANCHOR_END: program
