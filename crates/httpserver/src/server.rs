//! The server: an application, its listening sockets and its clients.

use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::time::Duration;

use ioloop::IoLoop;
use prefork::sockets::Options;
use prefork::{Ended, Failed};

use crate::Result;
use crate::app::App;
use crate::counters::{Access, Counters};
use crate::limits::Limits;

/// An HTTP server.
#[derive(Clone)]
pub struct HttpServer {
    app: Rc<dyn App>,
}

impl HttpServer {
    /// A server that answers with `app`.
    pub fn new(app: impl App) -> Self {
        Self { app: Rc::new(app) }
    }

    /// Set the limits.
    pub fn with_limits(self, limits: Limits) -> Self {
        let _ = (limits, &self.app);
        self
    }

    /// Call `f` for each response.
    pub fn on_access(self, f: impl Fn(&Access) + 'static) -> Self {
        let _ = f;
        self
    }

    /// Accept from these sockets on the loop.
    pub fn add_sockets(&self, _ioloop: &IoLoop, _sockets: Vec<TcpListener>) -> Result<()> {
        todo!()
    }

    /// Listen on an address, and accept on the loop. Returns the address, with its port.
    pub fn listen(&self, _ioloop: &IoLoop, _address: SocketAddr) -> Result<SocketAddr> {
        todo!()
    }

    /// Listen on these addresses, and accept only after [`HttpServer::start`].
    pub fn bind(&mut self, _addresses: &[SocketAddr], _options: &Options) -> Result<Vec<SocketAddr>> {
        todo!()
    }

    /// Serve in this many processes, until SIGTERM or SIGINT: 1 is this process, 0 is one for each core.
    pub fn start(self, _processes: usize, _grace: Duration) -> std::result::Result<Ended, Failed> {
        todo!()
    }

    /// Stop gracefully.
    pub fn stop(&self, _ioloop: &IoLoop, _grace: Duration) {
        todo!()
    }

    /// The counters of this process.
    pub fn counters(&self) -> Counters {
        todo!()
    }
}
