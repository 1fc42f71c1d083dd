//! The server, stage 10: the same programs over HTTP, so each client that speaks it can run one.

// ANCHOR: program
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use httpserver::{HttpServer, Reply, Request, Response, Stream};
use ioloop::{Config, IoLoop};
use nix::sys::signal::Signal;

use crate::client::Source;
use crate::handlers::Handlers;
use crate::program::Program;
use crate::running::Running;
use crate::{request, stage_9, workers};

/// How long a program may run.
const DEADLINE: Duration = Duration::from_secs(5);

/// What all requests share. `running` has the programs by number; `step` takes one out while it works with it.
struct Server {
    commands: BTreeMap<String, String>,
    running: RefCell<BTreeMap<u64, Running>>,
    last: Cell<u64>,
    ending: Cell<bool>,
}

/// Serves HTTP on a port of 127.0.0.1, or on any free port for 0, until SIGTERM or SIGINT. `more` is a file with more programs.
/// The variable `PROCESSES` says in how many processes. Fails with `EADDRINUSE` if the port is taken.
pub fn run(port: u16, more: &Path) -> io::Result<()> {
    let announce = |address: SocketAddr| {
        println!("listening on {address}; try: curl --data-binary hello http://{address}/run/upper");
    };
    workers::start_announced(port, announce, |listener| serve(listener, more))
}

/// Makes a loop, adds its handlers, runs it until SIGTERM or SIGINT has come and the last answer is sent, and returns it.
// ANCHOR: serve
fn serve(listener: TcpListener, more: &Path) -> io::Result<IoLoop> {
    let ioloop = IoLoop::with(Config { poller: stage_9::poller()?, ..Config::default() })?;
    let (running, last, ending) = Default::default();
    let server = Rc::new(Server { commands: request::all(more)?, running, last, ending });
    let (answering, waiting) = (Rc::clone(&server), Rc::clone(&server));
    let http = HttpServer::new(move |ioloop: &IoLoop, request: &Request, reply: Reply| {
        answer(ioloop, &answering, request, reply);
    });
    ioloop.add_signal_handler(&[Signal::SIGCHLD], move |ioloop, _| {
        let numbers: Vec<u64> = waiting.running.borrow().keys().copied().collect();
        numbers.into_iter().for_each(|number| step(ioloop, &waiting, number));
    })?;
    let stopped = http.clone();
    ioloop.add_signal_handler(&[Signal::SIGTERM, Signal::SIGINT], move |ioloop, _| {
        server.ending.set(true);
        stopped.stop(ioloop, 2 * DEADLINE); // Time for the longest program, and then for a slow client.
    })?;
    http.add_sockets(&ioloop, vec![listener])?; // Last: no client comes before the handlers of the signals.
    Ok(ioloop.start().map(|()| ioloop)?)
}
// ANCHOR_END: serve

/// Answers a request, or starts the program whose output will be the answer.
// ANCHOR: answer
fn answer(ioloop: &IoLoop, server: &Rc<Server>, request: &Request, reply: Reply) {
    let name = request.path().strip_prefix("/run/");
    let command = name.and_then(|name| server.commands.get(name));
    match (request.path(), request.method(), command) {
        ("/", "GET" | "HEAD", _) => {
            let names: String = server.commands.keys().map(|name| format!("POST /run/{name}\n")).collect();
            reply.send(Response::text(200, names));
        }
        ("/", ..) => reply.send(not_allowed("GET, HEAD")),
        (_, "POST", Some(command)) => match Program::start(command, request.body()) {
            Ok(program) => start(ioloop, server, program, reply.stream(Response::text(200, ""))),
            Err(error) => reply.send(Response::text(500, format!("the program was not started: {error}\n"))),
        },
        (_, _, Some(_)) => reply.send(not_allowed("POST")),
        (path, ..) => reply.send(Response::text(404, request::unknown(name.unwrap_or(path)))),
    }
}

fn not_allowed(methods: &str) -> Response {
    let response = Response::text(405, format!("allowed here: {methods}\n"));
    response.header("Allow", methods).unwrap_or_else(|_| Response::new(405))
}
// ANCHOR_END: answer

/// Arranges that a program is killed when its time is over or its client leaves, and does the program's first step.
// ANCHOR: start
fn start(ioloop: &IoLoop, server: &Rc<Server>, program: Program, answer: Stream) {
    let number = server.last.replace(server.last.get() + 1);
    let (late, left) = (Rc::clone(server), Rc::clone(server));
    let timer = ioloop.call_later(DEADLINE, move |_| {
        late.running.borrow_mut().get_mut(&number).map(|running| running.program.kill()); // SIGCHLD follows.
    });
    answer.when_closed(move |ioloop| {
        // When the server stops, this says nothing about the client.
        let gone = if left.ending.get() { None } else { left.running.borrow_mut().remove(&number) };
        gone.into_iter().for_each(|running| running.remove(ioloop));
    });
    let running = Running { program, answer, has_room: true, handlers: Handlers::default(), timer };
    server.running.borrow_mut().insert(number, running);
    step(ioloop, server, number);
}
// ANCHOR_END: start

/// Does for a program what can be done now, and lets the loop wait for what it needs next.
// ANCHOR: step
fn step(ioloop: &IoLoop, server: &Rc<Server>, number: u64) {
    let Some(mut running) = server.running.borrow_mut().remove(&number) else { return };
    if !request::stays(running.advance()) {
        return running.remove(ioloop);
    }
    let (ready, room) = (Rc::clone(server), Rc::clone(server));
    let pipes = running.program.pipes(running.has_room).map(|(pipe, events)| (pipe as Source, events));
    running.handlers.set(ioloop, pipes.collect(), move |ioloop| step(ioloop, &ready, number));
    if !running.has_room {
        running.answer.when_room(move |ioloop| step(ioloop, &room, number));
    }
    server.running.borrow_mut().insert(number, running);
}
// ANCHOR_END: step
// ANCHOR_END: program
