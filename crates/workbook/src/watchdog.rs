//! Running a program that may hang, fork without end or leave children: it ends here, whole.
//!
//! The program gets a process group of its own. It is ended when nothing was printed for a while, when it
//! prints or forks beyond reason, when its first process has ended, and when the reader presses Ctrl-C; and
//! then all of it ends, with whoever left the group.

use std::fs::File;
use std::io::{PipeReader, Read, Seek};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Result;
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::processes;

mod ending;
pub mod interrupt;
mod running;

pub use ending::Ending;
pub use interrupt::Interrupted;
use running::{Family, Running};
pub use running::{ends_with_this, pid_of};

/// How long a program may be silent.
pub const SILENCE: Duration = Duration::from_secs(10);

/// More processes than any exercise has: somebody forks without end.
pub const CROWD: usize = 100;

/// More than anybody reads: somebody prints without end.
const FLOOD: usize = 16 << 20;

/// How many times its patience a program may take in all, however much it says.
const WHOLE: u32 = 12;

/// How often the processes are looked at. What is printed is read at once.
const TICK: Duration = Duration::from_millis(100);

/// What a program printed, and how it ended.
#[derive(Debug)]
pub struct Outcome {
    /// Standard output and standard error, as they came.
    pub output: String,
    pub ending: Ending,
}

/// Run a program to its end, which comes at the latest after `silence` without a word, or with more than
/// `crowd` processes.
///
/// # Errors
/// When it cannot be started, and [`Interrupted`] on Ctrl-C.
pub fn run(program: &Path, args: &[&str], folder: &Path, silence: Duration, crowd: usize) -> Result<Outcome> {
    Watched::start(program, args, folder)?.watch(silence, silence.saturating_mul(WHOLE), crowd)
}

/// Run a program in front of the reader, with the terminal. It may take as long as it likes.
///
/// # Errors
/// When it cannot be started, and [`Interrupted`] on Ctrl-C.
pub fn in_front(command: &mut Command) -> Result<ExitStatus> {
    let mut running = Running::start(command, Family::InFront)?;
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
/// When it cannot be started, and [`Interrupted`] on Ctrl-C.
pub fn collect(command: &mut Command) -> Result<(ExitStatus, String, String)> {
    let (reader, writer) = std::io::pipe()?;
    let mut errors = File::from(memfd_create(c"errors", MFdFlags::MFD_CLOEXEC)?);
    command.stdin(Stdio::null()).stdout(writer).stderr(errors.try_clone()?);
    let running = Running::start(command, Family::Group)?;
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
    running: Running,
    reader: PipeReader,
    output: Vec<u8>,
    /// Has anybody still the pipe's other end?
    open: bool,
}

impl Watched {
    fn start(program: &Path, args: &[&str], folder: &Path) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(args).current_dir(folder).env("RUST_BACKTRACE", "0").env("NO_COLOR", "1");
        // What the reader set for `cargo test` would change what is read here.
        for name in ["RUST_TEST_NOCAPTURE", "RUST_TEST_THREADS", "RUST_TEST_SHUFFLE", "RUST_TEST_TIME_UNIT"] {
            command.env_remove(name);
        }
        let (reader, writer) = std::io::pipe()?;
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
        let running = Running::start(&mut command, Family::All)?;
        // The command holds the pipe's write end; with it gone, end of file means that the program let go of it.
        drop(command);
        Ok(Self { running, reader, output: Vec::new(), open: true })
    }

    fn watch(mut self, silence: Duration, whole: Duration, crowd: usize) -> Result<Outcome> {
        let start = Instant::now();
        let mut heard = start;
        let mut looked = start;
        let stopped = loop {
            interrupt::check()?;
            if self.listen()? {
                heard = Instant::now();
            }
            if self.running.has_ended() {
                break None;
            }
            if self.output.len() > FLOOD {
                break Some(Ending::Flood(self.output.len()));
            }
            if looked.elapsed() >= TICK {
                looked = Instant::now();
                let processes = self.running.processes();
                if processes.len() > crowd {
                    break Some(Ending::Crowd(processes.len()));
                }
                if heard.elapsed() >= silence {
                    break Some(Ending::Silent(silence, processes::doing(&processes)));
                }
                if start.elapsed() >= whole {
                    break Some(Ending::Endless(whole));
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

    /// End all of it, and then read what it printed last: with nobody left to print, that has an end.
    fn end(&mut self) -> Result<ExitStatus> {
        let status = self.running.end()?;
        while self.open && self.running.news(Some(self.reader.as_fd()), Duration::ZERO) {
            self.open = self.read()?;
        }
        Ok(status)
    }

    /// Read what is there. False at end of file.
    fn read(&mut self) -> Result<bool> {
        let mut chunk = [0; 1 << 16];
        let length = self.reader.read(&mut chunk)?;
        self.output.extend_from_slice(&chunk[..length]);
        Ok(length > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No other test of this program may run one: all children of this process are taken for the program's.
    #[test]
    fn a_program_that_talks_for_ever_is_stopped() -> Result<()> {
        let talk = ["-c", "while :; do echo and another thing; sleep 0.01; done"];
        let watched = Watched::start(Path::new("/bin/sh"), &talk, Path::new("/"))?;
        let outcome = watched.watch(SILENCE, Duration::from_millis(200), CROWD)?;
        assert!(matches!(outcome.ending, Ending::Endless(_)), "{}", outcome.ending);
        assert!(outcome.output.starts_with("and another thing\n"), "{}", outcome.output);
        Ok(())
    }
}
