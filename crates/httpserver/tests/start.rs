//! Exercise `httpserver/start`: sockets, processes, loops and signals, in the only order that works. Each server runs in a
//! process of its own, which says what happens in it.

mod support;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::RangeBounds;
use std::os::fd::AsRawFd;
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};
use std::{fs, io, process};

use httpserver::start::{Serve, start};
use httpserver::{Error, HttpServer, Reply, Request, Response, Result};
use ioloop::IoLoop;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{Signal, kill, raise};
use nix::unistd::{Pid, alarm};
use prefork::Event;
use prefork::sockets::{Options, bind_all};
use support::client::Client;

testing::helper!(helper);

thread_local! {
    /// The requests that this process answers when it stops; if it is "held", then after SIGUSR1.
    static HELD: RefCell<Vec<Reply>> = const { RefCell::new(Vec::new()) };
}

/// Print a line. All processes of a server share the standard output.
fn say(line: impl AsRef<str>) {
    let _ = io::stdout().write_all(format!("{}\n", line.as_ref()).as_bytes());
}

/// A server that says what `start` does with it.
#[derive(Clone)]
struct Probe {
    server: HttpServer,
    what: &'static str,
}

impl Serve for Probe {
    fn add_sockets(&self, ioloop: &IoLoop, sockets: Vec<TcpListener>) -> Result<()> {
        let is_set = |socket: &TcpListener| {
            let info =
                fs::read_to_string(format!("/proc/self/fdinfo/{}", socket.as_raw_fd())).unwrap_or_default();
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap_or("0").trim();
            i32::from_str_radix(flags, 8).unwrap_or(0) & nix::libc::O_CLOEXEC != 0
        };
        say(format!("close-on-exec {}", sockets.iter().all(is_set)));
        match self.what {
            "fails" => return Err(Error::on("add_sockets", "the probe")(Errno::EIO)),
            // As if SIGTERM had come at this moment.
            "signaled" => raise(Signal::SIGTERM).expect("this process may signal itself"),
            _ => {}
        }
        ioloop.add_signal_handler(&[Signal::SIGUSR1], |ioloop, _| answer_held(ioloop))?;
        self.server.add_sockets(ioloop, sockets)?;
        if self.what == "broken" {
            break_epoll();
        }
        say(format!("serving {}", process::id()));
        Ok(())
    }

    fn stop(&self, ioloop: &IoLoop, grace: Duration) {
        say(format!("stop {} {}", process::id(), grace.as_millis()));
        match self.what {
            "hangs" => return,
            "panics" => panic!("the probe fails while it stops"),
            "held" => {}
            _ => answer_held(ioloop),
        }
        let server = self.server.clone();
        // As if the process were busy when the signal came.
        let delay = if self.what == "late" { Duration::from_millis(100) } else { Duration::ZERO };
        ioloop.call_later(delay, move |ioloop| server.stop(ioloop, grace));
    }
}

/// As if other code had closed the descriptor of this process's loop.
fn break_epoll() {
    let null = fs::File::open("/dev/null").expect("each machine has it");
    for entry in fs::read_dir("/proc/self/fd").expect("there is /proc").flatten() {
        let is_epoll = fs::read_link(entry.path()).is_ok_and(|to| to.ends_with("anon_inode:[eventpoll]"));
        let fd = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok());
        if let (true, Some(fd)) = (is_epoll, fd) {
            nix::unistd::close(fd).expect("it is open");
            let copy = fcntl(&null, FcntlArg::F_DUPFD_CLOEXEC(fd)).expect("its number is free");
            assert_eq!(copy, fd, "this process has one thread");
        }
    }
}

/// How many descriptors this process has.
fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("there is /proc").count()
}

fn helper(args: &[&str]) -> i32 {
    match args {
        ["serve", processes, grace, what] => serve(processes, grace, what),
        ["traced", "stopped", scenario @ ..] => testing::tracer::stopped(|| helper(scenario)),
        _ => 2,
    }
}

fn serve(processes: &str, grace: &str, what: &str) -> i32 {
    // If a wrong answer hangs, the alarm must end this helper before `workbook` gives up.
    let limit = if ["hangs", "panics", "taken", "broken"].contains(&what) { 6 } else { 60 };
    alarm::set(testing::patience().unwrap_or(limit));
    testing::ignore_sigpipe();
    let number = |text: &str| text.parse::<u32>().expect("a number");
    let what = [
        "plain", "fails", "signaled", "late", "hangs", "panics", "taken", "broken", "held", "one-core",
        "no-loop",
    ]
    .into_iter()
    .find(|one| *one == what)
    .expect("one of these");
    let loopback: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let sockets: Vec<TcpListener> = (0..2)
        .flat_map(|_| bind_all(&[loopback], &Options::default()).expect("loopback has a free port"))
        .collect();
    let ports = sockets.iter().map(|socket| socket.local_addr().expect("it is bound").port().to_string());
    say(format!("ports {}", ports.collect::<Vec<_>>().join(" ")));
    let other = IoLoop::new().expect("a loop takes two descriptors");
    let owner = match what {
        "taken" => Some(other.add_signal_handler(&[Signal::SIGINT], |_, _| {}).expect("it has no owner")),
        _ => None,
    };
    match what {
        "one-core" => on_one_core(),
        // SAFETY: the function calls setrlimit only, and lives as long as the process.
        "no-loop" => drop(unsafe { libc::pthread_atfork(None, None, Some(without_descriptors)) }),
        _ => {}
    }
    // Without an owner, `other` is dropped here: no loop may exist when `start` forks.
    let _other = owner.map(|owner| (other, owner));
    let server = Probe { server: HttpServer::new(answer), what };
    let grace = match grace {
        "max" => Duration::MAX,
        some => Duration::from_millis(number(some).into()),
    };
    let before = descriptors() - sockets.len();
    let mut exits = 0;
    let ended = start(sockets, number(processes) as usize, grace, &server, |event| match event {
        Event::Started { pid, .. } => say(format!("started {pid}")),
        Event::Restarted { pid, .. } => say(format!("restarted {pid}")),
        Event::Exited { pid, status, .. } => {
            say(format!("exited {pid} {status}"));
            exits += 1;
            // Otherwise each replacement fails, too. Not at the first exit: on a busy machine, the other child may have no
            // handlers by then.
            if what == "broken" && exits == 2 {
                raise(Signal::SIGTERM).expect("this process may signal itself");
            }
        }
        Event::Killed { pid, .. } => say(format!("killed {pid}")),
        Event::Stopping { signal } => say(format!("forwards {signal}")),
        _ => {}
    });
    say(match ended {
        Ok(ended) => format!("ended {ended:?}"),
        Err(error) => format!("failed {error}"),
    });
    say(format!("left {} of {before}", descriptors()));
    0
}

/// From now on this process may use one core.
fn on_one_core() {
    let this = Pid::from_raw(0);
    let all = sched_getaffinity(this).expect("a process can read its own affinity");
    let first =
        (0..CpuSet::count()).find(|core| all.is_set(*core) == Ok(true)).expect("it runs on some core");
    let mut one = CpuSet::new();
    one.set(first).expect("a core's number is below their count");
    sched_setaffinity(this, &one).expect("a process may restrict itself to cores that it had");
}

/// In a child, right after the fork: no further descriptor can be opened, so a loop cannot be made.
extern "C" fn without_descriptors() {
    let _ = setrlimit(Resource::RLIMIT_NOFILE, 3, 3);
}

/// Answer with the process id: at once, when the process stops, or never.
fn answer(_: &IoLoop, request: &Request, reply: Reply) {
    match request.path() {
        "/held" => {
            HELD.with_borrow_mut(|held| held.push(reply));
            say(format!("held {}", process::id()));
        }
        "/never" => std::mem::forget(reply),
        _ => answer_now(reply),
    }
}

/// Not at once: a signal that was sent before this may still be on its way.
fn answer_held(ioloop: &IoLoop) {
    let held = HELD.take();
    ioloop.call_later(Duration::from_millis(200), |_| held.into_iter().for_each(answer_now));
}

fn answer_now(reply: Reply) {
    reply.send(Response::text(200, process::id().to_string()));
}

/// A server that runs in a process of its own.
struct Server {
    process: Child,
    lines: BufReader<ChildStdout>,
    address: SocketAddr,
    second_address: SocketAddr,
    /// Those that serve.
    serving: BTreeSet<i32>,
}

impl Server {
    #[track_caller]
    fn start(processes: usize, grace_ms: u32) -> Self {
        let mut server = Self::spawn(processes, grace_ms, "plain");
        server.until_serving(processes);
        server
    }

    #[track_caller]
    fn spawn(processes: usize, grace_ms: impl ToString, what: &str) -> Self {
        Self::spawn_with(processes, grace_ms, what, Stdio::inherit())
    }

    #[track_caller]
    fn spawn_with(processes: usize, grace_ms: impl ToString, what: &str, errors: Stdio) -> Self {
        let args = ["serve", &processes.to_string(), &grace_ms.to_string(), what].map(str::to_owned);
        let mut helper = testing::Helper::new(&args.each_ref().map(String::as_str));
        let command = helper.command().stdout(Stdio::piped()).stderr(errors);
        let mut process = command.spawn().expect("a helper can be started");
        let lines = BufReader::new(process.stdout.take().expect("it is a pipe"));
        let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        let mut server = Self { process, lines, address: any, second_address: any, serving: BTreeSet::new() };
        let ports = server.line_of("ports");
        let (first, second) = ports.split_once(' ').expect("two ports");
        server.address.set_port(first.parse().expect("a port"));
        server.second_address.set_port(second.parse().expect("a port"));
        server
    }

    #[track_caller]
    fn until_serving(&mut self, processes: usize) {
        while self.serving.len() < processes {
            let pid = self.line_of("serving");
            self.serving.insert(pid.parse().expect("a process id"));
        }
    }

    /// The rest of the next line that begins with this word.
    #[track_caller]
    fn line_of(&mut self, word: &str) -> String {
        self.lines_until(word).1
    }

    /// The same, and the lines before it.
    #[track_caller]
    fn lines_until(&mut self, word: &str) -> (Vec<String>, String) {
        let mut before = Vec::new();
        loop {
            let mut line = String::new();
            self.lines.read_line(&mut line).expect("the server prints text");
            assert!(!line.is_empty(), "the server ended before it said `{word}`. It said: {before:?}");
            match line.trim_end().split_once(' ') {
                Some((first, rest)) if first == word => return (before, rest.to_owned()),
                _ => before.push(line.trim_end().to_owned()),
            }
        }
    }

    /// At least one client of each process, with a request that is held. While a client connects, only one process runs,
    /// and the others are stopped. A process without a request would exit at the first signal, and the second one would not
    /// find it.
    #[track_caller]
    fn held_clients(&mut self) -> Vec<Client> {
        let (mut clients, mut holding) = (Vec::new(), BTreeSet::<i32>::new());
        for pid in self.serving.clone() {
            let others = self.serving.iter().filter(|other| **other != pid);
            let others: Vec<Pid> = others.map(|other| Pid::from_raw(*other)).collect();
            for other in &others {
                kill(*other, Signal::SIGSTOP).expect("it runs");
                // A signal takes effect a moment later, and until then the process accepts.
                until_stopped(other.as_raw());
            }
            while !holding.contains(&pid) {
                clients.push(self.client_of("/held"));
                holding.insert(self.line_of("held").parse().expect("a process id"));
            }
            others.iter().for_each(|other| kill(*other, Signal::SIGCONT).expect("it runs"));
        }
        clients
    }

    fn pid(&self) -> i32 {
        self.process.id().cast_signed()
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).expect("it was not reaped");
    }

    /// What the server still says, once all its processes have exited.
    #[track_caller]
    fn rest(&mut self) -> Vec<String> {
        let rest: Vec<String> = self.lines.by_ref().lines().map(|line| line.expect("text")).collect();
        let status = self.process.wait().expect("it is a child");
        assert!(
            status.success(),
            "the server should return from `start`, and its status is {status}: {rest:?}"
        );
        rest
    }

    /// The process that answers a new connection.
    #[track_caller]
    fn who_answers(&self) -> i32 {
        self.who_answers_at(self.address)
    }

    #[track_caller]
    fn who_answers_at(&self, address: SocketAddr) -> i32 {
        let mut client = Client::connect(address);
        client.socket.set_read_timeout(Some(Duration::from_secs(5))).expect("the timeout is not zero");
        client.get("/");
        client.response().text().parse().expect("a process id")
    }

    /// A client whose request is being answered.
    #[track_caller]
    fn client_of(&self, target: &str) -> Client {
        let mut client = Client::connect(self.address);
        client.get("/");
        client.response();
        client.get(target);
        client
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn one_process_serves_in_this_process() {
    testing::needs!(loopback, pidfd);
    let server = Server::start(1, 5000);
    assert_eq!(
        server.who_answers(),
        server.pid(),
        "one process was asked for, so the process that called `start` serves, without a child"
    );
}

#[test]
fn each_process_accepts_from_the_same_sockets() {
    testing::needs!(loopback, pidfd);
    let server = Server::start(3, 5000);
    assert!(
        !server.serving.contains(&server.pid()),
        "with several processes the children serve, not their parent"
    );
    for chosen in &server.serving {
        // Only one of them runs, so it must answer.
        for pid in &server.serving {
            let signal = if pid == chosen { Signal::SIGCONT } else { Signal::SIGSTOP };
            kill(Pid::from_raw(*pid), signal).expect("it runs");
            if pid != chosen {
                until_stopped(*pid);
            }
        }
        for address in [server.address, server.second_address] {
            assert_eq!(
                server.who_answers_at(address),
                *chosen,
                "process {chosen} is the only one that runs. It must accept from all sockets that were bound before the fork, by \
                 a loop of its own"
            );
        }
    }
    for pid in &server.serving {
        kill(Pid::from_raw(*pid), Signal::SIGCONT).expect("it runs");
    }
}

/// Wait until the process is stopped: state T of proc_pid_stat(5).
#[track_caller]
fn until_stopped(pid: i32) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while testing::proc::state(pid).expect("it runs") != 'T' {
        assert!(Instant::now() < deadline, "process {pid} was not stopped within 10 s");
        std::thread::yield_now();
    }
}

#[test]
fn zero_means_a_process_for_each_core() {
    testing::needs!(loopback, pidfd);
    let cores = std::thread::available_parallelism().expect("a number of cores").get();
    let mut server = Server::spawn(0, 5000, "plain");
    server.until_serving(cores);
    server.signal(Signal::SIGTERM);
    let rest = server.rest();
    let exited = rest.iter().filter(|line| line.starts_with("exited ")).count();
    assert_eq!(exited, cores, "this process may use {cores} cores: {rest:?}");
}

#[test]
fn zero_on_one_core_means_one_child() {
    testing::needs!(loopback, pidfd);
    let mut server = Server::spawn(0, 5000, "one-core");
    server.until_serving(1);
    assert!(
        !server.serving.contains(&server.pid()),
        "0 processes were asked for, which means one child for each core, and this process may use one core. So a child must serve: \
         if it is killed, it is replaced. Only 1 means no child, so look at `processes` before you count the cores"
    );
    server.signal(Signal::SIGTERM);
    server.rest();
}

#[test]
fn sigterm_answers_what_runs_and_exits_with_0() {
    testing::needs!(loopback, pidfd);
    for processes in [1, 2] {
        let mut server = Server::start(processes, 5000);
        let mut client = server.client_of("/held");
        server.line_of("held");
        server.signal(Signal::SIGTERM);
        let got = client.response();
        assert!(
            got.status == 200 && got.closes(),
            "the request was running when SIGTERM came: it must be answered, and with `Connection: close`"
        );
        // Otherwise the server waits a second for the client to close.
        drop(client);
        let rest = server.rest();
        assert!(rest.contains(&"ended Stopped(SIGTERM)".to_owned()), "for {processes} processes: {rest:?}");
        let exits: Vec<&String> = rest.iter().filter(|line| line.starts_with("exited ")).collect();
        assert!(
            exits.iter().all(|line| line.ends_with("exited with 0")),
            "a process that stops gracefully exits with 0: {exits:?}"
        );
        let stops = rest.iter().filter(|line| line.starts_with("stop ")).collect::<Vec<_>>();
        assert!(
            !stops.is_empty() && stops.iter().all(|line| line.ends_with(" 5000")),
            "`stop` gets the grace period, 5000 ms: {stops:?}"
        );
    }
}

#[test]
fn sigint_stops_too() {
    testing::needs!(loopback, pidfd);
    let mut server = Server::start(1, 5000);
    server.signal(Signal::SIGINT);
    let rest = server.rest();
    assert!(
        rest.contains(&"ended Stopped(SIGINT)".to_owned()),
        "`start` returns the signal that came: {rest:?}"
    );
}

#[test]
fn a_second_signal_stops_at_once() {
    testing::needs!(loopback, pidfd);
    for (first, second) in [(Signal::SIGTERM, Signal::SIGTERM), (Signal::SIGTERM, Signal::SIGINT)] {
        let mut server = Server::start(1, 6_000);
        let _client = server.client_of("/never");
        server.signal(first);
        server.line_of("stop");
        let start = Instant::now();
        server.signal(second);
        let rest = server.rest();
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "the second signal, {second}, must end the grace period of 6 s"
        );
        assert!(!rest.iter().any(|line| line.starts_with("stop ")), "`stop` is called once: {rest:?}");
        assert!(
            rest.contains(&format!("ended Stopped({first})")),
            "`start` returns, with the first signal: {rest:?}"
        );
    }
}

#[test]
fn a_second_signal_stops_even_if_stop_panicked() {
    testing::needs!(loopback, pidfd);
    let mut server = Server::spawn_with(1, 60_000, "panics", Stdio::null());
    server.until_serving(1);
    server.signal(Signal::SIGTERM);
    server.line_of("stop");
    server.signal(Signal::SIGTERM);
    let rest = server.rest();
    assert!(
        !rest.iter().any(|line| line.starts_with("stop ")),
        "the first signal came, so `stop` is not called again"
    );
}

#[test]
fn ctrl_c_stops_the_children_gracefully() {
    testing::needs!(loopback, pidfd);
    let mut server = Server::spawn(2, 20_000, "held");
    server.until_serving(2);
    let mut clients = server.held_clients();
    // The terminal signals all processes of its foreground group. This test signals the children first, and waits until
    // each has handled the signal: if the forwarded signal came before that, the two would merge into one.
    for pid in &server.serving {
        kill(Pid::from_raw(*pid), Signal::SIGINT).expect("it runs");
    }
    let mut lines: Vec<String> = (0..2).flat_map(|_| server.lines_until("stop").0).collect();
    server.signal(Signal::SIGINT);
    lines.extend(server.lines_until("forwards").0);
    for pid in &server.serving {
        // A child that took the forwarded signal for a second one has exited.
        let _ = kill(Pid::from_raw(*pid), Signal::SIGUSR1);
    }
    for client in &mut clients {
        let got = client.response();
        assert!(
            got.status == 200 && got.closes(),
            "Ctrl-C signals a child, and then the supervisor forwards the signal to it. That is no second Ctrl-C: a request \
             that is running must be answered"
        );
    }
    // Otherwise the children wait a second for their clients to close.
    drop(clients);
    lines.extend(server.rest());
    assert!(lines.contains(&"ended Stopped(SIGINT)".to_owned()), "{lines:?}");
    let exits: Vec<&String> = lines.iter().filter(|line| line.starts_with("exited ")).collect();
    assert!(exits.len() == 2 && exits.iter().all(|line| line.ends_with("exited with 0")), "{lines:?}");
}

/// No child of a server with such a loop gives its signal handlers back before its exit. `when` is the moment in which it has not
/// exited yet. `exits` is how many children exit by themselves.
#[track_caller]
fn handlers_are_kept(ioloop: &str, exits: impl RangeBounds<usize>, when: &str, why: &str) {
    let Some(answer) = testing::traced("stopped", &["serve", "2", "5000", ioloop]) else { return };
    let open: BTreeSet<&str> = answer.lines("open").collect();
    assert!(
        open.is_empty(),
        "{when}, from its call {open:?} on{why} A loop that is dropped removes its signal handlers"
    );
    assert!(
        exits.contains(&answer.lines("exits").count()),
        "both children must exit by themselves: {answer:?}"
    );
}

#[test]
fn a_child_keeps_its_signal_handlers_until_it_exits() {
    testing::needs!(loopback, pidfd);
    handlers_are_kept(
        "plain",
        2..=2,
        "a child has got its first signal and has not exited yet, and another SIGINT or SIGTERM would kill it",
        ". After Ctrl-C, the supervisor forwards a signal, which may come this late. Does the child drop its loop?",
    );
}

#[test]
fn a_second_signal_ends_the_grace_period_of_the_children() {
    testing::needs!(loopback, pidfd);
    let mut server = Server::start(2, 6_000);
    let _client = server.client_of("/never");
    server.signal(Signal::SIGTERM);
    server.line_of("stop");
    let start = Instant::now();
    server.signal(Signal::SIGINT);
    let rest = server.rest();
    assert!(start.elapsed() < Duration::from_secs(5), "the second signal must end the grace period of 6 s");
    assert!(rest.contains(&"ended Stopped(SIGTERM)".to_owned()), "{rest:?}");
}

#[test]
fn a_signal_before_the_first_client_stops_gracefully() {
    testing::needs!(loopback, pidfd);
    let mut server = Server::spawn(1, 5000, "signaled");
    let rest = server.rest();
    assert!(
        rest.contains(&"ended Stopped(SIGTERM)".to_owned()),
        "SIGTERM came while the sockets were added. Add the handlers of signals before the sockets, because without a \
         handler SIGTERM kills the process: {rest:?}"
    );
}

#[test]
fn the_grace_period_of_the_children_is_over_before_they_are_killed() {
    testing::needs!(loopback, pidfd);
    let mut server = Server::spawn(2, 200, "late");
    server.until_serving(2);
    let mut client = Client::connect(server.address);
    client.get("/");
    client.response();
    client.get("/never");
    server.signal(Signal::SIGTERM);
    let rest = server.rest();
    assert!(
        !rest.iter().any(|line| line.starts_with("killed ")),
        "a child that uses its whole grace period, 200 ms, and begins 100 ms late, must be able to exit by itself: \
         give the supervisor more: {rest:?}"
    );
    let exits: Vec<&String> = rest.iter().filter(|line| line.starts_with("exited ")).collect();
    assert!(exits.len() == 2 && exits.iter().all(|line| line.ends_with("exited with 0")), "{rest:?}");
}

#[test]
fn a_child_that_does_not_stop_is_killed_half_a_second_after_its_grace_period() {
    testing::needs!(loopback, pidfd);
    let mut server = Server::spawn(2, 100, "hangs");
    server.until_serving(2);
    let start = Instant::now();
    server.signal(Signal::SIGTERM);
    server.line_of("killed");
    assert!(
        start.elapsed() >= Duration::from_millis(600),
        "the grace period is 100 ms, and the supervisor must wait half a second longer before it kills a child. It waited \
         {:?}",
        start.elapsed()
    );
    server.rest();
}

#[test]
fn a_grace_period_may_be_duration_max() {
    testing::needs!(loopback, pidfd);
    for processes in [1, 2] {
        let mut server = Server::spawn(processes, "max", "plain");
        server.until_serving(processes);
        server.signal(Signal::SIGTERM);
        let rest = server.rest();
        assert!(
            rest.contains(&"ended Stopped(SIGTERM)".to_owned()),
            "with a grace period of Duration::MAX, the server waits for each client. Does a sum with this duration \
             overflow? {rest:?}"
        );
        let stop = rest.iter().find(|line| line.starts_with("stop ")).expect("the server was stopped");
        assert!(
            stop.ends_with(&format!(" {}", Duration::MAX.as_millis())),
            "`stop` gets the grace period, however long it is: {stop}"
        );
    }
}

#[test]
fn a_killed_process_is_replaced_on_the_same_port() {
    testing::needs!(loopback, pidfd);
    let mut server = Server::start(2, 5000);
    let killed = *server.serving.first().expect("two processes");
    kill(Pid::from_raw(killed), Signal::SIGKILL).expect("it runs");
    let restarted: i32 = server.line_of("restarted").parse().expect("a process id");
    server.until_serving(3);
    for pid in server.serving.iter().filter(|pid| ![killed, restarted].contains(pid)) {
        kill(Pid::from_raw(*pid), Signal::SIGSTOP).expect("it runs");
        until_stopped(*pid);
    }
    assert_eq!(
        server.who_answers(),
        restarted,
        "the replacement accepts from the same sockets as the process before"
    );
    for pid in server.serving.iter().filter(|pid| **pid != killed) {
        kill(Pid::from_raw(*pid), Signal::SIGCONT).expect("it runs");
    }
}

#[test]
fn a_process_that_cannot_serve_is_an_error() {
    testing::needs!(loopback, pidfd);
    let mut server = Server::spawn(1, 5000, "fails");
    let rest = server.rest();
    assert!(
        rest.iter().any(|line| line.starts_with("failed add_sockets on the probe")),
        "the error of `add_sockets` must be returned: {rest:?}"
    );
    let mut server = Server::spawn_with(2, 5000, "fails", Stdio::piped());
    let exited = server.line_of("exited");
    assert!(
        exited.ends_with("exited with 1"),
        "a child that cannot serve must exit with 1, or it is not restarted: {exited}"
    );
    server.signal(Signal::SIGTERM);
    server.rest();
    let mut errors = String::new();
    let stderr = server.process.stderr.as_mut().expect("it is a pipe");
    stderr.read_to_string(&mut errors).expect("the server prints text");
    // Two children may write at once, and each may write its line in parts.
    assert!(
        errors.contains("the probe"),
        "the supervisor sees only the exit code of a child, so the child must say on the standard error why it cannot serve: \
         {errors:?}"
    );
}

#[test]
fn a_child_that_cannot_make_its_loop_exits_with_1() {
    testing::needs!(loopback, pidfd);
    let mut server = Server::spawn_with(2, 5000, "no-loop", Stdio::piped());
    let exited = server.line_of("exited");
    assert!(
        exited.ends_with("exited with 1"),
        "a child had no descriptor for a loop, so it cannot serve and must exit with 1, and the supervisor saw: {exited}. A panic, \
         as of `expect`, exits with 101, and does not say in one line what is missing"
    );
    server.signal(Signal::SIGTERM);
    server.rest();
    let mut errors = String::new();
    let stderr = server.process.stderr.as_mut().expect("it is a pipe");
    stderr.read_to_string(&mut errors).expect("the server prints text");
    assert!(
        errors.contains("EMFILE"),
        "the child must say on the standard error why it cannot serve: {errors:?}"
    );
}

#[test]
fn a_child_exits_with_1_even_if_its_error_cannot_be_written() {
    testing::needs!(loopback, pidfd);
    let (reader, writer) = io::pipe().expect("a pipe takes two descriptors");
    drop(reader);
    let mut server = Server::spawn_with(2, 5000, "fails", writer.into());
    let exited = server.line_of("exited");
    assert!(
        exited.ends_with("exited with 1"),
        "a child cannot serve, and its standard error is a pipe that no process reads, as after the exit of a program that collects \
         logs. It must exit with 1, and the supervisor saw: {exited}. `eprintln!` panics if it cannot write, and a panic exits with \
         101. Use `writeln!`, and ignore its error"
    );
    server.signal(Signal::SIGTERM);
    server.rest();
}

#[test]
fn a_signal_that_has_an_owner_is_an_error() {
    testing::needs!(loopback, pidfd);
    let mut server = Server::spawn(1, 5000, "taken");
    let rest = server.rest();
    assert!(
        rest.iter().any(|line| line.starts_with("failed ") && line.contains("SIGINT")),
        "another loop handles SIGINT, so this one cannot: that error must be returned, or the server could not be stopped by \
         it: {rest:?}"
    );
}

#[test]
fn an_error_of_the_loop_is_returned() {
    testing::needs!(loopback, pidfd);
    let mut server = Server::spawn(1, 5000, "broken");
    let rest = server.rest();
    assert!(
        rest.iter().any(|line| line.starts_with("failed epoll")),
        "the loop cannot wait, so it ends without a signal: `start` must return its error: {rest:?}"
    );
}

#[test]
fn a_child_whose_loop_fails_exits_with_1() {
    testing::needs!(loopback, pidfd);
    let mut server = Server::spawn_with(2, 5000, "broken", Stdio::piped());
    let exited = server.line_of("exited");
    assert!(
        exited.ends_with("exited with 1"),
        "the loop of a child cannot wait, so the child cannot serve any longer. It must exit with 1, or it is not restarted, and the \
         supervisor saw: {exited}"
    );
    server.rest();
    let mut errors = String::new();
    let stderr = server.process.stderr.as_mut().expect("it is a pipe");
    stderr.read_to_string(&mut errors).expect("the server prints text");
    assert!(
        errors.contains("epoll"),
        "the child must say on the standard error why it cannot serve: {errors:?}"
    );
}

#[test]
fn a_child_whose_loop_fails_keeps_its_signal_handlers_until_it_exits() {
    testing::needs!(loopback, pidfd);
    handlers_are_kept(
        "broken",
        // A replacement may have been made, too.
        2..,
        "the loop of a child has failed, and the child has not exited yet. A SIGINT or SIGTERM would kill it",
        ", so it would not exit with 1. Does the child drop its loop after an error?",
    );
}

#[test]
fn nothing_is_left_open() {
    testing::needs!(loopback, pidfd);
    for processes in [1, 2] {
        let mut server = Server::start(processes, 5000);
        server.signal(Signal::SIGTERM);
        let rest = server.rest();
        let left = rest.iter().find_map(|line| line.strip_prefix("left ")).expect("`start` returned");
        let (after, before) = left.split_once(" of ").expect("two numbers");
        assert_eq!(
            after, before,
            "with {processes} processes, `start` left {after} descriptors, and there were {before} besides the sockets: the loop \
             and the sockets must be closed when it returns"
        );
    }
}

#[test]
fn nothing_is_left_open_after_an_error() {
    testing::needs!(loopback, pidfd);
    for what in ["fails", "taken", "broken"] {
        let mut server = Server::spawn(1, 5000, what);
        let rest = server.rest();
        assert!(
            rest.iter().any(|line| line.starts_with("failed ")),
            "this server cannot serve ({what}): {rest:?}"
        );
        let left = rest.iter().find_map(|line| line.strip_prefix("left ")).expect("`start` returned");
        let (after, before) = left.split_once(" of ").expect("two numbers");
        assert_eq!(
            after, before,
            "`start` returned an error ({what}) and left {after} descriptors, and there were {before} besides the sockets. The \
             program goes on after an error, so drop the loop and the sockets then, too"
        );
    }
}

#[test]
fn the_sockets_stay_close_on_exec() {
    testing::needs!(loopback, pidfd);
    for processes in [1, 2] {
        let mut server = Server::spawn(processes, 5000, "plain");
        let is_set = server.line_of("close-on-exec");
        assert_eq!(
            is_set, "true",
            "a program that the application starts must not inherit the listening socket"
        );
    }
}

#[test]
fn a_stopped_server_frees_its_port() {
    testing::needs!(loopback, pidfd);
    let mut server = Server::start(2, 5000);
    server.signal(Signal::SIGTERM);
    server.rest();
    let bound = bind_all(&[server.address], &Options::default());
    assert!(bound.is_ok(), "the server returned, and its port {} is still taken", server.address.port());
}

#[test]
fn while_a_server_stops_clients_are_refused() {
    testing::needs!(loopback, pidfd);
    for (processes, signal) in [(1, Signal::SIGTERM), (2, Signal::SIGTERM), (2, Signal::SIGINT)] {
        let mut server = Server::start(processes, 6_000);
        let mut client = server.client_of("/never");
        server.signal(signal);
        server.line_of("stop");
        let deadline = Instant::now() + Duration::from_secs(4);
        let refuses = || {
            let connected = TcpStream::connect_timeout(&server.address, Duration::from_millis(100));
            connected.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
        };
        while !refuses() {
            assert!(
                Instant::now() < deadline,
                "a server of {processes} processes stops after {signal}, and the port still takes clients, whom nothing will accept: they wait \
                 until the last request is answered, and then are reset. Which process still has the listening socket open?"
            );
        }
        assert!(
            client.is_quiet(Duration::from_millis(1)),
            "clients are refused, but the request that runs has its grace period"
        );
        server.signal(Signal::SIGTERM);
        server.rest();
    }
}
