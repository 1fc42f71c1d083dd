//! Mistake: nix takes the number apart, and fails at a signal that it has no name for.
//! Caught by: a_real_time_signal_is_told
//! Message: nix knows no name for a real-time signal

use std::fmt;

use nix::errno::Errno;
use nix::libc::{self, c_int};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
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
            0x7f if low == 0xff => Self::Continued,
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
    let options = WaitPidFlag::from_bits_truncate(options);
    loop {
        let status = match waitpid(pid, Some(options)) {
            Ok(WaitStatus::Exited(_, code)) => Status::Exited(code),
            Ok(WaitStatus::Signaled(_, signal, core)) => Status::Killed { signal: signal as i32, core },
            Ok(WaitStatus::StillAlive) => return Ok(None),
            Ok(_) | Err(Errno::EINTR) => continue,
            Err(errno) => return Err(failed(errno)),
        };
        return Ok(Some(status));
    }
}
