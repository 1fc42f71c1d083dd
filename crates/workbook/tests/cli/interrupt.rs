//! Ctrl-C: nothing is left, nothing is lost, and the status is 130.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigHandler, Signal, signal};

use crate::checkout::{ADD_SOLVED, Checkout};
use crate::tool::tool;

/// A module that rustc works at for as long as anybody lets it.
const SLOW_TO_COMPILE: &str = "#![allow(long_running_const_eval)]
pub const LONG: u64 = { let mut i = 0; while i < u64::MAX { i += 1 } i };
pub fn add(a: i32, _: i32) -> i32 { a + LONG as i32 }
";

#[test]
fn ctrl_c_ends_a_check_and_all_its_processes() {
    let checkout = Checkout::new();
    checkout.add_does(
        "if b == -2 { shell(\"sleep 1000; :\", false); shell(\"sleep 2000; :\", true).wait().unwrap(); }",
    );
    let before = checkout.files();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let running = checkout.start(checkout.command(&["check", "add"]));
        checkout.await_process("sleep 1000");
        checkout.await_process("sleep 2000");
        running.signal(signal);
        running.end().expect(130, &["stopped"]).without(&["tests pass"]);
    }
    assert!(before == checkout.files(), "a file changed");
}

#[test]
fn a_compiler_at_work_is_ended_too() {
    let checkout = Checkout::new();
    checkout.solve("add", SLOW_TO_COMPILE);
    let running = checkout.start(checkout.command(&["check", "add"]));
    checkout.await_process("--crate-name toy");
    running.signal(Signal::SIGINT);
    running.end().expect(130, &["stopped"]);
    // Nothing half-done is taken for done.
    checkout.solve("add", ADD_SOLVED);
    checkout.workbook(&["check", "add"]).expect(0, &["4 of 4 tests pass"]);
}

#[test]
fn whatever_cargo_started_is_ended_too() {
    let checkout = Checkout::new();
    let script = "fn main() { std::process::Command::new(\"sleep\").arg(\"6000\").status().unwrap(); }";
    checkout.write("crates/toy/build.rs", script);
    for (args, signal) in [(&["check", "add"][..], Signal::SIGINT), (&["verify"], Signal::SIGTERM)] {
        let running = checkout.start(checkout.command(args));
        checkout.await_process("sleep 6000");
        running.signal(signal);
        running.end().expect(130, &["stopped"]);
    }
}

#[test]
fn an_experiment_in_front_of_the_reader_is_ended() {
    let checkout = Checkout::new();
    let slow = "std::process::Command::new(\"sleep\").arg(\"3000\").status().unwrap();";
    checkout.experiment("02-doubles", "slow", slow);
    for args in [&["run", "slow"][..], &["run", "slow", "--json"]] {
        let running = checkout.start(checkout.command(args));
        checkout.await_process("sleep 3000");
        running.signal(Signal::SIGINT);
        running.end().expect(130, &["stopped"]);
    }
}

#[test]
fn verify_is_ended_and_can_begin_again() {
    let checkout = Checkout::new();
    let hang = "pub fn twice(_: i32) -> i32 { loop { std::thread::park() } }";
    let mistakes = checkout.read("crates/toy/mistakes/twice.md");
    checkout.mistake("twice", "a_hang", "doubles", "did not finish", hang);
    checkout.solve("twice", "the reader's own words");
    let running = checkout.start(checkout.command(&["verify", "twice"]));
    checkout.await_process("--crate-name toy");
    running.signal(Signal::SIGINT);
    running.end().expect(130, &["stopped"]);
    assert_eq!(checkout.read("crates/toy/exercises/twice.rs"), "the reader's own words");
    checkout.write("crates/toy/mistakes/twice.md", &mistakes);
    checkout.workbook(&["verify", "twice"]).expect(0, &["3 caught, 0 missed"]);
}

#[test]
fn the_workers_of_verify_end_with_it() {
    let checkout = Checkout::new();
    let sleepers = [("add", "negative", "_: i32, _: i32", 4000), ("twice", "doubles", "_: i32", 5000)];
    for (module, test, types, time) in sleepers {
        let code = format!(
            "pub fn {module}({types}) -> i32 {{
                std::process::Command::new(\"sleep\").arg(\"{time}\").status().unwrap();
                0
            }}"
        );
        checkout.mistake(module, "a_sleep", test, "not 0", &code);
    }
    let several = std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1);
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGKILL] {
        let running = checkout.start(checkout.command(&["verify"]));
        checkout.await_process("sleep 4000");
        if several {
            checkout.await_process("sleep 5000");
        }
        running.signal(signal);
        let said = running.end();
        if signal == Signal::SIGKILL {
            assert_eq!(said.code, None, "{said:#?}");
        } else {
            said.expect(130, &["stopped"]).without(&["error"]);
        }
    }
}

/// As while another copy of the tool is stopped, by Ctrl-Z.
#[test]
fn ctrl_c_ends_the_wait_for_what_another_copy_writes() {
    let checkout = Checkout::new();
    let name = checkout.target().join("workbook/verdicts.lock");
    checkout.workbook(&["check", "twice"]).expect(1, &[]);
    let lock = File::open(&name).expect("the check left its lock");
    lock.lock().expect("no process has it");
    let running = checkout.start(checkout.command(&["check", "twice"]));
    running.await_open(&name);
    running.signal(Signal::SIGINT);
    running.end().expect(1, &["not yet implemented: double 3"]);
}

/// A worker is asked by SIGTERM to end what it has started.
#[test]
fn the_workers_end_although_the_tool_was_started_with_sigterm_ignored() {
    let checkout = Checkout::new();
    let code = "pub fn twice(_: i32) -> i32 {
        std::process::Command::new(\"sleep\").arg(\"9000\").status().unwrap();
        0
    }";
    checkout.mistake("twice", "a_sleep", "doubles", "not 0", code);
    for signal in [Signal::SIGINT, Signal::SIGKILL] {
        let running = checkout.start(ignoring(Signal::SIGTERM, checkout.command(&["verify"])));
        checkout.await_process("sleep 9000");
        let start = Instant::now();
        running.signal(signal);
        running.end().without(&["error"]);
        assert!(start.elapsed() < Duration::from_secs(8), "it waited for the silence of a test");
    }
}

/// Start the tool with this signal ignored.
fn ignoring(ignored: Signal, mut command: Command) -> Command {
    let ignore = move || {
        // SAFETY: ignoring a signal runs no code of ours.
        unsafe { signal(ignored, SigHandler::SigIgn) }?;
        Ok(())
    };
    // SAFETY: between fork and exec only sigaction is called.
    unsafe { command.pre_exec(ignore) };
    command
}

#[test]
fn a_tool_started_with_sigint_ignored_ignores_ctrl_c() {
    let checkout = Checkout::new();
    checkout.add_does(
        "std::fs::write(sign(\"begun\"), \"\").unwrap();
        while !sign(\"go\").exists() { std::thread::yield_now(); }",
    );
    let running = checkout.start(ignoring(Signal::SIGINT, checkout.command(&["check", "add"])));
    checkout.await_file("begun");
    running.signal(Signal::SIGINT);
    std::fs::write(checkout.home().join("go"), "").expect("a sign");
    running.end().expect(0, &["4 of 4 tests pass"]);
}

#[test]
fn what_was_running_before_is_left_alone() {
    let checkout = Checkout::new();
    checkout.solve("add", ADD_SOLVED);
    // A shell that starts something and then becomes the tool leaves it a child that it never asked for.
    let script = "env -u WORKBOOK_TEST_RUN sleep 7000 >/dev/null 2>&1 & exec \"$0\" check add";
    let shell = checkout.program("/bin/sh", &["-c", script, tool()]);
    checkout.run(shell).expect(0, &["4 of 4 tests pass"]);
    checkout.await_process("sleep 7000");
}
