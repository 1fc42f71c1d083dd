//! Listening, and accepting clients: each client is served, or sees that its connection was closed.

use std::cell::RefCell;
use std::io::{ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::rc::Rc;
use std::time::{Duration, Instant};
use std::{fs, process};

use ioloop::IoLoop;
use ioloop::poller::Kind;
use nix::sys::stat::Mode;
use nix::unistd::write;
use prefork::accept::{Acceptor, StopReason};
use prefork::sockets::{Options, bind_host, bind_unix};
use testing::machine::temporary_folder;

use super::making::{a_loop, works};
use crate::scene::{judged, made, must_hold, one_line, or_again};

type Served = Rc<RefCell<Vec<OwnedFd>>>;

/// A listener without a file and without a network, and two clients.
pub(super) fn two_clients() -> (UnixListener, [UnixStream; 2]) {
    let address = made(SocketAddr::from_abstract_name(format!("faults-{}", process::id())));
    let listener = made(UnixListener::bind_addr(&address));
    made(listener.set_nonblocking(true));
    let clients = [(); 2].map(|()| made(UnixStream::connect_addr(&address)));
    clients.iter().for_each(|client| made(client.set_nonblocking(true)));
    (listener, clients)
}

/// Greet whoever was accepted. Then each client has a byte, or the end of its connection. Returns the number of those.
fn closed(served: &[OwnedFd], clients: [UnixStream; 2]) -> usize {
    for connection in served {
        must_hold("a byte can be sent to an accepted client", write(connection, &[7]) == Ok(1));
    }
    let mut closed = 0;
    for mut client in clients {
        match client.read(&mut [0]) {
            Ok(1) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                must_hold("a client is served or closed, and does not wait", false);
            }
            _ => closed += 1,
        }
    }
    closed
}

pub fn acceptor() {
    let (listener, clients) = two_clients();
    let copy = made(listener.try_clone());
    let first = judged(|| Acceptor::new(listener));
    if let Some(mut acceptor) = or_again(first, || Acceptor::new(copy)) {
        let mut served = Vec::new();
        let accepted = acceptor.accept(Instant::now(), |client| served.push(client));
        must_hold("both clients are accepted", accepted.is_ok() && served.len() == 2);
        must_hold("no client is closed", closed(&served, clients) == 0);
    }
}

pub fn batch() {
    let (listener, clients) = two_clients();
    let mut acceptor = made(Acceptor::new(listener));
    let (mut served, mut shed) = (Vec::new(), 0);
    let mut once = || {
        let batch = acceptor.accept(Instant::now(), |client| served.push(client));
        shed += batch.as_ref().ok().and_then(|batch| batch.shed).unwrap_or(0);
        batch
    };
    match judged(&mut once).map(|batch| batch.reason) {
        Ok(StopReason::Stuck(errno)) => println!("error {errno}"),
        Ok(_) => println!("ok"),
        Err(error) => println!("error {}", one_line(error)),
    }
    // The queue still has those that the failed calls did not take.
    let second = once().map(|batch| batch.reason);
    must_hold("the next batch empties the queue", second == Ok(StopReason::Empty));
    must_hold("as many clients are closed as were counted", closed(&served, clients) == shed);
    if shed > 0 {
        println!("ok: {shed} clients were counted as closed for lack of a descriptor: EMFILE or ENFILE");
    }
}

fn accept(ioloop: &IoLoop, listener: UnixListener, served: &Served) -> ioloop::Result<ioloop::AcceptHandle> {
    let served = Rc::clone(served);
    ioloop.add_accept_handler(listener, move |_, client| served.borrow_mut().push(client))
}

pub fn add(kind: Kind) {
    let (ioloop, reports) = a_loop(kind);
    let ((listener, clients), served) = (two_clients(), Served::default());
    let copy = made(listener.try_clone());
    let first = judged(|| accept(&ioloop, listener, &served));
    let handle = or_again(first, || accept(&ioloop, copy, &served));
    must_hold("an iteration succeeds", ioloop.turn(Duration::ZERO).is_ok());
    must_hold("both clients are accepted", served.borrow().len() == 2);
    must_hold("no client is closed", closed(&served.borrow(), clients) == 0);
    if let Some(handle) = handle {
        handle.remove(&ioloop);
    }
    works(&ioloop);
    reports.print();
}

pub fn clients(kind: Kind) {
    let (ioloop, reports) = a_loop(kind);
    let ((listener, clients), served) = (two_clients(), Served::default());
    made(accept(&ioloop, listener, &served));
    let turned = judged(|| ioloop.turn(Duration::ZERO));
    if let Err(error) = turned {
        println!("error {}", one_line(error));
    }
    println!("ok");
    // A listener that is stuck is paused for a tenth of a second.
    for _ in 0..if served.borrow().len() < 2 { 8 } else { 0 } {
        must_hold("an iteration succeeds", ioloop.turn(Duration::from_millis(20)).is_ok());
    }
    closed(&served.borrow(), clients);
    works(&ioloop);
    reports.print();
}

pub fn bind() {
    let every = || bind_host("", 0, &Options::default());
    if let Some(sockets) = or_again(judged(every), every) {
        let ports: Vec<_> =
            sockets.iter().filter_map(|socket| Some(socket.local_addr().ok()?.port())).collect();
        must_hold(
            "all sockets have one port",
            !ports.is_empty() && ports.iter().all(|port| *port == ports[0]),
        );
    }
}

/// At the path is a stale socket, which is replaced.
pub fn listen_at_a_path() {
    let path = made(temporary_folder()).join(format!("faults-{}", process::id()));
    drop(made(UnixListener::bind(&path)));
    let replace = || bind_unix(&path, Mode::S_IRUSR | Mode::S_IWUSR, &Options::default());
    if let Some(_listener) = or_again(judged(replace), replace) {
        must_hold("a client can connect", UnixStream::connect(&path).is_ok());
    }
    must_hold("the file is there", fs::remove_file(&path).is_ok());
}
