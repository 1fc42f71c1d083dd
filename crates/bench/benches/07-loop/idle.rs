//! One active connection and many idle ones: what one event costs.
//!
//! The idle ones are TCP connections that are not accepted. They are established and wait in the listeners' queues, so
//! that each of them needs one descriptor instead of two.

use std::cell::Cell;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use bench::compare;
use ioloop::poller::Kind;
use ioloop::{Config, Current, Events, IoLoop};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{read, write};

const MANY: usize = 15_000;

/// Connections that wait in one listener's queue: below what net.core.somaxconn is by default.
const QUEUE: usize = 4000;

/// Events for which the loop runs at a time, so that its start and end do not count.
const EVENTS: u32 = 100;

pub fn all() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    let many = MANY.min(usize::try_from(hard).unwrap_or(MANY).saturating_sub(200));
    toll();
    // select has room for descriptors below 1024, and some are taken.
    for (kind, many) in [(Kind::Epoll, many), (Kind::Poll, many), (Kind::Select, 900)] {
        let (few, many) = (Idle::new(kind, 10), Idle::new(kind, many));
        let (beside, than) = (many.count, few.count);
        compare(
            &format!("{EVENTS} events with {kind}, {beside} idle connections beside {than}"),
            || few.run(),
            || many.run(),
        );
    }
}

/// A loop with an active connection, a queue of listeners, and connections in it.
struct Idle {
    ioloop: IoLoop,
    count: usize,
    _listeners: Vec<TcpListener>,
}

impl Idle {
    fn new(poller: Kind, count: usize) -> Self {
        let config = Config { poller, make_current: Current::No, ..Config::default() };
        let ioloop = IoLoop::with(config).expect("a loop");
        // It writes to itself what it has read, and is ready again.
        let (active, other) = UnixStream::pair().expect("a pair of sockets");
        write(&other, b"x").expect("room");
        let seen = Cell::new(0_u32);
        let event = move |ioloop: &IoLoop, active: &mut UnixStream, _| {
            read(active, &mut [0; 64]).expect("a byte");
            write(&other, b"x").expect("room");
            seen.set(seen.get() + 1);
            if seen.get().is_multiple_of(EVENTS) {
                ioloop.stop();
            }
        };
        ioloop.add_handler(active, Events::READ, event).expect("room");
        let mut listeners = Vec::new();
        for n in 0..count {
            if n % QUEUE == 0 {
                listeners.push(listener().expect("a listener"));
            }
            let address = listeners[n / QUEUE].local_addr().expect("an address");
            let connection = TcpStream::connect(address).expect("a connection");
            ioloop
                .add_handler(OwnedFd::from(connection), Events::READ, |_, _, _| -> () { unreachable!() })
                .expect("room");
        }
        Self { ioloop, count, _listeners: listeners }
    }

    fn run(&self) {
        self.ioloop.start().expect("it runs");
    }
}

/// What the loop adds to a turn with one event: a look at the clock, its queues, and who is meant.
fn toll() {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).expect("an epoll");
    let (active, other) = UnixStream::pair().expect("a pair of sockets");
    epoll.add(&active, EpollEvent::new(EpollFlags::EPOLLIN, 0)).expect("room");
    write(&other, b"x").expect("room");
    let mut events = [EpollEvent::empty(); 512];
    let on_the_loop = Idle::new(Kind::Epoll, 0);
    compare(
        &format!("{EVENTS} events, one in a turn: the loop beside bare epoll"),
        || {
            for _ in 0..EVENTS {
                assert_eq!(epoll.wait(&mut events, EpollTimeout::NONE).expect("an event"), 1);
                read(&active, &mut [0; 64]).expect("a byte");
                write(&other, b"x").expect("room");
            }
        },
        || on_the_loop.run(),
    );
}

/// With room for many that wait: std asks for 128 at most.
fn listener() -> io::Result<TcpListener> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let backlog = nix::sys::socket::Backlog::new(QUEUE as i32 + 1)?;
    nix::sys::socket::listen(&listener, backlog)?;
    Ok(listener)
}
