//! What breaks stage 4 and not stage 5: many idle clients, and a client that leaves before its lookup is done.

use std::fs;
use std::io::Write;
use std::ops::RangeInclusive;

use support::{
    Anchor, Client, MORE, Stage, await_sleep, calls, descriptors, eventually, kill_by_pid, processor_time,
    slow_file,
};

mod support;

/// The stages with a single process that serves a client only after an event, a lookup or an exit. So far it is stage 5.
const FROM_5: RangeInclusive<usize> = 5..=5;

/// Fewer than the listener's queue holds, so that connecting them never waits.
const IDLE: usize = 100;

/// Idle clients, which the server has accepted.
fn idle(stage: &Stage) -> Vec<Client> {
    await_sleep(&[stage.pid()]);
    let before = descriptors(stage.pid());
    let clients = (0..IDLE).map(|_| stage.connect()).collect();
    eventually("the accept of all clients", || descriptors(stage.pid()) == before + IDLE);
    await_sleep(&[stage.pid()]);
    clients
}

/// How many reads and writes the server makes for a request that starts no program.
fn cost(stage: &Stage) -> u64 {
    let before = calls(stage.pid());
    assert_eq!(stage.ask("lower\n"), "no program is called \"lower\"\n");
    await_sleep(&[stage.pid()]);
    calls(stage.pid()) - before
}

/// The entries of the server's epoll: see proc_pid_fdinfo(5).
fn entries(stage: &Stage) -> usize {
    let infos = fs::read_dir(format!("/proc/{}/fdinfo", stage.pid())).expect("it runs");
    let infos = infos.map(|entry| fs::read_to_string(entry.expect("an entry").path()).unwrap_or_default());
    infos.map(|info| info.lines().filter(|line| line.starts_with("tfd:")).count()).sum()
}

#[test]
fn in_stage_4_each_request_costs_a_read_of_every_idle_client() {
    testing::needs!(loopback, descriptors(256));
    let stage = Stage::start(4);
    let _idle = idle(&stage);
    // It wakes up for the request, and again for its lookup.
    assert!(cost(&stage) >= 2 * IDLE as u64);
    stage.end();
}

#[test]
fn in_stage_5_a_request_costs_the_same_beside_idle_clients() {
    testing::needs!(loopback, descriptors(256));
    for n in FROM_5 {
        let stage = Stage::start(n);
        let _idle = idle(&stage);
        let cost = cost(&stage);
        assert!(
            cost < IDLE as u64 / 2,
            "stage {n} made {cost} reads and writes for one request beside {IDLE} idle clients. It must serve only the \
             clients that an event, a lookup or an exit is about"
        );
        stage.end();
    }
}

#[test]
fn in_stage_5_each_descriptor_is_registered_once() {
    testing::needs!(loopback, descriptors(256));
    for n in FROM_5 {
        let stage = Stage::start(n);
        await_sleep(&[stage.pid()]);
        let before = entries(&stage);
        let clients = idle(&stage);
        assert_eq!(entries(&stage), before + IDLE, "stage {n}: one entry for each client");
        assert_eq!(stage.ask("upper\nhello"), "HELLO");
        for client in &clients {
            client.send("upper\nhel");
        }
        await_sleep(&[stage.pid()]);
        assert_eq!(entries(&stage), before + IDLE, "stage {n}: a request changes entries, and adds none");
        drop(clients);
        eventually("the removal of the clients' entries", || entries(&stage) == before);
        stage.end();
    }
}

#[test]
fn in_stage_5_what_a_client_has_left_behind_does_not_reach_the_client_with_its_descriptor() {
    testing::needs!(loopback);
    for n in FROM_5 {
        let (_reader, mut writer, path) = slow_file();
        let stage = Stage::with_more(n, &path);
        await_sleep(&[stage.pid()]);
        let before = descriptors(stage.pid());
        let first = stage.request("greet\n");
        // The connection and the file of the lookup.
        eventually("the lookup", || descriptors(stage.pid()) == before + 2);
        first.reset();
        eventually("the close of the connection that was reset", || descriptors(stage.pid()) == before + 1);
        // It gets the lowest free number, which was the first client's.
        let second = stage.connect();
        second.send("upper\nhel");
        await_sleep(&[stage.pid()]);
        writer.write_all(b"greet echo hello\n").expect("the server has the read end");
        drop(writer);
        second.gets_nothing(
            "the first client's lookup must start no program for the second client, which has the first one's \
             descriptor number: a number is used again, so clients need tokens that are never used twice",
        );
        second.send("lo");
        second.finish();
        assert_eq!(second.rest(), "HELLO", "stage {n}: the second client's own request");
        stage.end();
    }
}

#[test]
fn in_stage_5_a_reset_is_noticed_even_if_the_server_waits_for_nothing_else_of_the_client() {
    testing::needs!(loopback);
    for n in FROM_5 {
        let (stage, anchor) = (Stage::start(n), Anchor::new());
        let (client, _) = stage.silent(&anchor);
        client.reset();
        // Nothing else happens that could wake the server.
        eventually("the end of the program of a client that has reset its connection", || {
            stage.programs() == 0
        });
        await_sleep(&[stage.pid()]);
        stage.end();
    }
}

#[test]
fn in_stage_5_a_hang_up_that_the_server_cannot_use_yet_does_not_keep_it_awake() {
    testing::needs!(loopback);
    for n in FROM_5 {
        let stage = Stage::with_more(n, MORE);
        let (idle, slow) = (stage.connect(), stage.connect());
        slow.send("much\n");
        slow.finish();
        let pid = slow.line();
        let program = pid.trim().parse().expect("a pid");
        eventually("full buffers: the pipe, the outbox, and those of both sockets", || {
            await_sleep(&[stage.pid(), program]);
            let before = calls(program);
            // The network may still make room while both sleep. All is full once the program makes no further call.
            idle.gets_nothing("it has sent nothing");
            calls(program) == before
        });
        kill_by_pid(&pid);
        await_sleep(&[stage.pid()]);
        let time = processor_time(stage.pid());
        idle.gets_nothing("it has sent nothing");
        assert_eq!(
            processor_time(stage.pid()),
            time,
            "stage {n}: there is no room for the program's output, so its hang-up must not be reported again and again"
        );
        let output = slow.rest();
        let last = output.trim_start_matches('\0');
        let zeros = output.len() - last.len();
        assert!(zeros > 64 * 1024, "stage {n}: the whole output comes, not {zeros} bytes");
        assert_eq!(last, "killed by SIGKILL\n", "stage {n}");
        stage.end();
    }
}
