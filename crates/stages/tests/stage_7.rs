//! What breaks stage 6 and not stage 7: a client that sends no request. And the second way to start, with its workers.

use std::path::Path;
use std::process::Command;

use support::{
    Anchor, Client, MORE, Stage, await_sleep, eventually, from, kill_by_pid, sleeps_and_accepts_later,
    slow_file,
};

mod support;

/// Clients that never end their requests: one has sent nothing, and one a part.
fn unfinished(stage: &Stage) -> [Client; 2] {
    let clients = [stage.connect(), stage.connect()];
    clients[1].send("upper\nhel");
    clients
}

#[test]
fn up_to_stage_6_a_client_that_sends_no_request_stays_and_from_stage_7_on_a_timer_ends_it() {
    testing::needs!(loopback, pidfd);
    let old = Stage::start(6);
    let waiting = unfinished(&old);
    let new: Vec<Stage> = from(7).map(Stage::start).collect();
    let ended: Vec<[Client; 2]> = new.iter().map(unfinished).collect();
    for clients in &ended {
        for client in clients {
            assert_eq!(client.rest(), "", "the timer must end the client, without an answer");
        }
    }
    for client in &waiting {
        client.gets_nothing(
            "stage 6 has no timer, so it must keep a client that connected before all of these",
        );
    }
    for stage in new {
        assert_eq!(stage.ask("upper\nhello"), "HELLO");
        stage.end();
    }
    old.end();
}

#[test]
fn in_stage_7_the_timer_of_a_request_does_not_end_a_client_whose_request_has_come() {
    testing::needs!(loopback);
    let (stage, anchor) = (Stage::start(7), Anchor::new());
    let (running, pid) = stage.silent(&anchor);
    // This client's timer is due later than that of the client above.
    let idle = stage.connect();
    assert_eq!(idle.rest(), "");
    running.gets_nothing("its program is still running");
    kill_by_pid(&pid);
    assert_eq!(running.rest(), "killed by SIGKILL\n");
    stage.end();
}

#[test]
fn in_stage_7_sigterm_kills_the_programs_even_while_a_thread_looks_a_name_up() {
    testing::needs!(loopback);
    let (_reader, _writer, path) = slow_file();
    let (mut stage, anchor) = (Stage::with_more(7, &path), Anchor::new());
    let slow = stage.request("greet\n");
    let (running, pid) = stage.silent(&anchor);
    stage.terminate();
    assert_eq!(stage.exit_status().code(), Some(0));
    assert!(
        !Path::new(&format!("/proc/{}", pid.trim())).exists(),
        "program {pid:?} outlives its server. The thread of a lookup still has the clients when the loop is dropped"
    );
    assert_eq!((slow.rest().as_str(), running.rest().as_str()), ("", ""));
    assert!(stage.all_exit());
}

#[test]
fn from_stage_7_on_a_server_without_even_a_spare_descriptor_sleeps_and_accepts_later() {
    testing::needs!(loopback);
    for n in from(7) {
        eprintln!("stage {n}");
        let stage = Stage::start(n);
        await_sleep(&[stage.pid()]);
        sleeps_and_accepts_later(&stage, stage.pid());
        stage.end();
    }
}

/// Starts a stage with workers. The program `worker` prints the pid of the process that has started it.
fn with_workers(n: usize, processes: &str) -> Stage {
    Stage::with(n, MORE, |command: &mut Command| {
        command.env("PROCESSES", processes);
    })
}

#[test]
fn the_second_way_to_start_makes_a_loop_in_each_worker() {
    testing::needs!(loopback, pidfd);
    for n in from(7) {
        eprintln!("stage {n}");
        let stage = with_workers(n, "2");
        eventually("two workers", || stage.workers().len() == 2);
        let workers = stage.workers();
        for _ in 0..10 {
            let worker = stage.ask("worker\n");
            assert!(
                workers.iter().any(|pid| worker.trim() == pid.to_string()),
                "process {worker:?} served a client of stage {n}. Only the workers {workers:?} must serve clients"
            );
        }
        // The supervisor replaces a worker that is killed, and the other one still serves.
        kill_by_pid(&workers[0].to_string());
        eventually("a replacement", || {
            let now = stage.workers();
            now.len() == 2 && !now.contains(&workers[0])
        });
        assert_eq!(stage.ask("upper\nhello"), "HELLO");
        stage.end();
    }
}

#[test]
fn one_process_does_not_fork() {
    testing::needs!(loopback);
    for n in from(7) {
        let stage = with_workers(n, "1");
        assert_eq!(stage.ask("worker\n"), format!("{}\n", stage.pid()), "stage {n}");
        stage.end();
    }
}

#[test]
fn a_wrong_number_of_processes_is_named() {
    let mut server = Command::new(testing::program!("stage"));
    let output = server.args(["7", "0"]).env("PROCESSES", "two").output().expect("the program `stage`");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("PROCESSES must be a number") && said.contains("two"), "{said}");
    assert_eq!(output.status.code(), Some(1));
}
