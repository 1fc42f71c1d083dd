//! A server on a loop of its own, in a thread.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use httpserver::{App, Counters, HttpServer, Limits, Reply, Request, Response};
use ioloop::{IoLoop, LoopHandle};

use super::talk::words;

thread_local! {
    /// The server of the thread.
    static SERVER: RefCell<Option<HttpServer>> = const { RefCell::new(None) };
}

/// A server that is stopped when this is dropped.
pub struct Serving {
    /// Where it listens.
    pub address: SocketAddr,
    handle: LoopHandle,
    thread: Option<JoinHandle<()>>,
}

impl Serving {
    /// Serve with the default limits. `make` makes the application in the thread of the loop.
    pub fn start<A: App>(make: impl FnOnce() -> A + Send + 'static) -> Self {
        Self::with(Limits::default(), |server| server, make)
    }

    /// Serve with these limits, and a server that `change` has changed.
    pub fn with<A: App>(
        limits: Limits,
        change: impl FnOnce(HttpServer) -> HttpServer + Send + 'static,
        make: impl FnOnce() -> A + Send + 'static,
    ) -> Self {
        let (send, receive) = mpsc::channel();
        let thread = thread::spawn(move || {
            let ioloop = IoLoop::new().expect("a loop needs two descriptors");
            // A panic of a handler is expected in some tests, and reported once.
            ioloop.handle_callback_exception(|_, _| {});
            let server = change(HttpServer::new(make()).with_limits(limits));
            let any = "127.0.0.1:0".parse().expect("an address");
            let address = server.listen(&ioloop, any).expect("loopback has a free port");
            SERVER.set(Some(server));
            send.send((address, ioloop.handle())).expect("the test waits for it");
            ioloop.start().expect("the poller works");
        });
        let (address, handle) = receive.recv().expect("the server has started");
        Self { address, handle, thread: Some(thread) }
    }

    /// A server that echoes what it gets.
    pub fn echo() -> Self {
        Self::start(|| echo)
    }

    /// A server that echoes what it gets from a Unix socket, too.
    pub fn echo_on(listener: UnixListener) -> Self {
        let server = Self::echo();
        server
            .within(|ioloop, server| server.add_sockets(ioloop, vec![listener]))
            .expect("a listening socket");
        server
    }

    /// Run this in its thread, and return the result.
    #[track_caller]
    pub fn within<T: Send + 'static>(
        &self,
        run: impl FnOnce(&IoLoop, &HttpServer) -> T + Send + 'static,
    ) -> T {
        let (send, receive) = mpsc::channel();
        let run = move |ioloop: &IoLoop| {
            let server = SERVER.with_borrow(Clone::clone);
            let result = server.map(|server| run(ioloop, &server));
            let _ = send.send(result);
        };
        self.handle.add_callback(run).expect("the loop is awake");
        let result = receive.recv_timeout(Duration::from_secs(10));
        result.expect("the server answers within 10 s").expect("the thread has a server")
    }

    /// Its counters.
    #[track_caller]
    pub fn counters(&self) -> Counters {
        self.within(|_, server| server.counters())
    }

    /// Wait until its counters are like this.
    #[track_caller]
    pub fn until(&self, what: &str, is_so: impl Fn(&Counters) -> bool) -> Counters {
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        loop {
            let counters = self.counters();
            if is_so(&counters) {
                return counters;
            }
            assert!(std::time::Instant::now() < deadline, "{what} within 10 s: {counters:?}");
        }
    }

    /// Wait until its loop has stopped by itself.
    pub fn join(mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the loop does not panic");
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = self.handle.stop();
            let _ = thread.join();
        }
    }
}

/// Answer with the request as text.
pub fn echo(_: &IoLoop, request: &Request, reply: Reply) {
    reply.send(Response::text(200, words(request)));
}
