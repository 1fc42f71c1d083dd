//! The wait status of a child: decoding it, and waiting for it.
//!
//! Contract: every wait status that the kernel can give is decoded, real-time signals included, which have no names.
//! `wait` and `try_wait` reap the one child that they are asked for, once it has exited or was killed. EINTR and a stop
//! do not end the wait.

use std::fmt;

use nix::errno::Errno;
use nix::libc::{self, c_int};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::{Error, Result};

/// What a wait status says about a child.
// ANCHOR: status
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The child exited with this code, 0 to 255: the lowest byte of the number that it passed to exit(3).
    Exited(i32),
    /// A signal killed the child.
    Killed {
        /// The signal's number: real-time signals have no other name.
        signal: i32,
        /// Did the kernel dump its memory, to a file or to a program? See core(5).
        core: bool,
    },
    /// The signal of this number stopped the child, which still exists.
    Stopped(i32),
    /// The child had been stopped, and SIGCONT has resumed it.
    Continued,
}
// ANCHOR_END: status

impl Status {
    /// Decode the wait status of waitpid(2), as the macros of wait(2) do.
    // ANCHOR: from_raw
    pub fn from_raw(raw: i32) -> Self {
        let (low, high) = (raw & 0xff, (raw >> 8) & 0xff);
        // Bit 7 of the low byte is the core flag, so the signal's number is in the lowest seven bits.
        match low & 0x7f {
            0 => Self::Exited(high),
            0x7f if low == 0xff => Self::Continued,
            0x7f => Self::Stopped(high),
            signal => Self::Killed { signal, core: low & 0x80 != 0 },
        }
    }
    // ANCHOR_END: from_raw

    /// Did the child exit with code 0?
    pub fn is_success(&self) -> bool {
        *self == Self::Exited(0)
    }

    /// Has the child exited or been killed? After a stop or a continue, more statuses follow.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Exited(_) | Self::Killed { .. })
    }
}

/// Words for a message: `exited with 3`, `killed by SIGSEGV, core dumped`.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exited with {code}"),
            Self::Killed { signal, core } => {
                let dumped = if *core { ", core dumped" } else { "" };
                write!(f, "killed by {}{dumped}", name(*signal))
            }
            Self::Stopped(signal) => write!(f, "stopped by {}", name(*signal)),
            Self::Continued => f.write_str("continued"),
        }
    }
}

fn name(signal: i32) -> String {
    Signal::try_from(signal).map_or_else(|_| format!("signal {signal}"), |signal| signal.to_string())
}

/// Wait until this child has exited or was killed, and reap it. The kernel may reuse its process id from then on.
///
/// # Errors
/// `ECHILD` if `pid` is not a child of this process, or has been reaped already; if it is 0 or negative, which would
/// stand for several children; and, once the child has exited, if SIGCHLD is ignored. See waitpid(2), "ERRORS" and
/// "NOTES".
// ANCHOR: wait
pub fn wait(pid: Pid) -> Result<Status> {
    let status = reap(pid, 0)?;
    Ok(status.expect("without WNOHANG waitpid returns only with a status"))
}

/// Reap this child if it has exited or was killed. `None` if it is still running: this never blocks.
///
/// # Errors
/// The same as [`wait`].
pub fn try_wait(pid: Pid) -> Result<Option<Status>> {
    reap(pid, libc::WNOHANG)
}
// ANCHOR_END: wait

// ANCHOR: reap
fn reap(pid: Pid, options: c_int) -> Result<Option<Status>> {
    let failed = |errno| Error::on("waitpid", format_args!("process {pid}"))(errno);
    // 0 and negative numbers mean any child of a group, or any child at all: other code waits for those.
    if pid.as_raw() <= 0 {
        return Err(failed(Errno::ECHILD));
    }
    loop {
        let mut raw = 0;
        // nix's own waitpid reaps the child and then decodes the status. If it has no name for the signal, it returns an
        // error, and the status is lost.
        // SAFETY: the call writes one integer, and `raw` has room for it.
        match Errno::result(unsafe { libc::waitpid(pid.as_raw(), &raw mut raw, options) }) {
            Ok(0) => return Ok(None),
            Ok(_) => match Status::from_raw(raw) {
                status if status.is_final() => return Ok(Some(status)),
                // Without WUNTRACED, the kernel still reports every stop of a child that this process traces.
                _ => {}
            },
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(failed(errno)),
        }
    }
}
// ANCHOR_END: reap
