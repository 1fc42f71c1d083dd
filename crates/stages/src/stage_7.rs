//! The server, stage 7: all of it is callbacks on the small loop, and a timer ends a client that sends no request.

// ANCHOR: program
use std::cell::{Cell, RefCell};
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::poll::PollFlags;
use nix::sys::signal::Signal;
use prefork::accept::{Acceptor, StopReason};
use waker::eventfd::Waker;
use waker::signal::SignalWaker;

use crate::request::stays;
use crate::small_loop::Loop;
use crate::workers;

/// How long a client may take to send its request.
const DEADLINE: Duration = Duration::from_secs(5);

/// How long the listener has no handler when no client can be accepted, for example without any descriptor.
const PAUSE: Duration = Duration::from_millis(100);

/// The clients, each with the numbers of its handlers.
type Clients = crate::clients::Clients<Vec<u64>>;

/// Serves clients on a port of 127.0.0.1, or on any free port for 0. `more` is a file with more programs. The variable
/// `PROCESSES` says in how many processes. Fails with `EADDRINUSE` if the port is taken. Returns after SIGTERM or SIGINT.
// ANCHOR: run
pub fn run(port: u16, more: &Path) -> io::Result<()> {
    workers::start(port, |listener| serve(listener, more))
}

/// Makes a loop, adds a handler for new clients and one for signals, runs the loop until SIGTERM or SIGINT, and returns it.
fn serve(listener: TcpListener, more: &Path) -> io::Result<Loop> {
    let mut event_loop = Loop::new()?;
    let clients = Clients::new(more);
    let acceptor = RefCell::new(Acceptor::new(listener.try_clone()?)?);
    watch(&mut event_loop, Rc::new(listener), Rc::new(acceptor), clients.clone());
    let waker = Arc::new(Waker::new()?);
    let signals = SignalWaker::new(waker.writer(), &[Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT])?;
    event_loop.add_handler(Arc::clone(&waker), PollFlags::POLLIN, move |event_loop, _| {
        let _ = waker.consume();
        let came = signals.take();
        if came.contains(Signal::SIGTERM) || came.contains(Signal::SIGINT) {
            clients.clear(); // This kills their programs.
            event_loop.stop();
        }
        // SIGCHLD does not say which program has exited, so each client with a program asks whether its program has.
        clients.running().into_iter().for_each(|number| step(event_loop, &clients, number));
    });
    event_loop.run().map(|()| event_loop)
}
// ANCHOR_END: run

/// Adds the handler for new clients.
// ANCHOR: watch
fn watch(event_loop: &mut Loop, socket: Rc<TcpListener>, acceptor: Rc<RefCell<Acceptor>>, clients: Clients) {
    let (again, number) = (Rc::clone(&socket), Rc::new(Cell::new(0)));
    let own = Rc::clone(&number);
    let handler = move |event_loop: &mut Loop, _| {
        let accepted = |socket| _ = stays(connected(event_loop, &clients, socket).map(|()| true));
        match acceptor.borrow_mut().accept(Instant::now(), accepted) {
            Ok(batch) if !matches!(batch.reason, StopReason::Stuck(_)) => return,
            Ok(_) => {}
            Err(error) => eprintln!("no client can be accepted: {error}"),
        }
        // The listener stays ready, so with this handler poll would return at once, again and again.
        event_loop.remove_handler(own.get());
        let (socket, acceptor, clients) = (Rc::clone(&again), Rc::clone(&acceptor), clients.clone());
        event_loop.call_at(Instant::now() + PAUSE, |event_loop| watch(event_loop, socket, acceptor, clients));
    };
    number.set(event_loop.add_handler(socket, PollFlags::POLLIN, handler));
}
// ANCHOR_END: watch

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
