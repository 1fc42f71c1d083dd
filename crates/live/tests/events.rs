//! The stream of events: what the loop does, while a browser watches.

use serde_json::{Value, json};
use support::{Answer, Server};

mod support;

fn listen(server: &Server) -> Answer {
    let mut events = server.post("/api/events", "{}");
    assert_eq!(
        (events.status, events.event().expect("a first event")["kind"].clone()),
        (200, json!("hello"))
    );
    events
}

/// The next event of this kind.
fn next(events: &mut Answer, kind: &str) -> Value {
    std::iter::from_fn(|| events.event())
        .find(|event| event["kind"] == kind)
        .unwrap_or_else(|| panic!("no {kind}"))
}

/// The iteration in which this request was answered.
fn iteration(events: &mut Answer, label: &str) -> Value {
    loop {
        let trace = next(events, "trace");
        let iterations = trace["iterations"].as_array().expect("iterations").clone();
        if let Some(found) = iterations.into_iter().find(|iteration| iteration["label"] == label) {
            return found;
        }
    }
}

#[test]
fn a_request_of_the_reader_is_labeled_and_the_stream_is_the_observer() {
    let server = Server::start();
    let mut events = listen(&server);
    let host = format!("127.0.0.1:{}", server.port);
    assert_eq!(server.ask("GET", "/page.html", &[("Host", &host)], "").status, 200);
    let found = iteration(&mut events, "GET /page.html");
    assert_eq!(found["observer"], false, "{found}");
    let dispatches = found["dispatches"].as_array().expect("dispatches");
    let named =
        dispatches.iter().find(|dispatch| dispatch["label"] == "GET /page.html").expect("its dispatch");
    assert_eq!((&named["origin"], &named["observer"]), (&json!("handler"), &json!(false)));
    assert!(named["end_us"].as_u64() >= named["start_us"].as_u64(), "{named}");
}

#[test]
fn a_blocked_loop_is_reported_with_the_stack_that_blocks_it() {
    let server = Server::start();
    let mut events = listen(&server);
    let mut answer = server.post("/api/block", r#"{"ms":300}"#);
    assert_eq!((answer.status, answer.rest()), (200, json!({ "blocked_ms": 300 }).to_string()));
    let blocked = next(&mut events, "blocked");
    let stack = blocked["stack"].as_array().expect("a stack");
    let names =
        |name: &str| stack.iter().any(|frame| frame.as_str().is_some_and(|frame| frame.contains(name)));
    assert!(names("block_the_loop"), "{blocked:#}");
    let longest = server.post("/api/block", r#"{"ms":100000}"#).rest();
    assert_eq!(longest, json!({ "blocked_ms": 1000 }).to_string());
    assert_eq!(server.post("/api/block", "{}").status, 400);
}

#[test]
fn a_ninth_browser_is_refused_and_one_that_leaves_makes_room() {
    let server = Server::start();
    let mut streams: Vec<Answer> = (0..8).map(|_| listen(&server)).collect();
    assert_eq!(server.post("/api/events", "{}").status, 429);
    streams.pop();
    // The server notices it a moment later.
    while server.post("/api/events", "{}").status != 200 {}
}

#[test]
fn slow_clients_are_few() {
    let server = Server::start();
    for number in 1..=4 {
        assert_eq!(server.post("/api/slow", "{}").rest(), json!({ "slow": number }).to_string());
    }
    assert_eq!(server.post("/api/slow", "{}").status, 429);
    let host = format!("127.0.0.1:{}", server.port);
    assert_eq!(server.ask("GET", "/", &[("Host", &host)], "").status, 200, "others are answered");
}

#[test]
fn ten_tabs_at_once_are_served() {
    let server = Server::start();
    let host = format!("127.0.0.1:{}", server.port);
    let _events = listen(&server);
    let _run = server.run("held");
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| {
                for _ in 0..20 {
                    assert_eq!(server.ask("GET", "/page.html", &[("Host", &host)], "").status, 200);
                }
            });
        }
    });
}

#[test]
fn progress_has_the_predictions_and_what_is_done() {
    let server = Server::start();
    let progress = || server.progress();
    let before = progress();
    assert_eq!(before["experiments"]["surroundings"]["predicted"], Value::Null);
    assert_eq!(before["exercises"]["toy/add"]["done"], true);
    assert_eq!(before["mine"], json!({ "toy/add": false }));
    let mut events = listen(&server);
    server.post("/api/run", r#"{"experiment":"surroundings","prediction":"b"}"#).events();
    next(&mut events, "progress");
    assert_eq!(progress()["experiments"]["surroundings"]["predicted"], "b");
    server.post("/api/run", r#"{"experiment":"surroundings","prediction":"none"}"#).events();
    assert_eq!(
        progress()["experiments"]["surroundings"]["predicted"],
        "none",
        "to have no idea is a prediction"
    );
    server.post("/api/run", r#"{"experiment":"surroundings","prediction":"--all"}"#).events();
    assert_eq!(
        progress()["experiments"]["surroundings"]["predicted"],
        "none",
        "what is no prediction is not kept"
    );
}

#[test]
fn two_servers_of_a_checkout_keep_the_predictions_of_both() {
    let first = Server::start();
    let html = first.path("html").display().to_string();
    let second = first.beside(&["--built", &html]);
    let predict = |server: &Server, experiment: &str| {
        let body = json!({ "experiment": experiment, "prediction": "a" }).to_string();
        assert_eq!(server.post("/api/run", &body).status, 200, "{experiment}");
    };
    predict(&first, "killed");
    predict(&second, "aborted");
    let third = first.beside(&["--built", &html]);
    let known = third.progress();
    for name in ["killed", "aborted"] {
        assert_eq!(
            known["experiments"][name]["predicted"], "a",
            "{name}: the other server has written over it"
        );
    }
}
