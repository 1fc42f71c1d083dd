//! Running a program that may hang, fork without end or leave children: it ends here, whole.
//!
//! The program gets a process group of its own. The group is killed when nothing was printed for a while,
//! when it grows beyond reason, when its first process has ended, and when the reader presses Ctrl-C.
//! Whoever left the group is still found: orphans come to this process, as their subreaper, and are killed.

use std::fmt;
use std::io::{PipeReader, Read};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, killpg, sigaction};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, getpid};

use crate::processes::{self, Doing};

/// Ctrl-C, after everything was ended.
#[derive(Debug)]
pub struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// How long a program may be silent.
pub const SILENCE: Duration = Duration::from_secs(10);

/// More processes than any exercise has: somebody forks without end.
const CROWD: usize = 100;

/// How often the group is looked at. What is printed is read at once.
const TICK: Duration = Duration::from_millis(100);

/// How a program ended.
#[derive(Debug)]
pub enum Ending {
    /// By itself, or by a signal.
    Ended(ExitStatus),
    /// It was silent for so long, while its threads did this.
    Silent(Duration, Vec<Doing>),
    /// It had this many processes.
    Crowd(usize),
}

impl Ending {
    /// Did it end by itself, with status 0?
    pub fn good(&self) -> bool {
        matches!(self, Self::Ended(status) if status.success())
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended(status) => match status.signal().and_then(|s| Signal::try_from(s).ok()) {
                Some(signal) => write!(f, "killed by {signal}"),
                None => write!(f, "{status}"),
            },
            Self::Silent(time, doing) => {
                write!(
                    f,
                    "nothing happened for {} s, so it was stopped. What its threads did:",
                    time.as_secs()
                )?;
                doing.iter().try_for_each(|one| write!(f, "\n  {one}"))
            }
            Self::Crowd(number) => {
                write!(f, "it had {number} processes, so it was stopped: does it fork without end?")
            }
        }
    }
}

/// What a program printed, and how it ended.
#[derive(Debug)]
pub struct Outcome {
    /// Standard output and standard error, as they came.
    pub output: String,
    pub ending: Ending,
}

/// Run a program to its end, which comes at the latest after `silence` without a word.
///
/// # Errors
/// When it cannot be started, and [`Interrupted`] on Ctrl-C.
pub fn run(program: &Path, args: &[&str], folder: &Path, silence: Duration) -> Result<Outcome> {
    let _caught = CatchInterrupt::new()?;
    // Without this an orphan goes to init, and nobody here could find it.
    let _ = prctl::set_child_subreaper(true);
    let (reader, writer) = std::io::pipe()?;
    let mut command = Command::new(program);
    command
        .args(args)
        .current_dir(folder)
        .env("RUST_BACKTRACE", "0")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0);
    let me = getpid();
    let die_with_me = move || {
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        if nix::unistd::getppid() == me { Ok(()) } else { Err(Errno::ESRCH.into()) }
    };
    // SAFETY: between fork and exec only prctl and getppid are called, which are bare system calls.
    unsafe { command.pre_exec(die_with_me) };
    let child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
    // The command holds the pipe's write end; with it gone, end of file means that the group let go of it.
    drop(command);
    Watched { child, reader, output: Vec::new() }.watch(silence)
}

/// A program that runs.
struct Watched {
    child: Child,
    reader: PipeReader,
    output: Vec<u8>,
}

impl Watched {
    fn watch(mut self, silence: Duration) -> Result<Outcome> {
        let mut heard = Instant::now();
        let mut looked = Instant::now();
        let mut open = true;
        let ending = loop {
            if CatchInterrupt::happened() {
                self.end();
                return Err(Interrupted.into());
            }
            if open && self.readable(TICK) {
                open = self.read()?;
                heard = Instant::now();
            }
            if let Some(status) = self.child.try_wait()? {
                // What it printed last may still be in the pipe.
                while open && self.readable(Duration::ZERO) {
                    open = self.read()?;
                }
                break Ending::Ended(status);
            }
            if !open {
                // Nothing more can be heard, but it may still end.
                std::thread::sleep(Duration::from_millis(1));
            }
            if looked.elapsed() >= TICK {
                looked = Instant::now();
                let group = processes::of_group(self.group());
                if group.len() > CROWD {
                    break Ending::Crowd(group.len());
                }
                if heard.elapsed() >= silence {
                    break Ending::Silent(silence, processes::doing(&group));
                }
            }
        };
        self.end();
        Ok(Outcome { output: String::from_utf8_lossy(&self.output).into_owned(), ending })
    }

    fn group(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Has the pipe something to read, or is it at its end? Waits for so long at most.
    fn readable(&self, wait: Duration) -> bool {
        let timeout = PollTimeout::try_from(wait).unwrap_or(PollTimeout::ZERO);
        let mut fds = [PollFd::new(self.reader.as_fd(), PollFlags::POLLIN)];
        matches!(poll(&mut fds, timeout), Ok(n) if n > 0)
    }

    /// Read what is there. False at end of file.
    fn read(&mut self) -> Result<bool> {
        let mut chunk = [0; 8192];
        let length = self.reader.read(&mut chunk)?;
        self.output.extend_from_slice(&chunk[..length]);
        // A program that prints without end is not to fill the memory: the end of it is kept.
        const KEPT: usize = 1 << 20;
        if self.output.len() > 2 * KEPT {
            self.output.drain(..self.output.len() - KEPT);
        }
        Ok(length > 0)
    }

    /// Kill and reap whatever is left. A fork cannot slip through: the kernel sends a group's signal to all
    /// of it at once, and refuses to fork a process that has a signal to take.
    fn end(&mut self) {
        let _ = killpg(self.group(), Signal::SIGKILL);
        let _ = self.child.wait();
        // Who is left now is an orphan that came to us, or a child of the first one's in another group.
        loop {
            let left = processes::children_of(getpid());
            for pid in &left {
                let _ = kill(*pid, Signal::SIGKILL);
            }
            while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG))
                && status.pid().is_some()
            {}
            if left.is_empty() {
                break;
            }
            std::thread::yield_now();
        }
    }
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

extern "C" fn remember(_signal: i32) {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// While it lives, Ctrl-C and a polite kill are remembered instead of obeyed, so that they can be passed on.
struct CatchInterrupt(Vec<(Signal, SigAction)>);

impl CatchInterrupt {
    fn new() -> Result<Self> {
        let action = SigAction::new(SigHandler::Handler(remember), SaFlags::empty(), SigSet::empty());
        let mut before = Vec::new();
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            // SAFETY: the handler stores into an atomic, which is async-signal-safe.
            before.push((signal, unsafe { sigaction(signal, &action) }?));
        }
        Ok(Self(before))
    }

    fn happened() -> bool {
        INTERRUPTED.load(Ordering::Relaxed)
    }
}

impl Drop for CatchInterrupt {
    fn drop(&mut self) {
        for (signal, action) in &self.0 {
            // SAFETY: this puts back what was there, which was good enough for the program before.
            let _ = unsafe { sigaction(*signal, action) };
        }
    }
}
