//! The server, stage 7: all of it is callbacks on the small loop, and a timer ends a client that sends no request.

// ANCHOR: program
use std::cell::RefCell;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::poll::PollFlags;
use nix::sys::signal::Signal;
use prefork::accept::Acceptor;
use waker::eventfd::Waker;
use waker::signal::SignalWaker;

use crate::request::stays;
use crate::small_loop::Loop;
use crate::workers;

/// How long a client may take to send its request.
const DEADLINE: Duration = Duration::from_secs(5);

/// The clients, each with the numbers of its handlers.
type Clients = crate::clients::Clients<Vec<u64>>;

/// Serves clients on a port of 127.0.0.1, or on any free port for 0. `more` is a file with more programs. The variable
/// `PROCESSES` says in how many processes. Fails with `EADDRINUSE` if the port is taken. Returns after SIGTERM or SIGINT.
// ANCHOR: run
pub fn run(port: u16, more: &Path) -> io::Result<()> {
    workers::start(port, |listener| serve(listener, more))
}

/// Makes a loop, adds a handler for new clients and one for signals, and runs the loop until SIGTERM or SIGINT.
fn serve(listener: TcpListener, more: &Path) -> io::Result<()> {
    let mut event_loop = Loop::new()?;
    let clients = Clients::new(more);
    let accepting = clients.clone();
    let acceptor = RefCell::new(Acceptor::new(listener.try_clone()?)?);
    event_loop.add_handler(listener, PollFlags::POLLIN, move |event_loop, _| {
        let accepted = |socket| {
            stays(connected(event_loop, &accepting, socket).map(|()| true));
        };
        if let Err(error) = acceptor.borrow_mut().accept(Instant::now(), accepted) {
            eprintln!("no client can be accepted: {error}");
        }
    });
    let waker = Arc::new(Waker::new()?);
    let signals = SignalWaker::new(waker.writer(), &[Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT])?;
    event_loop.add_handler(Arc::clone(&waker), PollFlags::POLLIN, move |event_loop, _| {
        let _ = waker.consume();
        let came = signals.take();
        if came.contains(Signal::SIGTERM) || came.contains(Signal::SIGINT) {
            clients.clear(); // This kills their programs.
            event_loop.stop();
        }
        // SIGCHLD does not say which program has exited, so each client that has one asks for its own.
        clients.running().into_iter().for_each(|number| step(event_loop, &clients, number));
    });
    event_loop.run()
}
// ANCHOR_END: run

/// Adds a client, and a timer for its request.
// ANCHOR: connected
fn connected(event_loop: &mut Loop, clients: &Clients, socket: OwnedFd) -> io::Result<()> {
    let number = clients.add(socket, Vec::new())?;
    let late = clients.clone();
    event_loop.call_at(Instant::now() + DEADLINE, move |event_loop| {
        if late.with(number, |client, _| client.is_sending()) == Some(true) {
            remove(event_loop, &late, number);
        }
    });
    step(event_loop, clients, number);
    Ok(())
}
// ANCHOR_END: connected

/// Does for a client what can be done now, and adds the handlers for what it waits for next.
// ANCHOR: step
fn step(event_loop: &mut Loop, clients: &Clients, number: u64) {
    let (handle, later) = (event_loop.handle(), clients.clone());
    // The thread of the lookup calls this. The callback that it sends runs in the loop's thread.
    let then = move |found| {
        let _ = handle.call_soon(move |event_loop| {
            later.with(number, |client, _| client.found = Some(found));
            step(event_loop, &later, number);
        });
    };
    let stays = clients.with(number, |client, handlers| {
        let stays = client.serve(|request| clients.look_up(request, then));
        handlers.drain(..).for_each(|handler| event_loop.remove_handler(handler));
        for (source, events) in client.sources() {
            let clients = clients.clone();
            let handler = move |event_loop: &mut Loop, _| step(event_loop, &clients, number);
            handlers.push(event_loop.add_handler(source, events, handler));
        }
        stays
    });
    if stays == Some(false) {
        remove(event_loop, clients, number);
    }
}
// ANCHOR_END: step

/// Removes a client and its handlers.
fn remove(event_loop: &mut Loop, clients: &Clients, number: u64) {
    let handlers = clients.remove(number).into_iter().flat_map(|(_, handlers)| handlers);
    handlers.for_each(|handler| event_loop.remove_handler(handler));
}
// ANCHOR_END: program
