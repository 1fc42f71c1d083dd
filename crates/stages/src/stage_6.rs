//! The server, stage 6: two workers accept from one listener, and a supervisor replaces a worker that dies.

// ANCHOR: program
use std::collections::{BTreeMap, BTreeSet};
use std::mem::ManuallyDrop;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};
use std::{io, mem};

use ioloop::poller::Poller;
use ioloop::poller::epoll::Epoll;
use ioloop::{Events, Token};
use nix::sys::signal::Signal;
use prefork::Policy;
use prefork::accept::{Acceptor, StopReason};
use prefork::sockets::{Options, bind_all};
use prefork::supervise::supervise;
use waker::eventfd::Waker;
use waker::signal::SignalWaker;

use crate::client::Client;
use crate::request::announce;
use crate::stage_5::{arm, look_up_in_thread};

const LISTENER: Token = Token { index: 0, generation: 0 };
const WAKER: Token = Token { index: 1, generation: 0 };
/// How long at most a worker stops watching the listener when it has no descriptor for another client.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves clients on a port of 127.0.0.1, or on any free port for 0. `more` is a file with more programs.
/// Fails with `EADDRINUSE` if the port is taken. Returns after SIGTERM or SIGINT.
pub fn run(port: u16, more: &Path) -> io::Result<()> {
    let listener = &bind_all(&[(Ipv4Addr::LOCALHOST, port).into()], &Options::default())?[0];
    announce(listener.local_addr()?);
    // For two cores. 0 would mean one worker for each core that this process may use.
    let policy = Policy { children: 2, ..Policy::default() };
    let work = |_| match serve_clients(listener, more) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("a worker failed: {error}");
            1
        }
    };
    supervise(&policy, work, |event| eprintln!("{event:?}")).map(drop).map_err(io::Error::other)
}

/// What a worker does. It makes its epoll and its waker itself: workers that shared them would get each other's events.
// ANCHOR: loop
fn serve_clients(listener: &TcpListener, more: &Path) -> io::Result<()> {
    let waker = Arc::new(Waker::new()?);
    let signals = SignalWaker::new(waker.writer(), &[Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT])?;
    let signals = ManuallyDrop::new(signals); // A signal that comes while the worker exits must find its handler.
    let mut acceptor = Acceptor::new(listener.try_clone()?)?;
    let mut poller = Epoll::new()?;
    let number = acceptor.as_fd().as_raw_fd();
    poller.add(number, LISTENER, Events::READ)?;
    poller.add(waker.as_fd().as_raw_fd(), WAKER, Events::READ)?;
    let (sender, lookups) = channel();
    // The clients by token. No token is used twice: an event or a lookup's result may come when its client has left
    // and a new client has got the same descriptor number, but the old token leads to no client.
    let mut clients: BTreeMap<Token, Client> = BTreeMap::new();
    let mut next = 2;
    // The clients that have had a program, until they leave. A SIGCHLD can be about the program of any of them.
    let mut running: BTreeSet<Token> = BTreeSet::new();
    let (mut events, mut stuck) = (Vec::new(), false);
    loop {
        poller.wait(&mut events, stuck.then_some(PAUSE))?;
        if mem::take(&mut stuck) {
            poller.modify(number, LISTENER, Events::READ)?;
        }
        let mut ready: BTreeSet<Token> = events.iter().map(|event| event.token).collect();
        if ready.remove(&WAKER) {
            // Drain the waker before taking signals and lookups: in the other order, a wake in between would be lost.
            waker.consume()?;
            let came = signals.take();
            if came.contains(Signal::SIGTERM) || came.contains(Signal::SIGINT) {
                return Ok(()); // This drops the clients, and so kills their programs.
            }
            if came.contains(Signal::SIGCHLD) {
                ready.extend(&running);
            }
            for (token, request, command) in lookups.try_iter() {
                if let Some(client) = clients.get_mut(&token) {
                    client.found = Some((request, command));
                    ready.insert(token);
                }
            }
        }
        let mut accepted = Vec::new();
        if ready.remove(&LISTENER) {
            // The other worker may have been faster, and then there is no connection.
            let batch = acceptor.accept(Instant::now(), |socket| accepted.push(TcpStream::from(socket)))?;
            stuck = matches!(batch.reason, StopReason::Stuck(_));
            if stuck {
                poller.modify(number, LISTENER, Events::empty())?; // It stays ready, so the loop would spin.
            }
        }
        for socket in accepted {
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
// ANCHOR_END: program
