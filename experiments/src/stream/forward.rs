//! What an experiment has written, as lines of JSON.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use nix::sys::signal::Signal;
use nix::sys::utsname::uname;
use serde_json::{Value, json};

use crate::output::print_bytes;
use crate::report::resolve;
use crate::timeline::{Event, Log};
use crate::verdict::Verdict;

/// What an experiment has written so far, and what of it is printed.
pub(super) struct Stream {
    log: Log,
    /// How much of the log is printed.
    offset: u64,
    /// The experiment's standard output and standard error; none after end of file.
    pub(super) pipe: Option<File>,
    /// A line of the output without its end.
    partial: Vec<u8>,
    /// The time of the first row.
    first: Option<u64>,
    report: Option<Value>,
}

impl Stream {
    pub(super) fn new(log: Log, pipe: File) -> Self {
        Self { log, offset: 0, pipe: Some(pipe), partial: Vec::new(), first: None, report: None }
    }

    /// Print all that is new.
    pub(super) fn forward(&mut self) -> io::Result<()> {
        self.events()?;
        self.output()
    }

    fn events(&mut self) -> io::Result<()> {
        let lines = self.log.lines_from(self.offset).map_err(|error| io::Error::other(error.to_string()))?;
        self.offset += lines.len() as u64;
        let mut before = 0;
        for line in lines.lines() {
            let Ok(event) = Event::parse(line) else {
                let value: Value = serde_json::from_str(line)?;
                self.report = Some(value["report"].clone());
                continue;
            };
            // A prepared note has no time of its own: it happened after the row before it.
            let at = event.at_us.unwrap_or(before);
            let first = *self.first.get_or_insert(at);
            before = at;
            if event.what.is_drawn() {
                let text = resolve(&event.text, false);
                let at_us = at.saturating_sub(first);
                print(&json!({
                    "kind": "note", "at_us": at_us, "who": event.lane, "by": event.by, "event": event.what,
                    "text": text,
                }))?;
            }
        }
        Ok(())
    }

    fn output(&mut self) -> io::Result<()> {
        let mut chunk = [0; 1 << 14];
        while let Some(pipe) = &mut self.pipe {
            match pipe.read(&mut chunk) {
                Ok(0) => self.pipe = None,
                Ok(length) => self.partial.extend_from_slice(&chunk[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            while let Some(end) = self.partial.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.partial.drain(..=end).collect();
                print_output(&line[..end])?;
            }
            // A line without an end is printed in pieces.
            if self.partial.len() >= chunk.len() {
                print_output(&std::mem::take(&mut self.partial))?;
            }
        }
        Ok(())
    }

    pub(super) fn end(&mut self, status: ExitStatus) -> io::Result<()> {
        if !self.partial.is_empty() {
            print_output(&std::mem::take(&mut self.partial))?;
        }
        print(&verdict(self.report.as_ref(), status))?;
        print(&json!({ "kind": "end", "status": status.code(), "cut": false }))
    }
}

fn kernel() -> String {
    uname().map_or_else(|_| "unknown".into(), |name| name.release().to_string_lossy().into_owned())
}

/// Print that the experiment could not even be started.
pub(super) fn cannot_start(reason: &str) -> io::Result<()> {
    print(&json!({
        "kind": "verdict", "agrees": null, "answer": null, "text": reason, "skipped": reason, "kernel": kernel(),
    }))?;
    print(&json!({ "kind": "end", "status": Verdict::Skipped.code(), "cut": false }))
}

/// The line with the verdict, from the report of an experiment; without one, how it ended is the reason.
fn verdict(report: Option<&Value>, status: ExitStatus) -> Value {
    let Some(report) = report else {
        let how = match status.signal() {
            Some(signal) => match Signal::try_from(signal) {
                Ok(Signal::SIGALRM) => "it was still running after 60 s".into(),
                Ok(signal) => format!("{signal} killed it"),
                Err(_) => format!("signal {signal} killed it"),
            },
            None => format!("its exit status is {}", status.code().unwrap_or_default()),
        };
        let reason = format!("the experiment ended without a report: {how}");
        return json!({
            "kind": "verdict", "agrees": false, "answer": null, "text": reason, "reason": reason, "skipped": null,
            "kernel": kernel(),
        });
    };
    let agrees = match report["verdict"].as_str() {
        Some("agrees") => Some(true),
        Some("skipped") => None,
        _ => Some(false),
    };
    let skipped = if agrees.is_none() { &report["reason"] } else { &Value::Null };
    json!({
        "kind": "verdict",
        "agrees": agrees,
        "answer": report["observed"],
        "book": report["book"],
        "text": report["shows"],
        "prediction": report["prediction"],
        "because": report["because"],
        "why_not": report["why_not"],
        "facts": report["facts"],
        "reason": report["reason"],
        "skipped": skipped,
        "kernel": kernel(),
    })
}

fn print_output(line: &[u8]) -> io::Result<()> {
    print(&json!({ "kind": "output", "text": String::from_utf8_lossy(line) }))
}

fn print(line: &Value) -> io::Result<()> {
    print_bytes(format!("{line}\n").as_bytes())
}
