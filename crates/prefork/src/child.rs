//! A child, held by a descriptor for it: its number can become another process's, the descriptor cannot.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use nix::errno::Errno;
use nix::libc::{self, c_int};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid};

use crate::status::{self, Status};
use crate::{Error, Result};

/// What has to be there before a child is born, so that it can be held afterwards: whatever may be missing is
/// missed while there is no child yet.
///
/// It is a descriptor, which keeps a number free for the child's. The child, too, has a copy to drop.
#[derive(Debug)]
pub(crate) struct Cradle(OwnedFd);

impl Cradle {
    /// Before the fork.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE` with no number left: see pidfd_open(2), "ERRORS"; `ENOSYS` or `EPERM` in a sandbox that
    /// lets nobody call it. `ECHILD` where SIGCHLD is ignored: of a child that ends, the kernel would keep nothing
    /// to wait for, and its number would be anybody's.
    pub(crate) fn new() -> Result<Self> {
        if ends_unseen() {
            return Err(Error::on("fork", "this process, which ignores SIGCHLD")(Errno::ECHILD));
        }
        pidfd_open(getpid()).map(Self)
    }

    /// After it, in the parent, with every signal still blocked: a handler might wait for the child.
    ///
    /// # Errors
    /// `ENFILE`, `ENOMEM` if those have come to be short since. The child is killed and reaped then, since nobody
    /// could hold on to it.
    pub(crate) fn hold(self, pid: Pid) -> Result<Child> {
        drop(self.0);
        let pidfd = pidfd_open(pid).inspect_err(|_| {
            // Not waited for yet, so the number is still this child's.
            let _ = kill(pid, Signal::SIGKILL);
            let _ = status::wait(pid);
        })?;
        Ok(Child { pid, pidfd, status: None })
    }
}

/// Is SIGCHLD ignored, or its `SA_NOCLDWAIT` set? See sigaction(2).
fn ends_unseen() -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: with a null pointer for the new one, nothing changes and the old one is written.
    unsafe { libc::sigaction(libc::SIGCHLD, ptr::null(), action.as_mut_ptr()) };
    // SAFETY: zeros are a valid value too, should nothing have been written.
    let action = unsafe { action.assume_init() };
    action.sa_sigaction == libc::SIG_IGN || action.sa_flags & libc::SA_NOCLDWAIT != 0
}

/// Close-on-exec, as the kernel makes all of these.
fn pidfd_open(pid: Pid) -> Result<OwnedFd> {
    // SAFETY: the call takes two integers.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) });
    let fd = fd.map_err(Error::on("pidfd_open", format_args!("process {pid}")))?;
    // SAFETY: the kernel has just opened it for us, and nobody else knows of it. It is a descriptor's number, so it
    // fits.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

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
    /// `ECHILD` if somebody else has waited for it, or SIGCHLD came to be ignored: see [`status::wait`].
    pub fn wait(&mut self) -> Result<Status> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        self.has_ended(0)?;
        let status = status::wait(self.pid)?;
        self.status = Some(status);
        Ok(status)
    }

    /// The same, without waiting: nothing if it has not ended yet.
    ///
    /// # Errors
    /// As [`Child::wait`].
    pub fn try_wait(&mut self) -> Result<Option<Status>> {
        if self.status.is_none() && self.has_ended(libc::WNOHANG)? {
            self.status = status::try_wait(self.pid)?;
        }
        Ok(self.status)
    }

    /// Ask by the descriptor, and reap nothing. If it is there to be reaped, then its number is its own; if somebody
    /// else has reaped it, its number may be another child's, who is not to be waited for here.
    fn has_ended(&self, options: c_int) -> Result<bool> {
        let id = self.pidfd.as_raw_fd().cast_unsigned();
        let options = options | libc::WEXITED | libc::WNOWAIT;
        loop {
            let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
            // SAFETY: the call writes one siginfo_t, to the one that it is given a pointer to.
            match Errno::result(unsafe { libc::waitid(libc::P_PIDFD, id, info.as_mut_ptr(), options) }) {
                // SAFETY: zeros are a valid value too, and what the kernel writes without news. Then there is no signal.
                Ok(_) => return Ok(unsafe { info.assume_init() }.si_signo != 0),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(Error::on("waitid", format_args!("process {}", self.pid))(errno)),
            }
        }
    }
}

impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}
