//! One run: a child, the stream of its client, and how much it has printed.

use std::cell::{Cell, RefCell};
use std::process::ExitStatus;
use std::rc::Rc;
use std::time::Duration;

use httpserver::{Room, Stream};
use ioloop::IoLoop;
use serde_json::{Value, json};

use crate::child::{From, Listener, Process};

/// Why a run is ended that prints without end.
const PRINTED: &str = "It printed more than is shown, and was stopped.";

/// One run.
pub(super) struct Run {
    /// How many bytes are streamed, before it is cut.
    pub(super) bound: usize,
    /// Called when it is over.
    pub(super) over: Box<dyn Fn(&IoLoop)>,
    pub(super) check: bool,
    /// None once it is finished.
    pub(super) stream: RefCell<Option<Stream>>,
    pub(super) process: RefCell<Option<Rc<Process>>>,
    /// The standard output of a check, which is one value.
    pub(super) collected: RefCell<Vec<u8>>,
    pub(super) sent: Cell<usize>,
    /// Did the tool itself send the end?
    pub(super) ended: Cell<bool>,
    /// Why it was ended, as a sentence for the reader; none if it ends by itself.
    pub(super) cut: RefCell<Option<String>>,
}

impl Run {
    /// End it when the client leaves, or when its time is over.
    pub(super) fn watch(self: &Rc<Self>, ioloop: &IoLoop, time: Duration) {
        let left = Rc::downgrade(self);
        if let Some(stream) = &*self.stream.borrow() {
            stream.when_closed(move |ioloop| {
                if let Some(run) = left.upgrade() {
                    run.cut(ioloop, "The page was closed.");
                }
            });
        }
        let late = Rc::downgrade(self);
        ioloop.call_later(time, move |ioloop| {
            if let Some(run) = late.upgrade() {
                run.cut(
                    ioloop,
                    &format!("It was still running after {} s, and was stopped.", time.as_secs()),
                );
            }
        });
    }

    /// End it. The first reason counts.
    pub(super) fn cut(&self, ioloop: &IoLoop, why: &str) {
        self.cut.borrow_mut().get_or_insert_with(|| why.to_owned());
        let process = self.process.borrow().clone();
        if let Some(process) = process {
            // It may be waiting for its pipe to be read.
            process.resume(ioloop);
            process.stop();
        }
    }

    fn is_cut(&self) -> bool {
        self.cut.borrow().is_some()
    }

    /// Queue a line. False if no more should come for now.
    pub(super) fn send(&self, ioloop: &IoLoop, line: &Value) -> bool {
        let line = format!("{line}\n");
        let sent = self.sent.get() + line.len();
        self.sent.set(sent);
        let stream = self.stream.borrow();
        let Some(stream) = &*stream else { return true };
        // After the cut only the end is sent, which is no output.
        if sent > self.bound && !self.is_cut() {
            self.cut(ioloop, PRINTED);
            return true;
        }
        match stream.write(line.as_bytes()) {
            Ok(Room::Full) if !self.is_cut() => {
                let process = self.process.borrow().clone();
                stream.when_room(move |ioloop| process.iter().for_each(|process| process.resume(ioloop)));
                false
            }
            _ => true,
        }
    }

    fn output(&self, ioloop: &IoLoop, line: &[u8]) -> bool {
        if self.is_cut() {
            return true;
        }
        self.send(ioloop, &json!({ "kind": "output", "text": String::from_utf8_lossy(line) }))
    }

    pub(super) fn finish(&self, ioloop: &IoLoop, status: Option<ExitStatus>) {
        if self.check
            && let Some(result) = result(&self.collected.take())
        {
            self.send(ioloop, &result);
        }
        if !self.ended.get() {
            let status = status.and_then(|status| status.code());
            let mut end = json!({ "kind": "end", "status": status, "cut": self.is_cut() });
            if let Some(why) = &*self.cut.borrow() {
                end["why"] = why.as_str().into();
            }
            self.send(ioloop, &end);
        }
        self.process.take();
        if let Some(stream) = self.stream.take() {
            stream.finish();
        }
        (self.over)(ioloop);
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
                if collected.len() > self.bound {
                    collected.clear();
                    drop(collected);
                    self.cut(ioloop, PRINTED);
                }
                true
            }
            (From::Output, false) if self.is_cut() => true,
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
