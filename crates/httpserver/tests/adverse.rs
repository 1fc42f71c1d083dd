//! What a server survives: workers that are killed, a process without a free descriptor, clients that reset the connection at
//! any byte. The other clients are answered.

mod support;

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{process, thread};

use httpserver::{FileBody, HttpServer, Reply, Request, Response};
use ioloop::IoLoop;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, alarm};
use prefork::sockets::Options;
use support::client::Client;
use support::serving::{Serving, echo};

testing::helper!(helper);

fn helper(args: &[&str]) -> i32 {
    let ["serve", processes, descriptors] = args else { return 2 };
    alarm::set(120);
    if let Ok(most) = descriptors.parse() {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("the limit can be read");
        setrlimit(Resource::RLIMIT_NOFILE, most, hard).expect("a lower limit is permitted");
    }
    let mut server = HttpServer::new(|_: &IoLoop, _: &Request, reply: Reply| {
        reply.send(Response::text(200, process::id().to_string()));
    });
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let bound = server.bind(&[any], &Options::default()).expect("loopback has a free port");
    let _ = writeln!(io::stdout(), "{}", bound[0]);
    let ended = server.start(processes.parse().expect("a number"), Duration::from_secs(5));
    i32::from(ended.is_err())
}

/// A server in processes of its own.
struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    fn start(processes: usize, descriptors: &str) -> Self {
        let mut helper = testing::Helper::new(&["serve", &processes.to_string(), descriptors]);
        let mut process = helper.command().stdout(Stdio::piped()).spawn().expect("a helper can be started");
        let mut line = String::new();
        let output = process.stdout.take().expect("it is a pipe");
        BufReader::new(output).read_line(&mut line).expect("the server says its address");
        Self { process, address: line.trim().parse().expect("an address") }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.process.id().cast_signed()), Signal::SIGTERM);
        let _ = self.process.wait();
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(Duration::from_secs(20)))?;
    Ok(socket)
}

/// Ask for a process id. `InvalidData` for anything but a whole response.
fn ask(socket: &mut (impl Read + Write)) -> io::Result<i32> {
    socket.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")?;
    let (mut got, mut bytes) = (Vec::new(), [0; 1024]);
    loop {
        let count = socket.read(&mut bytes)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        got.extend_from_slice(&bytes[..count]);
        match support::parse::response(&got, "GET", false) {
            Ok((response, length)) if length == got.len() && response.status == 200 => {
                return response.text().parse().map_err(io::Error::other);
            }
            Err(support::parse::Unread::Incomplete) => {}
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

#[test]
fn a_killed_worker_takes_no_connection_but_its_own_with_it() {
    testing::needs!(loopback, pidfd);
    const CLIENTS: u64 = 6;
    const KILLS: u64 = 5;
    let server = Server::start(2, "");
    let (answers, errors) = (AtomicU64::new(0), AtomicU64::new(0));
    let (last, is_over) = (AtomicI32::new(0), AtomicBool::new(false));
    let wrong = thread::scope(|scope| {
        let client = || {
            let mut socket = None;
            while !is_over.load(Ordering::Relaxed) {
                let asked = match socket.take() {
                    Some(open) => Ok(open),
                    None => connect(server.address),
                }
                .and_then(|mut open| ask(&mut open).map(|pid| (open, pid)));
                match asked {
                    Ok((open, pid)) => {
                        socket = Some(open);
                        last.store(pid, Ordering::Relaxed);
                        answers.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(error) if error.kind() == io::ErrorKind::InvalidData => return Some(error),
                    Err(_) => drop(errors.fetch_add(1, Ordering::Relaxed)),
                }
            }
            None
        };
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        let deadline = Instant::now() + Duration::from_secs(60);
        let until = |count: u64| {
            while answers.load(Ordering::Relaxed) < count && Instant::now() < deadline {
                thread::yield_now();
            }
        };
        for _ in 0..KILLS {
            until(answers.load(Ordering::Relaxed) + 200);
            // The worker that answered last may be gone already.
            let _ = kill(Pid::from_raw(last.load(Ordering::Relaxed)), Signal::SIGKILL);
        }
        until(answers.load(Ordering::Relaxed) + 200);
        is_over.store(true, Ordering::Relaxed);
        assert!(Instant::now() < deadline, "the clients got only {answers:?} answers within a minute");
        clients.into_iter().filter_map(|client| client.join().expect("no panic")).collect::<Vec<_>>()
    });
    assert!(wrong.is_empty(), "what a client gets is a whole response, or the connection ends: {wrong:?}");
    let errors = errors.into_inner();
    assert!(
        errors <= CLIENTS * KILLS,
        "{errors} requests failed, but only {CLIENTS} connections were open at each of {KILLS} kills"
    );
}

#[test]
fn without_a_free_descriptor_those_who_are_connected_are_served_and_others_are_closed() {
    testing::needs!(loopback);
    let server = Server::start(1, "32");
    let mut sockets: Vec<TcpStream> = (0..60).map(|_| connect(server.address).expect("a queue")).collect();
    // A client that was turned away sees the end, or a reset. Nobody waits.
    let answered: Vec<bool> = sockets
        .iter_mut()
        .map(|socket| match ask(socket) {
            Ok(_) => true,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => panic!("a client waits for 20 s"),
            Err(_) => false,
        })
        .collect();
    let count = answered.iter().filter(|answered| **answered).count();
    assert!((10..32).contains(&count), "{count} of 60 clients were served with 32 descriptors");
    for (socket, answered) in sockets.iter_mut().zip(answered) {
        assert!(!answered || ask(socket).is_ok(), "a client that is connected is served again");
    }
    drop(sockets);
    let deadline = Instant::now() + Duration::from_secs(10);
    while connect(server.address).and_then(|mut socket| ask(&mut socket)).is_err() {
        assert!(Instant::now() < deadline, "the descriptors are free again, and a new client is not served");
    }
}

/// What these requests are answered with, in bytes.
fn length_of_answer(address: SocketAddr, requests: &str) -> usize {
    let mut client = Client::connect(address);
    client.send(requests);
    client.end();
    client.rest().len()
}

#[test]
fn a_client_may_reset_at_each_byte_of_a_request_and_of_its_response() {
    testing::needs!(loopback);
    let server = Serving::start(|| {
        |ioloop: &IoLoop, request: &Request, reply: Reply| match request.path() {
            "/stream" => {
                let stream = reply.stream(Response::new(200));
                let _ = stream.write(b"a part").and_then(|_| stream.write(b"another"));
            }
            _ => echo(ioloop, request, reply),
        }
    });
    let mut other = Client::connect(server.address);
    let whole = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok";
    let chunked =
        "POST /stream HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    for requests in [whole.to_owned(), format!("{chunked}{whole}")] {
        for sent in 0..requests.len() {
            let mut client = Client::connect(server.address);
            client.send(&requests[..sent]);
            client.reset();
        }
        for read in 0..length_of_answer(server.address, &requests) {
            let mut client = Client::connect(server.address);
            client.send(&requests);
            client.socket.read_exact(&mut vec![0; read]).expect("the response has more bytes than these");
            client.reset();
        }
        other.get("/other");
        assert_eq!(other.response().text(), "GET /other");
    }
    let counters = server.until("all that left are closed", |counters| counters.open == 1);
    assert_eq!(counters.responses[5], 0, "{counters:?}");
}

#[test]
fn a_unix_socket_serves_as_a_tcp_socket_does() {
    let folder = tempfile::TempDir::new_in(testing::machine::temporary_folder().expect("a folder")).unwrap();
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).expect("a path that is free");
    listener.set_nonblocking(true).expect("a socket can be nonblocking");
    let server = Serving::echo_on(listener);
    let mut client = UnixStream::connect(&path).expect("it listens");
    for bytes in [
        &b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"[..],
        b"GET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    ] {
        client.write_all(bytes).expect("it is connected");
    }
    let mut text = String::new();
    client.read_to_string(&mut text).expect("no error");
    assert!(text.contains("GET /1") && text.ends_with("GET /2"), "{text}");
    let mut client = UnixStream::connect(&path).expect("it listens");
    client.write_all(b"what is this?\r\n\r\n").expect("it is connected");
    let mut text = String::new();
    client.read_to_string(&mut text).expect("no error");
    assert!(text.starts_with("HTTP/1.1 400 "), "a bad request over a Unix socket: {text}");
    drop(server);
}

#[test]
fn a_client_that_does_not_read_takes_little_of_the_kernels_memory() {
    testing::needs!(loopback);
    let file =
        tempfile::NamedTempFile::new_in(testing::machine::temporary_folder().expect("a folder")).unwrap();
    let length = 64 * 1024 * 1024;
    file.as_file().set_len(length).expect("a file with a hole");
    let path = file.path().to_owned();
    let server = Serving::start(move || {
        move |_: &IoLoop, _: &Request, reply: Reply| {
            let file = std::fs::File::open(&path).expect("it is there").into();
            reply.send(Response::new(200).file(FileBody { file, offset: 0, length }));
        }
    });
    let mut client = Client::connect(server.address);
    client.set_window(4096);
    client.get("/");
    client.socket.peek(&mut [0]).expect("the response has begun");
    // The socket takes more for as long as the client's kernel acknowledges something.
    let mut sent = (0, 1);
    while sent.0 != sent.1 {
        sent = (sent.1, server.counters().sent);
    }
    let sent = sent.1;
    assert!(
        sent < 500 * 1024,
        "{sent} bytes were sent to a client that reads none: the kernel keeps what the client's window has no room for"
    );
    drop(client);
    server.until("the client that left is closed", |counters| counters.open == 0);
}
