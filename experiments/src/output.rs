//! The standard output, which may be full, closed at its other end, or nonblocking.

use std::error::Error;
use std::fmt::{self, Display};
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::fd::AsFd;

use anstream::{AutoStream, ColorChoice};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::write;

/// The report is lost, because it cannot be printed. Neither a verdict nor a reason to skip.
#[derive(Debug)]
pub struct Lost(io::Error);

impl Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the report cannot be printed: {}", self.0)
    }
}

impl Error for Lost {}

/// What came of printing a report. A reader that is gone has seen enough: `fd-vanishes | head`.
///
/// # Errors
/// [`Lost`] for any other error.
pub(crate) fn delivered(printed: io::Result<()>) -> Result<(), Lost> {
    match printed {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Lost(error)),
        _ => Ok(()),
    }
}

/// Print a text, all of it. Colors are left out where they are not wanted: in a file, with NO_COLOR, with TERM=dumb.
///
/// # Errors
/// Those of write(2), for example `ENOSPC` for a full disk and `EPIPE` after `| head`. `EAGAIN` is none: a terminal or a pipe
/// that another process made nonblocking is waited for.
pub(crate) fn print(text: &str) -> io::Result<()> {
    match AutoStream::choice(&io::stdout()) {
        ColorChoice::Never => print_bytes(anstream::adapter::strip_str(text).to_string().as_bytes()),
        _ => print_bytes(text.as_bytes()),
    }
}

/// Print a text as it is. std's own buffer would keep what EAGAIN refuses, and print it twice.
pub(crate) fn print_bytes(mut rest: &[u8]) -> io::Result<()> {
    let stdout = io::stdout();
    while !rest.is_empty() {
        match write(&stdout, rest) {
            Ok(written) => rest = &rest[written..],
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => {
                let mut watched = [PollFd::new(stdout.as_fd(), PollFlags::POLLOUT)];
                let _ = poll(&mut watched, PollTimeout::NONE); // EINTR is as good as an event
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Print a line on the standard error, where an error of the write cannot be reported.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Whether a reader can be asked.
pub(crate) fn is_conversation() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}
