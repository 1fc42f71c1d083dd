//! Run a program that may hang, fork without end or leave children: it ends here, whole.
//!
//! The program gets a process group of its own. All of its processes, even outside the group, are killed when
//! it prints nothing for a while, when it prints or forks beyond reason, when its first process has exited, and when
//! the reader presses Ctrl-C.

use std::fs::File;
use std::io::{PipeReader, Read, Seek};
use std::os::fd::AsFd;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Result;
use nix::sys::memfd::{MFdFlags, memfd_create};

mod child;
mod ending;
pub mod interrupt;
mod proc;
mod temporary;

use child::{Child, Family};
pub use child::{bound_memory, ends_with_this, pid_of};
pub use ending::Ending;
pub use proc::Doing;

/// How long a program may print nothing.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// How many processes a program may have: more than any exercise has.
pub const PROCESS_LIMIT: usize = 100;

/// How many bytes a program may print: more than a reader reads.
const OUTPUT_LIMIT: usize = 16 << 20;

/// How many bytes are read at once.
const CHUNK: usize = 1 << 16;

/// How many times the pipe is read once all of the program is killed: /proc/sys/fs/pipe-max-size is a mebibyte on most machines.
const LAST_READS: usize = (1 << 20) / CHUNK + 1;

/// How many times its idle timeout a program may take in all, however much it prints.
const TIME_LIMIT: u32 = 12;

/// How often the processes are looked at. What is printed is read at once.
const TICK: Duration = Duration::from_millis(100);

/// What a program printed, and how it ended.
#[derive(Debug)]
pub struct Outcome {
    /// Standard output and standard error, as they came.
    pub output: String,
    pub ending: Ending,
}

/// Run a program to its end. It is killed when it prints nothing for `idle`, or has more processes than `processes`.
///
/// # Errors
/// When it cannot be started, and [`Interrupted`](crate::error::Interrupted) on Ctrl-C.
pub fn run(command: &mut Command, idle: Duration, processes: usize) -> Result<Outcome> {
    run_until(command, idle, processes, |_| false)
}

/// The same, but it is killed as soon as what it printed is `enough`.
///
/// # Errors
/// As [`run`].
pub fn run_until(
    command: &mut Command,
    idle: Duration,
    processes: usize,
    enough: impl Fn(&[u8]) -> bool,
) -> Result<Outcome> {
    Watched::start(command)?.watch(idle, idle.saturating_mul(TIME_LIMIT), processes, enough)
}

/// Run a program in front of the reader, with the terminal. It may take as long as it likes.
///
/// # Errors
/// When it cannot be started, and [`Interrupted`](crate::error::Interrupted) on Ctrl-C.
pub fn in_foreground(command: &mut Command) -> Result<ExitStatus> {
    let mut running = Child::start(command, Family::Foreground)?;
    while !running.has_ended() {
        interrupt::check()?;
        running.news(None, TICK);
    }
    let status = running.end()?;
    // Ctrl-C in a terminal is for both; it may have ended before it was noticed here.
    interrupt::check()?;
    Ok(status)
}

/// Run a program that can be trusted to end, for its standard output and its standard error.
///
/// # Errors
/// When it cannot be started, and [`Interrupted`](crate::error::Interrupted) on Ctrl-C.
pub fn collect(command: &mut Command) -> Result<(ExitStatus, String, String)> {
    let (reader, writer) = std::io::pipe()?;
    let mut errors = File::from(memfd_create(c"errors", MFdFlags::MFD_CLOEXEC)?);
    command.stdin(Stdio::null()).stdout(writer).stderr(errors.try_clone()?);
    let running = Child::start(command, Family::Group)?;
    // Until it is given others, the command holds the pipe's write end.
    command.stdout(Stdio::null());
    let mut watched = Watched { running, reader, output: Vec::new(), open: true };
    while !watched.running.has_ended() {
        interrupt::check()?;
        watched.listen()?;
    }
    let status = watched.end()?;
    let mut said = Vec::new();
    errors.rewind()?;
    errors.read_to_end(&mut said)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((status, text(&watched.output), text(&said)))
}

/// A program that runs, and what it printed so far.
struct Watched {
    running: Child,
    reader: PipeReader,
    output: Vec<u8>,
    /// Does a process still have the pipe's other end?
    open: bool,
}

impl Watched {
    fn start(command: &mut Command) -> Result<Self> {
        command.env("RUST_BACKTRACE", "0").env("NO_COLOR", "1");
        // What the reader set for `cargo test` would change what is read here.
        for name in ["RUST_TEST_NOCAPTURE", "RUST_TEST_THREADS", "RUST_TEST_SHUFFLE", "RUST_TEST_TIME_UNIT"] {
            command.env_remove(name);
        }
        let (reader, writer) = std::io::pipe()?;
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
        let running = Child::start(command, Family::All)?;
        // The command holds the pipe's write end; with it gone, end of file means that the program let go of it.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self { running, reader, output: Vec::new(), open: true })
    }

    fn watch(
        mut self,
        idle: Duration,
        whole: Duration,
        limit: usize,
        enough: impl Fn(&[u8]) -> bool,
    ) -> Result<Outcome> {
        let start = Instant::now();
        let mut heard = start;
        let mut looked = start;
        let stopped = loop {
            interrupt::check()?;
            if self.listen()? {
                heard = Instant::now();
                if enough(&self.output) {
                    break Some(Ending::Enough);
                }
            }
            if self.running.has_ended() {
                break None;
            }
            if self.output.len() > OUTPUT_LIMIT {
                break Some(Ending::OutputLimit(self.output.len()));
            }
            if looked.elapsed() >= TICK {
                looked = Instant::now();
                let processes = self.running.processes();
                if processes.len() > limit {
                    break Some(Ending::ProcessLimit(processes.len()));
                }
                if heard.elapsed() >= idle {
                    break Some(Ending::Idle(idle, proc::doing(&processes)));
                }
                if start.elapsed() >= whole {
                    break Some(Ending::TimeLimit(whole));
                }
            }
        };
        let status = self.end()?;
        let output = String::from_utf8_lossy(&self.output).into_owned();
        Ok(Outcome { output, ending: stopped.unwrap_or(Ending::Ended(status)) })
    }

    /// Wait for something to happen, for a tick at most, and read what there is. Was anything said?
    fn listen(&mut self) -> Result<bool> {
        let pipe = self.open.then(|| self.reader.as_fd());
        if !self.running.news(pipe, TICK) {
            return Ok(false);
        }
        self.open = self.read()?;
        Ok(self.open)
    }

    /// Kill all of it, and then read what it printed last: no process is left to print more.
    fn end(&mut self) -> Result<ExitStatus> {
        let status = self.running.end()?;
        // As much as a pipe can hold: a process that could not be killed may print without end.
        for _ in 0..LAST_READS {
            if !self.open || !self.running.news(Some(self.reader.as_fd()), Duration::ZERO) {
                break;
            }
            self.open = self.read()?;
        }
        Ok(status)
    }

    /// Read what is there. False at end of file.
    fn read(&mut self) -> Result<bool> {
        let mut chunk = [0; CHUNK];
        let length = self.reader.read(&mut chunk)?;
        self.output.extend_from_slice(&chunk[..length]);
        Ok(length > 0)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// No other test of this program may run one: all children of this process are taken for the program's.
    #[test]
    fn a_program_that_talks_for_ever_is_stopped() -> Result<()> {
        let talk = ["-c", "while :; do echo and another thing; sleep 0.01; done"];
        let watched = Watched::start(Command::new("/bin/sh").args(talk))?;
        let outcome = watched.watch(IDLE_TIMEOUT, Duration::from_millis(200), PROCESS_LIMIT, |_| false)?;
        assert!(matches!(outcome.ending, Ending::TimeLimit(_)), "{}", outcome.ending);
        assert!(outcome.output.starts_with("and another thing\n"), "{}", outcome.output);
        Ok(())
    }

    /// As by one that runs as another user, or that the kernel holds.
    #[test]
    fn a_process_that_could_not_be_killed_is_not_listened_to_without_end() -> Result<()> {
        let (reader, mut writer) = std::io::pipe()?;
        let talk = std::thread::spawn(move || while writer.write_all(&[b'y'; CHUNK]).is_ok() {});
        let running = Child::start(Command::new("true").stdin(Stdio::null()), Family::Group)?;
        let mut watched = Watched { running, reader, output: Vec::new(), open: true };
        watched.end()?;
        assert!(watched.output.len() <= LAST_READS * CHUNK, "{} bytes", watched.output.len());
        // Nothing reads anymore, so the writer ends.
        drop(watched);
        talk.join().expect("it does not panic");
        Ok(())
    }
}
