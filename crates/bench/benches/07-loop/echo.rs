//! An echo server: bare epoll, mio, and the loop, each in a thread of its own. One read and one write an event.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::thread;

use bench::compare;
use ioloop::{Events, IoLoop};
use mio::{Interest, Token};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::unistd::{Pid, read, write};

/// In bytes.
const MESSAGE: usize = 64;

/// The servers are on one processor and the load on another, where there are two.
pub fn all() {
    on_processor(1);
    for connections in [4, 64] {
        let mut to_bare = server(connections, bare);
        let mut to_mio = server(connections, on_mio);
        let mut to_ours = server(connections, on_the_loop);
        let beside = format!("echo, {connections} connections, {MESSAGE} bytes, beside bare epoll");
        compare(&format!("{beside}: mio"), || round(&mut to_bare), || round(&mut to_mio));
        compare(&format!("{beside}: the loop"), || round(&mut to_bare), || round(&mut to_ours));
    }
    // A process that may not choose, or has one alone, leaves it to the kernel.
    let mut anywhere = CpuSet::new();
    for processor in 0..CpuSet::count() {
        let _ = anywhere.set(processor);
    }
    let _ = sched_setaffinity(Pid::from_raw(0), &anywhere);
}

/// This thread.
fn on_processor(number: usize) {
    let mut one = CpuSet::new();
    if one.set(number).is_ok() {
        let _ = sched_setaffinity(Pid::from_raw(0), &one);
    }
}

/// What comes back are connections to it. It ends with the first of them.
fn server(connections: usize, serve: impl FnOnce(Vec<TcpStream>) + Send + 'static) -> Vec<TcpStream> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..connections {
        ours.push(TcpStream::connect(address).expect("a connection"));
        theirs.push(listener.accept().expect("a connection").0);
    }
    for socket in ours.iter().chain(&theirs) {
        socket.set_nodelay(true).expect("a socket");
    }
    theirs.iter().for_each(|socket| socket.set_nonblocking(true).expect("a socket"));
    thread::spawn(move || {
        on_processor(0);
        serve(theirs);
    });
    ours
}

fn bare(sockets: Vec<TcpStream>) {
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
fn on_mio(sockets: Vec<TcpStream>) {
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

fn on_the_loop(sockets: Vec<TcpStream>) {
    let ioloop = IoLoop::new().expect("a loop");
    // One for all, as the others have it.
    let buffer = Rc::new(RefCell::new([0; 4096]));
    for socket in sockets {
        let buffer = Rc::clone(&buffer);
        let echo = move |ioloop: &IoLoop, socket: &mut OwnedFd, _| {
            let buffer = &mut *buffer.borrow_mut();
            match read(socket, buffer) {
                Ok(0) | Err(_) => ioloop.stop(),
                Ok(taken) => drop(write(socket, &buffer[..taken])),
            }
        };
        ioloop.add_handler(OwnedFd::from(socket), Events::READ, echo).expect("room");
    }
    ioloop.start().expect("it runs");
}

fn round(sockets: &mut [TcpStream]) {
    let mut buffer = [7; MESSAGE];
    sockets.iter_mut().for_each(|socket| socket.write_all(&buffer).expect("room"));
    sockets.iter_mut().for_each(|socket| socket.read_exact(&mut buffer).expect("an echo"));
}
