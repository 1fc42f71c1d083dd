//! A whole server of this crate's parts: examples/workers.rs, with clients that count what they get.
//!
//! These tests belong to no single exercise. With the feature `mine`, they run the reader's server.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, rlim_t, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{setsockopt, sockopt};
use nix::unistd::{Pid, alarm};
use prefork::Policy;
use testing::Helper;

#[allow(dead_code, reason = "the tests do not call its main")]
#[path = "../examples/workers.rs"]
mod echo;

testing::helper!(helper);

/// How long any answer may take, in seconds.
const PATIENCE: u64 = 10;

/// How many clients a server has in most tests.
const CLIENTS: usize = 64;

/// Lets the tests run one at a time. Their clients need descriptors in this process, which may have as few as 256.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

// The helper process

fn helper(args: &[&str]) -> i32 {
    testing::ignore_sigpipe();
    alarm::set(90);
    let number = |arg: &str| arg.parse().expect("a number");
    match args {
        ["serve", children] => serve(number(children)),
        ["serve", children, limit] => {
            let limit = number(limit) as rlim_t;
            setrlimit(Resource::RLIMIT_NOFILE, limit, limit).expect("a process may lower its limits");
            serve(number(children))
        }
        ["clients", count, port] => clients(number(count), number(port) as u16),
        _ => 2,
    }
}

/// Serve with a policy that replaces killed children at once and without a limit.
fn serve(children: usize) -> i32 {
    let policy =
        Policy { children, max_restarts: usize::MAX, min_uptime: Duration::ZERO, ..Policy::default() };
    match echo::serve(&policy, 0, |line| println!("{line}")) {
        Ok(_) => 0,
        Err(error) => {
            println!("{error}");
            1
        }
    }
}

/// Connect this many clients, and keep them until the standard input ends. Prints how many were `served` and `shed`.
fn clients(count: usize, port: u16) -> i32 {
    let clients: Vec<Option<Client>> = (0..count).map(|_| Client::greeted(port)).collect();
    let served = clients.iter().flatten().count();
    println!("served {served}");
    println!("shed {}", count - served);
    io::stdin().read_to_end(&mut Vec::new()).expect("the standard input can be read");
    0
}

/// A server that runs in processes of its own.
struct Server {
    process: Child,
    lines: BufReader<ChildStdout>,
    port: u16,
    /// The process id of each task.
    tasks: BTreeMap<usize, i32>,
}

impl Server {
    fn start(children: usize, more: &[&str]) -> Self {
        let mut helper = Helper::new(&[&["serve", &children.to_string()], more].concat());
        let mut process = helper.command().stdout(Stdio::piped()).spawn().expect("a helper can be started");
        let lines = BufReader::new(process.stdout.take().expect("it is a pipe"));
        let mut server = Self { process, lines, port: 0, tasks: BTreeMap::new() };
        while server.tasks.len() < children {
            let line = server.line();
            match line.strip_prefix("listening on ") {
                Some(address) => {
                    let port = address.rsplit(':').next().and_then(|port| port.parse().ok());
                    server.port = port.unwrap_or_else(|| panic!("no port in `{line}`"));
                }
                None => {
                    let (task, process, _) = about(&line);
                    server.tasks.insert(task, process);
                }
            }
        }
        server
    }

    /// The next line that the server prints.
    #[track_caller]
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("the server prints text");
        assert!(!line.is_empty(), "the server has ended: {:?}", self.process.wait());
        line.trim_end().to_owned()
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.process.id().cast_signed())
    }

    fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("it has not been reaped");
    }

    fn connect(&self) -> Client {
        Client::greeted(self.port).expect("the server has enough descriptors")
    }

    /// Everything that the server still prints, until its last process has exited: all of them hold the write end of
    /// this pipe.
    #[track_caller]
    fn rest(&mut self) -> Vec<String> {
        let mut rest = self.lines.buffer().to_vec();
        let deadline = Instant::now() + Duration::from_secs(PATIENCE);
        let mut bytes = [0; 4096];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = PollTimeout::try_from(left).expect("the timeout fits");
            let pipe = self.lines.get_mut();
            let ready = poll(&mut [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)], left);
            assert_ne!(ready, Ok(0), "the server's processes have not exited within {PATIENCE} s");
            match pipe.read(&mut bytes).expect("a pipe can be read") {
                0 => break,
                taken => rest.extend_from_slice(&bytes[..taken]),
            }
        }
        String::from_utf8_lossy(&rest).lines().map(str::to_owned).collect()
    }

    /// Stop the server with SIGTERM. Returns what it still prints.
    #[track_caller]
    fn stop(mut self) -> Vec<String> {
        self.signal(Signal::SIGTERM);
        let rest = self.rest();
        let status = self.process.wait().expect("it is a child");
        assert!(
            status.success(),
            "the server got SIGTERM and should have exited with 0, but its status is {status}:\n{}",
            rest.join("\n")
        );
        rest
    }
}

/// Kills the server when a test fails. Its children die with it.
impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The parts of a line such as `task 2: process 4711 restarted`.
#[track_caller]
fn about(line: &str) -> (usize, i32, &str) {
    let parts = || {
        let (task, rest) = line.strip_prefix("task ")?.split_once(": process ")?;
        let (process, what) = rest.split_once(' ')?;
        Some((task.parse().ok()?, process.parse().ok()?, what))
    };
    parts().unwrap_or_else(|| panic!("the server printed an unexpected line: {line}"))
}

/// A client that has got the server's greeting.
struct Client {
    socket: TcpStream,
    task: usize,
    process: i32,
}

impl Client {
    /// Connect and read the greeting. `None` if the server has shed the client, which then sees an end of file.
    #[track_caller]
    fn greeted(port: u16) -> Option<Self> {
        let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .unwrap_or_else(|error| panic!("the server should be listening, but connect failed: {error}"));
        // Close with a reset, unless the client finishes cleanly. Otherwise thousands of ports stay in TIME_WAIT.
        let linger = libc::linger { l_onoff: 1, l_linger: 0 };
        setsockopt(&socket, sockopt::Linger, &linger).expect("a socket has this option");
        socket.set_read_timeout(Some(Duration::from_secs(PATIENCE))).expect("the timeout is not 0");
        let mut greeting = Vec::new();
        let mut bytes = [0; 256];
        while !greeting.ends_with(b"\n") {
            match socket.read(&mut bytes) {
                Ok(0) if greeting.is_empty() => return None,
                Ok(taken) if taken > 0 => greeting.extend_from_slice(&bytes[..taken]),
                other => {
                    panic!(
                        "after {greeting:?}, reading from the server gave {other:?}: expected a greeting or an end of \
                         file"
                    )
                }
            }
        }
        let parts = || {
            let greeting = str::from_utf8(&greeting).ok()?.strip_suffix('\n')?;
            let (task, process) = greeting.strip_prefix("task ")?.split_once(", process ")?;
            Some((task.parse().ok()?, process.parse().ok()?))
        };
        let (task, process) =
            parts().unwrap_or_else(|| panic!("expected one greeting, and got {greeting:?}"));
        Some(Self { socket, task, process })
    }

    fn send(&mut self, text: &str) -> io::Result<()> {
        self.socket.write_all(text.as_bytes())
    }

    /// Does the server echo this text? `false` if its process has exited. A timeout or another text fails the test.
    #[track_caller]
    fn comes_back(&mut self, text: &str) -> bool {
        let mut back = vec![0; text.len()];
        match self.socket.read_exact(&mut back) {
            Ok(()) => assert_eq!(back, text.as_bytes(), "the server must echo what it was sent"),
            Err(error) if is_end(&error) => return false,
            Err(error) => panic!("process {} neither answers nor exits: {error}", self.process),
        }
        true
    }

    /// Close the connection cleanly. The server has closed its end when this returns.
    #[track_caller]
    fn finish(mut self) {
        self.socket.shutdown(Shutdown::Write).expect("the client is connected");
        let rest = self.socket.read_to_end(&mut Vec::new());
        assert_eq!(
            rest.map_err(|error| error.kind()),
            Ok(0),
            "the server must close the connection of a finished client with an end of file"
        );
    }
}

fn is_end(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

/// Every child must have exited with 0 after SIGTERM. SIGTERM may kill a child that has not set up its signals yet, but
/// only one that has not greeted any client.
#[track_caller]
fn all_exited_with_zero(rest: &[String], tasks: &BTreeMap<usize, i32>, greeted: &BTreeSet<i32>) {
    for (task, process) in tasks {
        let has = |how| rest.contains(&format!("task {task}: process {process} {how}"));
        assert!(
            has("exited with 0") || has("killed by SIGTERM") && !greeted.contains(process),
            "process {process} of task {task} got SIGTERM, and did not exit with 0:\n{}",
            rest.join("\n")
        );
    }
}

/// How many descriptors a process has.
fn descriptors(process: i32) -> usize {
    fs::read_dir(format!("/proc/{process}/fd")).expect("the process exists and is ours").count()
}

/// The children of a process with their states: `R`, `S`, `Z` for a zombie and so on, see proc_pid_stat(5).
fn children(parent: Pid) -> BTreeMap<i32, char> {
    let processes = fs::read_dir("/proc").expect("/proc can be read").flatten();
    let processes = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let child = |process: i32| {
        let stat = testing::proc::stat(process)?;
        let mut words = stat.split(' ');
        let (state, of) = (words.next()?.chars().next()?, words.next()?.parse::<i32>().ok()?);
        (of == parent.as_raw()).then_some((process, state))
    };
    processes.filter_map(child).collect()
}

/// Wait until a process sleeps. Returns how often it has gone to sleep so far, or `None` if it does not within
/// `PATIENCE`. See `State` and `voluntary_ctxt_switches` in proc_pid_status(5).
fn asleep(process: i32) -> Option<u64> {
    let start = Instant::now();
    loop {
        if let Some(times) = testing::proc::sleeps_if_asleep(process) {
            return Some(times);
        }
        if start.elapsed() > Duration::from_secs(PATIENCE) {
            return None;
        }
        thread::yield_now();
    }
}

#[test]
fn a_killed_child_is_replaced_and_only_its_clients_notice() {
    testing::needs!(loopback, pidfd, descriptors(256));
    let _alone = alone();
    let mut server = Server::start(4, &[]);
    let first = server.connect();
    let process = first.process;
    first.finish();
    let (idle, supervisors) = (descriptors(process), descriptors(server.pid().as_raw()));
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| server.connect()).collect();
    for round in 0..100 {
        let (task, victim) = (clients[round % CLIENTS].task, clients[round % CLIENTS].process);
        assert_eq!(server.tasks[&task], victim, "process {victim} greeted for task {task}");
        let text = format!("round {round}, while process {victim} is killed\n");
        for client in &mut clients {
            client.send(&text).expect("its process has not been killed yet");
        }
        kill(Pid::from_raw(victim), Signal::SIGKILL).expect("it has not been reaped");
        let line = server.line();
        assert_eq!(about(&line), (task, victim, "killed by SIGKILL"), "in round {round}");
        let line = server.line();
        let (same, replacement, what) = about(&line);
        assert!(
            (same, what) == (task, "restarted") && replacement != victim,
            "process {victim} of task {task} was killed, so the server must restart that task, and it printed: {line}"
        );
        server.tasks.insert(task, replacement);
        for client in &mut clients {
            let came_back = client.comes_back(&text);
            // The killed process may have sent its answer before it died.
            let is_served = came_back && (client.process != victim || client.comes_back("more"));
            assert_eq!(
                is_served,
                client.process != victim,
                "process {victim} was killed, so its own clients must lose their connections and no others. A client \
                 of process {} is still served: {is_served}",
                client.process
            );
            if !is_served {
                *client = server.connect();
            }
        }
    }
    let greeted = clients.iter().map(|client| client.process).collect();
    clients.into_iter().for_each(Client::finish);
    let left = children(server.pid());
    let ours: Vec<i32> = server.tasks.values().copied().collect();
    assert!(
        left.len() == ours.len()
            && ours.iter().all(|process| left.get(process).is_some_and(|state| *state != 'Z')),
        "the server should have the four children {ours:?} and no zombie, and has (with their states): {left:?}"
    );
    assert_eq!(
        descriptors(server.pid().as_raw()),
        supervisors,
        "the supervisor has leaked descriptors over 100 restarts"
    );
    for (task, process) in &server.tasks {
        // A child that was just forked may not have closed its parent's descriptors yet.
        let deadline = Instant::now() + Duration::from_secs(PATIENCE);
        while descriptors(*process) > idle && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
        let now = descriptors(*process);
        assert!(
            now <= idle,
            "no client is left, so the child of task {task} should have {idle} descriptors again, and it has {now}"
        );
    }
    let tasks = server.tasks.clone();
    all_exited_with_zero(&server.stop(), &tasks, &greeted);
}

#[test]
fn children_die_with_a_killed_supervisor() {
    testing::needs!(loopback, pidfd, descriptors(256));
    let _alone = alone();
    let mut server = Server::start(4, &[]);
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| server.connect()).collect();
    let (begun, all_begun) = mpsc::channel();
    thread::scope(|scope| {
        for some in clients.chunks_mut(CLIENTS / 4) {
            // Each thread echoes with its clients until the server has died.
            let begun = begun.clone();
            scope.spawn(move || {
                let mut round = || {
                    some.iter_mut()
                        .all(|client| client.send("again\n").is_ok() && client.comes_back("again\n"))
                };
                assert!(round(), "the server has not been killed yet, so it must echo");
                begun.send(()).expect("the test waits for it");
                while round() {}
                for client in some {
                    let mut rest = Vec::new();
                    let end = client.socket.read_to_end(&mut rest);
                    assert!(
                        end.as_ref().is_ok() || end.as_ref().is_err_and(is_end),
                        "a client of a killed server must see the end of its connection, and saw {end:?}"
                    );
                }
            });
        }
        for _ in 0..4 {
            all_begun.recv_timeout(Duration::from_secs(PATIENCE)).expect("every thread has a first round");
        }
        server.signal(Signal::SIGKILL);
        // Once the supervisor is reaped, only its children hold the write end of the pipe.
        server.process.wait().expect("it is a child");
        let killed = Instant::now();
        server.rest();
        println!("the last child died after {:?}", killed.elapsed());
    });
}

#[test]
fn sigterm_lets_running_connections_finish() {
    testing::needs!(loopback, pidfd, descriptors(256));
    let _alone = alone();
    let mut server = Server::start(4, &[]);
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send("one half, ").expect("the client is connected");
    }
    server.signal(Signal::SIGTERM);
    assert_eq!(server.line(), "stopping: SIGTERM");
    for client in &mut clients {
        client.send("and the other\n").expect("the client is connected");
        assert!(client.comes_back("one half, and the other\n"), "a client lost its connection to SIGTERM");
    }
    let greeted = clients.iter().map(|client| client.process).collect();
    clients.into_iter().for_each(Client::finish);
    let rest = server.rest();
    let status = server.process.wait().expect("it is a child");
    assert!(
        status.success(),
        "the server got SIGTERM and should have exited with 0, but its status is {status}: {rest:?}"
    );
    all_exited_with_zero(&rest, &server.tasks, &greeted);
}

#[test]
fn a_second_signal_does_not_kill_a_child_that_is_exiting() {
    testing::needs!(loopback, pidfd, descriptors(256));
    let _alone = alone();
    let mut server = Server::start(1, &[]);
    // A child that greets a client handles the signals.
    server.connect().finish();
    let process = server.tasks[&0];
    let send = |signal| kill(Pid::from_raw(process), signal).expect("it has not been reaped");
    send(Signal::SIGSTOP);
    let deadline = Instant::now() + Duration::from_secs(PATIENCE);
    while testing::proc::state(process) != Some('T') {
        assert!(Instant::now() < deadline, "process {process} was not stopped");
        thread::yield_now();
    }
    // Ctrl-C sends a child SIGINT twice, which is one if both are pending. So let the second be another: the child reads one,
    // and exits while the other is pending.
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGCONT].into_iter().for_each(send);
    for wanted in ["served 1 client", "exited with 0"] {
        let line = server.line();
        assert_eq!(
            about(&line),
            (0, process, wanted),
            "process {process} got two signals. The first one stops it, and the second one must not kill it before it has exited. \
             Does it unblock the signals before its exit?"
        );
    }
}

/// Clients in a process of their own. Dropping this disconnects them.
struct Crowd {
    process: Child,
    stdin: Option<ChildStdin>,
    served: usize,
    shed: usize,
}

impl Crowd {
    fn of(count: usize, port: u16) -> Self {
        let mut helper = Helper::new(&["clients", &count.to_string(), &port.to_string()]);
        let command = helper.command().stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("a helper can be started");
        let mut lines = BufReader::new(process.stdout.take().expect("it is a pipe")).lines();
        let mut next = |word: &str| {
            let line = lines.next().and_then(io::Result::ok).unwrap_or_default();
            let number = line.strip_prefix(word).and_then(|rest| rest.trim().parse().ok());
            number.unwrap_or_else(|| {
                panic!(
                    "the process with {count} clients must print how many were {word}, and printed `{line}`"
                )
            })
        };
        let (served, shed) = (next("served"), next("shed"));
        Self { stdin: process.stdin.take(), process, served, shed }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.process.wait();
    }
}

#[test]
fn without_descriptors_clients_are_shed_and_nothing_spins() {
    testing::needs!(loopback, pidfd, descriptors(256));
    let _alone = alone();
    let server = Server::start(1, &["256"]);
    // Two processes, because each may have only 256 descriptors.
    let crowds = [Crowd::of(150, server.port), Crowd::of(150, server.port)];
    let served: usize = crowds.iter().map(|crowd| crowd.served).sum();
    let shed: usize = crowds.iter().map(|crowd| crowd.shed).sum();
    assert!(
        served > 200 && served < 256 && served + shed == 300,
        "a process with 256 descriptors should serve 200 to 256 of 300 clients and shed the rest. It served {served} \
         and shed {shed}"
    );
    const SPINS: &str =
        "no descriptor is left, and between clients the server must sleep: does it spin on its listener?";
    let before = asleep(server.tasks[&0]).expect(SPINS);
    for _ in 0..10 {
        assert!(
            Client::greeted(server.port).is_none(),
            "the server has no descriptor left, so it must shed this client"
        );
        assert!(asleep(server.tasks[&0]).is_some(), "{SPINS}");
    }
    // For each client the server wakes up once, and perhaps once more for its reset.
    let times = asleep(server.tasks[&0]).expect(SPINS) - before;
    assert!(times <= 50, "the server woke up {times} times for ten clients that it shed. {SPINS}");
    drop(crowds);
    let deadline = Instant::now() + Duration::from_secs(PATIENCE);
    // The server may not have noticed yet that its clients have disconnected.
    let back = loop {
        match Client::greeted(server.port) {
            None if Instant::now() < deadline => {}
            other => break other,
        }
    };
    back.expect("the clients have disconnected, so the server must serve again").finish();
    let rest = server.stop();
    assert!(
        rest.iter().any(|line| line.contains("it has no descriptor left")),
        "the server must report that it has shed clients: {rest:?}"
    );
}

#[test]
fn each_of_ten_thousand_connections_is_accepted_once() {
    testing::needs!(loopback, pidfd, descriptors(256));
    const THREADS: usize = 4;
    const EACH: usize = 2500;
    let _alone = alone();
    let server = Server::start(8, &[]);
    let port = server.port;
    let count = || {
        let mut greeted: BTreeMap<i32, usize> = BTreeMap::new();
        for _ in 0..EACH {
            let client = Client::greeted(port).expect("the server has enough descriptors");
            *greeted.entry(client.process).or_default() += 1;
        }
        greeted
    };
    let greeted = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(count)).collect();
        let mut all: BTreeMap<i32, usize> = BTreeMap::new();
        for thread in threads {
            for (process, greeted) in thread.join().expect("a client thread has failed") {
                *all.entry(process).or_default() += greeted;
            }
        }
        all
    });
    let rest = server.stop();
    let served: BTreeMap<i32, usize> = rest
        .iter()
        .filter_map(|line| {
            let (_, process, what) = line.starts_with("task ").then(|| about(line))?;
            let served: usize = what.strip_prefix("served ")?.split(' ').next()?.parse().ok()?;
            (served > 0).then_some((process, served))
        })
        .collect();
    println!("clients of each process: {served:?}");
    assert_eq!(
        greeted, served,
        "the clients and the children must count the same greetings for each process"
    );
    assert_eq!(
        served.values().sum::<usize>(),
        THREADS * EACH,
        "each connection must be accepted exactly once"
    );
}
