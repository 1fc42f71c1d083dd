//! What breaks stage 2 and not stage 3: input and output that are both long, and a second client.

use std::time::Instant;

use support::{Client, MORE, PATIENCE, Stage, from};

mod support;

/// More than a pipe holds, so the program must print before it has read all of it.
const LONG: usize = 1 << 20;

fn long_request(stage: &Stage) -> Client {
    let client = stage.connect();
    client.send("upper\n");
    client.send(vec![b'x'; LONG]);
    client.finish();
    client
}

#[test]
fn in_stage_2_long_input_and_output_block_the_server_for_ever() {
    testing::needs!(loopback);
    let stage = Stage::start(2);
    let client = long_request(&stage);
    let second = stage.request("upper\nhello");
    client.gets_nothing("server and program must each wait until the other reads");
    second.gets_nothing("the server must not get to the second client");
    client.gets_nothing("and nothing must end that");
    drop(stage);
}

#[test]
fn from_stage_3_on_long_input_and_output_pass_each_other() {
    testing::needs!(loopback, pidfd);
    for n in from(3) {
        let stage = Stage::start(n);
        let answer = long_request(&stage).rest();
        assert_eq!(answer.len(), LONG, "stage {n}");
        assert!(answer.bytes().all(|byte| byte == b'X'), "stage {n}");
        stage.end();
    }
}

#[test]
fn in_stage_1_and_2_a_client_waits_for_the_one_before() {
    testing::needs!(loopback);
    for n in [1, 2] {
        let stage = Stage::start(n);
        let first = stage.connect();
        first.send("upper\nhel");
        let second = stage.request("count\nhello");
        second.gets_nothing(&format!("stage {n} must serve one client at a time"));
        first.send("lo");
        first.finish();
        assert_eq!(first.rest(), "HELLO");
        assert_eq!(second.rest(), "5\n");
        stage.end();
    }
}

#[test]
fn from_stage_3_on_a_client_does_not_wait_for_the_one_before() {
    testing::needs!(loopback, pidfd);
    for n in from(3) {
        let stage = Stage::start(n);
        let first = stage.connect();
        first.send("upper\nhel");
        assert_eq!(stage.ask("count\nhello"), "5\n", "stage {n}");
        first.send("lo");
        first.finish();
        assert_eq!(first.rest(), "HELLO", "stage {n}");
        stage.end();
    }
}

#[test]
fn a_client_that_does_not_read_keeps_only_its_own_program_waiting() {
    testing::needs!(loopback, pidfd);
    for n in from(3) {
        let stage = Stage::start(n);
        let slow = Stage::connect(&stage);
        slow.send("upper\n");
        // More than the outbox and the buffers of both sockets hold; a slow machine, too, sends it within the limit of stage 8.
        let long = vec![b'x'; 16 << 20];
        slow.send(&long);
        slow.finish();
        assert_eq!(stage.ask("upper\nhello"), "HELLO", "stage {n}");
        assert_eq!(slow.rest().len(), long.len(), "stage {n}");
        stage.end();
    }
}

#[test]
fn twenty_clients_are_served_at_once() {
    testing::needs!(loopback, pidfd);
    for n in from(3) {
        let stage = Stage::start(n);
        let clients: Vec<Client> = (0..20).map(|_| stage.connect()).collect();
        for client in &clients {
            client.send("upper\nhel");
        }
        for client in clients.iter().rev() {
            client.send("lo");
            client.finish();
        }
        for client in &clients {
            assert_eq!(client.rest(), "HELLO", "stage {n}");
        }
        stage.end();
    }
}

#[test]
fn the_program_of_a_client_that_resets_its_connection_is_killed_and_reaped() {
    testing::needs!(loopback, pidfd);
    for n in from(3) {
        let stage = Stage::with_more(n, MORE);
        let client = stage.request("endless\n");
        assert_eq!(client.line(), "y\n");
        drop(client);
        // The server notices at the next write. It serves others meanwhile, and then the program is gone.
        let deadline = Instant::now() + PATIENCE;
        while stage.programs() > 0 {
            assert!(Instant::now() < deadline, "stage {n} keeps the program of a client that has left");
            assert_eq!(stage.ask("upper\nhello"), "HELLO", "stage {n}");
        }
        stage.end();
    }
}
