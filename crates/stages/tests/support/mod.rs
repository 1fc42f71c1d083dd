//! Starts a stage of the server in a process of its own, and talks to it as a client.

#![allow(dead_code, reason = "each test uses a part of this")]

use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Read, Write, pipe};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{fs, io, iter, mem, process, ptr, thread};

use nix::errno::Errno;
use nix::libc::{self, linger};
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

// The stages inherit them.
testing::begin!();

/// How long something may take that is sure to come.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A file with more programs. (A test runs in the folder of its crate.)
pub const MORE: &str = "tests/support/more";

/// How long a test waits to see that nothing comes, in milliseconds.
const NOTHING: u8 = 150;

/// A stage that runs, in a process group of its own with the programs that it starts.
pub struct Stage {
    server: Child,
    pub address: SocketAddr,
    /// The group was waited for, so its number may belong to others.
    ended: bool,
}

/// The numbers of the stages from `first` to the last.
pub fn from(first: usize) -> impl Iterator<Item = usize> {
    stages::STAGES.into_iter().map(|(number, _)| number).filter(move |number| *number >= first)
}

impl Stage {
    /// Starts stage `n` on a free port, and reads the address that it prints.
    pub fn start(n: usize) -> Self {
        Self::with_more(n, "/dev/null")
    }

    /// Does the same with a file of more programs.
    pub fn with_more(n: usize, more: &str) -> Self {
        Self::with(n, more, |_| {})
    }

    /// Does the same after `prepare` has changed the command. Otherwise what the stage writes to its standard error is
    /// lost.
    pub fn with(n: usize, more: &str, prepare: impl FnOnce(&mut Command)) -> Self {
        // A program whose parent has exited becomes a child of this process, which can wait for it then.
        prctl::set_child_subreaper(true).expect("a subreaper");
        let mut command = Command::new(testing::program!("stage"));
        command
            .args([&n.to_string(), "0", more])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .env_remove("PROCESSES")
            .process_group(0);
        prepare(&mut command);
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

    /// Connects a client, which sends a request and shuts down its sending side.
    pub fn request(&self, request: impl AsRef<[u8]>) -> Client {
        let client = self.connect();
        client.send(request);
        client.finish();
        client
    }

    /// Sends a request, and returns everything that comes back until end of file.
    pub fn ask(&self, request: impl AsRef<[u8]>) -> String {
        self.request(request).rest()
    }

    /// A client whose program has printed its pid, which is returned too, has closed its output, and runs as long as the
    /// anchor.
    pub fn silent(&self, anchor: &Anchor) -> (Client, String) {
        let client = self.request(format!("silent\n{}\n", anchor.pid()));
        let pid = client.line();
        await_silence(&pid);
        (client, pid)
    }

    /// Kills the server without its programs, and reaps it. Its workers die with it, and are reaped too.
    pub fn kill(&mut self) {
        let workers = self.workers();
        self.server.kill().expect("it runs");
        self.server.wait().expect("it is a child");
        for pid in workers {
            waitpid(Pid::from_raw(pid.cast_signed()), None).expect("an orphan, which this process reaps");
        }
    }

    /// Sends SIGTERM to the server alone, or to the parent of its workers.
    pub fn terminate(&self) {
        kill(self.group(), Signal::SIGTERM).expect("it runs");
    }

    /// Waits until the server, or the parent of its workers, has exited.
    pub fn exit_status(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the exit of the server", || {
            status = self.server.try_wait().expect("it is a child");
            status.is_some()
        });
        status.expect("it has exited")
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

    /// How many programs the server has started that were not reaped yet.
    pub fn programs(&self) -> usize {
        let processes: Vec<_> = iter::once(self.server.id()).chain(self.workers()).collect();
        processes.into_iter().map(|pid| children(pid).filter(|child| !is_stage(*child)).count()).sum()
    }

    /// The processes that a server with several of them has forked to serve clients.
    pub fn workers(&self) -> Vec<u32> {
        children(self.server.id()).filter(|child| is_stage(*child)).collect()
    }

    /// The server itself, or the parent of its workers.
    pub fn pid(&self) -> u32 {
        self.server.id()
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

/// The children of a process with one thread that forks.
fn children(pid: u32) -> impl Iterator<Item = u32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>().into_iter()
}

/// Whether a process is a server or a worker of one, and has not become another program by exec.
fn is_stage(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "stage\n")
}

/// How many calls of read(2) and write(2) a process has made, with those of its programs that were reaped. See
/// proc_pid_io(5).
pub fn calls(pid: u32) -> u64 {
    let counts = fs::read_to_string(format!("/proc/{pid}/io")).expect("it runs");
    let of = |name| counts.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
    of("syscr:").expect("a count") + of("syscw:").expect("a count")
}

/// The processor time of a process, in clock ticks. It does not grow while the process sleeps. See proc_pid_stat(5).
pub fn processor_time(pid: u32) -> u64 {
    // utime and stime are the twelfth and thirteenth.
    testing::proc::stat(pid)
        .expect("it runs")
        .split(' ')
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u64>().expect("a number"))
        .sum()
}

/// Limits the descriptors of a process to the numbers below this one.
pub fn limit_descriptors(pid: u32, below: u64) {
    let prlimit = |new: *const libc::rlimit, old: *mut libc::rlimit| {
        // SAFETY: the kernel reads or writes one structure, and a null pointer stands for none.
        let done = unsafe { libc::prlimit(pid.cast_signed(), libc::RLIMIT_NOFILE, new, old) };
        assert_eq!(done, 0, "a process may change the soft limits of another one of its user");
    };
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    prlimit(ptr::null(), &raw mut limit);
    limit.rlim_cur = below;
    prlimit(&raw const limit, ptr::null_mut());
}

/// Takes all descriptors from a process that waits for clients, even the spare one: the client that connects then must wait,
/// and the process must sleep meanwhile. When there are descriptors again, it must serve the client.
pub fn sleeps_and_accepts_later(stage: &Stage, pid: u32) {
    let is_taken = |number: &u64| {
        let target = fs::read_link(format!("/proc/{pid}/fd/{number}"));
        // The spare one is open on /dev/null, as the standard streams may be.
        target.is_ok_and(|target| *number < 3 || target != Path::new("/dev/null"))
    };
    limit_descriptors(pid, (0..).find(|number| !is_taken(number)).expect("a free number"));
    let (sleeps, spent) = (testing::proc::sleeps(pid).expect("it runs"), processor_time(pid));
    let client = stage.request("upper\nhello");
    eventually("a sleep of a server that looks again and again whether it can accept", || {
        let spent = processor_time(pid) - spent;
        assert!(spent < 50, "it has spent {spent} clock ticks on a listener from which it cannot accept");
        testing::proc::sleeps(pid).expect("it runs") >= sleeps + 3
    });
    assert!(!client.is_ready(), "the client waits in the queue of the listener");
    limit_descriptors(pid, 256);
    assert_eq!(client.rest(), "HELLO", "the server must look at its listener again");
}

/// How many descriptors a process has.
pub fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs").count()
}

/// Waits until something holds that comes without any event.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what} must come soon, and has not come");
        thread::yield_now();
    }
}

/// Waits until the first thread of each of these processes sleeps, and none of them makes a call of read or write.
pub fn await_sleep(pids: &[u32]) {
    let mut before = None;
    let what = format!(
        "the sleep of {pids:?} (a server stays awake if the kernel reports again and again what it cannot use yet)"
    );
    eventually(&what, || {
        let all_sleep = pids.iter().all(|pid| testing::proc::state(*pid) == Some('S'));
        let now = all_sleep.then(|| pids.iter().map(|pid| calls(*pid)).sum::<u64>());
        // One that is about to be woken by another has the state of a sleeping one for a moment.
        now.is_some() && mem::replace(&mut before, now) == now
    });
}

/// A client's connection.
pub struct Client(TcpStream);

impl Client {
    /// Sends bytes.
    pub fn send(&self, bytes: impl AsRef<[u8]>) {
        (&self.0).write_all(bytes.as_ref()).expect("the server reads");
    }

    /// Closes the connection with a reset, so that the server's next read or write fails.
    pub fn reset(self) {
        let at_once = linger { l_onoff: 1, l_linger: 0 };
        setsockopt(&self.0, sockopt::Linger, &at_once).expect("a socket");
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

    /// Whether a byte or end of file has come.
    pub fn is_ready(&self) -> bool {
        poll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)], 0_u8).expect("one descriptor") > 0
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

/// A file of programs that a server can open, but whose end comes when the test closes the write end: a slow lookup.
pub fn slow_file() -> (PipeReader, PipeWriter, String) {
    let (reader, writer) = pipe().expect("a pipe");
    let path = format!("/proc/{}/fd/{}", process::id(), reader.as_raw_fd());
    (reader, writer, path)
}

/// Waits until a program that a server started has closed its output, so that only its input is a pipe.
pub fn await_silence(line: &str) {
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
    eventually(&format!("the end of the output of process {line:?}"), || pipes() <= 1);
}

/// Kills a process whose pid a client was sent, and which nothing else reaps.
pub fn kill_by_pid(line: &str) {
    let pid = Pid::from_raw(line.trim().parse().unwrap_or_else(|_| panic!("not a pid: {line:?}")));
    kill(pid, Signal::SIGKILL).expect("the process runs");
}
