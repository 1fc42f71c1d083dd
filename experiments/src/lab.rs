//! What the body of an experiment works with: a lane to write notes and checks on, and the things in `lab/`.

use std::fmt::Display;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use crate::chart::Plot;
use crate::timeline::{Event, Log, What};
use crate::verdict::{Failure, Result};

mod answering;
mod child;
mod descriptors;
mod gate;
mod http;
mod own_time;
mod prefork;
mod sandbox;
mod server;
mod state;
mod tcp;
mod threads;
mod traced;
mod workers;

pub use answering::{Answer, Connection, write_all_that_fits};
pub use child::Child;
pub(crate) use child::die_with;
pub use descriptors::pidfd;
pub use gate::Gate;
pub use http::Http;
pub use own_time::{median, own_time};
pub use prefork::{Prefork, Way, answer};
pub use sandbox::refuse;
pub use server::{Client, STAGES, Server};
pub use state::{PATIENCE, children, is_traced, shown, sleeps, sleeps_in};
pub use tcp::hang_up;
pub use threads::{Prepared, Sleeper, beside};
pub use traced::Call;
pub use workers::{stop, workers};

/// A lane of the timeline, which a process or one of its threads writes on.
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

    /// State a fact, and whether it holds. A fact that does not hold makes the verdict *disagrees*.
    pub fn check(&self, holds: bool, fact: impl Display) {
        self.event(&self.name, What::Fact { holds }, fact);
    }

    /// Write down that this lane did not run to its end. If its process was refused something, that is the reason to skip.
    pub(crate) fn failed(&self, failure: &Failure) {
        self.refused(failure);
        self.broke_off(format!("{} failed: {failure}", self.name));
    }

    /// Write down that this lane did not run to its end, for this reason, and for those that wait for it at a gate.
    pub(crate) fn broke_off(&self, reason: String) {
        self.event(&self.name, What::Failed, &reason);
        self.check(false, reason);
    }

    /// Write down why this lane could not ask, if that is what the failure says.
    pub(crate) fn refused(&self, failure: &Failure) {
        if let Some(reason) = failure.refusal() {
            self.event(&self.name, What::Refused, reason);
        }
    }

    /// Start a lane for a thread that is about to start.
    pub fn thread(&self, name: &str, text: impl Display) -> Lane {
        self.event(name, What::Born, text);
        Lane { name: name.into(), log: Arc::clone(&self.log) }
    }

    /// Write down that a thread of this process, with its lane, has ended.
    pub fn ended(&self, lane: &Lane, text: impl Display) {
        self.event(&lane.name, What::End, text);
    }

    /// The lane's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn event(&self, lane: &str, what: What, text: impl Display) {
        self.log.write(&Event::now(lane, &self.name, what, text.to_string()));
    }
}

/// The laboratory: a lane to write on, and ways to make files and children that leave nothing behind.
#[derive(Debug, Clone)]
pub struct Lab {
    lane: Lane,
    args: Rc<[String]>,
    /// The charts, if `--draw` asks for them.
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

    /// In a role: the arguments that [`Lab::exec`] or [`Lab::program`] gave it.
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
}
