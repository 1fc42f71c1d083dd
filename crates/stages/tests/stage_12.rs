//! What a task of stage 12 owns ends with the task. The other files test that stage 12 does what stage 9 does.

use std::fs;

use support::{Anchor, MORE, Stage, descriptors, eventually, kill_by_pid};

mod support;

fn threads(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/task")).expect("it runs").count()
}

/// A stage that has served a client, so that it has everything that it keeps.
fn started() -> Stage {
    let stage = Stage::with_more(12, MORE);
    assert_eq!(stage.ask("upper\nhello"), "HELLO");
    stage
}

#[test]
fn a_task_that_ends_leaves_no_descriptor_no_program_and_no_thread() {
    testing::needs!(loopback);
    let stage = started();
    let pid = stage.pid();
    eventually("the end of the lookup's thread", || threads(pid) == 2);
    let before = descriptors(pid);
    for _ in 0..20 {
        assert_eq!(stage.ask("upper\nhello"), "HELLO");
        assert_eq!(stage.ask("ignores\nhello"), "done\n");
        assert_eq!(stage.ask("lower\nhello"), "no program is called \"lower\"\n");
    }
    eventually("the descriptors of before", || descriptors(pid) == before);
    eventually("the threads of before", || threads(pid) == 2);
    assert_eq!(stage.programs(), 0);
    stage.end();
}

#[test]
fn a_program_that_is_killed_from_outside_ends_the_await_of_its_exit() {
    testing::needs!(loopback);
    let (stage, anchor) = (started(), Anchor::new());
    let clients: Vec<_> = (0..10)
        .map(|_| {
            let (client, pid) = stage.silent(&anchor);
            (client, pid)
        })
        .collect();
    // One SIGCHLD may stand for several of them, so each task has to ask for its own program.
    for (_, pid) in &clients {
        kill_by_pid(pid);
    }
    for (client, _) in &clients {
        assert_eq!(client.rest(), "killed by SIGKILL\n");
    }
    assert_eq!(stage.programs(), 0, "each task reaps its program");
    stage.end();
}

#[test]
fn a_client_that_resets_its_connection_ends_its_task_and_its_program() {
    testing::needs!(loopback);
    let stage = started();
    let client = stage.request("endless\n");
    assert_eq!(client.line(), "y\n");
    client.reset();
    eventually("the end of the program", || stage.programs() == 0);
    stage.end();
}
