//! What breaks stage 1 and not stage 2: a program that leaves a process running in the background.

use std::io::ErrorKind;
use std::net::TcpListener;

use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use support::{Anchor, Client, Stage, kill_by_pid};

mod support;

/// Asks for an agent. The request contains the pid of the anchor, another process. The agent runs until the anchor exits.
/// Returns the connection, and the line with the agent's pid.
fn agent(stage: &Stage, anchor: &Anchor) -> (Client, String) {
    let client = stage.request(format!("agent\n{}\n", anchor.pid()));
    let pid = client.line();
    (client, pid)
}

#[test]
fn in_stage_1_the_client_gets_no_end_of_file_while_the_agent_runs() {
    testing::needs!(loopback);
    let (stage, anchor) = (Stage::start(1), Anchor::new());
    let (client, pid) = agent(&stage, &anchor);
    client.gets_nothing("the agent has the connection, so it must stay open");
    assert_eq!(stage.ask("upper\nhello"), "HELLO", "the server itself is done with the first client");
    client.gets_nothing("serving another client must not change that");
    kill_by_pid(&pid);
    assert_eq!(client.rest(), "", "the agent was the last that had the connection");
    stage.end();
}

#[test]
fn in_stage_1_the_port_stays_taken_while_the_agent_runs() {
    testing::needs!(loopback);
    let (mut stage, anchor) = (Stage::start(1), Anchor::new());
    let (_client, _pid) = agent(&stage, &anchor);
    stage.kill();
    // std sets SO_REUSEADDR.
    let taken = TcpListener::bind(stage.address).map_err(|error| error.kind());
    assert_eq!(taken.err(), Some(ErrorKind::AddrInUse), "the agent has the listener");
    anchor.end();
    assert!(stage.all_exit(), "the agent was sent a pid, and must exit when the process with that pid exits");
    TcpListener::bind(stage.address).expect("the port is free when the agent has exited");
}

#[test]
fn in_stage_2_the_client_gets_end_of_file_while_the_agent_runs() {
    testing::needs!(loopback);
    let (stage, anchor) = (Stage::start(2), Anchor::new());
    let (client, pid) = agent(&stage, &anchor);
    assert_eq!(client.rest(), "");
    // Fails if the agent has exited, because then the end of file would prove nothing.
    kill_by_pid(&pid);
    stage.end();
}

#[test]
fn in_stage_2_the_port_is_free_while_the_agent_runs() {
    testing::needs!(loopback);
    let (mut stage, anchor) = (Stage::start(2), Anchor::new());
    let (_client, pid) = agent(&stage, &anchor);
    stage.kill();
    TcpListener::bind(stage.address).expect("the server is dead, and the agent does not have the listener");
    kill_by_pid(&pid);
    // The agent's parent, the shell, has exited, so the kernel gave the agent a new parent: this process, which asked for
    // orphans with PR_SET_CHILD_SUBREAPER.
    waitpid(Pid::from_raw(pid.trim().parse().expect("a pid")), None)
        .expect("this process is the parent of the orphan");
    assert!(stage.all_exit());
}
