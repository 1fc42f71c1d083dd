//! A server of files in a thread of the test, and a client that believes nothing.

#![allow(dead_code, reason = "each test program uses a part of this")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use httpserver::files::Files;
use httpserver::{HttpServer, Reply, Request};
use ioloop::{IoLoop, LoopHandle};
use tempfile::TempDir;

/// The content of `/robots.txt`, which Tornado's tests ask for.
pub const TWENTY_SIX: &str = "User-agent: *\nDisallow: /\n";

/// A server of a folder, which ends with this value.
pub struct Served {
    /// The folder.
    pub root: PathBuf,
    address: SocketAddr,
    stop: LoopHandle,
    thread: Option<JoinHandle<()>>,
    _scene: TempDir,
}

impl Served {
    /// Serves a folder with some files, beside which there are others that must not be served.
    pub fn new() -> Self {
        let scene =
            TempDir::new_in(testing::machine::temporary_folder().expect("a folder for temporary files"))
                .unwrap();
        let at = |name: &str| scene.path().join(name);
        for folder in ["root/a", "root/b/c", "root-leak"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        for (name, content) in [
            ("root/robots.txt", TWENTY_SIX),
            ("root/index.html", "the index"),
            ("root/a/index.html", "the index of a"),
            ("root/empty", ""),
            ("secret", "outside"),
            ("root-leak/secret", "outside"),
        ] {
            fs::write(at(name), content).unwrap();
        }
        symlink("../secret", at("root/link-out")).unwrap();
        symlink("../root-leak", at("root/link-out-folder")).unwrap();
        symlink(at("secret"), at("root/absolute-link")).unwrap();
        Self::start(at("root"), scene)
    }

    /// Serves this folder.
    pub fn of(root: &Path) -> Self {
        let scene =
            TempDir::new_in(testing::machine::temporary_folder().expect("a folder for temporary files"))
                .unwrap();
        Self::start(root.to_owned(), scene)
    }

    fn start(root: PathBuf, scene: TempDir) -> Self {
        let (send, receive) = channel();
        let folder = root.clone();
        let thread = thread::spawn(move || {
            let ioloop = IoLoop::new().unwrap();
            let files = Files::new(&folder).unwrap();
            let app = move |_: &IoLoop, request: &Request, reply: Reply| reply.send(files.answer(request));
            let server = HttpServer::new(app);
            let address = server.listen(&ioloop, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
            send.send((address, ioloop.handle())).unwrap();
            ioloop.start().unwrap();
        });
        let (address, stop) = receive.recv().expect("a server");
        Self { root, address, stop, thread: Some(thread), _scene: scene }
    }

    /// Host and port.
    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    /// The URL of a target.
    pub fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.address)
    }

    /// A new connection.
    pub fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Client { stream: BufReader::new(stream), method: String::new() }
    }

    /// Asks on a connection of its own.
    pub fn ask(&self, method: &str, target: &str, fields: &[(&str, &str)]) -> Answer {
        let mut client = self.connect();
        client.send(method, target, fields);
        client.answer()
    }

    /// Asks all of it on one connection, in one write.
    pub fn pipelined(&self, requests: &[(&str, &str)]) -> Vec<Answer> {
        let mut client = self.connect();
        let bytes: String = requests.iter().map(|(method, target)| request(method, target, &[])).collect();
        client.stream.get_mut().write_all(bytes.as_bytes()).unwrap();
        requests
            .iter()
            .map(|(method, _)| {
                client.method = (*method).to_owned();
                client.answer()
            })
            .collect()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.stop.add_callback(IoLoop::stop);
        let ended = self.thread.take().map(JoinHandle::join);
        if !thread::panicking() {
            assert!(ended.is_some_and(|ended| ended.is_ok()), "the server's thread panicked");
        }
    }
}

fn request(method: &str, target: &str, fields: &[(&str, &str)]) -> String {
    let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n{fields}\r\n")
}

/// One connection.
pub struct Client {
    stream: BufReader<TcpStream>,
    /// The method of the last request: the answer to HEAD has no body.
    method: String,
}

impl Client {
    /// Sends a request.
    pub fn send(&mut self, method: &str, target: &str, fields: &[(&str, &str)]) {
        self.method = method.to_owned();
        self.stream.get_mut().write_all(request(method, target, fields).as_bytes()).unwrap();
    }

    /// Reads a head.
    #[track_caller]
    pub fn head(&mut self) -> Answer {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            let read = self.stream.read_line(&mut line).expect("a line of a head");
            assert!(read > 0, "the connection ended within a head, after {lines:?}");
            let line =
                line.strip_suffix("\r\n").unwrap_or_else(|| panic!("{line:?} does not end with CR LF"));
            if line.is_empty() {
                break;
            }
            lines.push(line.to_owned());
        }
        let status = lines[0].strip_prefix("HTTP/1.1 ").expect("a status line");
        let status = status.split(' ').next().and_then(|status| status.parse().ok()).expect("a status");
        let fields = lines[1..].iter().map(|line| {
            let (name, value) = line.split_once(": ").expect("a field");
            (name.to_owned(), value.to_owned())
        });
        let answer = Answer { status, fields: fields.collect(), body: Vec::new() };
        assert!(answer.field("Date").is_some(), "{answer:?} has no Date");
        answer
    }

    /// Reads this many bytes.
    #[track_caller]
    pub fn body(&mut self, length: usize) -> Vec<u8> {
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).expect("the announced body");
        body
    }

    /// Reads a head and its body.
    #[track_caller]
    pub fn answer(&mut self) -> Answer {
        let mut answer = self.head();
        let length = answer.field("Content-Length").map_or(0, |length| length.parse().expect("a length"));
        if self.method != "HEAD" && answer.status != 304 {
            answer.body = self.body(length);
        }
        answer
    }

    /// Reads until the connection ends.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let mut buffer = [0; 65536];
        // A reset ends the connection, too.
        while let Ok(read @ 1..) = self.stream.read(&mut buffer) {
            rest.extend_from_slice(&buffer[..read]);
        }
        rest
    }
}

/// A response.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a field.
    #[track_caller]
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| &**value);
        assert!(values.next().is_none(), "{name} is there twice: {:?}", self.fields);
        value
    }

    /// All fields but the date, which goes on.
    pub fn fields_without_date(&self) -> Vec<&(String, String)> {
        self.fields.iter().filter(|(name, _)| name != "Date").collect()
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        str::from_utf8(&self.body).expect("a text")
    }

    /// Does the response have these bytes anywhere?
    pub fn contains(&self, text: &str) -> bool {
        String::from_utf8_lossy(&self.body).contains(text)
            || self.fields.iter().any(|(_, value)| value.contains(text))
    }

    /// Checks that it is a 304 without a body.
    #[track_caller]
    pub fn is_not_modified(&self) {
        assert_eq!((self.status, &*self.body), (304, &b""[..]), "{self:?}");
    }
}
