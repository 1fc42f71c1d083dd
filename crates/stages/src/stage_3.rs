//! The server, stage 3: one loop serves all clients, and no read or write waits.

// ANCHOR: program
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::Path;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::WaitPidFlag;
use nonblocking::drain::{Stop, drain};
use nonblocking::outbox::{Flushed, Outbox};

use crate::program::{CHUNK, Program};
use crate::request::{ending, look_up, split, stays, unknown};
use crate::stage_2::listen_on;

/// Serves clients on a port of 127.0.0.1, or on any free port for 0. `more` is a file with more programs.
/// Fails with `EADDRINUSE` if the port is taken.
// ANCHOR: run
pub fn run(port: u16, more: &Path) -> io::Result<()> {
    let listener = TcpListener::from(listen_on(port)?);
    listener.set_nonblocking(true)?;
    let mut clients: Vec<Client> = Vec::new();
    loop {
        let mut fds = vec![PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        fds.extend(clients.iter().flat_map(Client::fds));
        poll(&mut fds, PollTimeout::NONE)?;
        // No read or write below waits, so all are tried. Like accept4, std's accept sets close-on-exec.
        if let Ok((socket, _)) = listener.accept() {
            clients.push(Client::new(socket)?);
        }
        clients.retain_mut(|client| stays(client.serve(more)));
    }
}
// ANCHOR_END: run

/// A client. It has a request until the whole request has arrived, and a program until the program has exited.
struct Client {
    socket: TcpStream,
    request: Option<Vec<u8>>,
    program: Option<Program>,
    output: Outbox,
}

impl Client {
    fn new(socket: TcpStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let output = Outbox::new(CHUNK);
        Ok(Self { socket, request: Some(Vec::new()), program: None, output })
    }

    /// What poll waits for: only events that `serve` acts on, because any other would end every poll at once.
    fn fds(&self) -> Vec<PollFd<'_>> {
        let mut events = PollFlags::empty();
        events.set(PollFlags::POLLIN, self.request.is_some());
        events.set(PollFlags::POLLOUT, self.output.wants_write());
        let socket = Some(PollFd::new(self.socket.as_fd(), events)).filter(|_| !events.is_empty());
        let pipes = self.program.iter().flat_map(|program| program.fds(self.output.room() > 0));
        socket.into_iter().chain(pipes).collect()
    }

    /// Does for the client what can be done now. Returns whether it stays connected.
    // ANCHOR: serve
    fn serve(&mut self, more: &Path) -> io::Result<bool> {
        if let Some(request) = &mut self.request
            && drain(&self.socket, request, CHUNK)? == Stop::EndOfFile
        {
            let request = self.request.take().unwrap_or_default();
            let (name, input) = split(&request);
            match look_up(&name, more)? {
                Some(command) => self.program = Some(Program::start(&command, input)?),
                None => self.output.push(unknown(&name)).map_err(io::Error::other)?,
            }
        }
        if let Some(program) = &mut self.program {
            let prints = program.copy(&mut self.output)?;
            if self.output.flush(&self.socket)? == Flushed::Empty
                && !prints
                && let Some(status) = program.wait(WaitPidFlag::empty())
            {
                self.program = None;
                self.output.push(ending(status)).map_err(io::Error::other)?;
            }
        }
        let sent = self.output.flush(&self.socket)? == Flushed::Empty;
        Ok(!sent || self.request.is_some() || self.program.is_some())
    }
    // ANCHOR_END: serve
}
// ANCHOR_END: program
