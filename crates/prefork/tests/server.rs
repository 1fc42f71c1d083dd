//! A whole server out of this crate's parts, on the real kernel: examples/echo.rs, and clients that keep count.
//!
//! No exercise belongs to these tests. With the feature `mine` it is the reader's server that they try.

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
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{setsockopt, sockopt};
use nix::unistd::{Pid, SysconfVar, alarm, sysconf};
use prefork::Policy;
use testing::Helper;

#[allow(dead_code, reason = "here it has another main")]
#[path = "../examples/echo.rs"]
mod echo;

testing::helper!(helper);

/// In seconds. What takes so long hangs.
const PATIENCE: u64 = 10;

/// How many clients a server has while it is tried.
const CLIENTS: usize = 64;

/// One server at a time: its clients need descriptors in this process, of which there may be as few as 256.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

// What the helper does.

fn helper(args: &[&str]) -> i32 {
    testing::ignore_sigpipe();
    alarm::set(90);
    let number = |arg: &str| arg.parse().expect("a number");
    match args {
        ["serve", children] => serve(number(children)),
        ["serve", children, limit] => {
            let limit = number(limit) as u64;
            setrlimit(Resource::RLIMIT_NOFILE, limit, limit).expect("less than there was");
            serve(number(children))
        }
        ["clients", count, port] => clients(number(count), number(port) as u16),
        _ => 2,
    }
}

/// Children that are killed young are replaced at once, and as many as there are.
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

/// So many clients, which do nothing until the standard input ends. Prints how many were `served`, and how many
/// were `sent-away`.
fn clients(count: usize, port: u16) -> i32 {
    let clients: Vec<Option<Client>> = (0..count).map(|_| Client::greeted(port)).collect();
    let served = clients.iter().flatten().count();
    println!("served {served}");
    println!("sent-away {}", count - served);
    io::stdin().read_to_end(&mut Vec::new()).expect("the standard input can be read");
    0
}

/// A server, in processes of its own.
struct Server {
    process: Child,
    lines: BufReader<ChildStdout>,
    port: u16,
    /// By task: the process that has it.
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

    /// The next that it says.
    #[track_caller]
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("its output is text");
        assert!(!line.is_empty(), "the server has ended: {:?}", self.process.wait());
        line.trim_end().to_owned()
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.process.id().cast_signed())
    }

    fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("it was not waited for");
    }

    fn connect(&self) -> Client {
        Client::greeted(self.port).expect("the server has descriptors for everybody")
    }

    /// All that it says until nobody is left who could: every process of the server has the other end of this pipe.
    #[track_caller]
    fn rest(&mut self) -> Vec<String> {
        let mut rest = self.lines.buffer().to_vec();
        let deadline = Instant::now() + Duration::from_secs(PATIENCE);
        let mut bytes = [0; 4096];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = PollTimeout::try_from(left).expect("seconds are few");
            let pipe = self.lines.get_mut();
            let ready = poll(&mut [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)], left);
            assert_ne!(ready, Ok(0), "{PATIENCE} s later there are still processes of the server");
            match pipe.read(&mut bytes).expect("a pipe can be read") {
                0 => break,
                taken => rest.extend_from_slice(&bytes[..taken]),
            }
        }
        String::from_utf8_lossy(&rest).lines().map(str::to_owned).collect()
    }

    /// Have it end, and hear what it says then.
    #[track_caller]
    fn stop(mut self) -> Vec<String> {
        self.signal(Signal::SIGTERM);
        let rest = self.rest();
        let status = self.process.wait().expect("it is our child");
        assert!(
            status.success(),
            "the server was sent SIGTERM, and ended with {status}:\n{}",
            rest.join("\n")
        );
        rest
    }
}

/// A test that fails leaves no server behind: the children end with their parent.
impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `task 2: process 4711 restarted`, taken apart.
#[track_caller]
fn about(line: &str) -> (usize, i32, &str) {
    let parts = || {
        let (task, rest) = line.strip_prefix("task ")?.split_once(": process ")?;
        let (process, what) = rest.split_once(' ')?;
        Some((task.parse().ok()?, process.parse().ok()?, what))
    };
    parts().unwrap_or_else(|| panic!("the server says: {line}"))
}

/// A client that was greeted.
struct Client {
    socket: TcpStream,
    task: usize,
    process: i32,
}

impl Client {
    /// Connect, and be greeted, or sent away with nothing but a clean end.
    #[track_caller]
    fn greeted(port: u16) -> Option<Self> {
        let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .unwrap_or_else(|error| panic!("the server is to be there, and connecting says: {error}"));
        // It ends with a reset, unless it finishes: no TIME_WAIT stays behind, and takes the port with it for a minute.
        let linger = libc::linger { l_onoff: 1, l_linger: 0 };
        setsockopt(&socket, sockopt::Linger, &linger).expect("a socket can be told");
        socket.set_read_timeout(Some(Duration::from_secs(PATIENCE))).expect("it is not 0");
        let mut greeting = Vec::new();
        let mut bytes = [0; 256];
        while !greeting.ends_with(b"\n") {
            match socket.read(&mut bytes) {
                Ok(0) if greeting.is_empty() => return None,
                Ok(taken) if taken > 0 => greeting.extend_from_slice(&bytes[..taken]),
                other => {
                    panic!("after {greeting:?} the server says {other:?}: not a greeting, nor a clean end")
                }
            }
        }
        let parts = || {
            let greeting = str::from_utf8(&greeting).ok()?.strip_suffix('\n')?;
            let (task, process) = greeting.strip_prefix("task ")?.split_once(", process ")?;
            Some((task.parse().ok()?, process.parse().ok()?))
        };
        let (task, process) = parts().unwrap_or_else(|| panic!("one greeting, and not {greeting:?}"));
        Some(Self { socket, task, process })
    }

    fn send(&mut self, text: &str) -> io::Result<()> {
        self.socket.write_all(text.as_bytes())
    }

    /// Does it come back? Not if the server has gone; silence, or anything else, is a fault.
    #[track_caller]
    fn comes_back(&mut self, text: &str) -> bool {
        let mut back = vec![0; text.len()];
        match self.socket.read_exact(&mut back) {
            Ok(()) => assert_eq!(back, text.as_bytes(), "what comes back is not what was sent"),
            Err(error) if is_end(&error) => return false,
            Err(error) => panic!("process {} neither answers nor ends: {error}", self.process),
        }
        true
    }

    /// The other end is closed by the time that this comes back.
    #[track_caller]
    fn finish(mut self) {
        self.socket.shutdown(Shutdown::Write).expect("it is connected");
        let rest = self.socket.read_to_end(&mut Vec::new());
        assert_eq!(rest.map_err(|error| error.kind()), Ok(0), "a client that has ended is let go, cleanly");
    }
}

fn is_end(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

/// Told to end, whoever greeted somebody has done so with 0. A child that was told before it came to look for
/// signals is ended by it; it has no client.
#[track_caller]
fn all_ended_well(rest: &[String], tasks: &BTreeMap<usize, i32>, greeted: &BTreeSet<i32>) {
    for (task, process) in tasks {
        let ended = |how| rest.contains(&format!("task {task}: process {process} {how}"));
        assert!(
            ended("exited with 0") || ended("killed by SIGTERM") && !greeted.contains(process),
            "process {process} of task {task} was told to end, and did not end with 0:\n{}",
            rest.join("\n")
        );
    }
}

/// How many descriptors has that process?
fn descriptors(process: i32) -> usize {
    fs::read_dir(format!("/proc/{process}/fd")).expect("it is there, and ours").count()
}

/// The children that a process has, and what they are doing: `R`, `S`, `Z` for a zombie.
fn children(parent: Pid) -> BTreeMap<i32, char> {
    let processes = fs::read_dir("/proc").expect("/proc can be read").flatten();
    let processes = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let child = |process: i32| {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        let mut words = stat.rsplit(") ").next()?.split(' ');
        let (state, of) = (words.next()?.chars().next()?, words.next()?.parse::<i32>().ok()?);
        (of == parent.as_raw()).then_some((process, state))
    };
    processes.filter_map(child).collect()
}

/// What a process has computed for so far, in seconds: `utime` and `stime` of proc_pid_stat(5).
fn computed(process: i32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("it is there");
    let words: Vec<&str> = stat.rsplit(") ").next().expect("a line").split(' ').collect();
    let ticks: u64 = [words[11], words[12]].iter().filter_map(|word| word.parse::<u64>().ok()).sum();
    let in_a_second = sysconf(SysconfVar::CLK_TCK).expect("it can be asked").expect("and is known");
    ticks as f64 / in_a_second as f64
}

#[test]
fn a_killed_child_is_replaced_and_only_its_clients_notice() {
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
            client.send(&text).expect("nobody was killed since it was greeted");
        }
        kill(Pid::from_raw(victim), Signal::SIGKILL).expect("it was not waited for");
        let line = server.line();
        assert_eq!(about(&line), (task, victim, "killed by SIGKILL"), "in round {round}");
        let line = server.line();
        let (same, successor, what) = about(&line);
        assert!(
            (same, what) == (task, "restarted") && successor != victim,
            "process {victim} of task {task} was killed, and the server says: {line}"
        );
        server.tasks.insert(task, successor);
        for client in &mut clients {
            let came_back = client.comes_back(&text);
            // What was on its way may have arrived before.
            let is_there = came_back && (client.process != victim || client.comes_back("more"));
            let others = if client.process == victim { "its own" } else { "another's" };
            assert_eq!(
                is_there,
                client.process != victim,
                "process {victim} was killed, and a client of process {}, which is {others}, is there: {is_there}",
                client.process
            );
            if !is_there {
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
        "the server is to have four children, {ours:?}, and has, with their states: {left:?}"
    );
    assert_eq!(
        descriptors(server.pid().as_raw()),
        supervisors,
        "the supervisor has descriptors that it had not"
    );
    for (task, process) in &server.tasks {
        // The youngest may have yet to close what was its parent's.
        let deadline = Instant::now() + Duration::from_secs(PATIENCE);
        while descriptors(*process) > idle && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
        let now = descriptors(*process);
        assert!(
            now <= idle,
            "no client is left, and the child of task {task} has {now} descriptors, not {idle}"
        );
    }
    let tasks = server.tasks.clone();
    all_ended_well(&server.stop(), &tasks, &greeted);
}

#[test]
fn children_die_with_a_killed_supervisor() {
    let _alone = alone();
    let mut server = Server::start(4, &[]);
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| server.connect()).collect();
    let (begun, all_begun) = mpsc::channel();
    thread::scope(|scope| {
        for some in clients.chunks_mut(CLIENTS / 4) {
            // Until the server has gone, for each of them.
            let begun = begun.clone();
            scope.spawn(move || {
                let mut round = || {
                    some.iter_mut()
                        .all(|client| client.send("again\n").is_ok() && client.comes_back("again\n"))
                };
                assert!(round(), "the server was not killed yet");
                begun.send(()).expect("the test waits for it");
                while round() {}
                for client in some {
                    let mut rest = Vec::new();
                    let end = client.socket.read_to_end(&mut rest);
                    assert!(
                        end.as_ref().is_ok() || end.as_ref().is_err_and(is_end),
                        "a client hears {end:?}"
                    );
                }
            });
        }
        for _ in 0..4 {
            all_begun.recv_timeout(Duration::from_secs(PATIENCE)).expect("every thread has a first round");
        }
        server.signal(Signal::SIGKILL);
        // Nobody but its children has the pipe, once it is waited for.
        server.process.wait().expect("it is our child");
        let killed = Instant::now();
        server.rest();
        println!("the last child has ended after {:?}", killed.elapsed());
    });
}

#[test]
fn sigterm_lets_running_connections_finish() {
    let _alone = alone();
    let mut server = Server::start(4, &[]);
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send("one half, ").expect("it is connected");
    }
    server.signal(Signal::SIGTERM);
    assert_eq!(server.line(), "stopping: SIGTERM");
    for client in &mut clients {
        client.send("and the other\n").expect("it is connected");
        assert!(client.comes_back("one half, and the other\n"), "a client lost its connection to SIGTERM");
    }
    let greeted = clients.iter().map(|client| client.process).collect();
    clients.into_iter().for_each(Client::finish);
    let rest = server.rest();
    let status = server.process.wait().expect("it is our child");
    assert!(status.success(), "the server was sent SIGTERM, and ended with {status}: {rest:?}");
    all_ended_well(&rest, &server.tasks, &greeted);
}

/// Some clients in a process of their own, which they leave by dropping this.
struct Crowd {
    process: Child,
    stdin: Option<ChildStdin>,
    served: usize,
    sent_away: usize,
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
            number.unwrap_or_else(|| panic!("{count} clients say `{line}`, and not how many were {word}"))
        };
        let (served, sent_away) = (next("served"), next("sent-away"));
        Self { stdin: process.stdin.take(), process, served, sent_away }
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
    let _alone = alone();
    let server = Server::start(1, &["256"]);
    // In two processes, each with 256 descriptors at least.
    let crowds = [Crowd::of(150, server.port), Crowd::of(150, server.port)];
    let served: usize = crowds.iter().map(|crowd| crowd.served).sum();
    let sent_away: usize = crowds.iter().map(|crowd| crowd.sent_away).sum();
    assert!(
        served > 200 && served < 256 && served + sent_away == 300,
        "of 300 clients, a process with 256 descriptors serves {served} and sends {sent_away} away"
    );
    let (before, start) = (computed(server.tasks[&0]), Instant::now());
    while start.elapsed() < Duration::from_secs(1) {
        assert!(Client::greeted(server.port).is_none(), "there was no descriptor, and now there is one");
        thread::sleep(Duration::from_millis(100));
    }
    let share = (computed(server.tasks[&0]) - before) / start.elapsed().as_secs_f64();
    assert!(
        share < 0.05,
        "no descriptor is left, and nothing happens but ten clients a second: that takes {:.0} % of a core",
        share * 100.0
    );
    drop(crowds);
    let deadline = Instant::now() + Duration::from_secs(PATIENCE);
    // Those that left may not have been noticed yet.
    let back = loop {
        match Client::greeted(server.port) {
            None if Instant::now() < deadline => {}
            other => break other,
        }
    };
    back.expect("the crowd has left, and there are descriptors again").finish();
    let rest = server.stop();
    assert!(rest.iter().any(|line| line.contains("it has no descriptor left")), "it says so: {rest:?}");
}

#[test]
fn each_of_ten_thousand_connections_is_accepted_once() {
    const THREADS: usize = 4;
    const EACH: usize = 2500;
    let _alone = alone();
    let server = Server::start(8, &[]);
    let port = server.port;
    let count = || {
        let mut greeted: BTreeMap<i32, usize> = BTreeMap::new();
        for _ in 0..EACH {
            let client = Client::greeted(port).expect("the server has descriptors for everybody");
            *greeted.entry(client.process).or_default() += 1;
        }
        greeted
    };
    let greeted = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(count)).collect();
        let mut all: BTreeMap<i32, usize> = BTreeMap::new();
        for thread in threads {
            for (process, greeted) in thread.join().expect("it says itself what it failed of") {
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
    assert_eq!(greeted, served, "who greeted how many, as the clients say, and as the children do");
    assert_eq!(served.values().sum::<usize>(), THREADS * EACH, "so many connections were made");
}
