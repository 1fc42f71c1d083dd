//! What runs for a client: streamed as it happens, bounded, and gone with the stream.

use std::fs::{self, File};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use serde_json::{Value, json};
use support::{Server, until_nothing_holds};

mod support;

#[test]
fn a_line_arrives_when_it_is_printed() {
    let server = Server::start();
    let mut run = server.run("quick");
    assert_eq!(run.event().expect("a row")["text"], "first");
    assert_eq!(run.event(), Some(json!({ "kind": "output", "text": "plain" })));
    // The tool waits at the gate, which opens only now.
    fs::write(server.path("gate"), "").expect("the gate opens");
    let rest = run.events();
    assert_eq!(rest[0]["kind"], "verdict", "{rest:?}");
    assert_eq!(rest[1], json!({ "kind": "end", "status": 0, "cut": false }));
    assert_eq!(rest.len(), 2, "one end: {rest:?}");
}

#[test]
fn an_empty_line_is_a_line_whenever_it_is_printed() {
    let server = Server::start();
    let mut run = server.run("spaced");
    for (line, opens) in [("above", true), ("", true), ("below", false)] {
        assert_eq!(run.event(), Some(json!({ "kind": "output", "text": line })));
        if opens {
            fs::write(server.path("gate"), "").expect("the gate opens");
        }
    }
}

#[test]
fn a_check_is_answered_with_its_first_message() {
    let server = Server::start();
    let events = server.post("/api/check", r#"{"exercise":"toy/add"}"#).events();
    let kinds: Vec<&Value> = events.iter().map(|event| &event["kind"]).collect();
    assert_eq!(kinds, ["progress", "output", "result", "end"], "{events:?}");
    assert_eq!(events[2]["first"], json!({ "test": "adds", "message": "seen 3" }));
    assert_eq!((&events[2]["passed"], &events[3]["status"]), (&json!(false), &json!(1)));
}

#[test]
fn closing_the_stream_ends_all_processes_of_the_run() {
    for name in ["held", "stubborn", "scattered"] {
        let server = Server::start();
        let mut run = server.run(name);
        let held = File::open(server.path("held")).expect("the fifo");
        assert_eq!(run.event().expect("a row")["text"], "held", "{name}");
        drop(run);
        until_nothing_holds(held);
        // The place is free again. The server notices the end a moment later.
        loop {
            let again = server.post("/api/run", r#"{"experiment":"surroundings"}"#);
            if again.status == 200 {
                break;
            }
        }
    }
}

/// `eprintln!` panics if no process reads the standard error. The server says that it stops, and must then stop.
#[test]
fn a_server_whose_errors_no_process_reads_stops_all_the_same() {
    let mut server = Server::start_unread();
    let mut run = server.run("held");
    let _held = File::open(server.path("held")).expect("the fifo");
    assert_eq!(run.event().expect("a row")["text"], "held");
    let pid = Pid::from_raw(server.child.id().cast_signed());
    kill(pid, Signal::SIGTERM).expect("it runs");
    let (ended, end) = mpsc::channel();
    thread::spawn(move || ended.send(waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)));
    end.recv_timeout(Duration::from_secs(30)).expect("the server must stop").expect("it is a child");
    let status = server.child.wait().expect("it is a child");
    assert!(status.success(), "{status}");
}

#[test]
fn a_server_that_is_killed_takes_its_runs_along() {
    for name in ["stubborn", "scattered"] {
        let mut server = Server::start();
        let mut run = server.run(name);
        let held = File::open(server.path("held")).expect("the fifo");
        assert_eq!(run.event().expect("a row")["text"], "held", "{name}");
        server.child.kill().expect("it is killed");
        server.child.wait().expect("its end");
        until_nothing_holds(held);
    }
}

#[test]
fn a_tool_that_exits_leaves_no_process_behind() {
    let server = Server::start();
    let mut run = server.run("forsaken");
    let held = File::open(server.path("held")).expect("the fifo");
    assert_eq!(run.event().expect("a row")["text"], "held");
    assert_eq!(run.event(), Some(json!({ "kind": "end", "status": 7, "cut": false })));
    until_nothing_holds(held);
}

#[test]
fn a_tool_that_a_signal_kills_has_no_status() {
    let server = Server::start();
    for name in ["killed", "aborted"] {
        let mut run = server.run(name);
        assert_eq!(run.event(), Some(json!({ "kind": "end", "status": null, "cut": false })), "{name}");
    }
}

#[test]
fn what_runs_has_nothing_of_the_server_and_nothing_of_the_request() {
    let server = Server::start();
    let mut run = server.post("/api/run", r#"{"experiment":"surroundings","prediction":"b"}"#);
    let events = run.events();
    let lines: Vec<&str> = events.iter().filter_map(|event| event["text"].as_str()).collect();
    assert!(lines.contains(&"args: run --json-lines --predict b surroundings"), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains("SECRET") || line.contains(&server.token)), "{lines:#?}");
    let descriptors: Vec<&&str> = lines.iter().filter(|line| line.contains(" -> ")).collect();
    assert!(descriptors.iter().any(|line| line.contains(" 0 -> /dev/null")), "{descriptors:#?}");
    let others = descriptors.iter().filter(|line| !line.contains("pipe:") && !line.contains("/dev/null"));
    // ls has the folder that it lists.
    assert_eq!(others.filter(|line| !line.contains("/proc/")).count(), 0, "{descriptors:#?}");
    assert_eq!(descriptors.len(), 4, "{descriptors:#?}");
}

/// Else cargo would compile everything anew after a check in the terminal, or would not find the linker that it uses there.
#[test]
fn what_runs_is_built_as_in_the_terminal() {
    let build = [
        ("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER", "/elsewhere/ld"),
        ("CARGO_PROFILE_DEV_DEBUG", "0"),
        ("CARGO_ENCODED_RUSTFLAGS", "-Cdebuginfo=0"),
        ("RUSTFLAGS", "-Cdebuginfo=0"),
        ("https_proxy", "http://proxy.example"),
    ];
    let server = Server::start_in(|command| {
        command
            .envs(build)
            .env("CARGO_REGISTRY_TOKEN", "a secret")
            .env("CARGO_REGISTRIES_OWN_TOKEN", "a secret");
    });
    let events = server.post("/api/run", r#"{"experiment":"surroundings"}"#).events();
    let lines: Vec<&str> = events.iter().filter_map(|event| event["text"].as_str()).collect();
    for (name, value) in build {
        assert!(lines.contains(&&*format!("{name}={value}")), "{name} is not there: {lines:#?}");
    }
    assert!(
        !lines.iter().any(|line| line.contains("a secret")),
        "cargo's tokens are no part of a build: {lines:#?}"
    );
}

#[test]
fn what_is_not_in_the_catalogue_does_not_run() {
    let server = Server::start();
    for name in ["nothing", "../tool", "quick held", "--all", "", "Quick", "toy/add"] {
        let body = json!({ "experiment": name }).to_string();
        assert_eq!(server.post("/api/run", &body).status, 404, "{name}");
    }
    for body in ["", "{}", "[]", "null", r#"{"experiment":7}"#, r#"{"exercise":"toy/add"}"#, "\u{ff}"] {
        assert_eq!(server.post("/api/run", body).status, 400, "{body}");
    }
    for prediction in ["none", "aa", "--strace", "A", ""] {
        let body = json!({ "experiment": "surroundings", "prediction": prediction }).to_string();
        let events = server.post("/api/run", &body).events();
        let args = events.iter().find_map(|event| event["text"].as_str()?.strip_prefix("args: "));
        assert_eq!(args, Some("run --json-lines surroundings"), "{prediction}");
    }
    assert_eq!(server.post("/api/run", &format!("\"{}\"", "x".repeat(5000))).status, 413);
}

#[test]
fn a_run_that_prints_without_end_is_cut() {
    let server = Server::start();
    let mut run = server.run("floods");
    let events = run.events();
    let end = events.last().expect("an end");
    assert_eq!((&end["kind"], &end["cut"]), (&json!("end"), &json!(true)));
    assert_eq!(end["why"], "It printed more than is shown, and was stopped.");
    let printed: usize = events.iter().map(|event| event.to_string().len()).sum();
    assert!((1 << 19..3 << 20).contains(&printed), "about a MiB was sent: {printed}");
}

#[test]
fn each_name_runs_once_and_few_run_at_the_same_time() {
    let server = Server::start();
    let _held: Vec<_> = (1..=4).map(|number| server.run(&format!("held-{number}"))).collect();
    let mut twice = server.post("/api/run", r#"{"experiment":"held-1"}"#);
    assert_eq!((twice.status, twice.rest().contains("runs already")), (429, true));
    let mut fifth = server.post("/api/run", r#"{"experiment":"quick"}"#);
    assert_eq!((fifth.status, fifth.field("Retry-After").is_some()), (429, true));
    assert_eq!(fifth.field("X-Content-Type-Options"), Some("nosniff"), "{}", fifth.head);
    assert!(fifth.rest().contains("Too much runs"));
}

/// Under nohup the server goes on when its terminal is closed.
#[test]
fn a_server_that_was_started_with_a_signal_ignored_ignores_it() {
    let mut server = Server::start_in(|command| support::after("trap '' HUP INT", command));
    let pid = Pid::from_raw(server.child.id().cast_signed());
    let host = format!("127.0.0.1:{}", server.port);
    // The loop runs, with its signal handlers.
    assert_eq!(server.ask("GET", "/api/hello", &[("Host", &host)], "").status, 200);
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("a mask");
    let mask = u64::from_str_radix(mask.trim(), 16).expect("a number");
    for signal in [Signal::SIGHUP, Signal::SIGINT] {
        assert_eq!(mask >> (signal as i32 - 1) & 1, 1, "{signal} was ignored, and is not anymore: {mask:x}");
        kill(pid, signal).expect("it is sent");
    }
    assert_eq!(server.ask("GET", "/api/hello", &[("Host", &host)], "").status, 200);
    kill(pid, Signal::SIGTERM).expect("it is sent");
    assert_eq!(server.child.wait().expect("its end").code(), Some(0));
}

#[test]
fn a_stop_says_goodbye_and_ends_what_runs() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut server = Server::start();
        let mut events = server.post("/api/events", "{}");
        assert_eq!(events.event().expect("a first event")["kind"], "hello");
        let mut run = server.run("held");
        let held = File::open(server.path("held")).expect("the fifo");
        assert_eq!(run.event().expect("a row")["text"], "held");
        kill(Pid::from_raw(server.child.id().cast_signed()), signal).expect("it is sent");
        assert!(events.events().iter().any(|event| event["kind"] == "bye"), "{signal}");
        let end = run.events().pop().expect("an end");
        assert_eq!(end["why"], "The server stops, and has stopped it.", "{signal}: the page says why: {end}");
        until_nothing_holds(held);
        assert_eq!(server.child.wait().expect("its end").code(), Some(0), "{signal}");
    }
}
