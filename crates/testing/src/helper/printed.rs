//! What a helper prints, up to a bound: code that prints in a loop would fill the memory of the test that reads it, long before
//! the helper's alarm goes off.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, ExitStatus};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// How many bytes are read. No helper has as much to say.
const BOUND: usize = 4 << 20;

/// What a child printed, and how it ended.
pub struct Printed {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    /// Was it killed because it printed too much?
    pub too_much: bool,
}

/// Read what a child prints into its two pipes, and wait for it. It is killed if that is more than the bound.
///
/// # Errors
/// Those of read(2), poll(2) and waitpid(2).
pub fn printed(mut child: Child) -> io::Result<Printed> {
    let pipes = [child.stdout.take().map(OwnedFd::from), child.stderr.take().map(OwnedFd::from)];
    let mut pipes = pipes.map(|pipe| pipe.map(File::from));
    let mut texts = [Vec::new(), Vec::new()];
    let mut chunk = vec![0; 1 << 16];
    let mut length = 0;
    while pipes.iter().any(Option::is_some) && length <= BOUND {
        for (number, ready) in ready(&pipes)?.into_iter().enumerate() {
            let Some(pipe) = pipes[number].as_mut().filter(|_| ready) else { continue };
            match pipe.read(&mut chunk)? {
                0 => pipes[number] = None,
                some => texts[number].extend_from_slice(&chunk[..some]),
            }
        }
        length = texts.iter().map(Vec::len).sum();
    }
    let too_much = length > BOUND;
    if too_much {
        child.kill()?;
    }
    let [stdout, stderr] = texts;
    Ok(Printed { status: child.wait()?, stdout, stderr, too_much })
}

/// Which of these pipes have bytes, or their end? Waits until one has.
fn ready(pipes: &[Option<File>; 2]) -> io::Result<[bool; 2]> {
    let open = pipes.iter().flatten();
    let mut open: Vec<PollFd<'_>> = open.map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)).collect();
    match poll(&mut open, PollTimeout::NONE) {
        Ok(_) => {}
        Err(Errno::EINTR) => return Ok([false; 2]),
        Err(error) => return Err(error.into()),
    }
    let mut looked = open.iter().map(|pipe| pipe.any() == Some(true));
    Ok(pipes.each_ref().map(|pipe| pipe.is_some() && looked.next() == Some(true)))
}
