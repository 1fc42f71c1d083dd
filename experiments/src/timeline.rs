//! The timeline: what happened, in order, one lane a process or thread.
//!
//! The events of all processes go into one file without a name, opened for appending, whose descriptor every child
//! inherits: the kernel appends whole writes one after the other, so the order of the file is the order in which they
//! happened. The descriptor's number is far above those that experiments show.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::verdict::{Failure, Result, cannot_ask};

/// The number of the log's descriptor in every process of an experiment: below the smallest limit with which
/// experiments promise to work (256), above every number that they show.
pub(crate) const LOG: RawFd = 200;

/// One thing that happened.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Event {
    /// The lane it is drawn on.
    pub lane: String,
    /// The lane of the process that wrote it down: a parent writes down its child's birth and end.
    pub by: String,
    pub what: What,
    pub text: String,
    /// When, in microseconds of the monotonic clock; none of a note that was prepared before it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_us: Option<u64>,
}

impl Event {
    /// An event that happens now.
    pub fn now(lane: &str, by: &str, what: What, text: String) -> Self {
        Self { lane: lane.into(), by: by.into(), what, text, at_us: now() }
    }

    /// The experiment that owns `lane` did not run to its end: a fact that does not hold.
    pub fn failure(lane: &str, failure: &Failure) -> Self {
        let text = format!("the experiment ran to its end: {failure}");
        Self::now(lane, lane, What::Fact { holds: false }, text)
    }

    /// Its line in the log.
    pub fn line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).expect("an event is plain data");
        line.push(b'\n');
        line
    }

    /// An event from its line in the log; an error if the text is not one.
    pub fn parse(line: &str) -> Result<Self> {
        Ok(serde_json::from_str(line)?)
    }
}

/// The time by the monotonic clock, in microseconds. Every process of a machine reads the same clock, without a system call
/// on most machines.
fn now() -> Option<u64> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).ok()?;
    u64::try_from(now.tv_sec() * 1_000_000 + now.tv_nsec() / 1_000).ok()
}

/// The kinds of events, each with a sign of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum What {
    /// Something was done or seen.
    Note,
    /// `by` has started `lane`.
    Born,
    /// `lane` became another program.
    Exec,
    /// `lane` ended.
    End,
    /// A statement that was checked, and held or not. Not drawn in a lane.
    Fact { holds: bool },
    /// Why `lane` could not ask. Not drawn in a lane.
    Refused,
    /// Why `lane` did not run to its end. Not drawn in a lane.
    Failed,
}

impl What {
    /// Whether it is drawn in a lane.
    pub fn is_drawn(&self) -> bool {
        !matches!(self, Self::Fact { .. } | Self::Refused | Self::Failed)
    }
}

/// The log that all processes of one experiment append to.
#[derive(Debug)]
pub(crate) struct Log(File);

impl Log {
    /// Make the log, under its number.
    pub fn create() -> Result<Self> {
        let low = memfd_create(c"timeline", MFdFlags::MFD_CLOEXEC)?;
        let high = fcntl(&low, FcntlArg::F_DUPFD_CLOEXEC(LOG))?;
        // SAFETY: F_DUPFD_CLOEXEC made this descriptor a moment ago, so its number is known here only.
        let high = unsafe { OwnedFd::from_raw_fd(high) };
        if high.as_raw_fd() != LOG {
            return Err(format!("descriptor {LOG} is taken").into());
        }
        drop(low);
        // The last call before the experiment begins: --strace shows what comes after it.
        fcntl(&high, FcntlArg::F_SETFL(OFlag::O_APPEND))?;
        Ok(Self(File::from(high)))
    }

    /// The log that this program inherited across exec.
    pub fn inherited() -> Result<Self> {
        // SAFETY: the descriptor is borrowed for this one call, which fails with EBADF if it is not open.
        let inherited = unsafe { BorrowedFd::borrow_raw(LOG) };
        fcntl(inherited, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        // SAFETY: it is open, as the call above showed, and this program has only begun, so nothing else owns it.
        Ok(Self(File::from(unsafe { OwnedFd::from_raw_fd(LOG) })))
    }

    /// Append an event, whole.
    pub fn write(&self, event: &Event) {
        // An error cannot be reported here: a lost event shows as a timeline that differs from the transcript.
        let _ = self.append(&event.line());
    }

    /// Append a line, whole.
    pub fn append(&self, line: &[u8]) -> Result {
        Ok((&self.0).write_all(line)?)
    }

    /// Everything written so far.
    pub fn read(&self) -> Result<Vec<Event>> {
        self.lines_from(0)?.lines().map(Event::parse).collect()
    }

    /// The whole lines that were written from this offset on. While a process writes a line that crosses from one page of the
    /// file into the next, others may see only its beginning: the kernel copies page by page, and a reader does not wait.
    pub fn lines_from(&self, offset: u64) -> Result<String> {
        // At an offset, because all processes share the file's own.
        let mut bytes = vec![0; usize::try_from(self.0.metadata()?.len().saturating_sub(offset))?];
        self.0.read_exact_at(&mut bytes, offset)?;
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        bytes.truncate(end);
        Ok(String::from_utf8(bytes)?)
    }

    /// Let a program inherit the log across exec, or not.
    pub fn inherit(&self, inherit: bool) -> Result {
        let flags = if inherit { FdFlag::empty() } else { FdFlag::FD_CLOEXEC };
        fcntl(&self.0, FcntlArg::F_SETFD(flags))?;
        Ok(())
    }

    /// Why a process of the experiment could not ask, or did not run to its end, if one has written that.
    pub fn failure(&self) -> Result<Option<Failure>> {
        Ok(self.read()?.into_iter().find_map(|event| match event.what {
            What::Refused => Some(cannot_ask(event.text)),
            What::Failed => Some(event.text.into()),
            _ => None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_once_it_is_whole() {
        let log = Log(File::from(memfd_create(c"timeline", MFdFlags::MFD_CLOEXEC).expect("a file")));
        log.append(b"one\ntwo, of which the end is not wr").expect("room");
        assert_eq!(log.lines_from(0).expect("it can be read"), "one\n", "a part of a line is not an event");
        assert_eq!(log.lines_from(4).expect("it can be read"), "");
        log.append(b"itten yet\n").expect("room");
        assert_eq!(log.lines_from(4).expect("it can be read"), "two, of which the end is not written yet\n");
    }
}
