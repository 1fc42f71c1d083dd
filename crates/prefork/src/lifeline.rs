//! A pipe with which a child dies with its parent, even after the child has changed its user.
//!
//! PR_SET_PDEATHSIG does not last: the kernel clears it when a process changes its user or group, as workers do that
//! drop their privileges. See PR_SET_PDEATHSIG in prctl(2). A lifeline does last.
//!
//! Contract: only the parent holds the write end, and the child holds the read end. When the parent dies, however it
//! dies, the kernel closes the write end, which makes the read end ready, and the kernel sends the child SIGKILL for
//! that: see F_SETSIG in fcntl(2). No code of the child has to run.
//!
//! Its limits: the child loses its lifeline if it closes the read end, or executes another program. The signal waits
//! while another process has a copy of the write end: a child that other code forks and that does not exec. The kernel
//! checks the permission for it as for kill(2), with the user that the child had at first: a child in a user namespace
//! that changes its user has to ask for PR_SET_PDEATHSIG again. And the first process of a PID namespace gets no such
//! signal, but PR_SET_PDEATHSIG works there.

use std::mem;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc::{self, c_int};
use nix::sys::signal::{Signal, raise};
use nix::unistd::{getpid, pipe2, read};

use crate::{Error, Result};

/// Which signal reports that a descriptor is ready: asm-generic/fcntl.h of the kernel, and missing in the crate libc.
const F_SETSIG: c_int = 10;

/// A pipe whose write end is for the parent and whose read end is for one child.
#[derive(Debug)]
pub struct Lifeline {
    reader: OwnedFd,
    writer: OwnedFd,
}

impl Lifeline {
    /// Make a lifeline for one child. Call this before the fork.
    ///
    /// # Errors
    /// `EMFILE` or `ENFILE` if no two descriptors are left: see pipe(2).
    pub fn new() -> Result<Self> {
        let ends = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK);
        let (reader, writer) = ends.map_err(Error::on("pipe2", "a lifeline"))?;
        Ok(Self { reader, writer })
    }

    /// In the parent: the write end, to hold until the child has been reaped. Closing it earlier kills the child.
    pub fn keep(self) -> OwnedFd {
        self.writer
    }

    /// In the child: from now on, SIGKILL comes when the parent has died. If it has died already, this call kills the
    /// child, or ends it with 1 if it is the first process of a PID namespace. The read end stays open until the child
    /// exits.
    ///
    /// # Errors
    /// `EPERM` or `ENOSYS` in a sandbox that forbids F_SETOWN or F_SETSIG of fcntl(2). The child has no lifeline then.
    pub fn hold(self) -> Result<()> {
        let Self { reader, writer } = self;
        drop(writer);
        let (number, flags) = (reader.as_raw_fd(), OFlag::O_NONBLOCK | OFlag::O_ASYNC);
        set(number, libc::F_SETOWN, getpid().as_raw(), "fcntl(F_SETOWN)")?;
        set(number, F_SETSIG, Signal::SIGKILL as c_int, "fcntl(F_SETSIG)")?;
        set(number, libc::F_SETFL, flags.bits(), "fcntl(F_SETFL)")?;
        // The parent may have died before. Nothing is ever written, so a read fails with EAGAIN while it lives.
        if read(&reader, &mut [0]) == Ok(0) {
            let _ = raise(Signal::SIGKILL);
            // The kernel does not let the first process of a PID namespace kill itself: see pid_namespaces(7).
            // SAFETY: it ends the process at once, so nothing of it is used afterwards.
            unsafe { libc::_exit(1) }
        }
        mem::forget(reader);
        Ok(())
    }
}

fn set(number: c_int, command: c_int, value: c_int, operation: &'static str) -> Result<()> {
    // SAFETY: the call takes integers, and the descriptor is open.
    let done = Errno::result(unsafe { libc::fcntl(number, command, value) });
    done.map(drop).map_err(Error::on(operation, format_args!("descriptor {number}")))
}
