//! `--json-lines`: what happens in an experiment, one JSON object a line, each when it happens.
//!
//! This process starts the experiment as a child, which inherits the log of the timeline, and prints what appears in the log
//! and on the child's standard output and standard error. So an experiment never waits for a slow reader, and one that hangs
//! or is killed still gets a verdict. The kinds of lines:
//!
//! - `note`: a row of the timeline, with `at_us`, the time since the first row in microseconds; `who`, its lane; `text`; and
//!   `event`: `note`, `born`, `exec` or `end`;
//! - `output`: a line that the experiment printed otherwise;
//! - `verdict`: `agrees` (null if the kernel cannot be asked; then `skipped` says why), `answer` and `book` as letters, `text`
//!   (what it shows), `prediction` and `because`, `why_not` for each wrong choice, `facts`, `reason`, and the `kernel`;
//! - `end`: the exit status of the experiment, or null if a signal killed it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, poll};
use nix::unistd::{Pid, getpid};
use serde::Serialize;
use serde_json::json;

use crate::environment::settle;
use crate::lab::{die_with, pidfd};
use crate::output::delivered;
use crate::timeline::Log;
use crate::verdict::{Result, Verdict};

mod forward;

use forward::{Stream, cannot_start};

/// How often the log is looked at, in milliseconds. It is a file in memory, of which poll(2) says nothing.
const TICK: u16 = 10;

/// The line of the log with the report.
pub(crate) fn line(report: &impl Serialize) -> Result<Vec<u8>> {
    Ok(format!("{}\n", json!({ "report": report })).into_bytes())
}

/// Run this program once more, and print what it does. `prediction` is the letter of a choice.
///
/// # Errors
/// When the lines cannot be printed. A reader that is gone is no error: it has seen enough.
pub(crate) fn run(prediction: Option<char>) -> Result<Verdict> {
    let (verdict, printed) = match Running::start(prediction).and_then(Running::watch) {
        Ok(ended) => ended,
        Err(failure) => (Verdict::Skipped, cannot_start(&failure.to_string())),
    };
    delivered(printed)?;
    Ok(verdict)
}

/// An experiment that runs.
struct Running {
    child: Child,
    /// Readable once it has ended. Where there is none, its end is noticed at the next look.
    ended: Option<OwnedFd>,
    stream: Stream,
}

impl Running {
    fn start(prediction: Option<char>) -> Result<Self> {
        settle(false)?;
        let log = Log::create()?;
        let (reader, writer) = io::pipe()?;
        fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let mut command = Command::new(std::env::current_exe()?);
        // The name that it was started by, which is the name in its report.
        command.arg0(std::env::args_os().next().unwrap_or_default()).arg("--logged");
        command.args(prediction.iter().flat_map(|letter| ["--predict".into(), letter.to_string()]));
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
        let me = getpid();
        // SAFETY: between fork and exec only prctl, getppid and _exit are called, which are plain system calls.
        unsafe {
            command.pre_exec(move || {
                die_with(me);
                Ok(())
            })
        };
        log.inherit(true)?;
        // The command has the write ends of the pipe, and is dropped with them.
        let child = command.spawn()?;
        log.inherit(false)?;
        let ended = pidfd(Pid::from_raw(child.id().cast_signed())).ok();
        Ok(Self { child, ended, stream: Stream::new(log, File::from(OwnedFd::from(reader))) })
    }

    /// Print what it does until it has ended. Gives its verdict, and whether all of it was printed.
    ///
    /// # Errors
    /// Where its end cannot be awaited.
    fn watch(mut self) -> Result<(Verdict, io::Result<()>)> {
        loop {
            // Looked for first, so that all it has written is there when its end is known.
            let status = self.child.try_wait();
            let printed = self.stream.forward();
            match (status, printed) {
                (Ok(Some(status)), Ok(())) => {
                    return Ok((Verdict::of(status.code()), self.stream.end(status)));
                }
                (Ok(None), Ok(())) => self.wait(),
                (status, printed) => {
                    // Where kill(2) is refused, the child dies with this process, which must not wait for that.
                    if self.child.kill().is_ok() {
                        let _ = self.child.wait();
                    }
                    status?;
                    return Ok((Verdict::Disagrees, printed));
                }
            }
        }
    }

    /// Wait until it prints something or ends, for a tick at most.
    fn wait(&self) {
        let watched = self.ended.iter().map(AsFd::as_fd).chain(self.stream.pipe.iter().map(AsFd::as_fd));
        let mut watched: Vec<PollFd<'_>> = watched.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        // An error, EINTR for example, is as good as an event.
        let _ = poll(&mut watched, TICK);
    }
}
