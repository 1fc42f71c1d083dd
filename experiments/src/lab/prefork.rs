//! A small server of many processes: forked children that wait for connections in one of four ways.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::unistd::Pid;

use super::Lab;
use super::child::Child;
use super::state::PATIENCE;
use super::tcp::hang_up;
use crate::verdict::Result;

/// How the children wait for connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// All in accept, on one blocking socket.
    Accept,
    /// Each with an epoll of its own that watches the one socket, level-triggered.
    Level,
    /// The same with EPOLLEXCLUSIVE.
    Exclusive,
    /// Each with its own socket on the same port, by SO_REUSEPORT, and an epoll that watches it.
    ReusePort,
}

impl Way {
    /// All four of them.
    pub const ALL: [Way; 4] = [Way::Accept, Way::Level, Way::Exclusive, Way::ReusePort];

    /// Its name in a timeline.
    pub fn name(self) -> &'static str {
        match self {
            Way::Accept => "accept, blocking",
            Way::Level => "epoll, level-triggered",
            Way::Exclusive => "epoll, EPOLLEXCLUSIVE",
            Way::ReusePort => "epoll, SO_REUSEPORT",
        }
    }
}

/// The server. Dropping it kills and reaps its children.
#[derive(Debug)]
pub struct Prefork {
    children: Vec<Child>,
    port: u16,
    returns: EventFd,
}

/// A child: its number, counted from 1, and what it waits on.
struct Worker {
    number: u8,
    listener: TcpListener,
    epoll: Option<Epoll>,
}

impl Lab {
    /// Fork `n` children that wait for connections, each when the one before has gone to sleep. A child writes one byte to
    /// each client, its number, and closes; with `stay` it first waits until the client has closed.
    ///
    /// They write on no lane.
    pub fn prefork(&mut self, way: Way, n: u8, stay: bool) -> Result<Prefork> {
        let (shared, _reserve, port) = if way == Way::ReusePort {
            // Bound but not listening: it keeps the port for the children's own sockets, and gets no connection.
            let (reserve, port) = self.beside(0)?;
            (None, Some(reserve), port)
        } else {
            let listener = self.listen()?;
            let port = listener.local_addr()?.port();
            (Some(listener), None, port)
        };
        let returns = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let mut server = Prefork { children: Vec::new(), port, returns };
        for number in 1..=n {
            let returns = &server.returns;
            let child = self.fork_quietly(|lab| {
                let listener = match &shared {
                    Some(listener) => listener.try_clone()?,
                    None => lab.listen_beside(port)?,
                };
                let worker = Worker { number, epoll: watch(&listener, way)?, listener };
                loop {
                    worker.serve_next(returns, stay)?;
                }
            })?;
            server.children.push(child);
            server.rest()?;
        }
        Ok(server)
    }
}

impl Worker {
    /// Wait for a connection, and serve it unless another child has accepted it meanwhile.
    fn serve_next(&self, returns: &EventFd, stay: bool) -> Result {
        if let Some(epoll) = &self.epoll {
            epoll.wait(&mut [EpollEvent::empty()], EpollTimeout::NONE)?;
            returns.write(1)?;
        }
        match self.listener.accept() {
            Ok((mut client, _)) => {
                // A client that is gone cannot be served, which is no error here.
                let _ = client.write(&[self.number]);
                if stay {
                    let _ = client.read(&mut [0]);
                }
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Prefork {
    /// The port on which it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Wait until all children sleep. Gives how often each of them has gone to sleep so far, which the kernel counts as
    /// voluntary context switches.
    ///
    /// A process that is about to sleep already has the state S a moment before. So the children count as asleep when
    /// nothing has changed between two looks.
    pub fn rest(&self) -> Result<Vec<u64>> {
        let start = Instant::now();
        let mut before = None;
        loop {
            let now: Option<Vec<u64>> =
                self.children.iter().map(|child| asleep(child.pid())).collect::<Result<_>>()?;
            if now.is_some() && now == before {
                return Ok(now.unwrap_or_default());
            }
            if start.elapsed() > PATIENCE {
                return Err("the children did not go to sleep".into());
            }
            before = now;
            thread::yield_now();
        }
    }

    /// Let one client connect and close. Gives the child that served it. Not for children that stay: they and the client
    /// would wait for each other.
    pub fn serve(&self, lab: &Lab) -> Result<u8> {
        let mut client = lab.connect(self.port)?;
        let child = answer(&mut client)?;
        // Until end of file, so that the child is done with this client.
        let mut rest = [0];
        let _ = client.read(&mut rest);
        hang_up(client)?;
        Ok(child)
    }

    /// How often epoll_wait has returned to a child since the last call of this.
    pub fn returns(&self) -> Result<u64> {
        match self.returns.read() {
            Err(Errno::EAGAIN) => Ok(0),
            other => Ok(other?),
        }
    }
}

/// The number of the child that serves a connection.
pub fn answer(client: &mut TcpStream) -> Result<u8> {
    let mut number = [0];
    client.read_exact(&mut number).map_err(|error| format!("a client got no answer: {error}"))?;
    Ok(number[0])
}

/// What a child waits on before it calls accept. A watched listener must not block, because another child may be faster.
fn watch(listener: &TcpListener, way: Way) -> Result<Option<Epoll>> {
    if way == Way::Accept {
        return Ok(None);
    }
    listener.set_nonblocking(true)?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let exclusive = if way == Way::Exclusive { EpollFlags::EPOLLEXCLUSIVE } else { EpollFlags::empty() };
    epoll.add(listener, EpollEvent::new(EpollFlags::EPOLLIN | exclusive, 0))?;
    Ok(Some(epoll))
}

/// How often a child has gone to sleep so far; `None` if it does not sleep now.
fn asleep(pid: Pid) -> Result<Option<u64>> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let value = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    match value("State:") {
        Some(state) if state.starts_with('S') => {
            let count = value("voluntary_ctxt_switches:").ok_or("/proc has no count of context switches")?;
            Ok(Some(count.parse()?))
        }
        Some(state) if state.starts_with(['Z', 'X']) => Err("a child has exited".into()),
        _ => Ok(None),
    }
}
