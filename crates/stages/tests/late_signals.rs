//! A worker keeps its signal handlers until it exits. After Ctrl-C it gets a signal from the terminal, and another from its
//! supervisor, which may come when it has nearly exited.

use std::os::unix::process::CommandExt;
use std::process::Command;

testing::helper!(|args| match args {
    ["traced", "stopped", number] => testing::tracer::stopped(|| become_stage(number)),
    _ => 2,
});

/// Become the server of this number, with two workers.
fn become_stage(number: &str) -> i32 {
    let mut command = Command::new(testing::program!("stage"));
    let error = command.args([number, "0", "/dev/null"]).env("PROCESSES", "2").exec();
    eprintln!("{error}");
    1
}

#[test]
fn from_stage_6_on_a_late_signal_does_not_kill_a_worker() {
    testing::needs!(loopback, pidfd);
    for (number, _) in stages::STAGES.into_iter().chain(stages::HTTP).filter(|(number, _)| *number >= 6) {
        let Some(answer) = testing::traced("stopped", &[&number.to_string()]) else { return };
        let open: Vec<&str> = answer.lines("open").collect();
        assert!(
            open.is_empty(),
            "stage {number}: a worker got SIGTERM and has not exited yet, and another SIGINT or SIGTERM would kill it, from its \
             call {open:?} on. A dropped SignalWaker or loop has removed its handlers"
        );
        assert_eq!(answer.lines("exits").count(), 2, "stage {number}: two workers must exit by themselves");
    }
}
