//! All that the tool prints: one writer, whose errors are errors like any other.
//!
//! `println!` panics when standard output cannot be written: when the disk is full, or when its pipe is full and
//! nonblocking, as some parents hand it on. Here a full pipe is waited for, and what cannot be written is an error, which
//! ends the command with status 1. A reader of the pipe that has gone ends the tool by SIGPIPE: see `main`.

use std::fmt::Arguments;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use anstream::{AutoStream, ColorChoice};
use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::write;

use crate::runner::interrupt;

/// How often Ctrl-C is looked for, in milliseconds.
const TICK: u16 = 100;

/// Print a line on standard output, as `println!` would: `say!("{name} passes")?`. Colors are left out where they are
/// not wanted.
///
/// # Errors
/// Why it cannot be written; `Interrupted` on Ctrl-C.
macro_rules! say {
    () => { $crate::output::line(format_args!("")) };
    ($($words:tt)+) => { $crate::output::line(format_args!($($words)+)) };
}

/// Print a line on standard error. If that cannot be written either, there is nowhere to say so.
macro_rules! complain {
    ($($words:tt)+) => { $crate::output::error_line(format_args!($($words)+)) };
}

pub(crate) use {complain, say};

/// See [`say!`].
pub fn line(words: Arguments<'_>) -> Result<()> {
    text(&format!("{words}\n"))
}

/// Print this text on standard output.
///
/// # Errors
/// As [`say!`].
pub fn text(words: &str) -> Result<()> {
    let words = adapted(words, AutoStream::choice(&io::stdout()));
    all(&words, |left| written(io::stdout().as_fd(), left)).context("cannot write to standard output")
}

/// See [`complain!`].
pub fn error_line(words: Arguments<'_>) {
    error_text(&format!("{words}\n"));
}

/// Print this text on standard error, if that can be done.
pub fn error_text(words: &str) {
    let words = adapted(words, AutoStream::choice(&io::stderr()));
    let _ = all(&words, |left| written(io::stderr().as_fd(), left));
}

/// The words as this stream wants them: with colors or without.
fn adapted(words: &str, choice: ColorChoice) -> String {
    match choice {
        ColorChoice::Never => anstream::adapter::strip_str(words).to_string(),
        _ => words.to_owned(),
    }
}

/// Hand all of it over, however little is taken at a time.
fn all(words: &str, mut write: impl FnMut(&[u8]) -> Result<usize>) -> Result<()> {
    let mut left = words.as_bytes();
    while !left.is_empty() {
        left = &left[write(left)?..];
    }
    Ok(())
}

/// Write some of it; how many bytes were taken. A pipe that is full and nonblocking is waited for.
fn written(fd: BorrowedFd<'_>, words: &[u8]) -> Result<usize> {
    match write(fd, words) {
        Ok(0) => Err(io::Error::from(io::ErrorKind::WriteZero).into()),
        Ok(length) => Ok(length),
        Err(Errno::EINTR) => interrupt::check().map(|()| 0),
        Err(Errno::EAGAIN) => {
            interrupt::check()?;
            let _ = poll(&mut [PollFd::new(fd, PollFlags::POLLOUT)], PollTimeout::from(TICK));
            Ok(0)
        }
        Err(error) => Err(io::Error::from(error).into()),
    }
}
