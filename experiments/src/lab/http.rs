//! The book's HTTP server on a loop in a thread, for experiments that ask it something.

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use httpserver::{App, Counters, HttpServer, Limits};
use ioloop::{IoLoop, LoopHandle};

use super::Lab;
use super::state::PATIENCE;
use super::tcp::reachable;
use crate::verdict::Result;

thread_local! {
    /// The server of the thread.
    static SERVER: RefCell<Option<HttpServer>> = const { RefCell::new(None) };
}

/// An HTTP server in a thread. Dropping it stops its loop.
pub struct Http {
    port: u16,
    handle: LoopHandle,
    thread: Option<JoinHandle<httpserver::Result<()>>>,
}

impl Lab {
    /// Serve on a free port of 127.0.0.1, on a loop in a thread. `make` makes the application there.
    pub fn http<A: App>(&self, limits: Limits, make: impl FnOnce() -> A + Send + 'static) -> Result<Http> {
        reachable()?;
        let (send, receive) = mpsc::channel();
        let thread = thread::spawn(move || -> httpserver::Result<()> {
            let ioloop = IoLoop::new()?;
            let server = HttpServer::new(make()).with_limits(limits);
            let address = server.listen(&ioloop, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
            SERVER.set(Some(server));
            send.send((address.port(), ioloop.handle())).unwrap_or_default();
            let served = ioloop.start();
            SERVER.take();
            ioloop.close();
            served
        });
        match receive.recv() {
            Ok((port, handle)) => Ok(Http { port, handle, thread: Some(thread) }),
            Err(_) => {
                thread.join().map_err(|_| "the server panicked")??;
                Err("the server ended before it listened".into())
            }
        }
    }
}

impl Http {
    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What the server has done so far, as its own thread sees it between two callbacks.
    pub fn counters(&self) -> Result<Counters> {
        let (send, receive) = mpsc::channel();
        self.handle.add_callback(move |_| {
            let counters = SERVER.with_borrow(|server| server.as_ref().map(HttpServer::counters));
            send.send(counters.unwrap_or_default()).unwrap_or_default();
        })?;
        receive.recv_timeout(PATIENCE).map_err(|_| "the server does not answer its own thread".into())
    }

    /// Wait until the server's counters are so.
    pub fn until(&self, so: impl Fn(&Counters) -> bool) -> Result<Counters> {
        let start = Instant::now();
        loop {
            let counters = self.counters()?;
            if so(&counters) {
                return Ok(counters);
            }
            if start.elapsed() > PATIENCE {
                return Err(format!("the server still has {counters:?}").into());
            }
            thread::yield_now();
        }
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = self.handle.stop();
            let _ = thread.join();
        }
    }
}
