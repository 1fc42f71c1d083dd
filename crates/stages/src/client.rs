//! A client of the server, from stage 5 on. The server serves it only after an event, a lookup or an exit.

// ANCHOR: client
use std::io;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::sync::Arc;

use nix::poll::{PollFd, PollFlags};
use nix::sys::wait::WaitPidFlag;
use nonblocking::drain::{Stop, drain};
use nonblocking::outbox::{Flushed, Outbox};

use crate::program::{CHUNK, Program};
use crate::request::{Found, ending, split, stays, unknown};

/// A descriptor that a client shares with the loop.
pub type Source = Arc<dyn AsFd + Send + Sync>;

/// A client. It has a request until the whole request has arrived, and a program until the program has exited.
pub struct Client {
    socket: Arc<TcpStream>,
    request: Option<Vec<u8>>,
    looks_up: bool,
    /// The request again, and what the lookup found, until `serve` takes both.
    pub found: Option<(Vec<u8>, Found)>,
    program: Option<Program>,
    output: Outbox,
}

impl Client {
    pub fn new(socket: TcpStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let (socket, output) = (Arc::new(socket), Outbox::new(CHUNK));
        Ok(Self { socket, request: Some(Vec::new()), looks_up: false, found: None, program: None, output })
    }

    /// What the server waits for. The socket is in the list even without events, because the kernel then still reports
    /// that the client has reset its connection.
    pub fn fds(&self) -> impl Iterator<Item = PollFd<'_>> {
        let mut events = PollFlags::empty();
        events.set(PollFlags::POLLIN, self.request.is_some());
        events.set(PollFlags::POLLOUT, self.output.wants_write());
        let socket = PollFd::new(self.socket.as_fd(), events);
        let pipes = self.program.iter().flat_map(|program| program.fds(self.output.room() > 0));
        [socket].into_iter().chain(pipes)
    }

    /// The same as `fds`, but with shared ownership of the descriptors, because the loops from stage 7 on keep them.
    pub fn sources(&self) -> Vec<(Source, PollFlags)> {
        let events = self.fds().next().map_or(PollFlags::empty(), |socket| socket.events());
        let socket = (Arc::clone(&self.socket) as Source, events);
        let pipes = self.program.iter().flat_map(|program| program.pipes(self.output.room() > 0));
        [socket].into_iter().chain(pipes.map(|(pipe, events)| (pipe as Source, events))).collect()
    }

    /// Whether its request has not come to its end.
    pub fn is_sending(&self) -> bool {
        self.request.is_some()
    }

    /// Kills its program. Returns false if it has none, or if the program was killed before and the client still does not
    /// read what it has printed.
    pub fn kill(&mut self) -> bool {
        self.program.as_mut().is_some_and(Program::kill)
    }

    /// Whether SIGCHLD may be about this client's program.
    pub fn has_program(&self) -> bool {
        self.program.is_some()
    }

    /// Does for the client what can be done now, and calls `look_up` with a request that has come to its end. Returns
    /// whether the client stays connected.
    pub fn serve(&mut self, look_up: impl FnOnce(Vec<u8>) -> io::Result<()>) -> bool {
        stays(self.try_to_serve(look_up))
    }

    fn try_to_serve(&mut self, look_up: impl FnOnce(Vec<u8>) -> io::Result<()>) -> io::Result<bool> {
        if let Some(error) = self.socket.take_error()? {
            return Err(error);
        }
        if let Some(request) = &mut self.request
            && drain(&self.socket, request, CHUNK)? == Stop::EndOfFile
        {
            look_up(self.request.take().unwrap_or_default())?;
            self.looks_up = true;
        }
        if let Some((request, command)) = self.found.take() {
            self.looks_up = false;
            let (name, input) = split(&request);
            match command? {
                Some(command) => self.program = Some(Program::start(&command, input)?),
                None => self.output.push(unknown(&name)).map_err(io::Error::other)?,
            }
        }
        if let Some(program) = &mut self.program {
            let prints = program.copy(&mut self.output)?;
            if self.output.flush(&self.socket)? == Flushed::Empty
                && !prints
                && let Some(status) = program.wait(WaitPidFlag::WNOHANG)
            {
                self.program = None;
                self.output.push(ending(status)).map_err(io::Error::other)?;
            }
        }
        let sent = self.output.flush(&self.socket)? == Flushed::Empty;
        Ok(!sent || self.request.is_some() || self.looks_up || self.program.is_some())
    }
}
// ANCHOR_END: client
