//! A client that sends what it is told to, and reads strictly.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};

use super::parse::{self, Got, Unread};
use super::split::Split;

/// How long any answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection to a server.
pub struct Client {
    /// The socket.
    pub socket: TcpStream,
    received: Vec<u8>,
}

impl Client {
    /// Connect.
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).expect("the server listens");
        socket.set_read_timeout(Some(PATIENCE)).expect("the timeout is not zero");
        socket.set_write_timeout(Some(PATIENCE)).expect("the timeout is not zero");
        socket.set_nodelay(true).expect("a TCP socket has this option");
        Self { socket, received: Vec::new() }
    }

    /// Let the kernel keep only about this many bytes of what the server sends.
    #[track_caller]
    pub fn set_window(&self, bytes: usize) {
        setsockopt(&self.socket, sockopt::RcvBuf, &bytes).expect("a TCP socket has this option");
    }

    /// Send bytes. A server that has closed is no error here: what it answered counts.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.socket.write_all(bytes.as_ref());
    }

    /// Send bytes in pieces.
    pub fn send_split(&mut self, bytes: &[u8], split: Split) {
        split.pieces(bytes).into_iter().for_each(|piece| self.send(piece));
    }

    /// Send a request for this target.
    pub fn get(&mut self, target: &str) {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
    }

    /// Shut down the side that sends.
    pub fn end(&self) {
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// Read the next response, to a request with this method. Interim ones are returned, too.
    #[track_caller]
    pub fn response_to(&mut self, method: &str) -> Got {
        let mut is_end = false;
        loop {
            match parse::response(&self.received, method, is_end) {
                Ok((got, length)) => {
                    self.received.drain(..length);
                    return got;
                }
                Err(Unread::Incomplete) if !is_end => is_end = !self.receive(),
                Err(Unread::Incomplete) => {
                    panic!("the connection was closed after: `{}`", self.received.escape_ascii())
                }
                Err(Unread::Wrong(why)) => panic!("{why}, in: {}", self.received.escape_ascii()),
            }
        }
    }

    /// Read the next response to a GET.
    #[track_caller]
    pub fn response(&mut self) -> Got {
        self.response_to("GET")
    }

    /// Read once. Returns false at the end.
    #[track_caller]
    fn receive(&mut self) -> bool {
        let mut bytes = [0; 16 * 1024];
        match self.socket.read(&mut bytes) {
            Ok(0) => false,
            Ok(count) => {
                self.received.extend_from_slice(&bytes[..count]);
                true
            }
            Err(error) => panic!(
                "reading from the server failed: {error}; before that came `{}`",
                self.received.escape_ascii()
            ),
        }
    }

    /// Read until the server closes, without a reset. Returns all bytes that were not read as a response.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<u8> {
        while self.receive() {}
        std::mem::take(&mut self.received)
    }

    /// Read all responses until the server closes, without a reset.
    #[track_caller]
    pub fn responses(&mut self) -> Vec<Got> {
        let bytes = self.rest();
        let (mut responses, mut at) = (Vec::new(), 0);
        while at < bytes.len() {
            match parse::response(&bytes[at..], "GET", true) {
                Ok((got, length)) => {
                    at += length;
                    responses.push(got);
                }
                Err(why) => panic!("{why:?}, in: {}", bytes[at..].escape_ascii()),
            }
        }
        responses
    }

    /// Is nothing there to read for this long?
    pub fn is_quiet(&mut self, time: Duration) -> bool {
        self.socket.set_read_timeout(Some(time)).expect("the timeout is not zero");
        let start = Instant::now();
        let peeked = self.socket.peek(&mut [0]);
        self.socket.set_read_timeout(Some(PATIENCE)).expect("the timeout is not zero");
        matches!(peeked, Err(error) if error.kind() == ErrorKind::WouldBlock) && start.elapsed() >= time / 2
    }

    /// Close with a reset.
    pub fn reset(self) {
        let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
        nix::sys::socket::setsockopt(&self.socket, nix::sys::socket::sockopt::Linger, &linger)
            .expect("a socket has this option");
    }
}
