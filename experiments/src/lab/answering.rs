//! A connection to a worker that answers each line with its task and its pid.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, poll};
use nix::unistd::{Pid, read};

use super::Lab;
use crate::vary;
use crate::verdict::Result;

/// Write until the socket takes no more. The kernel moves bytes on meanwhile, so it is full for a while first.
pub fn write_all_that_fits(stream: &mut TcpStream) -> Result<usize> {
    stream.set_nonblocking(true)?;
    let mut written = 0;
    while poll(&mut [PollFd::new(stream.as_fd(), PollFlags::POLLOUT)], 100_u8)? == 1 {
        match stream.write(&[0; 4096]) {
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(written)
}

nix::ioctl_read_bad!(
    /// How many bytes can be read at once: see tcp(7), `SIOCINQ`.
    unread,
    nix::libc::FIONREAD,
    nix::libc::c_int
);

/// A client's connection.
#[derive(Debug)]
pub struct Connection {
    name: &'static str,
    stream: BufReader<TcpStream>,
}

/// The worker that answers.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its task.
    pub task: usize,
    /// Its process.
    pub pid: Pid,
}

impl Connection {
    /// Connect. Reading gives up after ten seconds.
    pub fn new(name: &'static str, port: u16) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(Self { name, stream: BufReader::new(stream) })
    }

    /// Send a line.
    pub fn say(&mut self, line: &str) -> Result {
        Ok(writeln!(self.stream.get_mut(), "{line}")?)
    }

    /// Read an answer, and note it.
    pub fn answer(&mut self, lab: &Lab) -> Result<Answer> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let (task, pid) = line.trim().split_once(' ').ok_or("no answer")?;
        lab.note(format!("{}: worker {task} answers, {}", self.name, vary("pid", pid)));
        Ok(Answer { task: task.parse()?, pid: Pid::from_raw(pid.parse()?) })
    }

    /// Ask which worker this is.
    pub fn ask(&mut self, lab: &Lab) -> Result<Answer> {
        self.say("who")?;
        self.answer(lab)
    }

    /// Checks that nothing can be read for 100 ms.
    pub fn is_silent(&self) -> Result<bool> {
        Ok(poll(&mut [PollFd::new(self.stream.get_ref().as_fd(), PollFlags::POLLIN)], 100_u8)? == 0)
    }

    /// How many bytes have arrived that were not read.
    pub fn arrived(&self) -> Result<usize> {
        let mut count = 0;
        // SAFETY: the call writes one int, to a variable of this function.
        unsafe { unread(self.stream.get_ref().as_raw_fd(), &raw mut count) }?;
        Ok(count.try_into()?)
    }

    /// Read until end of file or an error. Returns how many bytes there were, and the error.
    pub fn read_all(&mut self, lab: &Lab) -> (usize, nix::Result<()>) {
        let (mut total, mut buffer) = (0, vec![0; 1 << 16]);
        let end = loop {
            match read(self.stream.get_ref(), &mut buffer) {
                Ok(0) => break Ok(()),
                Ok(count) => total += count,
                Err(error) => break Err(error),
            }
        };
        let end_in_words = if end.is_ok() { "end of file".to_owned() } else { format!("{end:?}") };
        lab.note(format!("{}: reads {} bytes, then {end_in_words}", self.name, vary("n", total)));
        (total, end)
    }

    /// Read once more, where no answer can come.
    pub fn end(&self, lab: &Lab) -> nix::Result<usize> {
        let outcome = read(self.stream.get_ref(), &mut [0]);
        let said = match outcome {
            Ok(0) => "end of file".into(),
            Ok(_) => "an answer".into(),
            Err(error) => format!("{error:?}"),
        };
        lab.note(format!("{}: read: {said}", self.name));
        outcome
    }
}
