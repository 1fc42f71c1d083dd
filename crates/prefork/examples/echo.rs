//! A prefork server, out of this crate's parts: every child says who it is, and sends back what it is sent.
//!
//! ```sh
//! cargo run -p prefork --example echo -- 4 7007    # children, port
//! ```
//!
//! Then `nc localhost 7007` in some other terminals. Who is serving you? `kill -9` it, and see who notices and what
//! comes after it. Try the same with SIGTERM, which a child takes for a good reason to end. Then Ctrl-C; or `kill -9`
//! for the parent.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::process::{self, ExitCode};
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nonblocking::drain::{Stop, drain};
use nonblocking::outbox::Outbox;
use prefork::accept::{Acceptor, StopReason};
use prefork::supervise::supervise;
use prefork::{Ended, Event, Policy, Result, Signals, sockets};

const USAGE: &str = "usage: echo CHILDREN PORT";

const HELP: &str = "
Listens on localhost, and sends back what it is sent. Every child accepts from the same sockets; one that fails or
is killed is replaced. SIGTERM and SIGINT (Ctrl-C) let the clients that are there finish.

  CHILDREN  how many processes serve; 0 for one a core
  PORT      where to listen; 0 for any that is free";

/// In bytes: as much as a client may have in the server at one time.
const ROOM: usize = 64 * 1024;

/// What a listener is left alone for, when there is no descriptor at all. In milliseconds.
const STUCK: u16 = 100;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.iter().any(|arg| arg == "-h" || arg == "--help") {
        println!("{USAGE}\n{HELP}");
        return ExitCode::SUCCESS;
    }
    let (policy, port) = match parse(&args) {
        Ok(parsed) => parsed,
        Err(wrong) => {
            eprintln!("echo: {wrong}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match serve(&policy, port, |line| println!("{line}")) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(args: &[String]) -> std::result::Result<(Policy, u16), String> {
    let [children, port] = args else {
        return Err(format!("two numbers are needed, and these are {}", args.len()));
    };
    // Each is a process, with a descriptor in its parent.
    let children: u8 = children.parse().map_err(|_| format!("CHILDREN is 0 to 255, and not {children}"))?;
    let port = port.parse().map_err(|_| format!("PORT is 0 to 65535, and not {port}"))?;
    Ok((Policy { children: children.into(), ..Policy::default() }, port))
}

/// Bind, fork, and come back when it is over. `tell` hears what happens, a line each.
pub fn serve(
    policy: &Policy,
    port: u16,
    mut tell: impl FnMut(String),
) -> std::result::Result<Ended, Box<dyn std::error::Error>> {
    let listeners = sockets::bind_host("localhost", port, &sockets::Options::default())?;
    for listener in &listeners {
        tell(format!("listening on {}", listener.local_addr()?));
    }
    Ok(supervise(policy, |task| child(task, &listeners), |event| tell(words(event)))?)
}

/// `task 2: process 81234 restarted`: what happened, to which task, in which process.
fn words(event: Event) -> String {
    match event {
        Event::Started { task, pid } => format!("task {task}: process {pid} started"),
        Event::Exited { task, pid, status } => format!("task {task}: process {pid} {status}"),
        Event::Restarted { task, pid, pause } if pause.is_zero() => {
            format!("task {task}: process {pid} restarted")
        }
        Event::Restarted { task, pid, pause } => {
            format!("task {task}: process {pid} restarted after {} ms", pause.as_millis())
        }
        Event::Stopping { signal } => format!("stopping: {signal}"),
        Event::Killed { task, pid } => format!("task {task}: process {pid} took too long, and is killed"),
        Event::GaveUp { restarts } => format!("giving up after {restarts} restarts"),
    }
}

/// What a child does. It ends with 0 once it was told to and its last client has gone.
fn child(task: usize, listeners: &[TcpListener]) -> i32 {
    match Server::new(task, listeners).and_then(|mut server| server.run()) {
        Ok(served) => {
            say(task, &format!("served {served} client{}", if served == 1 { "" } else { "s" }));
            0
        }
        Err(error) => {
            say(task, &error.to_string());
            1
        }
    }
}

/// Children write lines of their own, in between their parent's.
fn say(task: usize, what: &str) {
    println!("task {task}: process {} {what}", process::id());
}

struct Server {
    task: usize,
    signals: Signals,
    /// Empty once it was told to end.
    acceptors: Vec<Acceptor>,
    clients: BTreeMap<RawFd, Client>,
    /// How many there have been.
    served: usize,
    /// No descriptor was left, not even in reserve: the listeners are not looked at for one turn.
    stuck: bool,
}

struct Client {
    socket: OwnedFd,
    out: Outbox,
    /// It has sent all it will.
    ended: bool,
}

impl Server {
    fn new(task: usize, listeners: &[TcpListener]) -> Result<Self> {
        let signals = Signals::take()?;
        let acceptors = listeners.iter().map(|listener| Acceptor::new(cloexec::open::duplicate(listener)?));
        let acceptors = acceptors.collect::<Result<_>>()?;
        Ok(Self { task, signals, acceptors, clients: BTreeMap::new(), served: 0, stuck: false })
    }

    /// How many clients did it serve?
    fn run(&mut self) -> Result<usize> {
        while !self.acceptors.is_empty() || !self.clients.is_empty() {
            let ready = self.sleep()?;
            let told = self.signals.next()?.is_some();
            // Also when told to end: who is queued by now has its turn. Who comes later stays in the queue, and is
            // reset when the parent ends and the queue with it.
            self.accept()?;
            if told {
                self.acceptors.clear();
            }
            for number in ready {
                self.talk(number);
            }
        }
        Ok(self.served)
    }

    /// Until something happens. Which clients are ready?
    fn sleep(&self) -> Result<Vec<RawFd>> {
        let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        let listeners = self.acceptors.iter().filter(|_| !self.stuck);
        fds.extend(listeners.map(|acceptor| PollFd::new(acceptor.as_fd(), PollFlags::POLLIN)));
        let others = fds.len();
        fds.extend(self.clients.values().map(|client| PollFd::new(client.socket.as_fd(), client.interest())));
        let timeout = if self.stuck { PollTimeout::from(STUCK) } else { PollTimeout::NONE };
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(prefork::Error::on("poll", "the clients")(errno)),
        }
        let clients = self.clients.keys().zip(&fds[others..]);
        Ok(clients.filter(|(_, fd)| fd.any() == Some(true)).map(|(number, _)| *number).collect())
    }

    fn accept(&mut self) -> Result<()> {
        let greeting = format!("task {}, process {}\n", self.task, process::id());
        self.stuck = false;
        for acceptor in &mut self.acceptors {
            let turn = acceptor.accept(Instant::now(), |socket| {
                let mut client = Client { socket, out: Outbox::new(ROOM), ended: false };
                if client.out.push(greeting.as_bytes()).is_ok() && client.flush() {
                    self.clients.insert(client.socket.as_raw_fd(), client);
                }
            })?;
            self.served += turn.accepted;
            if let Some(shed) = turn.shed {
                say(self.task, &format!("sent {shed} clients away: it has no descriptor left"));
            }
            self.stuck |= matches!(turn.reason, StopReason::Stuck(_));
        }
        Ok(())
    }

    /// Send a client what it sent. One that went away is forgotten.
    fn talk(&mut self, number: RawFd) {
        if self.clients.get_mut(&number).is_some_and(|client| !client.echo()) {
            self.clients.remove(&number);
        }
    }
}

impl Client {
    /// Only as much is read as there is room for: a client that does not read is not read from.
    fn interest(&self) -> PollFlags {
        let mut interest = PollFlags::empty();
        interest.set(PollFlags::POLLIN, !self.ended && self.out.room() > 0);
        interest.set(PollFlags::POLLOUT, self.out.wants_write());
        interest
    }

    /// Is there more to come?
    fn echo(&mut self) -> bool {
        let mut bytes = Vec::new();
        let room = self.out.room();
        if !self.ended && room > 0 {
            match drain(&self.socket, &mut bytes, room) {
                Ok(Stop::EndOfFile) => self.ended = true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
        (bytes.is_empty() || self.out.push(bytes).is_ok())
            && self.flush()
            && !(self.ended && self.out.is_empty())
    }

    fn flush(&mut self) -> bool {
        self.out.flush(&self.socket).is_ok()
    }
}
