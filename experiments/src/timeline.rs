//! The timeline: what happened, in order, one lane a process or thread.
//!
//! Events of all processes go into one nameless file, opened for appending, whose descriptor every child
//! inherits: the kernel puts whole writes one behind the other, so the file's order is the order in which
//! they happened. The descriptor sits far above the numbers that experiments show.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use serde::{Deserialize, Serialize};

use crate::Result;

/// Where the log's descriptor is, in every process of an experiment. Below the smallest limit that
/// experiments promise to work with (256), above every number they show.
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
}

impl Event {
    /// As it stands in the log.
    pub fn line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).expect("an event is plain data");
        line.push(b'\n');
        line
    }
}

/// The kinds of events, each with a sign of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum What {
    /// Something was done or seen.
    Note,
    /// `lane` was born of `by`.
    Born,
    /// `lane` became another program.
    Exec,
    /// `lane` ended.
    End,
    /// A statement that was checked, and held or not. Not drawn in a lane.
    Fact { holds: bool },
}

/// The log that all processes of one experiment append to.
#[derive(Debug)]
pub(crate) struct Log(File);

impl Log {
    /// Make the log, at its number.
    pub fn create() -> Result<Self> {
        let low = memfd_create(c"timeline", MFdFlags::MFD_CLOEXEC)?;
        let high = fcntl(&low, FcntlArg::F_DUPFD_CLOEXEC(LOG))?;
        // SAFETY: F_DUPFD_CLOEXEC made this descriptor a moment ago and nobody else knows of it.
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
        // SAFETY: it is open, as the call above showed, and this program has only begun: nobody else has it.
        Ok(Self(File::from(unsafe { OwnedFd::from_raw_fd(LOG) })))
    }

    /// Append an event, whole.
    pub fn write(&self, event: &Event) {
        // There is nobody to tell: a lost event shows as a timeline that differs from the transcript.
        let _ = (&self.0).write_all(&event.line());
    }

    /// Everything written so far.
    pub fn read(&self) -> Result<Vec<Event>> {
        let mut file = &self.0;
        file.rewind()?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }
}

/// The lanes in order of birth.
pub(crate) fn lanes(events: &[Event]) -> Vec<&str> {
    let mut lanes: Vec<&str> = Vec::new();
    for event in events.iter().filter(|e| !matches!(e.what, What::Fact { .. })) {
        for name in [&event.by, &event.lane] {
            if !lanes.contains(&name.as_str()) {
                lanes.push(name);
            }
        }
    }
    lanes
}

/// The picture: a header with the lanes' names, then one row an event. Rows keep their marks for `vary`.
pub(crate) struct Picture<'a> {
    lanes: Vec<&'a str>,
    widths: Vec<usize>,
    alive: Vec<bool>,
}

impl<'a> Picture<'a> {
    pub fn new(events: &'a [Event]) -> Self {
        let lanes = lanes(events);
        let widths = lanes.iter().map(|name| name.chars().count().max(3) + 2).collect();
        let mut alive = vec![false; lanes.len()];
        if let Some(first) = alive.first_mut() {
            *first = true;
        }
        Self { lanes, widths, alive }
    }

    /// The names above the lanes.
    pub fn header(&self) -> String {
        let cells = self.lanes.iter().zip(&self.widths).map(|(name, width)| format!("{name:<width$}"));
        cells.collect::<String>().trim_end().to_owned()
    }

    /// Which lane an event is drawn on, for its colour.
    pub fn lane(&self, name: &str) -> usize {
        self.lanes.iter().position(|lane| *lane == name).unwrap_or(0)
    }

    /// The lanes' part of the row of one event; the event's text follows it.
    pub fn row(&mut self, event: &Event) -> String {
        let at = self.lane(&event.lane);
        let from = if event.what == What::Born { self.lane(&event.by) } else { at };
        let sign = match event.what {
            What::Born => '●',
            What::Exec => '◆',
            What::End => '✕',
            What::Note | What::Fact { .. } => '●',
        };
        let mut row = self.cells(|i, alive| match i {
            _ if i == at => sign,
            _ if i == from => '├',
            _ if alive => '│',
            _ => ' ',
        });
        if from < at {
            // The branch from parent to child runs behind the lanes between them.
            let [start, end] = [from, at].map(|i| self.widths[..i].iter().sum::<usize>());
            row = row
                .chars()
                .enumerate()
                .map(|(x, c)| match c {
                    ' ' if x > start && x < end => '─',
                    '│' if x > start && x < end => '┼',
                    other => other,
                })
                .collect();
        }
        self.alive[at] = event.what != What::End;
        row
    }

    /// The lanes beside something that is not an event, with `sign` in the lane it belongs to.
    pub fn beside(&self, lane: &str, sign: char) -> String {
        let at = self.lane(lane);
        self.cells(|i, alive| match i {
            _ if i == at => sign,
            _ if alive => '│',
            _ => ' ',
        })
    }

    fn cells(&self, sign: impl Fn(usize, bool) -> char) -> String {
        let cells = self.widths.iter().enumerate();
        cells.map(|(i, width)| format!("{:<width$}", sign(i, self.alive[i]))).collect()
    }
}
