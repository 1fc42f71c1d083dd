//! Starts a stage of the server in a process of its own, and talks to it as a client.

#![allow(dead_code, reason = "each test uses a part of this")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

/// How long something may take that is sure to come.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How long a test waits to see that nothing comes, in milliseconds.
const NOTHING: u8 = 150;

/// A stage that runs, in a process group of its own with the programs that it starts.
pub struct Stage {
    server: Child,
    pub address: SocketAddr,
    /// The group was waited for, so its number may belong to others.
    ended: bool,
}

impl Stage {
    /// Starts stage `n` on a free port, and reads the address that it prints.
    pub fn start(n: usize) -> Self {
        Self::with_more(n, "/dev/null")
    }

    /// Does the same with a file of more programs.
    pub fn with_more(n: usize, more: &str) -> Self {
        // A program whose parent has exited becomes a child of this process, which can wait for it then.
        prctl::set_child_subreaper(true).expect("a subreaper");
        let mut command = Command::new(env!("CARGO_BIN_EXE_stage"));
        command
            .args([&n.to_string(), "0", more])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0);
        let mut server = command.spawn().expect("the program `stage`");
        let stdout = server.stdout.take().expect("it was asked for");
        let mut watched = [PollFd::new(stdout.as_fd(), PollFlags::POLLIN)];
        let ready = poll(&mut watched, u16::try_from(PATIENCE.as_millis()).expect("less than a minute"));
        let mut stage = Self { server, address: SocketAddr::from(([127, 0, 0, 1], 0)), ended: false };
        assert_eq!(ready, Ok(1), "stage {n} prints no address");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("a line in UTF-8");
        let address = line.strip_prefix("listening on ").and_then(|rest| rest.split(';').next());
        stage.address = address.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{line:?}"));
        stage
    }

    /// Connects a client.
    pub fn connect(&self) -> Client {
        let stream = TcpStream::connect_timeout(&self.address, PATIENCE).expect("the stage listens");
        stream.set_write_timeout(Some(PATIENCE)).expect("not zero");
        Client(stream)
    }

    /// Sends a request, and returns everything that comes back until end of file.
    pub fn ask(&self, request: impl AsRef<[u8]>) -> String {
        let client = self.connect();
        client.send(request);
        client.finish();
        client.rest()
    }

    /// Kills the server alone, and reaps it.
    pub fn kill(&mut self) {
        self.server.kill().expect("it runs");
        self.server.wait().expect("it is a child");
    }

    /// Sends SIGINT to the server and its programs, as Ctrl-C does.
    pub fn interrupt(&self) {
        killpg(self.group(), Signal::SIGINT).expect("the group exists");
    }

    /// Ends the server, and fails if one of its programs is still running when [`PATIENCE`] is over.
    pub fn end(mut self) {
        let _ = self.server.kill();
        assert!(self.all_exit(), "a program that the server started is still running");
    }

    /// Waits until each process of the group has exited. Returns whether they did so by themselves.
    pub fn all_exit(&mut self) -> bool {
        let group = self.group();
        let (done, exited) = mpsc::channel::<()>();
        let killer = thread::spawn(move || {
            let late = exited.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout);
            late && killpg(group, Signal::SIGKILL).is_ok()
        });
        let _ = self.server.wait();
        reap(group);
        drop(done);
        self.ended = true;
        !killer.join().expect("no panic")
    }

    /// How many children the server has.
    pub fn children(&self) -> usize {
        let pid = self.server.id();
        let path = format!("/proc/{pid}/task/{pid}/children");
        fs::read_to_string(path).expect("the server runs").split_whitespace().count()
    }

    fn group(&self) -> Pid {
        Pid::from_raw(self.server.id().cast_signed())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !self.ended {
            let _ = killpg(self.group(), Signal::SIGKILL);
            let _ = self.server.wait();
            reap(self.group());
        }
    }
}

/// Waits for each process of a group that is a child of this one, now or once its parent has exited.
fn reap(group: Pid) {
    let any = Pid::from_raw(-group.as_raw());
    while waitpid(any, None) != Err(Errno::ECHILD) {}
}

/// A client's connection.
pub struct Client(TcpStream);

impl Client {
    /// Sends bytes.
    pub fn send(&self, bytes: impl AsRef<[u8]>) {
        (&self.0).write_all(bytes.as_ref()).expect("the server reads");
    }

    /// Shuts down the sending side, which ends the request.
    pub fn finish(&self) {
        self.0.shutdown(Shutdown::Write).expect("the client is connected");
    }

    /// Returns what comes until end of file.
    pub fn rest(&self) -> String {
        self.0.set_read_timeout(Some(PATIENCE)).expect("not zero");
        let mut bytes = Vec::new();
        let outcome = (&self.0).read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(outcome.is_ok(), "end of file does not come. The client got {text:?}, then {outcome:?}");
        text
    }

    /// Returns a line.
    pub fn line(&self) -> String {
        self.0.set_read_timeout(Some(PATIENCE)).expect("not zero");
        let mut line = Vec::new();
        // Byte by byte, so that what follows the line stays in the socket.
        while line.last() != Some(&b'\n') {
            let mut byte = [0];
            (&self.0).read_exact(&mut byte).expect("a line comes");
            line.extend(byte);
        }
        String::from_utf8(line).expect("UTF-8")
    }

    /// Fails if a byte or end of file comes within a moment. `why` says why it must not.
    pub fn gets_nothing(&self, why: &str) {
        // Not a read with a timeout: that may fail with EINTR, even without a signal handler, when a child exits.
        let mut watched = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        if poll(&mut watched, NOTHING).expect("one descriptor") > 0 {
            let mut byte = [0];
            let outcome = (&self.0).read(&mut byte);
            panic!("{why}. But the client's read returned {outcome:?}, {byte:?}");
        }
    }
}

/// A process that runs until the test ends it, or until the test itself ends. `agent` and `silent` run as long as it does.
pub struct Anchor(Child);

impl Anchor {
    pub fn new() -> Self {
        Self(
            Command::new("cat")
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .spawn()
                .expect("cat, of coreutils"),
        )
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Closes its input, so that it exits, and reaps it.
    pub fn end(mut self) -> ExitStatus {
        drop(self.0.stdin.take());
        self.0.wait().expect("it is a child")
    }
}

impl Drop for Anchor {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Waits until a program that a server started has closed its output, so that only its input is a pipe.
pub fn await_silence(line: &str) {
    let deadline = Instant::now() + PATIENCE;
    let is_pipe = |entry: io::Result<fs::DirEntry>| {
        let target = fs::read_link(entry.expect("an entry").path()).unwrap_or_default();
        target.to_string_lossy().starts_with("pipe:")
    };
    let pipes = || {
        fs::read_dir(format!("/proc/{}/fd", line.trim()))
            .expect("it runs")
            .filter_map(|entry| is_pipe(entry).then_some(()))
            .count()
    };
    while pipes() > 1 {
        assert!(Instant::now() < deadline, "process {line:?} keeps its output open");
        thread::yield_now();
    }
}

/// Kills a process whose pid a client was sent, and which nothing else reaps.
pub fn kill_by_pid(line: &str) {
    let pid = Pid::from_raw(line.trim().parse().unwrap_or_else(|_| panic!("not a pid: {line:?}")));
    kill(pid, Signal::SIGKILL).expect("the process runs");
}
