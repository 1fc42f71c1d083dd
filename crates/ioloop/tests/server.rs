//! The whole: a server of futures, on the real kernel: examples/echo.rs, and clients that count what they get.
//!
//! These tests belong to no exercise. With the feature `mine` they run the reader's loop.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{setsockopt, sockopt};
use nix::unistd::{Pid, alarm};
use testing::Helper;

#[allow(dead_code, reason = "here it has another main")]
#[path = "../examples/echo.rs"]
mod echo;

testing::helper!(helper);

/// A step that takes this long hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many clients a server has during a test.
const CLIENTS: usize = 64;

/// If there is no room this many times in a row, and the server ran in between, then the server has stopped reading. It
/// would have read 4 KB each time, and the kernel frees room in pieces of 64 KB at most.
const FULL: usize = 100;

/// One server at a time: its clients need descriptors in this process, which may have as few as 256.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn helper(args: &[&str]) -> i32 {
    testing::ignore_sigpipe();
    alarm::set(60);
    match (args, echo::serve(0, |line| println!("{line}"))) {
        (["serve"], Ok(())) => 0,
        (_, Ok(())) => 2,
        (_, Err(error)) => {
            println!("{error}");
            1
        }
    }
}

/// A server, in a process of its own.
struct Server {
    process: Child,
    lines: BufReader<ChildStdout>,
    port: u16,
}

impl Server {
    fn start() -> Self {
        let mut helper = Helper::new(&["serve"]);
        let mut process = helper.command().stdout(Stdio::piped()).spawn().expect("the helper starts");
        let lines = BufReader::new(process.stdout.take().expect("its output is a pipe"));
        let mut server = Self { process, lines, port: 0 };
        // On IPv4, and on IPv6 where it is available: on the same port.
        let line = server.line();
        let port = line.strip_prefix("listening on ").and_then(|address| address.rsplit(':').next());
        server.port =
            port.and_then(|port| port.parse().ok()).unwrap_or_else(|| panic!("no port in `{line}`"));
        server
    }

    #[track_caller]
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("its output is text");
        assert!(!line.is_empty(), "the server has ended: {:?}", self.process.wait());
        line.trim_end().to_owned()
    }

    #[track_caller]
    fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).expect("the server accepts");
        // The connection ends with a reset, unless it finishes: so no TIME_WAIT holds the port for a minute.
        let linger = libc::linger { l_onoff: 1, l_linger: 0 };
        setsockopt(&socket, sockopt::Linger, &linger).expect("the option can be set");
        socket.set_read_timeout(Some(PATIENCE)).expect("it is not 0");
        socket.set_write_timeout(Some(PATIENCE)).expect("it is not 0");
        socket
    }

    /// How many descriptors the server has.
    fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.process.id())).expect("the server is our child").count()
    }

    /// Waits until the server has this many descriptors, or until it is clear that it will not.
    fn comes_to(&self, descriptors: usize) -> usize {
        let deadline = Instant::now() + PATIENCE;
        while self.descriptors() != descriptors && Instant::now() < deadline {
            thread::yield_now();
        }
        self.descriptors()
    }

    /// Sends the server this signal, and returns what it prints then.
    #[track_caller]
    fn ended_by(mut self, signal: Signal) -> String {
        kill(Pid::from_raw(self.process.id().cast_signed()), signal).expect("the server is not reaped yet");
        let mut said = String::new();
        self.lines.read_to_string(&mut said).expect("its output is text");
        let status = self.process.wait().expect("the server is our child");
        assert!(status.success(), "the server was sent {signal}, and ended with {status}: {said}");
        said.lines().last().unwrap_or_default().to_owned()
    }
}

/// A test that fails leaves no server behind.
impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[track_caller]
fn comes_back(client: &mut TcpStream, sent: &[u8]) {
    let mut back = vec![0; sent.len()];
    if let Err(error) = client.read_exact(&mut back) {
        panic!(
            "in {PATIENCE:?} the echo did not come ({error}): does the task of another client block the loop?"
        );
    }
    assert!(back == sent, "the echo differs from what was sent");
}

/// The peer is closed by the time that this returns.
#[track_caller]
fn finish(mut client: TcpStream) {
    client.shutdown(Shutdown::Write).expect("it is connected");
    let rest = client.read_to_end(&mut Vec::new());
    assert_eq!(
        rest.map_err(|error| error.kind()),
        Ok(0),
        "the server closes the connection of a client that has finished"
    );
}

#[test]
fn each_client_gets_its_own_bytes_and_leaves_no_descriptor() {
    testing::needs!(loopback, descriptors(256));
    let _alone = alone();
    let server = Server::start();
    let mut first = server.connect();
    first.write_all(b"x").expect("it is connected");
    comes_back(&mut first, b"x");
    // By now the server has opened its own descriptors.
    let idle = server.descriptors() - 1;
    let others = (1..CLIENTS).map(|_| server.connect());
    let mut clients: Vec<TcpStream> = std::iter::once(first).chain(others).collect();
    for round in 0..20 {
        let text = |n: usize| format!("client {n}, round {round}\n");
        for (n, client) in clients.iter_mut().enumerate() {
            client.write_all(text(n).as_bytes()).expect("it is connected");
        }
        for (n, client) in clients.iter_mut().enumerate() {
            comes_back(client, text(n).as_bytes());
        }
    }
    let busy = server.descriptors();
    assert_eq!(
        busy,
        idle + CLIENTS,
        "descriptors with {CLIENTS} clients: one for each client, beside the server's own"
    );
    for (n, client) in clients.into_iter().enumerate() {
        // Half of the clients finish, and the others just close.
        if n % 2 == 0 { finish(client) } else { drop(client) }
    }
    let after = server.comes_to(idle);
    assert_eq!(after, idle, "all clients have left, and the server has more descriptors than before");
    assert_eq!(server.ended_by(Signal::SIGTERM), format!("stopped with 0 of {CLIENTS} clients connected"));
}

#[test]
fn a_client_that_does_not_read_delays_no_other_and_loses_no_byte() {
    testing::needs!(loopback);
    let _alone = alone();
    let server = Server::start();
    let mut deaf = server.connect();
    deaf.set_nonblocking(true).expect("a socket can be");
    let text: Vec<u8> = (0..65536_u32).map(|n| (n % 251) as u8).collect();
    let mut sent = 0;
    // Until every buffer between the two is full. The server serves the other clients all the while.
    let mut other = server.connect();
    let mut refused = 0;
    while refused < FULL {
        match deaf.write(&text[sent % text.len()..]) {
            Ok(taken) => (sent, refused) = (sent + taken, 0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => refused += 1,
            Err(error) => panic!("after {sent} bytes: {error}"),
        }
        other.write_all(b"still there?").expect("it is connected");
        comes_back(&mut other, b"still there?");
    }
    deaf.set_nonblocking(false).expect("a socket can be");
    deaf.shutdown(Shutdown::Write).expect("it is connected");
    let mut back = Vec::new();
    deaf.read_to_end(&mut back).expect("all bytes come, and then end of file");
    let expected: Vec<u8> = text.iter().copied().cycle().take(sent).collect();
    assert_eq!(back.len(), sent, "bytes that came back to a client that did not read for a while");
    assert!(back == expected, "the echo differs from what was sent");
    finish(other);
    assert_eq!(server.ended_by(Signal::SIGTERM), "stopped with 0 of 2 clients connected");
}

#[test]
fn ctrl_c_ends_it_with_its_clients_connected() {
    testing::needs!(loopback);
    let _alone = alone();
    let server = Server::start();
    let mut clients: Vec<TcpStream> = (0..3).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.write_all(b"x").expect("it is connected");
        comes_back(client, b"x");
    }
    assert_eq!(server.ended_by(Signal::SIGINT), "stopped with 3 of 3 clients connected");
    for mut client in clients {
        let end = client.read(&mut [0]);
        assert_eq!(end.map_err(|error| error.kind()), Ok(0), "its connection is closed, and no byte is lost");
    }
}
