//! What breaks stage 3 and not stage 4: a lookup that takes long, and a program that closes its output before it exits.

use std::io::Write;

use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use support::{Anchor, Client, Stage, from, kill_by_pid, slow_file};

mod support;

/// A client whose name is in no table, so that the server must look it up in the file.
fn greet(stage: &Stage) -> Client {
    stage.request("greet\n")
}

#[test]
fn in_stage_3_every_client_waits_for_a_lookup() {
    testing::needs!(loopback);
    let (_reader, mut writer, path) = slow_file();
    let stage = Stage::with_more(3, &path);
    let first = greet(&stage);
    first.gets_nothing("the lookup has not ended");
    let second = stage.request("upper\nhello");
    second.gets_nothing("the server reads the file, so it must serve no other client");
    writer.write_all(b"greet echo hello\n").expect("the server has the read end");
    drop(writer);
    assert_eq!(first.rest(), "hello\n");
    assert_eq!(second.rest(), "HELLO");
    stage.end();
}

#[test]
fn from_stage_4_on_no_other_client_waits_for_a_lookup() {
    testing::needs!(loopback, pidfd);
    for n in from(4) {
        eprintln!("stage {n}");
        let (_reader, mut writer, path) = slow_file();
        let stage = Stage::with_more(n, &path);
        let first = greet(&stage);
        assert_eq!(stage.ask("upper\nhello"), "HELLO");
        first.gets_nothing("the lookup has not ended");
        // The server sleeps by now, and no descriptor of a client will be ready: only the thread can wake it.
        writer.write_all(b"greet echo hello\n").expect("the server has the read end");
        drop(writer);
        assert_eq!(first.rest(), "hello\n");
        stage.end();
    }
}

#[test]
fn in_stage_3_every_client_waits_for_a_program_that_has_closed_its_output() {
    testing::needs!(loopback);
    let (stage, anchor) = (Stage::start(3), Anchor::new());
    let (first, pid) = stage.silent(&anchor);
    let second = stage.request("upper\nhello");
    second.gets_nothing("the server waits in waitpid, so it must serve no other client");
    kill_by_pid(&pid);
    assert_eq!(first.rest(), "killed by SIGKILL\n");
    assert_eq!(second.rest(), "HELLO");
    stage.end();
}

#[test]
fn from_stage_4_on_no_other_client_waits_for_a_program_that_has_closed_its_output() {
    testing::needs!(loopback, pidfd);
    for n in from(4) {
        eprintln!("stage {n}");
        let (stage, anchor) = (Stage::start(n), Anchor::new());
        let (first, pid) = stage.silent(&anchor);
        assert_eq!(stage.ask("upper\nhello"), "HELLO");
        first.gets_nothing("the program is still running");
        // Only SIGCHLD can wake the server now.
        kill_by_pid(&pid);
        assert_eq!(first.rest(), "killed by SIGKILL\n");
        assert_eq!(stage.programs(), 0, "no zombie is left");
        stage.end();
    }
}

#[test]
fn many_programs_may_exit_at_once() {
    testing::needs!(loopback, pidfd);
    for n in from(4) {
        eprintln!("stage {n}");
        let (stage, anchor) = (Stage::start(n), Anchor::new());
        let clients: Vec<_> = (0..10).map(|_| stage.silent(&anchor)).collect();
        // One SIGCHLD may stand for several of them.
        anchor.end();
        for (client, _) in &clients {
            assert_eq!(client.rest(), "");
        }
        assert_eq!(stage.programs(), 0, "no zombie is left");
        stage.end();
    }
}

#[test]
fn a_client_that_leaves_during_its_lookup_does_no_harm() {
    testing::needs!(loopback, pidfd);
    for n in from(4) {
        eprintln!("stage {n}");
        let (_reader, writer, path) = slow_file();
        let stage = Stage::with_more(n, &path);
        drop(greet(&stage));
        drop(writer);
        assert_eq!(stage.ask("greet\n"), "no program is called \"greet\"\n");
        stage.end();
    }
}

/// What stage 2 brought must hold in every later stage, too.
#[test]
fn an_agent_keeps_neither_connection_nor_listener() {
    testing::needs!(loopback, pidfd);
    for n in from(3) {
        let (mut stage, anchor) = (Stage::start(n), Anchor::new());
        let client = stage.request(format!("agent\n{}\n", anchor.pid()));
        let pid = client.rest();
        stage.kill();
        std::net::TcpListener::bind(stage.address).expect("the agent does not have the listener");
        kill_by_pid(&pid);
        let pid = Pid::from_raw(pid.trim().parse().expect("a pid"));
        assert!(
            matches!(waitpid(pid, None), Ok(WaitStatus::Signaled(..))),
            "an orphan, which this process reaps"
        );
        assert!(stage.all_exit());
    }
}
