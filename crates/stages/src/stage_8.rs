//! The server, stage 8: on the real loop; a timer ends a stuck program, a blocked loop is reported, SIGTERM loses no answer.

// ANCHOR: program
use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use ioloop::poller::Kind;
use ioloop::timers::TimerId;
use ioloop::{Blocked, Config, IoLoop};
use nix::sys::signal::Signal;

use crate::handlers::Handlers;
use crate::workers;

/// The limit for each of three steps: the client sends its request; its program runs; the client reads the rest.
const DEADLINE: Duration = Duration::from_secs(5);

/// What the loop has of a client.
#[derive(Default)]
struct Kept {
    handlers: Handlers,
    timer: Option<TimerId>,
}

type Clients = crate::clients::Clients<Kept>;

/// Serves clients on a port of 127.0.0.1, or on any free port for 0, until SIGTERM or SIGINT. `more` is a file with more programs.
/// The variable `PROCESSES` says in how many processes. Fails with `EADDRINUSE` if the port is taken.
// ANCHOR: run
pub fn run(port: u16, more: &Path) -> io::Result<()> {
    workers::start(port, |listener| serve(listener, more))
}

/// Makes a loop, adds its handlers, runs it until SIGTERM or SIGINT has come and the last client has left, and returns it.
fn serve(listener: TcpListener, more: &Path) -> io::Result<IoLoop> {
    let ioloop = IoLoop::with(Config { poller: Kind::Epoll, ..Config::default() })?;
    ioloop.set_blocking_threshold(Some(Duration::from_millis(200)), |Blocked { threshold, stack }| {
        eprintln!("the loop has been blocked for {threshold:?}, in:\n{}", stack.join("\n"));
    })?;
    let clients = Clients::new(more);
    let (accepting, running) = (clients.clone(), clients.clone());
    let acceptor = ioloop.add_accept_handler(listener, move |ioloop, socket| -> io::Result<()> {
        let number = accepting.add(socket, Kept::default())?;
        start_timer(ioloop, &accepting, number);
        step(ioloop, &accepting, number);
        Ok(())
    })?;
    ioloop.add_signal_handler(&[Signal::SIGCHLD], move |ioloop, _| {
        running.running().into_iter().for_each(|number| step(ioloop, &running, number));
    })?;
    ioloop.add_signal_handler(&[Signal::SIGTERM, Signal::SIGINT], move |ioloop, _| {
        acceptor.remove(ioloop); // Closes the listener, so that the next server can have the port.
        clients.end();
        if clients.is_over() {
            ioloop.stop();
        }
    })?;
    Ok(ioloop.start().map(|()| ioloop)?)
}
// ANCHOR_END: run

/// Starts a client's timer in place of the one before.
// ANCHOR: timer
fn start_timer(ioloop: &IoLoop, clients: &Clients, number: u64) {
    let late = clients.clone();
    let timer = ioloop.call_later(DEADLINE, move |ioloop| {
        // A killed program makes a SIGCHLD, and then the client gets to know how it ended, if it reads that in time.
        if late.with(number, |client, _| client.kill()) == Some(true) {
            start_timer(ioloop, &late, number);
        } else {
            remove(ioloop, &late, number);
        }
    });
    let before = clients.with(number, |_, kept| kept.timer.replace(timer)).flatten();
    before.into_iter().for_each(|before| ioloop.remove_timeout(before));
}
// ANCHOR_END: timer

/// Does for a client what can be done now, and makes the loop wait for what the client needs next.
// ANCHOR: step
fn step(ioloop: &IoLoop, clients: &Clients, number: u64) {
    let (handle, later) = (ioloop.handle(), clients.clone());
    // The thread of the lookup calls this. The callback that it sends runs in the loop's thread.
    let then = move |found| {
        let _ = handle.add_callback(move |ioloop| {
            later.with(number, |client, _| client.found = Some(found));
            start_timer(ioloop, &later, number);
            step(ioloop, &later, number);
        });
    };
    let again = clients.clone();
    let stays = clients.with(number, |client, kept| {
        let stays = client.serve(|request| clients.look_up(request, then));
        kept.handlers.update(ioloop, client, move |ioloop| step(ioloop, &again, number));
        stays
    });
    if stays == Some(false) {
        remove(ioloop, clients, number);
    }
}
// ANCHOR_END: step

/// Removes a client, its handlers and its timer.
fn remove(ioloop: &IoLoop, clients: &Clients, number: u64) {
    let Some((_client, mut kept)) = clients.remove(number) else { return };
    kept.handlers.remove(ioloop);
    kept.timer.into_iter().for_each(|timer| ioloop.remove_timeout(timer));
    if clients.is_over() {
        ioloop.stop();
    }
}
// ANCHOR_END: program
