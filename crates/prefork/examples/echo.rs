//! A prefork server, out of this crate's parts: every child says who it is, and sends back what it is sent.
//!
//! ```sh
//! cargo run -p prefork --example echo -- 4 7007    # children, port
//! ```
//!
//! then `nc localhost 7007` in some other terminals, and `kill` for whichever process you like.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::process::ExitCode;
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nonblocking::drain::{Stop, drain};
use nonblocking::outbox::Outbox;
use prefork::accept::{Acceptor, Ended as Turned};
use prefork::supervise::supervise;
use prefork::{Event, Policy, Result, Signals, sockets};

/// In bytes: as much as a client may have in the server at one time.
const ROOM: usize = 64 * 1024;

/// What a listener is left alone for, when there is no descriptor at all. In milliseconds.
const STUCK: u16 = 100;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<u16>());
    let (Some(Ok(children)), Some(Ok(port)), None) = (args.next(), args.next(), args.next()) else {
        eprintln!("usage: echo CHILDREN PORT   (0 children: one a core; port 0: any that is free)");
        return ExitCode::from(2);
    };
    let policy = Policy { children: children.into(), ..Policy::default() };
    match serve(&policy, port, |line| println!("{line}")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Bind, fork, and come back when it is over. `tell` hears of each address and of each event, a line each.
pub fn serve(
    policy: &Policy,
    port: u16,
    mut tell: impl FnMut(String),
) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let listeners = sockets::bind_host("", port, &sockets::Options::default())?;
    for listener in &listeners {
        tell(format!("listening {}", listener.local_addr()?));
    }
    let ended = supervise(policy, |task| child(task, &listeners), |event| tell(words(event)))?;
    tell(format!("ended {ended:?}"));
    Ok(())
}

/// `restarted 2 81234`: what happened, to which task, in which process.
fn words(event: Event) -> String {
    match event {
        Event::Started { task, pid } => format!("started {task} {pid}"),
        Event::Exited { task, pid, status } => format!("exited {task} {pid} {status}"),
        Event::Restarted { task, pid, .. } => format!("restarted {task} {pid}"),
        Event::Stopping { signal } => format!("stopping {signal}"),
        Event::Killed { task, pid } => format!("killed {task} {pid}"),
        Event::GaveUp { restarts } => format!("gave-up {restarts}"),
    }
}

/// What a child does: it ends with 0 once it was told to and its last client has gone.
fn child(task: usize, listeners: &[TcpListener]) -> i32 {
    let served = Server::new(task, listeners).and_then(|mut server| server.run());
    if let Err(error) = &served {
        eprintln!("echo: task {task}: {error}");
    }
    i32::from(served.is_err())
}

struct Server {
    task: usize,
    signals: Signals,
    /// Empty once it was told to end.
    acceptors: Vec<Acceptor>,
    clients: BTreeMap<RawFd, Client>,
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
        Ok(Self { task, signals, acceptors, clients: BTreeMap::new(), stuck: false })
    }

    fn run(&mut self) -> Result<()> {
        while !self.acceptors.is_empty() || !self.clients.is_empty() {
            let ready = self.sleep()?;
            if self.signals.next()?.is_some() {
                self.acceptors.clear();
            }
            self.accept()?;
            for number in ready {
                self.talk(number);
            }
        }
        Ok(())
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
        let greeting = format!("task {}, process {}\n", self.task, std::process::id());
        self.stuck = false;
        for acceptor in &mut self.acceptors {
            let turn = acceptor.accept(Instant::now(), |socket| {
                let mut client = Client { socket, out: Outbox::new(ROOM), ended: false };
                let greeted = client.out.push(greeting.as_bytes()).is_ok() && client.flush();
                if greeted {
                    self.clients.insert(client.socket.as_raw_fd(), client);
                }
            })?;
            if let Some(shed) = turn.shed {
                eprintln!("echo: task {}: no descriptor is left: {shed} clients were sent away", self.task);
            }
            self.stuck |= matches!(turn.ended, Turned::Stuck(_));
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
