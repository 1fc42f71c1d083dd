//! What breaks stage 7 and not stage 8: SIGTERM, a stuck program, a client that does not read, and a loop that is blocked.

use std::fs::{self, File};
use std::io::{ErrorKind, PipeWriter, Read, Write, pipe};
use std::net::TcpStream;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::poll::{PollFd, PollFlags, poll};
use support::{Anchor, Client, MORE, Stage, eventually, from, kill_by_pid};

mod support;

#[test]
fn in_stage_7_sigterm_loses_the_answer() {
    testing::needs!(loopback);
    let (mut stage, anchor) = (Stage::start(7), Anchor::new());
    let (client, pid) = stage.silent(&anchor);
    stage.terminate();
    assert_eq!(client.rest(), "", "stage 7 must not say how the program ended");
    assert_eq!(stage.exit_status().code(), Some(0));
    assert!(
        !Path::new(&format!("/proc/{}", pid.trim())).exists(),
        "the server must have killed and reaped the program"
    );
    assert!(stage.all_exit());
}

#[test]
fn in_stage_8_sigterm_lets_running_requests_end_and_accepts_no_more() {
    testing::needs!(loopback);
    for n in from(8) {
        eprintln!("stage {n}");
        let (mut stage, anchor) = (Stage::start(n), Anchor::new());
        let (running, pid) = stage.silent(&anchor);
        let sending = stage.connect();
        sending.send("upper\nhel");
        // An answer to a later client means that the server has accepted the two before.
        assert_eq!(stage.ask("count\nhello"), "5\n");
        stage.terminate();
        eventually("a refused connection", || {
            TcpStream::connect(stage.address).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
        });
        sending.send("lo");
        sending.finish();
        assert_eq!(sending.rest(), "HELLO");
        running.gets_nothing("its program is still running");
        kill_by_pid(&pid);
        assert_eq!(running.rest(), "killed by SIGKILL\n");
        assert_eq!(stage.exit_status().code(), Some(0), "stage {n} must exit with 0 after its last client");
        assert!(stage.all_exit());
    }
}

#[test]
fn in_stage_8_sigterm_ends_a_server_without_clients() {
    testing::needs!(loopback);
    for n in from(8) {
        let mut stage = Stage::start(n);
        assert_eq!(stage.ask("upper\nhello"), "HELLO");
        stage.terminate();
        assert_eq!(stage.exit_status().code(), Some(0), "stage {n}");
        assert!(stage.all_exit());
    }
}

#[test]
fn in_stage_8_sigterm_ends_each_worker_when_its_clients_have_left() {
    testing::needs!(loopback, pidfd);
    for n in from(8) {
        let mut stage = Stage::with(n, "/dev/null", |command| {
            command.env("PROCESSES", "2");
        });
        let anchor = Anchor::new();
        let (client, pid) = stage.silent(&anchor);
        stage.terminate();
        eventually("the exit of the worker without clients", || stage.workers().len() == 1);
        client.gets_nothing("its program is still running");
        kill_by_pid(&pid);
        assert_eq!(client.rest(), "killed by SIGKILL\n");
        assert_eq!(stage.exit_status().code(), Some(0), "stage {n}");
        assert!(stage.all_exit());
    }
}

#[test]
fn in_stage_7_a_stuck_program_runs_on_and_in_stage_8_a_timer_ends_it() {
    testing::needs!(loopback);
    let anchor = Anchor::new();
    let old = Stage::start(7);
    let (waiting, _) = old.silent(&anchor);
    let new: Vec<Stage> = from(8).map(|n| Stage::with_more(n, MORE)).collect();
    let ended: Vec<(Client, String)> = new.iter().map(|stage| stage.silent(&anchor)).collect();
    let holding = new.iter().map(|stage| stage.request(format!("holds\n{}\n", anchor.pid())));
    let holding: Vec<Client> = holding.collect();
    for (client, _) in &ended {
        assert_eq!(client.rest(), "killed by SIGKILL\n");
    }
    for client in &holding {
        assert_eq!(
            client.rest(),
            "killed by SIGKILL\n",
            "even if a child of the program keeps its output open"
        );
    }
    waiting.gets_nothing("stage 7 has no timer for programs, so this one must still be running");
    for stage in &new {
        assert_eq!(stage.programs(), 0, "the server reaps what it has killed");
    }
    anchor.end();
    new.into_iter().for_each(Stage::end);
    old.end();
}

#[test]
fn in_stage_8_a_client_that_does_not_read_cannot_keep_the_server_from_exiting() {
    testing::needs!(loopback);
    let mut stages: Vec<Stage> = from(8).map(|n| Stage::with_more(n, MORE)).collect();
    let clients = stages.iter().map(|stage| {
        let client = stage.request("endless\n");
        assert_eq!(client.line(), "y\n");
        client
    });
    let clients: Vec<Client> = clients.collect();
    stages.iter().for_each(Stage::terminate);
    for stage in &mut stages {
        // A timer ends the program, and another one the client.
        assert_eq!(stage.exit_status().code(), Some(0));
        assert!(stage.all_exit());
    }
    drop(clients);
}

/// A pipe that is full. Its write end blocks.
fn full_pipe() -> (File, PipeWriter) {
    let (reader, writer) = pipe().expect("a pipe");
    let set = |flags| fcntl(writer.as_fd(), FcntlArg::F_SETFL(flags)).expect("it is open");
    set(OFlag::O_NONBLOCK);
    while (&writer).write(&[b'-'; 4096]).is_ok() {}
    while (&writer).write(b"-").is_ok() {}
    set(OFlag::empty());
    (File::from(OwnedFd::from(reader)), writer)
}

#[test]
fn in_stage_8_a_blocked_loop_is_reported_with_the_function_that_blocks() {
    testing::needs!(loopback);
    for n in from(8) {
        eprintln!("stage {n}");
        let (mut errors, writer) = full_pipe();
        let stage = Stage::with(n, "/no/such/file", |command| {
            command.stderr(writer);
        });
        // The lookup fails. `Client::serve` passes the error to `stays`, which prints it to standard error. Nothing reads that.
        let client = stage.request("greet\n");
        // proc_pid_syscall(5): the call that the main thread is in, and its first argument.
        let in_write = format!("{} 0x2 ", libc::SYS_write);
        eventually("a loop that is blocked in a write to standard error", || {
            let call = fs::read_to_string(format!("/proc/{}/syscall", stage.pid())).expect("it runs");
            call.starts_with(&in_write)
        });
        let second = stage.request("upper\nhello");
        second.gets_nothing("a write to a full pipe must block the loop");
        second.gets_nothing("and for longer than the watchdog allows");
        let (mut said, mut chunk) = (Vec::new(), [0; 4096]);
        while !String::from_utf8_lossy(&said).contains("stays")
            && poll(&mut [PollFd::new(errors.as_fd(), PollFlags::POLLIN)], 10_000_u16).expect("a pipe") > 0
        {
            let taken = errors.read(&mut chunk).expect("a pipe");
            said.extend_from_slice(&chunk[..taken]);
        }
        let said = String::from_utf8_lossy(&said);
        let said = said.trim_start_matches('-');
        assert!(
            said.contains("the loop has been blocked for 200ms, in:") && said.contains("stays"),
            "stage {n} was blocked in `stays`, which prints an error. It must report that, but it says {said:?}"
        );
        assert_eq!(second.rest(), "HELLO");
        assert_eq!(client.rest(), "");
        stage.end();
    }
}
