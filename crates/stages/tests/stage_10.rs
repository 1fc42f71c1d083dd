//! What stage 10 does over HTTP.

use std::net::TcpStream;
use std::path::Path;
use std::time::Instant;

use support::{
    Anchor, Client, MORE, Stage, await_silence, await_sleep, descriptors, eventually, kill_by_pid,
};

mod support;

/// Sends a request, after which the server closes the connection.
fn send(stage: &Stage, method: &str, path: &str, body: &str) -> Client {
    let (client, length) = (stage.connect(), body.len());
    client.send(format!(
        "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}",
        stage.address
    ));
    client
}

/// The status line and the fields of a response. What follows stays in the socket.
fn head(client: &Client) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        head += &client.line();
    }
    head
}

/// The data of the next chunk. The last one has none.
fn chunk(client: &Client) -> String {
    let size = client.line();
    let size = usize::from_str_radix(size.trim_end(), 16).unwrap_or_else(|_| panic!("no size: {size:?}"));
    // The data of these tests are lines, and the last may have no end of its own.
    let mut data = String::new();
    while data.len() < size + 2 {
        data += &client.line();
    }
    data.strip_suffix("\r\n").expect("the end of a chunk").to_owned()
}

/// A response: its head, and its body up to the end.
fn response(client: &Client) -> (String, String) {
    let (head, mut body) = (head(client), String::new());
    if !head.contains("Transfer-Encoding: chunked\r\n") {
        return (head, client.rest());
    }
    loop {
        let data = chunk(client);
        if data.is_empty() {
            assert_eq!(client.rest(), "", "nothing follows the last chunk");
            return (head, body);
        }
        body += &data;
    }
}

/// The status and the body of the response to a request.
fn ask(stage: &Stage, method: &str, path: &str, body: &str) -> (String, String) {
    let (head, body) = response(&send(stage, method, path, body));
    (head.split(' ').nth(1).expect("a status").to_owned(), body)
}

/// A program that has printed its pid, which is returned too, and runs as long as the anchor.
fn silent(stage: &Stage, anchor: &Anchor) -> (Client, String) {
    let client = send(stage, "POST", "/run/silent", &format!("{}\n", anchor.pid()));
    assert!(head(&client).starts_with("HTTP/1.1 200 "));
    let pid = chunk(&client);
    await_silence(&pid);
    (client, pid)
}

fn runs(pid: &str) -> bool {
    Path::new(&format!("/proc/{}", pid.trim())).exists()
}

#[test]
fn a_program_gets_the_body_and_prints_the_answer() {
    testing::needs!(loopback);
    let stage = Stage::start(10);
    assert_eq!(ask(&stage, "POST", "/run/upper", "hello"), ("200".into(), "HELLO".into()));
    assert_eq!(ask(&stage, "POST", "/run/count", ""), ("200".into(), "0\n".into()));
    assert_eq!(ask(&stage, "POST", "/run/upper?x=1", "query"), ("200".into(), "QUERY".into()));
    stage.end();
}

#[test]
fn the_last_line_says_how_a_program_failed() {
    testing::needs!(loopback);
    let stage = Stage::with_more(10, MORE);
    assert_eq!(ask(&stage, "POST", "/run/fails", ""), ("200".into(), "so far\nexit status 3\n".into()));
    assert_eq!(ask(&stage, "POST", "/run/dies", ""), ("200".into(), "killed by SIGKILL\n".into()));
    stage.end();
}

#[test]
fn a_get_of_the_root_lists_the_programs() {
    testing::needs!(loopback);
    let stage = Stage::with_more(10, MORE);
    let (status, list) = ask(&stage, "GET", "/", "");
    assert_eq!(status, "200");
    for name in ["upper", "count", "greet"] {
        assert!(list.lines().any(|line| line == format!("POST /run/{name}")), "{list}");
    }
    assert_eq!(
        ask(&stage, "POST", "/run/upper", "x").1,
        "X",
        "the built-in program `upper` comes before the one of the file"
    );
    assert_eq!(ask(&stage, "HEAD", "/", ""), ("200".into(), String::new()));
    stage.end();
}

#[test]
fn an_unknown_name_is_a_404_and_another_method_a_405() {
    testing::needs!(loopback);
    let stage = Stage::start(10);
    assert_eq!(
        ask(&stage, "POST", "/run/nothing", "x"),
        ("404".into(), "no program is called \"nothing\"\n".into())
    );
    assert_eq!(ask(&stage, "GET", "/elsewhere", "").0, "404");
    for (method, path, allowed) in [("GET", "/run/upper", "POST"), ("POST", "/", "GET, HEAD")] {
        let (head, _) = response(&send(&stage, method, path, ""));
        assert!(head.starts_with("HTTP/1.1 405 "), "{head}");
        assert!(head.contains(&format!("\r\nAllow: {allowed}\r\n")), "{head}");
    }
    stage.end();
}

#[test]
fn a_connection_carries_several_requests() {
    testing::needs!(loopback);
    let stage = Stage::start(10);
    let client = stage.connect();
    for (input, output) in [("one\n", "ONE\n"), ("two\n", "TWO\n")] {
        let length = input.len();
        client
            .send(format!("POST /run/upper HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{input}"));
        assert!(head(&client).starts_with("HTTP/1.1 200 "));
        assert_eq!((chunk(&client), chunk(&client)), (output.into(), String::new()));
    }
    stage.end();
}

#[test]
fn what_a_program_prints_is_sent_while_it_runs() {
    testing::needs!(loopback);
    let (stage, anchor) = (Stage::start(10), Anchor::new());
    let (client, pid) = silent(&stage, &anchor);
    client.gets_nothing("its program is still running");
    assert_eq!(ask(&stage, "POST", "/run/upper", "hello").1, "HELLO", "the loop serves others meanwhile");
    kill_by_pid(&pid);
    assert_eq!((chunk(&client), chunk(&client)), ("killed by SIGKILL\n".into(), String::new()));
    stage.end();
}

#[test]
fn a_program_waits_while_its_client_does_not_read_and_is_killed_when_the_client_leaves() {
    testing::needs!(loopback);
    let stage = Stage::with_more(10, MORE);
    let client = send(&stage, "POST", "/run/much", "");
    head(&client);
    assert_ne!(client.line(), "0\r\n", "the size of the first chunk");
    let pid = client.line();
    await_sleep(&[stage.pid(), pid.trim().parse().expect("a pid")]);
    assert!(runs(&pid), "it waits, and was not killed");
    client.reset();
    eventually("the end of the program", || !runs(&pid));
    assert_eq!(ask(&stage, "POST", "/run/upper", "hello").1, "HELLO");
    stage.end();
}

#[test]
fn a_silent_program_is_killed_when_its_client_leaves() {
    testing::needs!(loopback);
    let (stage, anchor) = (Stage::start(10), Anchor::new());
    ask(&stage, "GET", "/", "");
    let (client, pid) = silent(&stage, &anchor);
    let start = Instant::now();
    drop(client);
    eventually("the end of the program", || !runs(&pid));
    assert!(start.elapsed().as_secs() < 4, "the timer must not be what ends it");
    let before = descriptors(stage.pid());
    let (client, pid) = silent(&stage, &anchor);
    drop(client);
    eventually("the end of the program", || !runs(&pid));
    eventually("the same number of descriptors", || descriptors(stage.pid()) <= before);
    stage.end();
}

#[test]
fn a_program_is_killed_after_5_s() {
    testing::needs!(loopback);
    let (stage, anchor) = (Stage::start(10), Anchor::new());
    let start = Instant::now();
    let (client, pid) = silent(&stage, &anchor);
    assert_eq!((chunk(&client), chunk(&client)), ("killed by SIGKILL\n".into(), String::new()));
    assert!(start.elapsed().as_secs() >= 5, "{:?}", start.elapsed());
    assert!(!runs(&pid));
    stage.end();
}

#[test]
fn sigterm_refuses_new_clients_and_lets_answers_end() {
    testing::needs!(loopback);
    let (mut stage, anchor) = (Stage::start(10), Anchor::new());
    let (client, pid) = silent(&stage, &anchor);
    stage.terminate();
    eventually("a refused connection", || TcpStream::connect(stage.address).is_err());
    client.gets_nothing("its program is still running");
    assert!(runs(&pid));
    kill_by_pid(&pid);
    assert_eq!((chunk(&client), chunk(&client)), ("killed by SIGKILL\n".into(), String::new()));
    assert_eq!(stage.exit_status().code(), Some(0));
    assert!(stage.all_exit());
}

#[test]
fn workers_serve_http_too() {
    testing::needs!(loopback, pidfd);
    let mut stage = Stage::with(10, "/dev/null", |command| {
        command.env("PROCESSES", "2");
    });
    assert_eq!(ask(&stage, "POST", "/run/upper", "hello").1, "HELLO");
    stage.terminate();
    assert_eq!(stage.exit_status().code(), Some(0));
    assert!(stage.all_exit());
}
