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

mod answer;

pub use answer::Answer;

testing::begin!();

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
"run spaced") echo above; cat gate; echo; cat gate; echo below ;;
"run surroundings") echo "args: $*"; env; ls -l /proc/self/fd; cat ;;
"check toy/add") echo 'warning: something' >&2
             echo '[{"name":"toy/add","passed":false,"seconds":0.1,'
             echo '"tests":[{"name":"adds","passed":false,"message":"seen 3","skipped":null}]}]'; exit 1 ;;
*) echo "unknown: $*"; exit 2 ;;
esac
"#;

const NAMES: [&str; 14] = [
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
    "spaced",
    "surroundings",
];

/// A server that runs.
pub struct Server {
    pub child: Child,
    pub port: u16,
    pub token: String,
    pub folder: TempDir,
}

/// Write what the tool of the tests knows: an exercise, which is done or not.
pub fn list(path: &Path, done: bool) {
    let experiments = NAMES.map(|name| serde_json::json!({ "name": name, "page": format!("book/src/01-a/{name}.md"), "agrees": null }));
    let exercises = serde_json::json!([{ "name": "toy/add", "done": done, "passes": done, "title": "Exercise: add", "page": "book/src/01-a/exercise-add.md" }]);
    let list = serde_json::json!({ "experiments": experiments, "exercises": exercises });
    fs::write(path.join("list.json"), list.to_string()).expect("a list");
}

/// The command that starts a server in this folder, without its options for root.
pub fn command(folder: &TempDir) -> Command {
    let path = folder.path();
    list(path, true);
    fs::write(path.join("tool"), TOOL).expect("a tool");
    fs::set_permissions(path.join("tool"), fs::Permissions::from_mode(0o755)).expect("a program");
    fs::create_dir_all(path.join("html/api")).expect("a folder");
    for page in ["html/index.html", "html/page.html", "html/api/run"] {
        fs::write(path.join(page), "<!doctype html><title>A page</title>").expect("a page");
    }
    for name in ["gate", "held"] {
        mkfifo(&path.join(name), Mode::S_IRWXU).expect("a fifo");
    }
    let mut command = Command::new(testing::program!("live"));
    options(&mut command, path);
    command
}

fn options(command: &mut Command, path: &Path) {
    command.args(["--port", "0"]);
    let verdicts = ("--verdicts", "target/verdicts.json");
    for (option, name) in [("--root", ""), ("--tool", "tool"), ("--into", "into"), verdicts] {
        command.arg(option).arg(path.join(name));
    }
    command.env("SECRET_OF_THE_READER", "42").stdin(Stdio::null()).stdout(Stdio::piped());
}

/// Let a command be started by a shell, after these words.
pub fn after(words: &str, command: &mut Command) {
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", &format!("{words}; exec \"$0\" \"$@\"")])
        .arg(command.get_program())
        .args(command.get_args());
    shell.stdin(Stdio::null()).stdout(Stdio::piped());
    *command = shell;
}

impl Server {
    /// A server with the files of a small book.
    pub fn start() -> Self {
        Self::start_in(|_| ())
    }

    /// The same, with a standard error that no process reads: a pipe whose reader has gone.
    pub fn start_unread() -> Self {
        let (reader, writer) = std::io::pipe().expect("a pipe takes two descriptors");
        drop(reader);
        Self::start_in(|command| _ = command.stderr(writer))
    }

    /// A server that builds the book that `write` has written into its folder, in an environment that `change` has changed.
    pub fn start_with(write: impl FnOnce(&Path), change: impl FnOnce(&mut Command)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path());
        let mut command = command(&folder);
        change(&mut command);
        Self::started(folder, command)
    }

    /// Another server of the same checkout, beside this one, with these options more.
    pub fn beside(&self, more: &[&str]) -> Self {
        let mut command = Command::new(testing::program!("live"));
        options(&mut command, self.folder.path());
        command.args(more);
        Self::started(tempfile::tempdir().expect("a folder"), command)
    }

    /// A server with the files of a small book, in an environment that `change` has changed.
    pub fn start_in(change: impl FnOnce(&mut Command)) -> Self {
        Self::start_opening(|command| {
            command.arg("--no-open");
            change(command);
        })
    }

    /// The same, and it opens a browser.
    pub fn start_opening(change: impl FnOnce(&mut Command)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = command(&folder);
        command.arg("--built").arg(folder.path().join("html"));
        change(&mut command);
        Self::spawned(folder, command)
    }

    fn started(folder: TempDir, mut command: Command) -> Self {
        command.arg("--no-open");
        Self::spawned(folder, command)
    }

    fn spawned(folder: TempDir, mut command: Command) -> Self {
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

    /// What the page asks for when it is loaded.
    pub fn progress(&self) -> Value {
        let host = format!("127.0.0.1:{}", self.port);
        let fields = [("Host", host.as_str()), ("X-Workbook-Token", &self.token)];
        serde_json::from_str(&self.ask("GET", "/api/progress", &fields, "").rest()).expect("JSON")
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

/// Wait until no process has the fifo open for writing anymore. Opening it waits until one has.
pub fn until_nothing_holds(mut fifo: File) {
    let mut rest = Vec::new();
    fifo.read_to_end(&mut rest).expect("the end of the fifo");
}
