//! Chapter 7: what the loop costs, beside bare epoll, std's heap and std's queue.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use bench::compare;
use ioloop::timers::Timers;
use ioloop::{Events, IoLoop};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::unistd::{read, write};

/// In bytes.
const MESSAGE: usize = 64;

fn main() {
    for connections in [4, 64] {
        echo(connections);
    }
    timers();
    callbacks();
}

/// An echo server in a thread: bare, or on the loop. What comes back are connections to it.
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
    thread::spawn(move || serve(theirs));
    ours
}

/// One read and one write an event, as a good server does; it ends with its first connection.
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

fn on_the_loop(sockets: Vec<TcpStream>) {
    let ioloop = IoLoop::new().expect("a loop");
    for socket in sockets {
        let mut buffer = [0; 4096];
        let echo = move |ioloop: &IoLoop, socket: &OwnedFd, _| match read(socket, &mut buffer) {
            Ok(0) | Err(_) => ioloop.stop(),
            Ok(taken) => drop(write(socket, &buffer[..taken])),
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

fn echo(connections: usize) {
    let (mut to_bare, mut to_ours) = (server(connections, bare), server(connections, on_the_loop));
    compare(
        &format!("echo, {connections} connections, 64 bytes: the loop beside bare epoll"),
        || round(&mut to_bare),
        || round(&mut to_ours),
    );
}

/// 100,000 added, nine of ten cancelled, the rest run.
fn timers() {
    const TIMERS: u64 = 100_000;
    // Deadlines without an order.
    let deadline = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    compare(
        "timers, 100,000 added, 90 % cancelled, the rest run: ours beside std's heap of boxes",
        || {
            /// Deadline, order, and what is cancelled by taking it out.
            type Entry = (Reverse<(u64, u64)>, Shared);
            type Callback = Box<dyn FnOnce()>;
            #[derive(Clone)]
            struct Shared(Rc<RefCell<Option<Callback>>>);
            impl PartialEq for Shared {
                fn eq(&self, _: &Self) -> bool {
                    true
                }
            }
            impl Eq for Shared {}
            impl PartialOrd for Shared {
                fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                    Some(self.cmp(other))
                }
            }
            impl Ord for Shared {
                fn cmp(&self, _: &Self) -> std::cmp::Ordering {
                    std::cmp::Ordering::Equal
                }
            }
            let ran = Rc::new(std::cell::Cell::new(0_u64));
            let mut heap: BinaryHeap<Entry> = BinaryHeap::new();
            let mut all = Vec::new();
            for n in 0..TIMERS {
                let ran = Rc::clone(&ran);
                let callback: Callback = Box::new(move || ran.set(ran.get() + n));
                let shared = Shared(Rc::new(RefCell::new(Some(callback))));
                heap.push((Reverse((deadline(n), n)), shared.clone()));
                all.push(shared);
            }
            let mut cancelled = 0;
            for (n, timer) in all.iter().enumerate() {
                if n % 10 != 0 {
                    timer.0.take();
                    cancelled += 1;
                }
            }
            if cancelled > 512 && cancelled > heap.len() / 2 {
                heap.retain(|(_, timer)| timer.0.borrow().is_some());
            }
            while let Some((_, timer)) = heap.pop() {
                if let Some(callback) = timer.0.take() {
                    callback();
                }
            }
            std::hint::black_box(ran.get());
        },
        || {
            let ran = Rc::new(std::cell::Cell::new(0_u64));
            let mut timers: Timers<Box<dyn FnOnce()>> = Timers::default();
            let mut all = Vec::new();
            for n in 0..TIMERS {
                let ran = Rc::clone(&ran);
                all.push(
                    timers.add(Duration::from_nanos(deadline(n)), Box::new(move || ran.set(ran.get() + n))),
                );
            }
            for (n, timer) in all.iter().enumerate() {
                if n % 10 != 0 {
                    drop(timers.cancel(*timer));
                }
            }
            let mut due = Vec::new();
            timers.collect(Duration::ZERO, &mut due);
            timers.collect(Duration::MAX, &mut due);
            for timer in due {
                if let Some(callback) = timers.take(timer) {
                    callback();
                }
            }
            std::hint::black_box(ran.get());
        },
    );
}

/// Callbacks that do nothing, queued and run.
fn callbacks() {
    const CALLBACKS: usize = 100_000;
    let ioloop = IoLoop::new().expect("a loop");
    type Callback = Box<dyn FnOnce(&IoLoop)>;
    let mut queue: VecDeque<Callback> = VecDeque::new();
    compare(
        "100,000 callbacks that do nothing: the loop beside a VecDeque of boxes",
        || {
            (0..CALLBACKS).for_each(|_| queue.push_back(Box::new(|_| ())));
            while let Some(callback) = queue.pop_front() {
                callback(&ioloop);
            }
        },
        || {
            (0..CALLBACKS).for_each(|_| ioloop.add_callback(|_| ()));
            ioloop.add_callback(IoLoop::stop);
            ioloop.start().expect("it runs");
        },
    );
}
