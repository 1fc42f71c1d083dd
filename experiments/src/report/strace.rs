//! The system calls beside the timeline.
//!
//! The experiment runs again under strace. Its writes to the log are system calls too, so strace's output shows between
//! which two events every other call was made, and in which lane.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};

use anstyle::Style;
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::picture::Picture;
use super::text::question_text;
use super::wording::resolve;
use crate::output::{delivered, print};
use crate::question::Question;
use crate::timeline::{Event, LOG};
use crate::verdict::{Result, Verdict, cannot_ask};

const DIM: Style = Style::new().dimmed();

/// The calls worth seeing. Memory, locks and signal masks are left out, because they are the runtime's own. strace stops at a
/// name that it does not know, unless `?` stands before it: a 64-bit ARM has no open, and an older strace no pidfd_open.
const CALLS: &str = "trace=process,network,?open,?openat,?close,?close_range,?dup,?dup2,?dup3,?pipe,?pipe2,\
                     ?fcntl,?read,?write,?lseek,?poll,?ppoll,?select,?pselect6,?epoll_create1,?epoll_ctl,\
                     ?epoll_wait,?epoll_pwait,?eventfd2,?memfd_create,?signalfd4,?prlimit64,?kill,?tgkill,\
                     ?pidfd_open,?nanosleep,?clock_nanosleep";

/// How many calls to show, at most, of one lane between two events: a loop's calls are all alike.
const MOST: usize = 40;

/// Run this program under strace and show what it did, with every call in its place.
pub(crate) fn run(name: &str, question: Question) -> Result<Verdict> {
    // strace inherits it and gets its number, so it is not close-on-exec.
    let mut trace = File::from(memfd_create(c"strace", MFdFlags::empty())?);
    let program = std::env::current_exe()?;
    let output = Command::new("strace")
        .args(["-f", "-q", "-s", "4096", "-e", CALLS, "-o"])
        .arg(format!("/proc/self/fd/{}", trace.as_raw_fd()))
        .arg(program)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| cannot_ask(format!("strace: {e}; `workbook doctor` says how to get it")))?;
    let mut text = String::new();
    trace.rewind()?;
    trace.read_to_string(&mut text)?;
    let lines: Vec<Line> = text.lines().filter_map(Line::parse).collect();
    let events: Vec<Event> = lines.iter().filter_map(|line| line.event.clone()).collect();
    if events.is_empty() {
        return Err(cannot_ask(format!("{name} was not traced (exit status {:?})", output.status.code())));
    }
    let lane_of: HashMap<&str, &str> =
        lines.iter().filter_map(|l| Some((l.pid, l.event.as_ref()?.by.as_str()))).collect();
    let mut shown = format!("{}\n", question_text(question));
    let mut picture = Picture::new(&events);
    let _ = writeln!(shown, "{DIM}{}{DIM:#}", picture.header());
    let last = lines.iter().rposition(|line| line.event.is_some()).unwrap_or(0);
    // Calls before a program has its log are the loader's and the runtime's.
    let mut loading: Vec<&str> = lane_of.keys().copied().filter(|pid| *pid == lines[0].pid).collect();
    // How many calls each lane has made since the last event.
    let mut calls: BTreeMap<&str, usize> = BTreeMap::new();
    // Processes in a call about the log that strace writes in two halves, because another process came between.
    let mut ours: Vec<&str> = Vec::new();
    for line in &lines[..=last] {
        let second_half = line.call.starts_with("<... ") && take(&mut ours, line.pid);
        if line.is_ours() {
            take(&mut loading, line.pid);
            if line.call.ends_with("<unfinished ...>") {
                ours.push(line.pid);
            }
        }
        if let Some(event) = &line.event {
            for (lane, n) in calls.iter().filter(|(_, n)| **n > MOST) {
                let more = n - MOST;
                let _ = writeln!(shown, "{}{DIM}… and {more} calls more{DIM:#}", picture.beside(lane, '·'));
            }
            calls.clear();
            if event.what.is_drawn() {
                let _ = writeln!(shown, "{}{}", picture.row(event), resolve(&event.text, false));
            }
        } else if !loading.contains(&line.pid)
            && !line.is_ours()
            && !second_half
            && let Some(lane) = lane_of.get(line.pid)
        {
            let count = calls.entry(lane).or_default();
            *count += 1;
            if *count <= MOST {
                let _ = writeln!(shown, "{}{DIM}{}{DIM:#}", picture.beside(lane, '·'), line.shown());
            }
        }
        let execs = line.call.starts_with("execve(") || line.call.starts_with("<... execve resumed>");
        if execs && line.call.ends_with("= 0") {
            loading.push(line.pid);
        }
    }
    // strace exits with the status of what it ran; the last paragraph of a report is its verdict in words.
    let report = String::from_utf8_lossy(&output.stdout);
    let words = report.trim_end().rsplit("\n\n").next().unwrap_or_default();
    let _ = writeln!(shown, "\n{words}");
    delivered(print(&shown))?;
    Ok(Verdict::of(output.status.code()))
}

/// Take `pid` out of the list. Was it there?
fn take(pids: &mut Vec<&str>, pid: &str) -> bool {
    let before = pids.len();
    pids.retain(|other| *other != pid);
    pids.len() < before
}

/// One line of strace's: a process, a call, and the event if the call wrote one.
struct Line<'a> {
    pid: &'a str,
    call: &'a str,
    event: Option<Event>,
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (pid, call) = line.split_once(' ')?;
        let call = call.trim_start();
        let logged = call.strip_prefix(&format!("write({LOG}, "));
        let event = logged.and_then(|rest| {
            // strace quotes like C, JSON like JavaScript; for the text of an event the two agree, once the bytes beyond
            // ASCII are decoded.
            let quoted = &rest[..=rest.rfind('"')?];
            Event::parse(&unquote(quoted)).ok()
        });
        Some(Self { pid, call, event })
    }

    /// Is it about the log itself?
    fn is_ours(&self) -> bool {
        let (_, arguments) = self.call.split_once('(').unwrap_or_default();
        arguments.starts_with(&format!("{LOG},")) || arguments.starts_with(&format!("{LOG})"))
    }

    /// The call as shown: if it is long, its arguments are cut, but its result is kept.
    fn shown(&self) -> String {
        let shown: String = self.call.split_whitespace().collect::<Vec<_>>().join(" ");
        if shown.chars().count() <= 90 {
            return shown;
        }
        let result = shown.rfind(") = ").map_or("", |at| &shown[at..]);
        let kept = 89_usize.saturating_sub(result.chars().count());
        shown.chars().take(kept).collect::<String>() + "…" + result
    }
}

/// A string as strace quotes it, with octal for what is not printable ASCII.
fn unquote(quoted: &str) -> String {
    let inner = quoted.trim_matches('"').as_bytes();
    let mut out = Vec::new();
    let mut i = 0;
    while i < inner.len() {
        if inner[i] != b'\\' {
            out.push(inner[i]);
            i += 1;
            continue;
        }
        let digits = inner[i + 1..].iter().take(3).take_while(|b| (b'0'..=b'7').contains(b)).count();
        if digits > 0 {
            let octal =
                inner[i + 1..=i + digits].iter().fold(0_u8, |n, b| n.wrapping_mul(8).wrapping_add(b - b'0'));
            out.push(octal);
            i += 1 + digits;
        } else {
            out.push(match inner.get(i + 1) {
                Some(b'n') => b'\n',
                Some(b't') => b'\t',
                Some(b'r') => b'\r',
                Some(b'v') => 11,
                Some(b'f') => 12,
                other => other.copied().unwrap_or(b'\\'),
            });
            i += 2;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{CALLS, unquote};

    #[test]
    fn a_call_that_a_processor_does_not_have_does_not_stop_strace() {
        let names = CALLS.trim_start_matches("trace=").split(',');
        let demanded: Vec<&str> = names.filter(|name| !name.starts_with('?')).collect();
        let classes = ["process", "network"];
        assert_eq!(demanded, classes, "strace refuses its arguments where one of the calls does not exist");
    }

    #[test]
    fn what_strace_quoted_is_read_back() {
        assert_eq!(unquote(r#""{\"a\":\"\342\234\223\"}\n""#), "{\"a\":\"✓\"}\n");
        assert_eq!(unquote(r#""\2pid\0037\4""#), "\u{2}pid\u{3}7\u{4}");
    }
}
