//! Runs: an experiment, or the tests of an exercise, as a child process whose lines are streamed to the client.
//!
//! Bounded: one run of each name, some in all, some starts in ten seconds, and for each run its time and its output. Closing
//! the stream ends the run. A client that reads slowly makes the child wait for its pipe, and nothing is kept for it here.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use httpserver::Reply;
use ioloop::IoLoop;
use serde_json::json;

use crate::catalogue::Tool;
use crate::child::Process;
use crate::headers::stream_head;
use crate::refusal::Refusal;

mod run;

use run::Run;

/// What a run may use.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// How many runs there may be at the same time.
    pub runs: usize,
    /// How many may be started in ten seconds.
    pub starts: usize,
    /// How long one may take, with the compilation before it.
    pub time: Duration,
    /// How many bytes of output are streamed, before the run is cut.
    pub output: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { runs: 4, starts: 20, time: Duration::from_secs(600), output: 1 << 20 }
    }
}

/// Called when a run has ended.
type Notify = Rc<dyn Fn(&IoLoop)>;

const WINDOW: Duration = Duration::from_secs(10);

/// What is to be run. The name is the catalogue's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Job {
    /// An experiment, with the letter of the reader's prediction.
    Experiment(String, Option<char>),
    /// The tests of an exercise.
    Check(String),
}

impl Job {
    /// The name in the catalogue. No experiment has the name of an exercise, which has a slash.
    pub fn name(&self) -> &str {
        match self {
            Self::Experiment(name, _) | Self::Check(name) => name,
        }
    }
}

/// All runs of this server.
pub struct Runs {
    tool: Tool,
    bounds: Bounds,
    running: RefCell<BTreeMap<String, Rc<Run>>>,
    starts: RefCell<Vec<Duration>>,
    /// Called when a run has ended, because the reader's progress may be another one.
    ended: RefCell<Option<Notify>>,
}

impl Runs {
    /// No run yet.
    pub fn new(tool: Tool, bounds: Bounds) -> Rc<Self> {
        let (running, starts, ended) = Default::default();
        Rc::new(Self { tool, bounds, running, starts, ended })
    }

    /// Call `f` whenever a run has ended.
    pub fn on_end(&self, f: impl Fn(&IoLoop) + 'static) {
        *self.ended.borrow_mut() = Some(Rc::new(f));
    }

    /// Start a run, and stream it as the answer to a request.
    pub fn start(self: &Rc<Self>, ioloop: &IoLoop, job: Job, reply: Reply) {
        if let Err(refusal) = self.permit(job.name(), ioloop.time()) {
            return reply.send(refusal.response());
        }
        let (name, check) = (job.name().to_owned(), matches!(job, Job::Check(_)));
        let run = Rc::new(Run {
            bound: self.bounds.output,
            over: Box::new(self.over(&name)),
            check,
            stream: RefCell::new(Some(reply.stream(stream_head()))),
            process: RefCell::default(),
            collected: RefCell::default(),
            sent: Cell::new(0),
            ended: Cell::new(false),
            cut: RefCell::default(),
        });
        self.running.borrow_mut().insert(name.clone(), Rc::clone(&run));
        let words =
            if check { "Compiling your file with its tests …" } else { "Compiling the experiment …" };
        run.send(ioloop, &json!({ "kind": "progress", "text": words }));
        let mut args: Vec<String> = match &job {
            Job::Experiment(..) => vec!["run".into(), "--json-lines".into()],
            Job::Check(_) => vec!["check".into(), "--json".into()],
        };
        if let Job::Experiment(_, Some(letter)) = job {
            args.extend(["--predict".into(), letter.to_string()]);
        }
        args.push(name);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        match Process::start(ioloop, self.tool.command(&args), Rc::<Run>::clone(&run)) {
            Ok(process) => {
                *run.process.borrow_mut() = Some(process);
                run.watch(ioloop, self.bounds.time);
            }
            Err(error) => {
                run.send(
                    ioloop,
                    &json!({ "kind": "output", "text": format!("The tool cannot be started: {error}") }),
                );
                run.finish(ioloop, None);
            }
        }
    }

    /// What a run does when it is over: its place is free, and the reader's progress may be another one.
    fn over(self: &Rc<Self>, name: &str) -> impl Fn(&IoLoop) + 'static {
        let (runs, name) = (Rc::downgrade(self), name.to_owned());
        move |ioloop| {
            let Some(runs) = runs.upgrade() else { return };
            let run = runs.running.borrow_mut().remove(&name);
            let ended = runs.ended.borrow().clone();
            if let Some(ended) = ended {
                ended(ioloop);
            }
            drop(run);
        }
    }

    fn permit(&self, name: &str, now: Duration) -> Result<(), Refusal> {
        let running = self.running.borrow();
        if running.contains_key(name) {
            return Err(Refusal::RUNS);
        }
        if running.len() >= self.bounds.runs {
            return Err(Refusal::TOO_MANY);
        }
        let mut starts = self.starts.borrow_mut();
        starts.retain(|start| now.saturating_sub(*start) < WINDOW);
        if starts.len() >= self.bounds.starts {
            return Err(Refusal::TOO_OFTEN);
        }
        starts.push(now);
        Ok(())
    }

    /// End all runs: the server stops.
    pub fn stop_all(&self, ioloop: &IoLoop) {
        let running: Vec<Rc<Run>> = self.running.borrow().values().cloned().collect();
        running.iter().for_each(|run| run.cut(ioloop, "The server stops, and has stopped it."));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(bounds: Bounds) -> Rc<Runs> {
        Runs::new(Tool::new("/nonexistent".into(), "/".into()), bounds)
    }

    #[test]
    fn starts_are_counted_for_ten_seconds() {
        let runs = runs(Bounds { starts: 2, ..Bounds::default() });
        let at = |seconds| runs.permit("a", Duration::from_secs(seconds));
        assert_eq!([at(1), at(5)], [Ok(()); 2]);
        assert_eq!(at(10), Err(Refusal::TOO_OFTEN));
        assert_eq!(at(11), Ok(()), "the first was ten seconds ago");
    }
}
