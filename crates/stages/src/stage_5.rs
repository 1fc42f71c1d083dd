//! The server, stage 5: the kernel keeps the list of descriptors, and names the clients that have something to do.

// ANCHOR: program
use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::{io, thread};

use ioloop::poller::Poller;
use ioloop::poller::epoll::Epoll;
use ioloop::{Events, Token};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use waker::eventfd::Waker;
use waker::signal::SignalWaker;

use crate::client::Client;
use crate::request::{Found, look_up, split};
use crate::stage_2::listen_on;

const LISTENER: Token = Token { index: 0, generation: 0 };
const WAKER: Token = Token { index: 1, generation: 0 };

/// Serves clients on a port of 127.0.0.1, or on any free port for 0. `more` is a file with more programs.
/// Fails with `EADDRINUSE` if the port is taken.
pub fn run(port: u16, more: &Path) -> io::Result<()> {
    let listener = TcpListener::from(listen_on(port)?);
    listener.set_nonblocking(true)?;
    serve_clients(&listener, more)
}

// ANCHOR: loop
fn serve_clients(listener: &TcpListener, more: &Path) -> io::Result<()> {
    let waker = Arc::new(Waker::new()?);
    let signals = SignalWaker::new(waker.writer(), &[Signal::SIGCHLD])?;
    let mut poller = Epoll::new()?;
    poller.add(listener.as_raw_fd(), LISTENER, Events::READ)?;
    poller.add(waker.as_fd().as_raw_fd(), WAKER, Events::READ)?;
    let (sender, lookups) = channel();
    // By token. No token is ever used twice. An event or the result of a lookup may come after its client has left,
    // when another client has the same descriptor number. The old token then leads to no client.
    let mut clients: BTreeMap<Token, Client> = BTreeMap::new();
    let mut next = 2;
    // The clients that have had a program, until they leave. A SIGCHLD can be about the program of any of them.
    let mut running: BTreeSet<Token> = BTreeSet::new();
    let mut events = Vec::new();
    loop {
        poller.wait(&mut events, None)?;
        let mut ready: BTreeSet<Token> = events.iter().map(|event| event.token).collect();
        if ready.remove(&WAKER) {
            // Drain the waker before taking signals and lookups: in the other order, a wake in between would be lost.
            waker.consume()?;
            if signals.take().contains(Signal::SIGCHLD) {
                ready.extend(&running);
            }
            for (token, request, command) in lookups.try_iter() {
                if let Some(client) = clients.get_mut(&token) {
                    client.found = Some((request, command));
                    ready.insert(token);
                }
            }
        }
        if ready.remove(&LISTENER)
            && let Ok((socket, _)) = listener.accept()
        {
            let token = Token::from_bits(next);
            next += 1;
            clients.insert(token, Client::new(socket)?);
            ready.insert(token);
        }
        for token in ready {
            let Some(client) = clients.get_mut(&token) else { continue };
            let look_up = |request| look_up_in_thread(token, request, more, &waker, &sender);
            if !client.serve(look_up) {
                clients.remove(&token);
                running.remove(&token);
                continue;
            }
            arm(&mut poller, token, client)?;
            if client.has_program() {
                running.insert(token);
            }
        }
    }
}
// ANCHOR_END: loop

/// Adds the new descriptors of a client, and arms its others, all with the client's token. The kernel reports an armed
/// descriptor once, and then not again until this function arms it. So a hang-up that the server cannot use now does not
/// wake it at each wait. Closing a descriptor ends its registration: close-on-exec leaves no duplicate.
// ANCHOR: arm
pub(crate) fn arm(poller: &mut Epoll, token: Token, client: &Client) -> io::Result<()> {
    for fd in client.fds() {
        let number = fd.as_fd().as_raw_fd();
        // Poll and epoll have the same bits.
        let interest = Events::from_bits_truncate(fd.events().bits() as u32) | Events::ONESHOT;
        match poller.modify(number, token, interest) {
            Err(error) if error.errno == Errno::ENOENT => poller.add(number, token, interest)?,
            other => other?,
        }
    }
    Ok(())
}
// ANCHOR_END: arm

/// Looks up the program of a request in another thread, which then wakes the loop.
// ANCHOR: thread
pub(crate) fn look_up_in_thread(
    token: Token,
    request: Vec<u8>,
    more: &Path,
    waker: &Arc<Waker>,
    sender: &Sender<(Token, Vec<u8>, Found)>,
) -> io::Result<()> {
    let (more, waker, sender) = (more.to_owned(), Arc::clone(waker), sender.clone());
    thread::Builder::new().spawn(move || {
        let found = look_up(&split(&request).0, &more);
        let _ = sender.send((token, request, found)); // Fails if the server ends.
        let _ = waker.wake();
    })?;
    Ok(())
}
// ANCHOR_END: thread
// ANCHOR_END: program
