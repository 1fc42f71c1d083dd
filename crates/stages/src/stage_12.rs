//! The server, stage 12: an async function serves a client from its request to its answer.

// ANCHOR: program
use std::cell::RefCell;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ioloop::{AsyncFd, Blocked, Config, IoLoop, JoinHandle};
use nix::sys::signal::Signal;
use nonblocking::flags;

use crate::futures::{Exits, beside, copy, read_to_end, within};
use crate::request::{ending, look_up, split, stays, unknown};
use crate::stage_9::poller;
use crate::{stage_2, workers};

/// The limit for each of three steps: the client sends its request; its program runs; the client reads the rest.
const DEADLINE: Duration = Duration::from_secs(5);

/// Serves clients on a port of 127.0.0.1, or on any free port for 0, until SIGTERM or SIGINT. `more` is a file with more
/// programs. The variable `PROCESSES` says in how many processes. Fails with `EADDRINUSE` if the port is taken.
// ANCHOR: run
pub fn run(port: u16, more: &Path) -> io::Result<()> {
    workers::start(port, |listener| serve(listener, more))
}

type Socket = AsyncFd<TcpStream>;

/// What all tasks share.
struct Server {
    ioloop: IoLoop,
    exits: Exits,
    more: Arc<Path>,
    clients: RefCell<Vec<JoinHandle<()>>>,
}

/// Makes a loop, runs it until SIGTERM or SIGINT has come and the last client has left, and returns it.
fn serve(listener: TcpListener, more: &Path) -> io::Result<IoLoop> {
    let ioloop = IoLoop::with(Config { poller: poller()?, ..Config::default() })?;
    ioloop.set_blocking_threshold(Some(Duration::from_millis(200)), |Blocked { threshold, stack }| {
        eprintln!("the loop has been blocked for {threshold:?}, in:\n{}", stack.join("\n"));
    })?;
    let (exits, clients) = (Exits::default(), RefCell::default());
    let server = Rc::new(Server { ioloop: ioloop.clone(), exits: exits.clone(), more: more.into(), clients });
    let accepting = ioloop.spawn_joined(accept(Rc::clone(&server), ioloop.watch(listener)?));
    ioloop.add_signal_handler(&[Signal::SIGCHLD], move |_, _| exits.wake())?;
    let task = accepting.id();
    // This drops the task, and so closes the listener: the next server can have the port.
    ioloop.add_signal_handler(&[Signal::SIGTERM, Signal::SIGINT], move |ioloop, _| ioloop.cancel(task))?;
    let all = async move {
        let _ = accepting.await;
        for client in server.clients.take() {
            let _ = client.await;
        }
    };
    ioloop.run_sync(all, None).map(|()| ioloop).map_err(io::Error::other)
}
// ANCHOR_END: run

/// Accepts clients, and starts a task for each.
// ANCHOR: accept
async fn accept(server: Rc<Server>, listener: AsyncFd<TcpListener>) {
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                let client = serve_client(Rc::clone(&server), socket);
                let task = server.ioloop.spawn_joined(async { _ = stays(client.await.map(|()| false)) });
                server.clients.borrow_mut().retain(|client| !client.is_finished());
                server.clients.borrow_mut().push(task);
            }
            Err(error) => {
                eprintln!("no client can be accepted: {error}"); // For example, no descriptor is left. That passes.
                server.ioloop.sleep(Duration::from_millis(100)).await;
            }
        }
    }
}
// ANCHOR_END: accept

/// Serves a client. Dropping this at an await closes its descriptors, cancels its timer and kills its program.
// ANCHOR: serve
async fn serve_client(server: Rc<Server>, socket: TcpStream) -> io::Result<()> {
    let (ioloop, more) = (&server.ioloop, Arc::clone(&server.more));
    let socket = ioloop.watch(socket)?;
    let find = async {
        let request = read_to_end(&socket).await?;
        ioloop.offload(move || look_up(&split(&request).0, &more).map(|command| (command, request)))?.await
    };
    let Some(found) = within(ioloop.sleep(DEADLINE), find).await else { return Ok(()) };
    let (command, request) = found?;
    let (name, input) = split(&request);
    let last = match command {
        Some(command) => run_program(&server, &socket, &command, input).await?,
        None => unknown(&name),
    };
    within(ioloop.sleep(DEADLINE), socket.write_all(last.as_bytes())).await.unwrap_or(Ok(()))
}

/// Runs a program for a client. Returns the answer's last line, which says how the program has failed, or an empty string.
async fn run_program(server: &Server, client: &Socket, command: &str, input: &[u8]) -> io::Result<String> {
    let (pid, stdin, stdout) = stage_2::start(command)?;
    let mut exit = server.exits.of(pid);
    flags::set(&stdin)?;
    flags::set(&stdout)?;
    let (stdin, stdout) = (server.ioloop.watch(stdin)?, server.ioloop.watch(stdout)?);
    let feed = async move {
        let _ = stdin.write_all(input).await; // EPIPE, its only error: the program does not read all of it.
        drop(stdin);
    };
    let answer = async {
        copy(&stdout, client).await?;
        io::Result::Ok((&mut exit).await)
    };
    let status = match within(server.ioloop.sleep(DEADLINE), beside(feed, answer)).await {
        Some(status) => status?,
        None => {
            exit.kill();
            exit.await
        }
    };
    Ok(ending(status))
}
// ANCHOR_END: serve
// ANCHOR_END: program
