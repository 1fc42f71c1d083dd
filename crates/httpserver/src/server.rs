//! The server: an application, its listening sockets and its clients.

use std::cell::RefCell;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use ioloop::IoLoop;
use prefork::sockets::{self, Options};
use prefork::{Ended, Failed};

use crate::app::App;
use crate::client::{Client, Clients};
use crate::common::Common;
use crate::counters::{Access, Counters};
use crate::limits::Limits;
use crate::listeners::Listener;
use crate::response::InvalidHeader;
use crate::shared::Shared;
use crate::start::{self, Serve};
use crate::{Error, Result};

/// An HTTP server. Clones refer to the same one.
#[derive(Clone)]
pub struct HttpServer {
    shared: Rc<Clients>,
    /// The sockets that [`HttpServer::start`] accepts from.
    bound: Rc<RefCell<Vec<TcpListener>>>,
}

impl HttpServer {
    /// A server that answers with `app`, within the default limits.
    pub fn new(app: impl App) -> Self {
        Self { shared: Rc::new(Shared::new(Rc::new(app))), bound: Rc::default() }
    }

    /// Set the limits of the connections that are accepted from now on.
    pub fn with_limits(self, limits: Limits) -> Self {
        self.shared.limits.replace(Rc::new(limits));
        self
    }

    /// Call `f` for each response of the connections that are accepted from now on, when it is complete or cut: an access log.
    pub fn on_access(self, f: impl Fn(&Access) + 'static) -> Self {
        self.shared.on_access.replace(Some(Rc::new(f)));
        self
    }

    /// Give each response these header fields, from now on: those of the application, and those with which the server answers
    /// before the application is called, such as 400 and 408. A response that has a field with the same name keeps its own.
    ///
    /// # Errors
    /// The errors of [`Response::header`](crate::Response::header).
    pub fn with_fields(self, fields: &[(&str, &str)]) -> std::result::Result<Self, InvalidHeader> {
        self.shared.common.replace(Common::new(fields)?);
        Ok(self)
    }

    /// Accept from these sockets, which must be nonblocking, on a loop: `TcpListener`s or, for a proxy on the same machine,
    /// `UnixListener`s. Access entries of a Unix socket have no peer.
    ///
    /// # Errors
    /// The errors of [`IoLoop::add_accept_handler`].
    pub fn add_sockets(&self, ioloop: &IoLoop, sockets: Vec<impl Into<OwnedFd>>) -> Result<()> {
        for socket in sockets {
            let shared = Rc::clone(&self.shared);
            let listener =
                Listener::add(ioloop, socket, move |ioloop, socket| accept(&shared, ioloop, socket))?;
            self.shared.listeners.borrow_mut().push(listener);
        }
        Ok(())
    }

    /// Listen on an address, and accept on a loop. Returns the address, with the port that was free if it has port 0.
    ///
    /// # Errors
    /// The errors of [`sockets::bind_all`] and [`HttpServer::add_sockets`].
    pub fn listen(&self, ioloop: &IoLoop, address: SocketAddr) -> Result<SocketAddr> {
        let sockets = sockets::bind_all(&[address], &Options::default())?;
        let addresses = local_addresses(&sockets)?;
        self.add_sockets(ioloop, sockets)?;
        addresses.first().copied().ok_or_else(|| Error::on("bind", address)(nix::errno::Errno::EINVAL))
    }

    /// Listen on these addresses. [`HttpServer::start`] accepts from them. Returns the addresses, with their ports.
    ///
    /// # Errors
    /// The errors of [`sockets::bind_all`].
    pub fn bind(&mut self, addresses: &[SocketAddr], options: &Options) -> Result<Vec<SocketAddr>> {
        let sockets = sockets::bind_all(addresses, options)?;
        let addresses = local_addresses(&sockets)?;
        self.bound.borrow_mut().extend(sockets);
        Ok(addresses)
    }

    /// Serve on the sockets of [`HttpServer::bind`], until SIGTERM or SIGINT: see [`start::start`].
    ///
    /// # Errors
    /// The errors of [`start::start`].
    pub fn start(self, processes: usize, grace: Duration) -> std::result::Result<Ended, Failed> {
        start::start(self.bound.take(), processes, grace, &self, |_| {})
    }

    /// Stop gracefully. Connections that are queued already are accepted, and no others; idle connections are closed, each
    /// response under way is the last of its connection, and the `when_closed` of streams are called. When the last
    /// connection is closed, or `grace` is over, the loop stops.
    pub fn stop(&self, ioloop: &IoLoop, grace: Duration) {
        self.shared.is_stopping.set(true);
        for client in self.shared.connections() {
            client.stop(ioloop);
        }
        let shared = Rc::clone(&self.shared);
        ioloop.add_callback(move |ioloop| {
            let mut last = Vec::new();
            let mut outcome = Ok(());
            for listener in shared.listeners.take() {
                outcome = outcome.and(listener.close(ioloop, &mut last));
            }
            for socket in last {
                outcome = outcome.and(accept(&shared, ioloop, socket));
            }
            shared.has_accepted_all.set(true);
            shared.stop_after_the_last(ioloop);
            outcome
        });
        let shared = Rc::clone(&self.shared);
        let timer = ioloop.call_later(grace, move |ioloop| {
            for client in shared.connections() {
                client.abort(ioloop);
            }
            shared.stop(ioloop);
        });
        self.shared.graces.borrow_mut().push(timer);
    }

    /// What this server has done in this process.
    pub fn counters(&self) -> Counters {
        *self.shared.counters.borrow()
    }
}

impl Serve for HttpServer {
    fn add_sockets(&self, ioloop: &IoLoop, sockets: Vec<TcpListener>) -> Result<()> {
        Self::add_sockets(self, ioloop, sockets)
    }

    fn stop(&self, ioloop: &IoLoop, grace: Duration) {
        Self::stop(self, ioloop, grace);
    }
}

/// Serve a client, or turn it away if there are too many. Those that are turned away count, too, so there is a bound above
/// which clients are closed at once.
fn accept(shared: &Rc<Clients>, ioloop: &IoLoop, socket: OwnedFd) -> Result<()> {
    let open = shared.counters.borrow().open;
    let most = shared.limits.borrow().connections as u64;
    shared.count(|counters| counters.accepted += 1);
    if open >= most {
        shared.count(|counters| counters.refused += 1);
        if open >= most.saturating_add(most / 8 + 16) {
            return Ok(());
        }
    }
    let client = Client::add(shared, ioloop, socket)?;
    if open >= most {
        client.turn_away(ioloop);
    } else if shared.is_stopping.get() {
        client.stop(ioloop);
    }
    Ok(())
}

fn local_addresses(sockets: &[TcpListener]) -> Result<Vec<SocketAddr>> {
    let address =
        |socket: &TcpListener| socket.local_addr().map_err(Error::on_io("getsockname", "a listening socket"));
    sockets.iter().map(address).collect()
}
