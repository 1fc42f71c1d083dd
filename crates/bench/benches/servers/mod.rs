//! Echo servers that do the same work: bare epoll, mio, and the loop with handlers and with futures. One read and one
//! write an event; each ends when its first connection does.

mod processors;

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::thread;

use ioloop::{Events, IoLoop};
use mio::{Interest, Token};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::unistd::{read, write};

pub use processors::{on_any_processor, on_processor};

/// In bytes.
pub const MESSAGE: usize = 64;

/// What serves connections until the first of them ends.
pub type Serve = fn(Vec<TcpStream>);

/// Connections over the loopback: the client's ends, and the server's, which are nonblocking.
pub fn connections(count: usize) -> (Vec<TcpStream>, Vec<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let (mut clients, mut served) = (Vec::new(), Vec::new());
    for _ in 0..count {
        clients.push(TcpStream::connect(address).expect("a connection"));
        served.push(listener.accept().expect("a connection").0);
    }
    for socket in clients.iter().chain(&served) {
        socket.set_nodelay(true).expect("a socket");
    }
    served.iter().for_each(|socket| socket.set_nonblocking(true).expect("a socket"));
    (clients, served)
}

/// Start a server on the first processor, in a thread of its own. Returns the connections to it.
pub fn start(count: usize, serve: Serve) -> Vec<TcpStream> {
    let (clients, served) = connections(count);
    thread::spawn(move || {
        on_processor(0);
        serve(served);
    });
    clients
}

/// Send a message on each connection, and wait for all echoes.
pub fn round(clients: &mut [TcpStream]) {
    let mut buffer = [7; MESSAGE];
    clients.iter_mut().for_each(|socket| socket.write_all(&buffer).expect("room"));
    clients.iter_mut().for_each(|socket| socket.read_exact(&mut buffer).expect("an echo"));
}

pub fn bare(sockets: Vec<TcpStream>) {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).expect("an epoll");
    for (index, socket) in sockets.iter().enumerate() {
        epoll.add(socket, EpollEvent::new(EpollFlags::EPOLLIN, index as u64)).expect("room");
    }
    let mut events = [EpollEvent::empty(); 512];
    let mut buffer = [0; 4096];
    loop {
        let ready = epoll.wait(&mut events, EpollTimeout::NONE).expect("an event");
        for event in &events[..ready] {
            let socket = &sockets[event.data() as usize];
            match read(socket, &mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(taken) => drop(write(socket, &buffer[..taken])),
            }
        }
    }
}

/// mio reports edges. A read that is shorter than the buffer has taken all that there was.
#[allow(dead_code, reason = "the table has the loop alone beside bare epoll")]
pub fn on_mio(sockets: Vec<TcpStream>) {
    let mut poll = mio::Poll::new().expect("an epoll");
    let mut sockets: Vec<_> = sockets.into_iter().map(mio::net::TcpStream::from_std).collect();
    for (index, socket) in sockets.iter_mut().enumerate() {
        poll.registry().register(socket, Token(index), Interest::READABLE).expect("room");
    }
    let mut events = mio::Events::with_capacity(512);
    let mut buffer = [0; 4096];
    loop {
        poll.poll(&mut events, None).expect("an event");
        for event in &events {
            let socket = &mut sockets[event.token().0];
            match socket.read(&mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(taken) => drop(socket.write(&buffer[..taken])),
            }
        }
    }
}

pub fn with_handlers(sockets: Vec<TcpStream>) {
    let ioloop = IoLoop::new().expect("a loop");
    // One for all, as the others have it.
    let buffer = Rc::new(RefCell::new([0; 4096]));
    for socket in sockets {
        let buffer = Rc::clone(&buffer);
        let echo = move |ioloop: &IoLoop, socket: &mut OwnedFd, _| {
            let buffer = &mut *buffer.borrow_mut();
            match read(&*socket, buffer) {
                Ok(0) | Err(_) => ioloop.stop(),
                Ok(taken) => drop(write(&*socket, &buffer[..taken])),
            }
        };
        ioloop.add_handler(OwnedFd::from(socket), Events::READ, echo).expect("room");
    }
    ioloop.start().expect("it runs");
}

#[allow(dead_code, reason = "the bench of the chapter has handlers alone")]
pub fn with_futures(sockets: Vec<TcpStream>) {
    let ioloop = IoLoop::new().expect("a loop");
    let buffer = Rc::new(RefCell::new([0; 4096]));
    for socket in sockets {
        let buffer = Rc::clone(&buffer);
        let socket = ioloop.watch(OwnedFd::from(socket)).expect("room");
        ioloop.spawn(async move {
            loop {
                socket.readable().await?;
                let buffer = &mut *buffer.borrow_mut();
                match read(socket.source(), buffer) {
                    Ok(0) | Err(_) => break,
                    Ok(taken) => drop(write(socket.source(), &buffer[..taken])),
                }
            }
            if let Some(ioloop) = IoLoop::current() {
                ioloop.stop();
            }
            Ok::<_, ioloop::Error>(())
        });
    }
    ioloop.start().expect("it runs");
}
