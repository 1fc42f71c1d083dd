//! What the body of an experiment works with.

use std::error::Error;
use std::fmt::{self, Display};
use std::fs::{self, File};
use std::io::{Seek, Write};
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::plot::Plot;
use crate::timeline::{Event, LOG, Log, What};

/// What goes wrong in an experiment ends it, with the reason in its verdict.
pub type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// The question cannot be asked here: not a fault of the kernel's, nor of the book's.
#[derive(Debug)]
pub struct CannotAsk(pub String);

impl Display for CannotAsk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for CannotAsk {}

/// For `return Err(cannot_ask("there is no python3 here"))`.
pub fn cannot_ask(reason: impl Display) -> Box<dyn Error> {
    Box::new(CannotAsk(reason.to_string()))
}

/// A lane of the timeline, to write on: of the process, or of one of its threads.
#[derive(Debug, Clone)]
pub struct Lane {
    name: Arc<str>,
    log: Arc<Log>,
}

impl Lane {
    /// Write down what was done or seen: `open("notes"): descriptor 3`. One line, up to about 60 characters.
    pub fn note(&self, text: impl Display) {
        self.event(&self.name, What::Note, text);
    }

    /// State a fact, and whether it held. One that does not hold makes the verdict *disagrees*.
    pub fn check(&self, holds: bool, fact: impl Display) {
        self.event(&self.name, What::Fact { holds }, fact);
    }

    /// A lane for a thread that this one is about to start.
    pub fn thread(&self, name: &str, text: impl Display) -> Lane {
        self.event(name, What::Born, text);
        Lane { name: name.into(), log: Arc::clone(&self.log) }
    }

    /// Write down that a lane of this process, a thread's, has ended.
    pub fn ended(&self, lane: &Lane, text: impl Display) {
        self.event(&lane.name, What::End, text);
    }

    /// The lane's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn event(&self, lane: &str, what: What, text: impl Display) {
        let event = Event { lane: lane.into(), by: self.name.to_string(), what, text: text.to_string() };
        self.log.write(&event);
    }
}

/// The laboratory: a lane to write on, and ways to make files and children that leave nothing behind.
#[derive(Debug, Clone)]
pub struct Lab {
    lane: Lane,
    args: Rc<[String]>,
    /// What was drawn, if a drawing was asked for.
    pub(crate) plots: Option<Vec<Plot>>,
}

impl Deref for Lab {
    type Target = Lane;
    fn deref(&self) -> &Lane {
        &self.lane
    }
}

impl Lab {
    pub(crate) fn new(lane: &str, log: Arc<Log>, args: Vec<String>) -> Self {
        Self { lane: Lane { name: lane.into(), log }, args: args.into(), plots: None }
    }

    /// In a child: from here on, this process writes on a lane of its own.
    pub(crate) fn move_to(&mut self, lane: &str) {
        self.lane.name = lane.into();
    }

    /// In a role: the arguments it was given by [`Lab::exec`] or [`Lab::program`].
    pub fn args(&self) -> &[String] {
        &self.args
    }

    /// Draw a chart, if `--draw` asks for one: only then is `plot` called, which may take its time to measure.
    pub fn draw(&mut self, plot: impl FnOnce() -> Result<Plot>) -> Result {
        if let Some(plots) = &mut self.plots {
            plots.push(plot()?);
        }
        Ok(())
    }

    /// A file of the given content, at offset 0, open for reading and writing. It never has a name, so there
    /// is none to leave behind. Close-on-exec, as everything that Rust's std opens.
    pub fn file(&self, content: &[u8]) -> Result<File> {
        let mut file = File::from(memfd_create(c"notes", MFdFlags::MFD_CLOEXEC)?);
        file.write_all(content)?;
        file.rewind()?;
        Ok(file)
    }

    /// The numbers of the descriptors that are open in this process, in order, without 0, 1 and 2 and without
    /// the laboratory's own, which sit from 200 on.
    pub fn descriptors(&self) -> Result<Vec<i32>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir("/proc/self/fd")? {
            numbers.extend(entry?.file_name().to_string_lossy().parse::<i32>());
        }
        // The directory's own descriptor is closed by now, so asking again tells it from the others.
        numbers.retain(|n| (3..LOG).contains(n) && fs::read_link(format!("/proc/self/fd/{n}")).is_ok());
        numbers.sort_unstable();
        Ok(numbers)
    }
}
