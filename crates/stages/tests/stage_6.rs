//! What breaks stage 5 and not stage 6: the death of a process that serves clients, and a process without descriptors.

use std::fs;
use std::net::TcpStream;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{
    Anchor, Client, Stage, await_sleep, descriptors, eventually, limit_descriptors, processor_time,
    sleeps_and_accepts_later,
};

mod support;

fn signal(pid: u32, signal: Signal) {
    kill(Pid::from_raw(pid.cast_signed()), signal).expect("the process runs");
}

/// The two workers of stage 6, when both wait for clients.
fn two_workers(stage: &Stage) -> [u32; 2] {
    let mut workers = Vec::new();
    eventually("the start of two workers", || {
        workers = stage.workers();
        workers.len() == 2
    });
    await_sleep(&workers);
    [workers[0], workers[1]]
}

/// A client that this worker has accepted: the other one is stopped meanwhile.
fn client_of(stage: &Stage, worker: u32, other: u32) -> Client {
    let before = descriptors(worker);
    signal(other, Signal::SIGSTOP);
    let client = stage.connect();
    eventually("the accept", || descriptors(worker) == before + 1);
    signal(other, Signal::SIGCONT);
    client
}

/// What each descriptor of a process is: `socket:[4711]`, `anon_inode:[eventpoll]`.
fn targets(pid: u32) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs");
    let targets = entries.map(|entry| fs::read_link(entry.expect("an entry").path()).expect("it is open"));
    targets.map(|target| target.to_string_lossy().into_owned()).collect()
}

/// Permits a process only one more descriptor: the limit is the number that no descriptor may reach.
fn leave_one_descriptor(pid: u32) {
    let is_free = |number: &u64| !fs::exists(format!("/proc/{pid}/fd/{number}")).expect("it runs");
    // A limit that is the second free number forbids that number and all above it. The first free number stays allowed.
    limit_descriptors(pid, (0..).filter(is_free).nth(1).expect("a free number"));
}

#[test]
fn in_stage_5_all_clients_lose_their_connections_with_the_server_and_the_port_is_closed() {
    testing::needs!(loopback);
    let mut stage = Stage::start(5);
    await_sleep(&[stage.pid()]);
    let before = descriptors(stage.pid());
    let clients = [stage.connect(), stage.connect()];
    eventually("the accept of both", || descriptors(stage.pid()) == before + 2);
    stage.kill();
    for client in clients {
        assert_eq!(client.rest(), "", "end of file");
    }
    TcpStream::connect(stage.address).expect_err("no process listens");
}

#[test]
fn in_stage_6_only_the_clients_of_a_killed_worker_lose_their_connections() {
    testing::needs!(loopback, pidfd);
    let stage = Stage::start(6);
    let [one, two] = two_workers(&stage);
    let (first, second) = (client_of(&stage, one, two), client_of(&stage, two, one));
    second.send("upper\nhel");
    signal(one, Signal::SIGKILL);
    assert_eq!(first.rest(), "", "the connection belonged to the worker that was killed");
    second.gets_nothing("the other worker has the second client, so its connection must stay open");
    second.send("lo");
    second.finish();
    assert_eq!(second.rest(), "HELLO");
    stage.end();
}

#[test]
fn in_stage_6_a_worker_that_was_killed_is_replaced() {
    testing::needs!(loopback, pidfd);
    let stage = Stage::start(6);
    let [one, two] = two_workers(&stage);
    // Both, so that only replacements can answer. A client that connects before they are there waits in the queue.
    signal(one, Signal::SIGKILL);
    signal(two, Signal::SIGKILL);
    assert_eq!(
        stage.ask("upper\nhello"),
        "HELLO",
        "the listener outlives the workers, and replacements accept"
    );
    let [three, four] = two_workers(&stage);
    assert!([one, two].iter().all(|old| ![three, four].contains(old)), "two replacements");
    stage.end();
}

#[test]
fn in_stage_6_sigterm_to_the_supervisor_ends_workers_and_programs() {
    testing::needs!(loopback, pidfd);
    let (mut stage, anchor) = (Stage::start(6), Anchor::new());
    let [one, two] = two_workers(&stage);
    for client in [client_of(&stage, one, two), client_of(&stage, two, one)] {
        client.send(format!("silent\n{}\n", anchor.pid()));
        client.finish();
        client.line();
        // Not closed: the program must end because its worker does.
        std::mem::forget(client);
    }
    assert_eq!(stage.programs(), 2);
    stage.terminate();
    assert_eq!(stage.exit_status().code(), Some(0), "it ended as it was asked to");
    assert!(stage.all_exit(), "a worker must kill its programs when SIGTERM ends it");
}

#[test]
fn in_stage_6_workers_do_not_outlive_a_supervisor_that_is_killed() {
    testing::needs!(pidfd);
    let mut stage = Stage::start(6);
    two_workers(&stage);
    stage.kill();
    TcpStream::connect(stage.address).expect_err("no process listens");
    assert!(stage.all_exit());
}

#[test]
fn in_stage_6_each_worker_makes_its_own_epoll_and_waker() {
    testing::needs!(pidfd);
    let stage = Stage::start(6);
    let workers = two_workers(&stage);
    let of = |pid, what: &str| targets(pid).iter().filter(|target| target.contains(what)).count();
    for what in ["eventpoll", "eventfd"] {
        assert_eq!(
            of(stage.pid(), what),
            0,
            "the supervisor has {what}: if it is made before the fork, all workers share it, and get each other's events"
        );
        assert!(workers.iter().all(|pid| of(*pid, what) > 0), "each worker has {what}");
    }
    stage.end();
}

#[test]
fn in_stage_5_a_server_without_a_free_descriptor_does_not_sleep() {
    testing::needs!(loopback);
    let stage = Stage::start(5);
    await_sleep(&[stage.pid()]);
    leave_one_descriptor(stage.pid());
    let _clients = [stage.connect(), stage.connect()];
    // The second connection stays in the queue, so the listener stays ready.
    let before = processor_time(stage.pid());
    eventually("processor time that is spent on nothing", || processor_time(stage.pid()) > before + 5);
    stage.end();
}

#[test]
fn in_stage_6_a_worker_without_a_free_descriptor_closes_connections_and_sleeps() {
    testing::needs!(loopback, pidfd);
    let stage = Stage::start(6);
    let [one, two] = two_workers(&stage);
    leave_one_descriptor(one);
    let first = client_of(&stage, one, two);
    signal(two, Signal::SIGSTOP);
    let second = stage.connect();
    let what =
        "the end of a connection that the worker has no descriptor for, so that it must accept and close it,";
    eventually(what, || second.is_ready());
    assert_eq!(second.rest(), "");
    first.gets_nothing("the worker has the first client, and closes only those that come after it");
    await_sleep(&[one]);
    signal(two, Signal::SIGCONT);
    stage.end();
}

#[test]
fn in_stage_6_a_worker_without_even_a_spare_descriptor_sleeps_and_accepts_later() {
    testing::needs!(loopback, pidfd);
    let stage = Stage::start(6);
    let [one, two] = two_workers(&stage);
    signal(two, Signal::SIGSTOP);
    sleeps_and_accepts_later(&stage, one);
    signal(two, Signal::SIGCONT);
    stage.end();
}
