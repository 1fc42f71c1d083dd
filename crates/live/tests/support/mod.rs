//! A server of its own for each test, with a tool that does what the test wants, and a client that reads byte by byte.

#![allow(dead_code, reason = "each test uses a part of this")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::Value;
use tempfile::TempDir;

/// The tool of the tests. `held` keeps the fifo `held` open for as long as one of its processes lives.
const TOOL: &str = r#"#!/bin/sh
for name; do :; done
case "$1 $name" in
list*) cat list.json ;;
"run quick") echo '{"kind":"note","at_us":0,"who":"program","text":"first"}'; echo plain; cat gate
             echo '{"kind":"verdict","agrees":true,"answer":"a","skipped":null}'; echo '{"kind":"end","status":0,"cut":false}' ;;
"run held"*) exec 3> held; sleep 1000 & echo '{"kind":"note","at_us":0,"who":"program","text":"held"}'; wait ;;
"run stubborn") trap '' TERM; exec 3> held; echo '{"kind":"note","at_us":0,"who":"program","text":"held"}'; exec sleep 1000 ;;
"run scattered") trap '' TERM; exec 3> held; setsid sh -c 'setsid sleep 1000 & exec sleep 1000' &
             echo '{"kind":"note","at_us":0,"who":"program","text":"held"}'; exec sleep 1000 ;;
"run forsaken") exec 3> held; setsid sleep 1000 & echo '{"kind":"note","at_us":0,"who":"program","text":"held"}'; exit 7 ;;
"run killed") kill -KILL $$ ;;
"run aborted") kill -ABRT $$ ;;
"run floods") while :; do echo "more and more and more and more and more and more and more and more and more and more and more"; done ;;
"run surroundings") echo "args: $*"; env; ls -l /proc/self/fd; cat ;;
"check toy/add") echo 'warning: something' >&2
             echo '[{"name":"toy/add","passed":false,"seconds":0.1,'
             echo '"tests":[{"name":"adds","passed":false,"message":"seen 3","skipped":null}]}]'; exit 1 ;;
*) echo "unknown: $*"; exit 2 ;;
esac
"#;

const NAMES: [&str; 13] = [
    "quick",
    "held",
    "held-1",
    "held-2",
    "held-3",
    "held-4",
    "stubborn",
    "scattered",
    "forsaken",
    "killed",
    "aborted",
    "floods",
    "surroundings",
];

/// A server that runs.
pub struct Server {
    pub child: Child,
    pub port: u16,
    pub token: String,
    pub folder: TempDir,
}

/// The command that starts a server in this folder, without its options for root.
pub fn command(folder: &TempDir) -> Command {
    let path = folder.path();
    let experiments = NAMES.map(|name| serde_json::json!({ "name": name, "page": format!("book/src/01-a/{name}.md"), "agrees": null }));
    let exercises = serde_json::json!([{ "name": "toy/add", "done": true, "title": "Exercise: add", "page": "book/src/01-a/exercise-add.md" }]);
    let list = serde_json::json!({ "experiments": experiments, "exercises": exercises });
    fs::write(path.join("list.json"), list.to_string()).expect("a list");
    fs::write(path.join("tool"), TOOL).expect("a tool");
    fs::set_permissions(path.join("tool"), fs::Permissions::from_mode(0o755)).expect("a program");
    fs::create_dir_all(path.join("html/api")).expect("a folder");
    for page in ["html/index.html", "html/page.html", "html/api/run"] {
        fs::write(path.join(page), "<!doctype html><title>A page</title>").expect("a page");
    }
    for name in ["gate", "held"] {
        mkfifo(&path.join(name), Mode::S_IRWXU).expect("a fifo");
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_live"));
    command.args(["--no-open", "--port", "0"]);
    for (option, name) in [("--root", ""), ("--tool", "tool"), ("--into", "into")] {
        command.arg(option).arg(path.join(name));
    }
    command.env("SECRET_OF_THE_READER", "42").stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

impl Server {
    /// A server with the files of a small book.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = command(&folder);
        command.arg("--built").arg(folder.path().join("html"));
        Self::started(folder, command)
    }

    /// The same, with a standard error that no process reads: a pipe whose reader has gone.
    pub fn start_unread() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = command(&folder);
        let (reader, writer) = std::io::pipe().expect("a pipe takes two descriptors");
        drop(reader);
        command.arg("--built").arg(folder.path().join("html")).stderr(writer);
        Self::started(folder, command)
    }

    /// A server that builds the book that `write` has written into its folder.
    pub fn start_with(write: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path());
        let command = command(&folder);
        Self::started(folder, command)
    }

    fn started(folder: TempDir, mut command: Command) -> Self {
        let mut child = command.arg("--as-root").spawn().expect("the server starts");
        let mut output = BufReader::new(child.stdout.take().expect("its output"));
        let mut text = String::new();
        while !text.contains("#t=") {
            assert_ne!(output.read_line(&mut text).expect("a line"), 0, "the server ended: {text}");
        }
        let address = text.split_whitespace().find(|word| word.contains("#t=")).expect("an address");
        let (address, token) = address.split_once("/#t=").expect("a token");
        let port = address.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("a port");
        Self { child, port, token: token.to_owned(), folder }
    }

    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// A request with these lines in its head, apart from the length of its body; and the answer.
    pub fn ask(&self, method: &str, path: &str, fields: &[(&str, &str)], body: &str) -> Answer {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).expect("a connection");
        socket.set_read_timeout(Some(Duration::from_secs(30))).expect("a limit");
        let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length =
            if method == "GET" { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let request = format!("{method} {path} HTTP/1.1\r\n{fields}{length}Connection: close\r\n\r\n{body}");
        socket.write_all(request.as_bytes()).expect("it is sent");
        Answer::read(socket)
    }

    /// A request as the page makes it.
    pub fn post(&self, path: &str, body: &str) -> Answer {
        let host = format!("127.0.0.1:{}", self.port);
        let origin = format!("http://{host}");
        let fields = [
            ("Host", host.as_str()),
            ("Origin", &origin),
            ("Sec-Fetch-Site", "same-origin"),
            ("X-Workbook-Token", &self.token),
            ("Content-Type", "application/json"),
        ];
        self.ask("POST", path, &fields, body)
    }

    /// Start an experiment, and read until its first line that is not the server's own.
    pub fn run(&self, name: &str) -> Answer {
        let mut answer = self.post("/api/run", &format!("{{\"experiment\":\"{name}\"}}"));
        assert_eq!(answer.status, 200, "{name}: {}", answer.head);
        assert_eq!(answer.event().expect("a line")["kind"], "progress");
        answer
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer, whose body may still be on its way.
pub struct Answer {
    pub status: u16,
    pub head: String,
    reader: BufReader<TcpStream>,
    /// What is left of a chunk.
    chunk: Vec<u8>,
    is_chunked: bool,
}

impl Answer {
    fn read(socket: TcpStream) -> Self {
        let mut reader = BufReader::new(socket);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(reader.read_line(&mut head).expect("a head"), 0, "the connection ended: {head:?}");
        }
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let is_chunked = head.contains("Transfer-Encoding: chunked\r\n");
        Self { status, head, reader, chunk: Vec::new(), is_chunked }
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The next event of a stream; none at its end.
    pub fn event(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.chunk.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.chunk.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).expect("a JSON object"));
            }
            let mut size = String::new();
            if self.reader.read_line(&mut size).unwrap_or(0) == 0 {
                return None;
            }
            let size = usize::from_str_radix(size.trim(), 16).expect("the size of a chunk");
            let mut chunk = vec![0; size + 2];
            self.reader.read_exact(&mut chunk).expect("a chunk");
            if size == 0 {
                return None;
            }
            self.chunk.extend_from_slice(&chunk[..size]);
        }
    }

    /// All events that are left.
    pub fn events(&mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.event()).collect()
    }

    /// The body that is left, as text.
    pub fn rest(&mut self) -> String {
        if self.is_chunked {
            return self.events().iter().map(|event| format!("{event}\n")).collect();
        }
        let mut text = String::new();
        self.reader.read_to_string(&mut text).expect("a body in UTF-8");
        text
    }
}

/// Wait until no process has the fifo open for writing anymore. Opening it waits until one has.
pub fn until_nothing_holds(mut fifo: File) {
    let mut rest = Vec::new();
    fifo.read_to_end(&mut rest).expect("the end of the fifo");
}
