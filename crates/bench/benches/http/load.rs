//! The load: in each round a client writes its requests on every connection, and then reads all responses.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// What is asked of a server.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub path: &'static str,
    pub connections: usize,
    /// How many requests are sent ahead on each connection.
    pub pipelined: usize,
    /// How many rounds are measured at once.
    pub rounds: usize,
}

/// What one block of rounds took.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// The processor's time of the server for a request, in nanoseconds.
    pub request: f64,
    /// How long all of it took.
    pub wall: Duration,
}

/// The connections to one server.
pub struct Client {
    sockets: Vec<TcpStream>,
    requests: Vec<u8>,
    /// For the responses of one connection, which have this length.
    responses: Vec<u8>,
}

impl Client {
    pub fn connect(address: SocketAddr, load: &Load) -> Self {
        // What curl sends.
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: curl/8.10.1\r\nAccept: */*\r\n\r\n",
            load.path
        );
        let mut sockets: Vec<_> =
            (0..load.connections).map(|_| TcpStream::connect(address).expect("a connection")).collect();
        sockets.iter().for_each(|socket| socket.set_nodelay(true).expect("a socket"));
        let length = length(&mut sockets[0], request.as_bytes());
        let requests = request.repeat(load.pipelined).into_bytes();
        Self { sockets, requests, responses: vec![0; length * load.pipelined] }
    }

    pub fn round(&mut self) {
        let Self { sockets, requests, responses } = self;
        sockets.iter_mut().for_each(|socket| socket.write_all(requests).expect("room"));
        sockets.iter_mut().for_each(|socket| socket.read_exact(responses).expect("responses"));
        assert!(responses.starts_with(b"HTTP/1.1 200 "), "a response is not where the last one ended");
    }
}

/// Ask once. Returns how long a response is: each has the same length.
fn length(socket: &mut TcpStream, request: &[u8]) -> usize {
    socket.write_all(request).expect("room");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).expect("a head");
        head.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    let body: usize = length.parse().expect("a number");
    socket.read_exact(&mut vec![0; body]).expect("a body");
    head.len() + body
}
