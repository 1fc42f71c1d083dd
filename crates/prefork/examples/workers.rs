//! A prefork echo server: every child greets a client with its task and process id, and echoes what the client sends.
//!
//! ```sh
//! cargo run -p prefork --example workers -- 4 7007    # children, port
//! ```
//!
//! Then run `nc localhost 7007` in other terminals. The greeting says which process serves you. `kill -9` that process:
//! only its own clients lose their connections, and the supervisor restarts its task. Send SIGTERM to another child: it
//! finishes its clients, exits with 0 and is not restarted. Finally press Ctrl-C, or `kill -9` the parent.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::mem::ManuallyDrop;
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

const USAGE: &str = "usage: workers CHILDREN PORT";

const HELP: &str = "
Listens on localhost and echoes what clients send. All children accept from the same sockets. A child that fails or is
killed is restarted. SIGTERM and SIGINT (Ctrl-C) stop the server once its clients have finished.

  CHILDREN  the number of processes; 0 for one for each core
  PORT      the port to listen on; 0 for any free port";

/// How many bytes of one client the server buffers at most.
const ROOM: usize = 64 * 1024;

/// How long the listeners are not polled when no descriptor is left, in milliseconds.
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
            eprintln!("workers: {wrong}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match serve(&policy, port, |line| print(&line)) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("workers: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(args: &[String]) -> std::result::Result<(Policy, u16), String> {
    let [children, port] = args else {
        return Err(format!("expected two arguments, got {}", args.len()));
    };
    // Each child is a process, and needs two descriptors in its parent.
    let children: u8 = children.parse().map_err(|_| format!("CHILDREN must be 0 to 255, not {children}"))?;
    let port = port.parse().map_err(|_| format!("PORT must be 0 to 65535, not {port}"))?;
    Ok((Policy { children: children.into(), ..Policy::default() }, port))
}

/// Bind the sockets and supervise the children, until the server is stopped. `print` gets a line for each event.
pub fn serve(
    policy: &Policy,
    port: u16,
    mut print: impl FnMut(String),
) -> std::result::Result<Ended, Box<dyn std::error::Error>> {
    let listeners = sockets::bind_host("localhost", port, &sockets::Options::default())?;
    for listener in &listeners {
        print(format!("listening on {}", listener.local_addr()?));
    }
    Ok(supervise(policy, |task| child(task, &listeners), |event| print(words(event)))?)
}

/// An event as a line: `task 2: process 81234 restarted`.
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
        Event::Killed { task, pid } => {
            format!("task {task}: process {pid} did not exit in time, and is killed")
        }
        Event::GaveUp { restarts } => format!("giving up: a child failed after {restarts} restarts"),
    }
}

/// Run a child: serve until SIGTERM or SIGINT arrives and the last client has disconnected. Returns the exit code.
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

/// Print a line of a child. All processes share the standard output.
fn say(task: usize, what: &str) {
    print(&format!("task {task}: process {} {what}", process::id()));
}

/// Print a line. One that cannot be written is lost: a full disk is no reason to stop serving.
fn print(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

struct Server {
    task: usize,
    /// Never dropped: that would unblock the signals, and one that comes while the child exits would kill it.
    signals: ManuallyDrop<Signals>,
    /// Empty once the child is stopping.
    acceptors: Vec<Acceptor>,
    clients: BTreeMap<RawFd, Client>,
    /// The number of clients so far.
    served: usize,
    /// No descriptor was left, not even a spare one, so the listeners are not polled once.
    stuck: bool,
}

struct Client {
    socket: OwnedFd,
    out: Outbox,
    /// The client has shut down its sending side.
    finished: bool,
}

impl Server {
    fn new(task: usize, listeners: &[TcpListener]) -> Result<Self> {
        let signals = ManuallyDrop::new(Signals::take()?);
        let acceptors = listeners.iter().map(|listener| Acceptor::new(cloexec::open::duplicate(listener)?));
        let acceptors = acceptors.collect::<Result<_>>()?;
        Ok(Self { task, signals, acceptors, clients: BTreeMap::new(), served: 0, stuck: false })
    }

    /// Serve until the child is stopped. Returns the number of clients.
    fn run(&mut self) -> Result<usize> {
        while !self.acceptors.is_empty() || !self.clients.is_empty() {
            let ready = self.sleep()?;
            let stopping = self.signals.next()?.is_some();
            // When stopping, still accept the clients that are queued by now. Later ones stay in the queue, and are
            // reset when the parent exits.
            self.accept()?;
            if stopping {
                self.acceptors.clear();
            }
            for number in ready {
                self.talk(number);
            }
        }
        Ok(self.served)
    }

    /// Sleep until a descriptor is ready. Returns the clients that are.
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
            let batch = acceptor.accept(Instant::now(), |socket| {
                let mut client = Client { socket, out: Outbox::new(ROOM), finished: false };
                if client.out.push(greeting.as_bytes()).is_ok() && client.flush() {
                    self.clients.insert(client.socket.as_raw_fd(), client);
                }
            })?;
            self.served += batch.accepted;
            if let Some(shed) = batch.shed {
                say(self.task, &format!("shed {shed} clients: it has no descriptor left"));
            }
            self.stuck |= matches!(batch.reason, StopReason::Stuck(_));
        }
        Ok(())
    }

    /// Echo what a client has sent. A client that has disconnected is removed.
    fn talk(&mut self, number: RawFd) {
        if self.clients.get_mut(&number).is_some_and(|client| !client.echo()) {
            self.clients.remove(&number);
        }
    }
}

impl Client {
    /// The events to poll for. A client whose echo is not drained is not read from, so its buffer stays bounded.
    fn interest(&self) -> PollFlags {
        let mut interest = PollFlags::empty();
        interest.set(PollFlags::POLLIN, !self.finished && self.out.room() > 0);
        interest.set(PollFlags::POLLOUT, self.out.wants_write());
        interest
    }

    /// Read, and write back. Returns whether the client stays connected.
    fn echo(&mut self) -> bool {
        let mut bytes = Vec::new();
        let room = self.out.room();
        if !self.finished && room > 0 {
            match drain(&self.socket, &mut bytes, room) {
                Ok(Stop::EndOfFile) => self.finished = true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
        (bytes.is_empty() || self.out.push(bytes).is_ok())
            && self.flush()
            && !(self.finished && self.out.is_empty())
    }

    fn flush(&mut self) -> bool {
        self.out.flush(&self.socket).is_ok()
    }
}
