//! A child of this process, held by a pidfd. The kernel may give its process id to another process once it is reaped;
//! the pidfd keeps referring to this child.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use nix::errno::Errno;
use nix::libc::{self, c_int};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid};

use crate::status::{self, Status};
use crate::{Error, Result};

/// A descriptor that is opened before the fork and replaced by the child's pidfd after it.
///
/// Whatever makes pidfd_open(2) fail then fails before the fork, while no child exists. The child inherits a copy,
/// which it must drop.
#[derive(Debug)]
pub(crate) struct PidfdReserve(OwnedFd);

impl PidfdReserve {
    /// Reserve a descriptor. Call this before the fork.
    ///
    /// # Errors
    /// - `EMFILE` or `ENFILE` if no descriptor is left, `ENOMEM`: see pidfd_open(2), "ERRORS".
    /// - `ENOSYS` or `EPERM` in a sandbox that forbids pidfd_open.
    /// - `ECHILD` if SIGCHLD is ignored: the kernel would discard the child's exit status and reuse its process id.
    pub(crate) fn new() -> Result<Self> {
        if discards_exit_status() {
            return Err(Error::on("fork", "this process, which ignores SIGCHLD")(Errno::ECHILD));
        }
        pidfd_open(getpid()).map(Self)
    }

    /// Open the child's pidfd in place of the reserved descriptor. Call this in the parent, after the fork and while
    /// every signal is still blocked: a signal handler might reap the child first.
    ///
    /// # Errors
    /// `ENFILE` or `ENOMEM` if the system has run out since `new`. The child is then killed and reaped, because the
    /// caller would have no handle for it.
    pub(crate) fn hold(self, pid: Pid) -> Result<Child> {
        drop(self.0);
        let pidfd = pidfd_open(pid).inspect_err(|_| {
            // The child has not been reaped, so the process id still belongs to it.
            let _ = kill(pid, Signal::SIGKILL);
            let _ = status::wait(pid);
        })?;
        Ok(Child { pid, pidfd, status: None })
    }
}

/// Is SIGCHLD ignored, or `SA_NOCLDWAIT` set for it? See sigaction(2).
fn discards_exit_status() -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a null pointer for the new action changes nothing, and the kernel writes the old one.
    unsafe { libc::sigaction(libc::SIGCHLD, ptr::null(), action.as_mut_ptr()) };
    // SAFETY: even if the kernel wrote nothing, all zeros are a valid `sigaction`.
    let action = unsafe { action.assume_init() };
    action.sa_sigaction == libc::SIG_IGN || action.sa_flags & libc::SA_NOCLDWAIT != 0
}

/// Open a pidfd for a process, which is readable once the process has exited. The kernel sets close-on-exec on every pidfd.
/// If the process is a child that was not reaped yet, its pid cannot be another process's.
///
/// # Errors
/// - `ESRCH` if there is no such process; `EMFILE`, `ENFILE` and `ENOMEM`: see pidfd_open(2), "ERRORS".
/// - `ENOSYS` before Linux 5.3; `ENOSYS` or `EPERM` in a sandbox that forbids it.
pub fn pidfd_open(pid: Pid) -> Result<OwnedFd> {
    // SAFETY: the call takes two integers.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) });
    let fd = fd.map_err(Error::on("pidfd_open", format_args!("process {pid}")))?;
    // SAFETY: the kernel has just opened this descriptor, so no other value owns it. Its number fits into an `i32`.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// A child that this process forked and must wait for.
///
/// Its pidfd (`AsFd`) is readable once the child has exited or was killed: see pidfd_open(2). Dropping the value before
/// [`Child::wait`] does not end the child, which becomes a zombie when it exits.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    pidfd: OwnedFd,
    /// Set when the child has been reaped.
    status: Option<Status>,
}

impl Child {
    /// The child's process id, for logs. To send the child a signal, use [`Child::signal`].
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Send the child a signal.
    ///
    /// # Errors
    /// `ESRCH` once the child has been reaped, even if another process has its process id by then; `EPERM` if the child
    /// now runs as another user. See pidfd_send_signal(2), "ERRORS". A sandbox that refuses this call refuses nothing: the
    /// signal is sent with kill(2), after waitid(2) has shown that the child still has its process id. Where the sandbox
    /// refuses waitid, too, the process id alone says which child is meant.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        // SAFETY: the call takes integers and one pointer, and a null pointer there means that there is no siginfo_t.
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
        match Errno::result(answer).map(drop) {
            Err(refused) if is_refusal(refused) => {
                let is_reaped = |error: Error| error.errno == Errno::ECHILD;
                match self.status.is_some() || self.may_have_exited(libc::WNOHANG).is_err_and(is_reaped) {
                    true => Err(Error::on("kill", object)(Errno::ESRCH)),
                    false => kill(self.pid, signal).map_err(Error::on("kill", object)),
                }
            }
            sent => sent.map_err(Error::on("pidfd_send_signal", object)),
        }
    }

    /// Wait until the child has exited or was killed, and reap it. Later calls return the same status.
    ///
    /// # Errors
    /// `ECHILD` if other code has reaped the child already, or SIGCHLD is ignored by now: see [`status::wait`]. Where a
    /// sandbox refuses waitid(2), the process id alone says which child is meant.
    pub fn wait(&mut self) -> Result<Status> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        self.may_have_exited(0)?;
        let status = status::wait(self.pid)?;
        self.status = Some(status);
        Ok(status)
    }

    /// Reap the child if it has exited or was killed. `None` if it is still running: this never blocks.
    ///
    /// # Errors
    /// The same as [`Child::wait`].
    pub fn try_wait(&mut self) -> Result<Option<Status>> {
        if self.status.is_none() && self.may_have_exited(libc::WNOHANG)? {
            self.status = status::try_wait(self.pid)?;
        }
        Ok(self.status)
    }

    /// The same as `has_exited`, but true where a sandbox refuses waitid(2): then the caller asks by the process id.
    fn may_have_exited(&self, options: c_int) -> Result<bool> {
        match self.has_exited(options) {
            Err(error) if is_refusal(error.errno) => Ok(true),
            exited => exited,
        }
    }

    /// Has the child exited? This asks through the pidfd and reaps nothing.
    ///
    /// A child that is still a zombie still has its process id, so the caller may wait for that id. If other code has
    /// reaped the child, the id may belong to another child by now, and waitid(2) on the pidfd says `ECHILD`.
    fn has_exited(&self, options: c_int) -> Result<bool> {
        let id = self.pidfd.as_raw_fd().cast_unsigned();
        let options = options | libc::WEXITED | libc::WNOWAIT;
        loop {
            let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
            // SAFETY: the call writes one siginfo_t, and `info` has room for it.
            match Errno::result(unsafe { libc::waitid(libc::P_PIDFD, id, info.as_mut_ptr(), options) }) {
                // SAFETY: all zeros are a valid siginfo_t. If no child has exited, `si_signo` is 0.
                Ok(_) => return Ok(unsafe { info.assume_init() }.si_signo != 0),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(Error::on("waitid", format_args!("process {}", self.pid))(errno)),
            }
        }
    }
}

/// Does this errno mean that a sandbox, or an old kernel, does not have the call?
fn is_refusal(errno: Errno) -> bool {
    matches!(errno, Errno::ENOSYS | Errno::EPERM)
}

impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}
