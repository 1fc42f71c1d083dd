//! The server, stage 4: threads look names up and wake the loop, and so does each program that exits.

// ANCHOR: program
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::{io, thread};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::wait::WaitPidFlag;
use nonblocking::drain::{Stop, drain};
use nonblocking::outbox::{Flushed, Outbox};
use waker::eventfd::Waker;
use waker::signal::SignalWaker;

use crate::program::{CHUNK, Program};
use crate::request::{Found, ending, look_up, split, stays, unknown};
use crate::stage_2::listen_on;

/// Serves clients on a port of 127.0.0.1, or on any free port for 0. `more` is a file with more programs.
/// Fails with `EADDRINUSE` if the port is taken.
// ANCHOR: run
pub fn run(port: u16, more: &Path) -> io::Result<()> {
    let listener = TcpListener::from(listen_on(port)?);
    listener.set_nonblocking(true)?;
    let waker = Arc::new(Waker::new()?);
    let signals = SignalWaker::new(waker.writer(), &[Signal::SIGCHLD])?;
    let mut clients: Vec<Client> = Vec::new();
    loop {
        let mut fds = vec![PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        fds.push(PollFd::new(waker.as_fd(), PollFlags::POLLIN));
        fds.extend(clients.iter().flat_map(Client::fds));
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        // First the waker, and then what it may stand for: in the other order, a wake between them would be lost.
        waker.consume()?;
        signals.take();
        // No read or write below waits, so all are tried. Like accept4, std's accept sets close-on-exec.
        if let Ok((socket, _)) = listener.accept() {
            clients.push(Client::new(socket)?);
        }
        clients.retain_mut(|client| stays(client.serve(more, &waker)));
    }
}
// ANCHOR_END: run

/// A client. It has a request until the whole request has arrived, and a program until the program has exited.
struct Client {
    socket: TcpStream,
    request: Option<Vec<u8>>,
    lookup: Option<Lookup>,
    program: Option<Program>,
    output: Outbox,
}

impl Client {
    fn new(socket: TcpStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let output = Outbox::new(CHUNK);
        Ok(Self { socket, request: Some(Vec::new()), lookup: None, program: None, output })
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
    fn serve(&mut self, more: &Path, waker: &Arc<Waker>) -> io::Result<bool> {
        if let Some(request) = &mut self.request
            && drain(&self.socket, request, CHUNK)? == Stop::EndOfFile
        {
            let request = self.request.take().unwrap_or_default();
            self.lookup = Some(look_up_in_thread(request, more, waker)?);
        }
        let found = self.lookup.as_ref().and_then(|lookup| lookup.try_recv().ok());
        if let Some((request, command)) = found {
            self.lookup = None;
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
        Ok(!sent || self.request.is_some() || self.lookup.is_some() || self.program.is_some())
    }
    // ANCHOR_END: serve
}

type Lookup = Receiver<(Vec<u8>, Found)>;

/// Looks up the program of a request in another thread, which then wakes the loop.
// ANCHOR: thread
fn look_up_in_thread(request: Vec<u8>, more: &Path, waker: &Arc<Waker>) -> io::Result<Lookup> {
    let (sender, receiver) = channel();
    let (more, waker) = (more.to_owned(), Arc::clone(waker));
    thread::Builder::new().spawn(move || {
        let found = look_up(&split(&request).0, &more);
        let _ = sender.send((request, found)); // Fails if the client has left.
        let _ = waker.wake();
    })?;
    Ok(receiver)
}
// ANCHOR_END: thread
// ANCHOR_END: program
