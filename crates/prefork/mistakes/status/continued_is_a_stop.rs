//! Mistake: the lowest seven bits are looked at and no more, so what goes on was stopped.
//! Caught by: going_on_is_not_an_end
//! Message: the child was stopped, and goes on

use std::fmt;

use nix::errno::Errno;
use nix::libc::{self, c_int};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::{Error, Result};

/// What became of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It ended by itself, with this code, 0 to 255: of the number that it gave to exit(3), the lowest byte.
    Exited(i32),
    /// A signal ended it.
    Killed {
        /// The signal's number: real-time signals have no other name.
        signal: i32,
        /// Was its memory written to a file, or handed to a program? See core(5).
        core: bool,
    },
    /// It was stopped by the signal of that number, and is there.
    Stopped(i32),
    /// It was stopped, and goes on.
    Continued,
}

impl Status {
    /// Take apart the number that waitpid(2) gives, as the macros of wait(2) do.
    pub fn from_raw(raw: i32) -> Self {
        let (low, high) = (raw & 0xff, (raw >> 8) & 0xff);
        // Bit 7 of the low byte is no part of the signal's number.
        match low & 0x7f {
            0 => Self::Exited(high),
            0x7f => Self::Stopped(high),
            signal => Self::Killed { signal, core: low & 0x80 != 0 },
        }
    }

    /// Did it end by itself, with code 0?
    pub fn is_success(&self) -> bool {
        *self == Self::Exited(0)
    }

    /// Is there nothing more to come from it?
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Exited(_) | Self::Killed { .. })
    }
}

/// `exited with 3`, `killed by SIGSEGV, core dumped`.
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

/// Wait until this child has ended, and reap it: its number may be another process's from then on.
pub fn wait(pid: Pid) -> Result<Status> {
    let status = call(pid, 0)?;
    Ok(status.expect("without WNOHANG the kernel comes back with a status"))
}

/// The same, without waiting: nothing if it has not ended yet.
pub fn try_wait(pid: Pid) -> Result<Option<Status>> {
    call(pid, libc::WNOHANG)
}

fn call(pid: Pid, options: c_int) -> Result<Option<Status>> {
    let failed = |errno| Error::on("waitpid", format_args!("process {pid}"))(errno);
    // 0 and below are not a child but many, and whoever started the others waits for them.
    if pid.as_raw() <= 0 {
        return Err(failed(Errno::ECHILD));
    }
    loop {
        let mut raw = 0;
        // nix has a call for this, which takes the number apart itself, and fails at a signal without a name,
        // when the child is reaped already.
        // SAFETY: the call writes one integer, to the one that it is given a pointer to.
        match Errno::result(unsafe { libc::waitpid(pid.as_raw(), &raw mut raw, options) }) {
            Ok(0) => return Ok(None),
            Ok(_) => match Status::from_raw(raw) {
                status if status.is_final() => return Ok(Some(status)),
                // Unasked, the kernel tells a tracer of every stop, and no others.
                _ => {}
            },
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(failed(errno)),
        }
    }
}
