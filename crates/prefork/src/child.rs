//! A child, held by a descriptor for it: its number can become another process's, the descriptor cannot.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::status::{self, Status};
use crate::{Error, Result};

/// A child that this process started and has to wait for. Dropped before that, it goes on, and becomes a zombie.
///
/// A poller finds its descriptor (`AsFd`) ready to be read when the child has ended: see pidfd_open(2).
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    pidfd: OwnedFd,
    /// Once it was reaped.
    status: Option<Status>,
}

impl Child {
    /// Take hold of a child that nobody has waited for.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`: see pidfd_open(2), "ERRORS". The child is killed and reaped then, since nobody could
    /// hold on to it.
    pub(crate) fn new(pid: Pid) -> Result<Self> {
        // SAFETY: the call takes two integers.
        match Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) }) {
            Ok(fd) => {
                // SAFETY: the kernel has just opened it for us, close-on-exec, and nobody else knows of it. It is
                // a descriptor's number, so it fits.
                let pidfd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
                Ok(Self { pid, pidfd, status: None })
            }
            Err(errno) => {
                // Not waited for yet, so the number is still this child's.
                let _ = kill(pid, Signal::SIGKILL);
                let _ = status::wait(pid);
                Err(Error::on("pidfd_open", format_args!("process {pid}"))(errno))
            }
        }
    }

    /// Its process id, for people to read. To signal it, there is [`Child::signal`].
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Send it a signal.
    ///
    /// # Errors
    /// `ESRCH` once it was waited for, whoever has its number by then; `EPERM` if it has become another user's.
    /// See pidfd_send_signal(2), "ERRORS".
    pub fn signal(&self, signal: Signal) -> Result<()> {
        // SAFETY: without a siginfo_t, for which a null pointer stands, the call takes integers only.
        let answer = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.pidfd.as_raw_fd(),
                signal as i32,
                ptr::null::<libc::siginfo_t>(),
                0,
            )
        };
        let object = format_args!("process {}, {signal}", self.pid);
        Errno::result(answer).map(drop).map_err(Error::on("pidfd_send_signal", object))
    }

    /// Wait for its end and reap it. Once that is done, the answer stays the same.
    ///
    /// # Errors
    /// `ECHILD` if somebody else has waited for it: see [`status::wait`].
    pub fn wait(&mut self) -> Result<Status> {
        if self.status.is_none() {
            self.status = Some(status::wait(self.pid)?);
        }
        Ok(self.status.expect("it was set above"))
    }

    /// The same, without waiting: nothing if it has not ended yet.
    ///
    /// # Errors
    /// As [`Child::wait`].
    pub fn try_wait(&mut self) -> Result<Option<Status>> {
        if self.status.is_none() {
            self.status = status::try_wait(self.pid)?;
        }
        Ok(self.status)
    }
}

impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}
