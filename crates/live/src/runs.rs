//! Runs: an experiment, or the tests of an exercise, as a child process whose lines are streamed to the client.
//!
//! Bounded: one run of each name, some in all, some starts in ten seconds, and for each run its time and its output. Closing
//! the stream ends the run. A client that reads slowly makes the child wait for its pipe, and nothing is kept for it here.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::process::ExitStatus;
use std::rc::Rc;
use std::time::Duration;

use httpserver::{Reply, Room, Stream};
use ioloop::IoLoop;
use serde_json::{Value, json};

use crate::catalogue::Tool;
use crate::child::{From, Listener, Process};
use crate::headers::stream_head;
use crate::refusal::Refusal;

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
            runs: Rc::clone(self),
            name: name.clone(),
            check,
            stream: RefCell::new(Some(reply.stream(stream_head()))),
            process: RefCell::default(),
            collected: RefCell::default(),
            sent: Cell::new(0),
            ended: Cell::new(false),
            cut: Cell::new(false),
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
        running.iter().for_each(|run| run.cut(ioloop));
    }
}

/// One run.
struct Run {
    runs: Rc<Runs>,
    name: String,
    check: bool,
    /// None once it is finished.
    stream: RefCell<Option<Stream>>,
    process: RefCell<Option<Rc<Process>>>,
    /// The standard output of a check, which is one value.
    collected: RefCell<Vec<u8>>,
    sent: Cell<usize>,
    /// Did the tool itself send the end?
    ended: Cell<bool>,
    cut: Cell<bool>,
}

impl Run {
    /// End it when the client leaves, or when its time is over.
    fn watch(self: &Rc<Self>, ioloop: &IoLoop, time: Duration) {
        let left = Rc::downgrade(self);
        if let Some(stream) = &*self.stream.borrow() {
            stream.when_closed(move |ioloop| {
                if let Some(run) = left.upgrade() {
                    run.cut(ioloop);
                }
            });
        }
        let late = Rc::downgrade(self);
        ioloop.call_later(time, move |ioloop| {
            if let Some(run) = late.upgrade() {
                run.cut(ioloop);
            }
        });
    }

    fn cut(&self, ioloop: &IoLoop) {
        self.cut.set(true);
        let process = self.process.borrow().clone();
        if let Some(process) = process {
            // It may be waiting for its pipe to be read.
            process.resume(ioloop);
            process.stop(ioloop);
        }
    }

    /// Queue a line. False if no more should come for now.
    fn send(&self, ioloop: &IoLoop, line: &Value) -> bool {
        let line = format!("{line}\n");
        let sent = self.sent.get() + line.len();
        self.sent.set(sent);
        let stream = self.stream.borrow();
        let Some(stream) = &*stream else { return true };
        // After the cut only the end is sent, which is no output.
        if sent > self.runs.bounds.output && !self.cut.get() {
            let _ = stream.write(
                b"{\"kind\":\"output\",\"text\":\"More was printed than is shown: the run was ended.\"}\n",
            );
            self.cut(ioloop);
            return true;
        }
        match stream.write(line.as_bytes()) {
            Ok(Room::Full) if !self.cut.get() => {
                let process = self.process.borrow().clone();
                stream.when_room(move |ioloop| process.iter().for_each(|process| process.resume(ioloop)));
                false
            }
            _ => true,
        }
    }

    fn output(&self, ioloop: &IoLoop, line: &[u8]) -> bool {
        if self.cut.get() {
            return true;
        }
        self.send(ioloop, &json!({ "kind": "output", "text": String::from_utf8_lossy(line) }))
    }

    fn finish(&self, ioloop: &IoLoop, status: Option<ExitStatus>) {
        if self.check
            && let Some(result) = result(&self.collected.take())
        {
            self.send(ioloop, &result);
        }
        if !self.ended.get() {
            let status = status.and_then(|status| status.code());
            self.send(ioloop, &json!({ "kind": "end", "status": status, "cut": self.cut.get() }));
        }
        self.process.take();
        self.runs.running.borrow_mut().remove(&self.name);
        if let Some(stream) = self.stream.take() {
            stream.finish();
        }
        let ended = self.runs.ended.borrow().clone();
        if let Some(ended) = ended {
            ended(ioloop);
        }
    }
}

impl Listener for Run {
    fn line(&self, ioloop: &IoLoop, from: From, line: &[u8]) -> bool {
        match (from, self.check) {
            (From::Error, _) => self.output(ioloop, line),
            (From::Output, true) => {
                let mut collected = self.collected.borrow_mut();
                collected.extend_from_slice(line);
                collected.push(b'\n');
                if collected.len() > self.runs.bounds.output {
                    collected.clear();
                    drop(collected);
                    self.cut(ioloop);
                }
                true
            }
            (From::Output, false) if self.cut.get() => true,
            (From::Output, false) => match serde_json::from_slice::<Value>(line) {
                Ok(event) if event["kind"].is_string() => {
                    self.ended.set(self.ended.get() || event["kind"] == "end");
                    self.send(ioloop, &event)
                }
                _ => self.output(ioloop, line),
            },
        }
    }

    fn ended(&self, ioloop: &IoLoop, status: Option<ExitStatus>) {
        self.finish(ioloop, status);
    }
}

/// What `check --json` printed, as an event.
fn result(printed: &[u8]) -> Option<Value> {
    let all: Value = serde_json::from_slice(printed).ok()?;
    let attempt = all.get(0)?;
    let tests = attempt["tests"].as_array().map_or(&[][..], Vec::as_slice);
    let first = tests.iter().find(|test| test["passed"] == false && test["skipped"].is_null());
    let skipped = tests.iter().filter(|test| !test["skipped"].is_null());
    Some(json!({
        "kind": "result",
        "passed": attempt["passed"],
        "tests": tests,
        "first": first.map(|test| json!({ "test": test["name"], "message": test["message"] })),
        "skipped": skipped.map(|test| json!({ "test": test["name"], "reason": test["skipped"] })).collect::<Vec<_>>(),
        "error": attempt["error"],
        "seconds": attempt["seconds"],
    }))
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

    #[test]
    fn the_first_test_that_fails_is_shown_and_one_that_is_skipped_is_not_it() {
        let printed = br#"[{"name":"a/b","passed":false,"seconds":0.1,"tests":[
            {"name":"one","passed":false,"message":null,"skipped":"no ipv6"},
            {"name":"two","passed":true,"message":null,"skipped":null},
            {"name":"three","passed":false,"message":"seen 1","skipped":null},
            {"name":"four","passed":false,"message":"seen 2","skipped":null}]}]"#;
        let result = result(printed).expect("a result");
        assert_eq!(result["first"], json!({ "test": "three", "message": "seen 1" }));
        assert_eq!(result["skipped"], json!([{ "test": "one", "reason": "no ipv6" }]));
        assert_eq!(result["passed"], false);
        assert_eq!(super::result(b"error: nothing"), None);
    }
}
