//! The life of a connection over a socket: what others got wrong, by the kinds of the list, from `Expect` to a graceful stop.

mod support;

use std::cell::RefCell;
use std::io::{ErrorKind, Read, Write};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use httpserver::{App, EventStream, FileBody, HttpServer, Limits, Reply, Request, Response, Room, Stream};
use ioloop::IoLoop;
use support::client::Client;
use support::serving::{Serving, echo};

testing::begin!();

const SHORT: Duration = Duration::from_millis(150);
const LONG: Duration = Duration::from_secs(60);

/// An application that answers `/later` after this time, and all others at once.
fn later(after: Duration) -> impl Fn(&IoLoop, &Request, Reply) {
    move |ioloop, request, reply| {
        if request.path() == "/later" {
            ioloop.call_later(after, |_| reply.send(Response::text(200, "later")));
        } else {
            echo(ioloop, request, reply);
        }
    }
}

fn serving<A: App>(limits: Limits, make: impl FnOnce() -> A + Send + 'static) -> Serving {
    Serving::with(limits, |server| server, make)
}

/// An application that refuses bodies for `/refused`.
struct Refusing;

impl App for Refusing {
    fn admit(&self, head: &Request, limit: u64) -> Result<u64, Response> {
        if head.path() == "/refused" { Err(Response::text(401, "no")) } else { Ok(limit) }
    }

    fn handle(&self, ioloop: &IoLoop, request: &Request, reply: Reply) {
        echo(ioloop, request, reply);
    }
}

#[test]
fn kind_3_a_field_that_would_end_its_line_is_an_error_for_the_application() {
    for (name, value) in [
        ("x", "a\r\nSet-Cookie: b"),
        ("x", "a\nb"),
        ("x", "a\rb"),
        ("x", "a\0b"),
        ("x", " a"),
        ("x", "a\t"),
        ("x", "\x7f"),
        ("", "a"),
        ("x y", "a"),
        ("x:", "a"),
        ("x\r\n", "a"),
        ("\u{e9}", "a"),
        ("Content-Length", "5"),
        ("transfer-encoding", "chunked"),
        ("Connection", "close"),
    ] {
        assert!(Response::new(200).header(name, value).is_err(), "{name:?}: {value:?} was accepted");
    }
    assert!(Response::new(200).header("x", "a\tb \u{e9}").is_ok());
}

#[test]
fn kind_5_a_client_that_expects_100_gets_it_at_once() {
    testing::needs!(loopback);
    let server = Serving::start(|| Refusing);
    let mut client = Client::connect(server.address);
    client.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.response().status, 100);
    client.send("ok");
    assert_eq!(client.response().text(), "POST /a ok");
    client.send("POST /refused HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    let got = client.response();
    assert_eq!(
        (got.status, got.closes()),
        (401, true),
        "a final status instead of 100, and the connection closes"
    );
    client.get("/next");
    client.end();
    assert_eq!(client.rest(), b"", "the body may come or not, so nothing after it can be read");
    let counters = server.counters();
    assert_eq!(counters.requests, 1, "only the first request was complete");
}

#[test]
fn kind_6_a_fast_answer_does_not_overtake_a_slow_one() {
    testing::needs!(loopback);
    let server = Serving::start(|| later(SHORT));
    let mut client = Client::connect(server.address);
    client.send("GET /later HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().text(), "later");
    assert_eq!(client.response().text(), "GET /2");
}

#[test]
fn kind_6_nothing_runs_after_close() {
    testing::needs!(loopback);
    let server = Serving::echo();
    let mut client = Client::connect(server.address);
    client.send("GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    client.end();
    let responses = client.responses();
    assert_eq!((responses.len(), responses[0].closes()), (1, true));
    assert_eq!(server.counters().requests, 1);
}

#[test]
fn kind_6_requests_behind_a_slow_one_are_not_read_without_a_limit() {
    testing::needs!(loopback);
    let server = Serving::start(|| {
        let held = RefCell::new(Vec::new());
        move |_: &IoLoop, _: &Request, reply: Reply| held.borrow_mut().push(reply)
    });
    let mut client = Client::connect(server.address);
    client.get("/held");
    server.until("the request is running", |counters| counters.requests == 1);
    client.socket.set_nonblocking(true).expect("a socket can be nonblocking");
    let many = "GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100_000);
    // As much as the kernel's buffers take.
    client.send(&many);
    let limits = Limits::default();
    let most = (limits.pipelined + 64 * 1024 + 100) as u64;
    let mut last = 0;
    loop {
        let now = server.counters().received;
        assert!(now <= most, "{now} bytes were read while one request was running; {most} are enough");
        if now == last && now > limits.pipelined as u64 {
            break;
        }
        last = now;
    }
    assert_eq!(server.counters().requests, 1);
}

#[test]
fn kind_7_a_request_that_runs_longer_than_the_idle_time_is_answered() {
    testing::needs!(loopback);
    let limits = Limits { idle_time: SHORT, head_time: SHORT, ..Limits::default() };
    let server = serving(limits, || later(3 * SHORT));
    let mut client = Client::connect(server.address);
    let sent = Instant::now();
    client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().text(), "GET /1");
    assert_eq!(client.response().text(), "later", "the timer of the first request must not close the second");
    assert_eq!(client.rest(), b"", "then it is idle, and is closed without a word");
    // Since the request, because on a busy machine the client may read the response when its idle time has begun long ago.
    assert!(
        sent.elapsed() >= 4 * SHORT - SHORT / 10,
        "its last response came {:?} after its request at the earliest, then its idle time of {SHORT:?} began, and it was closed \
         {:?} after the request",
        3 * SHORT,
        sent.elapsed()
    );
    assert_eq!(server.counters().idled, 1);
}

#[test]
fn kind_8_head_has_the_fields_of_get_over_a_socket_too() {
    testing::needs!(loopback);
    let server = Serving::start(|| {
        |_: &IoLoop, request: &Request, reply: Reply| {
            let status = request.path()[1..].parse().unwrap_or(500);
            reply.send(Response::text(status, "a body"));
        }
    });
    let mut client = Client::connect(server.address);
    for status in [200, 204, 301, 304, 404, 416, 500] {
        client.send(format!("HEAD /{status} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let mut head = client.response_to("HEAD");
        client.get(&format!("/{status}"));
        let mut get = client.response();
        for got in [&mut head, &mut get] {
            got.fields.retain(|(name, _)| name != "Date");
        }
        assert_eq!((head.status, head.fields), (status, get.fields));
    }
}

#[test]
fn kind_9_http_1_0_keeps_alive_what_asks_for_it() {
    testing::needs!(loopback);
    let server = Serving::echo();
    let mut client = Client::connect(server.address);
    for _ in 0..3 {
        client.send("GET /a HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
        assert_eq!(client.response().field("Connection"), Some("keep-alive"));
    }
    client.send("GET /a HTTP/1.0\r\n\r\n");
    assert_eq!(client.responses().len(), 1);
    assert_eq!(server.counters().accepted, 1);
}

#[test]
fn kind_10_a_client_that_shut_down_its_side_gets_the_whole_response_without_a_spin() {
    testing::needs!(loopback);
    let iterations = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&iterations);
    let server = Serving::start(move || {
        let ioloop = IoLoop::current().expect("the thread has a loop");
        ioloop.subscribe(move |_, _| {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        later(2 * SHORT)
    });
    let mut client = Client::connect(server.address);
    client.get("/later");
    client.end();
    let responses = client.responses();
    assert_eq!(responses.len(), 1);
    assert_eq!(responses[0].text(), "later");
    let iterations = iterations.load(Ordering::Relaxed);
    assert!(
        iterations < 50,
        "the loop ran {iterations} iterations for one response: the end of the client's side is reported as long as it is \
         watched for"
    );
}

#[test]
fn kind_10_the_end_within_a_request_runs_nothing() {
    testing::needs!(loopback);
    let server = Serving::echo();
    let mut client = Client::connect(server.address);
    client.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel");
    client.end();
    assert_eq!(client.responses()[0].status, 400);
    assert_eq!(server.counters().requests, 0);
}

#[test]
fn kind_11_an_early_error_arrives_while_the_client_still_sends() {
    testing::needs!(loopback);
    let server = Serving::echo();
    let mut client = Client::connect(server.address);
    let length = 20 * 1024 * 1024;
    client.send(format!("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"));
    client.send(vec![b'x'; length]);
    let got = client.response();
    assert_eq!((got.status, got.closes()), (413, true), "it is not lost by a reset");
    client.end();
    assert_eq!(client.rest(), b"");
}

#[test]
fn kind_11_what_a_client_sends_after_the_last_request_does_not_cut_the_response() {
    testing::needs!(loopback);
    let length = 300 * 1024;
    let server = Serving::start(move || {
        move |_: &IoLoop, _: &Request, reply: Reply| {
            reply.send(Response::new(200).body(vec![b'x'; length as usize]).close());
        }
    });
    for round in 1..=5 {
        let before = server.counters().sent;
        let mut client = Client::connect(server.address);
        client.set_window(16 * 1024);
        client.get("/");
        let (mut count, mut bytes) = (0, [0; 4096]);
        // The server has sent all of it as soon as its kernel has room for the rest.
        while server.counters().sent < before + length {
            count += client.socket.read(&mut bytes).expect("the response has more bytes");
        }
        let total = (server.counters().sent - before) as usize;
        // The loop sees the bytes and the end of the client's side together.
        let (go, wait) = std::sync::mpsc::channel::<()>();
        server.within(|ioloop, _| {
            ioloop.add_callback(move |_| {
                let _ = wait.recv();
            });
        });
        client.send([b'z'; 50_000]);
        client.end();
        drop(go);
        server.until("the client is closed", |counters| counters.open == 0);
        let end = loop {
            match client.socket.read(&mut bytes) {
                Ok(0) => break "the end of the response".into(),
                Ok(read) => count += read,
                Err(error) => break error.to_string(),
            }
        };
        assert_eq!(
            (count, &*end),
            (total, "the end of the response"),
            "client {round} sent 50,000 bytes after its last request, shut down its side, and read on. Closing a socket that has \
             unread bytes resets the connection, and the client loses the end of the response: read all of them first"
        );
    }
}

#[test]
fn kind_12_after_a_long_response_the_next_request_is_seen() {
    testing::needs!(loopback);
    let server = Serving::start(|| {
        |_: &IoLoop, request: &Request, reply: Reply| {
            let length = request.path()[1..].parse().unwrap_or(0);
            reply.send(Response::new(200).body(vec![b'x'; length]));
        }
    });
    let mut client = Client::connect(server.address);
    let long = 8 * 1024 * 1024;
    client.get(&format!("/{long}"));
    // It does not fit into the kernel's buffers, so the write is short, and the second request is buffered meanwhile.
    client.get("/3");
    assert_eq!(client.response().body.len(), long);
    assert_eq!(client.response().body.len(), 3);
    client.get("/5");
    assert_eq!(client.response().body.len(), 5, "the socket must be watched for reading again");
}

#[test]
fn kind_12_a_client_that_resets_the_connection_harms_no_other() {
    testing::needs!(loopback);
    let server = Serving::start(|| {
        |_: &IoLoop, _: &Request, reply: Reply| {
            reply.send(Response::new(200).body(vec![b'x'; 8 * 1024 * 1024]));
        }
    });
    let mut other = Client::connect(server.address);
    for _ in 0..5 {
        let mut client = Client::connect(server.address);
        client.get("/");
        client.socket.peek(&mut [0]).expect("the response has begun");
        client.reset();
    }
    server.until("the clients that left are closed", |counters| counters.open == 1);
    other.get("/");
    assert_eq!(other.response().status, 200);
}

#[test]
fn kind_13_a_head_has_a_time_in_all() {
    testing::needs!(loopback);
    let limits = Limits { head_time: 2 * SHORT, idle_time: LONG, ..Limits::default() };
    let server = serving(limits, || echo);
    let mut client = Client::connect(server.address);
    let start = Instant::now();
    // A byte now and then would restart a timer for each read.
    for byte in b"GET / HTTP/1.1\r\nHost: a\r\nx: y".chunks(1).cycle() {
        client.send(byte);
        if !client.is_quiet(Duration::from_millis(20)) {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "a slow head is still read");
    }
    let got = client.response();
    assert_eq!((got.status, got.closes()), (408, true));
    assert_eq!(server.counters().timeouts, 1);
}

/// Answers `/N` with N bytes.
fn long(_: &IoLoop, request: &Request, reply: Reply) {
    let length = request.path()[1..].parse().unwrap_or(0);
    reply.send(Response::new(200).body(vec![b'x'; length]));
}

#[test]
fn kind_13_the_time_of_a_head_does_not_run_while_its_request_waits_for_room() {
    testing::needs!(loopback);
    let limits = Limits { head_time: SHORT, idle_time: LONG, ..Limits::default() };
    let server = serving(limits, || long);
    let mut client = Client::connect(server.address);
    client.set_window(64 * 1024);
    let length = 4 * 1024 * 1024;
    client.send(format!(
        "GET /{length} HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    ));
    let start = Instant::now();
    let (mut got, mut bytes) = (Vec::new(), [0; 16 * 1024]);
    while let Ok(count @ 1..) = client.socket.read(&mut bytes) {
        got.extend_from_slice(&bytes[..count]);
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(
        got.len() > length,
        "the client sent two whole requests, and was cut after {} bytes of the first response and {:?}, by the time that a head \
         may take. The second request waits for the server, which has no room for its response: only a client that takes \
         nothing may be cut then",
        got.len(),
        start.elapsed()
    );
    assert!(start.elapsed() > 2 * SHORT, "the client was too fast for this test");
    assert!(got.ends_with(b"\r\n\r\nxxx"), "the second request is answered, too");
    assert_eq!(server.counters().timeouts, 0);
}

#[test]
fn kind_13_a_request_that_waits_for_room_is_handled_as_soon_as_there_is_some() {
    testing::needs!(loopback);
    let queued = 16 * 1024 * 1024;
    let limits = Limits { head_time: SHORT, idle_time: LONG, queued, ..Limits::default() };
    let server = serving(limits, || long);
    let mut client = Client::connect(server.address);
    // The first response is more than the queue may hold, until the kernel takes a part of it. The client reads none of it.
    let length = queued + 1;
    client.send(format!("GET /{length} HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n"));
    let is_over = |counters: &httpserver::Counters| counters.requests == 2 || counters.timeouts > 0;
    let counters = server.until("the second request is handled", is_over);
    assert_eq!(
        (counters.requests, counters.timeouts),
        (2, 0),
        "the queue has room again, and the second request is whole. Handle it after the write that made room, because no event \
         will report it, and the time of a head must not end it"
    );
    assert_eq!(client.response().body.len(), length);
    assert_eq!(client.response().body.len(), 3);
}

#[test]
fn kind_13_a_slow_head_gets_408_even_if_a_response_is_queued() {
    testing::needs!(loopback);
    let limits = Limits { head_time: SHORT, idle_time: LONG, queued: 64 * 1024 * 1024, ..Limits::default() };
    let server = serving(limits, || long);
    let mut client = Client::connect(server.address);
    let length = 16 * 1024 * 1024;
    client.send(format!("GET /{length} HTTP/1.1\r\nHost: a\r\n\r\nGET /partial"));
    let counters = server.until("the time of the second head is over", |counters| counters.timeouts == 1);
    assert_eq!(
        (counters.aborted, counters.open),
        (0, 1),
        "the time of the head is over, but the time to take the queued response is not: the connection must not be cut"
    );
    assert_eq!(client.response().body.len(), length, "the first response arrives whole");
    let got = client.response();
    assert_eq!((got.status, got.closes()), (408, true));
}

#[test]
fn kind_13_a_body_has_a_time() {
    testing::needs!(loopback);
    let limits = Limits { body_time: SHORT, idle_time: LONG, ..Limits::default() };
    let server = serving(limits, || echo);
    let mut client = Client::connect(server.address);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel");
    assert_eq!(client.response().status, 408);
}

#[test]
fn kind_13_a_body_that_comes_fast_enough_may_take_longer() {
    testing::needs!(loopback);
    let limits = Limits { body_time: SHORT, body_rate: 100, idle_time: LONG, ..Limits::default() };
    let server = serving(limits, || echo);
    let mut client = Client::connect(server.address);
    let start = Instant::now();
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n{}", "x".repeat(100)));
    assert_eq!(client.response().status, 408, "the last byte does not come");
    let (earned, took) = (Duration::from_secs(1), start.elapsed());
    assert!(
        took >= earned && took < 5 * earned,
        "the 408 came after {took:?}: a body has {SHORT:?}, and a second more for each 100 bytes that have arrived, which were 100"
    );
}

#[test]
fn kind_11_a_connection_that_the_server_is_done_with_has_a_time_and_a_number_of_bytes() {
    testing::needs!(loopback);
    let defaults = Limits::default;
    for (limits, sent) in [
        (Limits { linger_time: SHORT, ..defaults() }, 0),
        (Limits { linger_time: LONG, linger_bytes: 100_000, ..defaults() }, 10_000_000),
    ] {
        let (time, bytes) = (limits.linger_time, limits.linger_bytes);
        let server = serving(limits, || echo);
        let mut client = Client::connect(server.address);
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert!(client.response().closes());
        let start = Instant::now();
        client.send(vec![b'x'; sent]);
        server.until("the connection is closed", |counters| counters.open == 0);
        assert!(
            start.elapsed() < Duration::from_secs(4),
            "the client does not close, and sent {sent} bytes after its last request. {bytes} bytes and {time:?} are permitted, and \
             the server read from it for {:?}",
            start.elapsed()
        );
    }
}

#[test]
fn kind_13_an_idle_connection_is_closed_without_a_word() {
    testing::needs!(loopback);
    let limits = Limits { idle_time: SHORT, ..Limits::default() };
    let server = serving(limits, || echo);
    let start = Instant::now();
    assert_eq!(Client::connect(server.address).rest(), b"", "a browser shows a 408 as an error page");
    assert!(start.elapsed() >= SHORT * 9 / 10);
}

#[test]
fn kind_13_a_client_that_takes_nothing_is_closed() {
    testing::needs!(loopback);
    let limits = Limits { write_time: SHORT, idle_time: LONG, ..Limits::default() };
    let server = serving(limits, || {
        |_: &IoLoop, _: &Request, reply: Reply| {
            reply.send(Response::new(200).body(vec![b'x'; 16 * 1024 * 1024]));
        }
    });
    let mut client = Client::connect(server.address);
    client.get("/");
    let counters = server.until("the client is closed", |counters| counters.open == 0);
    assert_eq!((counters.timeouts, counters.aborted), (1, 1));
}

#[test]
fn too_many_connections_get_503() {
    testing::needs!(loopback);
    let limits = Limits { connections: 2, ..Limits::default() };
    let (send, entries) = std::sync::mpsc::channel();
    let log = move |server: HttpServer| {
        server.on_access(move |access| send.send(access.clone()).expect("the test listens"))
    };
    let server = Serving::with(limits, log, || echo);
    let mut first: Vec<Client> = (0..2).map(|_| Client::connect(server.address)).collect();
    server.until("two are connected", |counters| counters.open == 2);
    let mut third = Client::connect(server.address);
    third.get("/3");
    let got = third.response();
    assert_eq!((got.status, got.closes()), (503, true));
    let entry = entries.recv_timeout(Duration::from_secs(10)).expect(
        "the access log has an entry for each response, for the 503 of a client that is turned away, too: begin the entry \
         before the response is sent",
    );
    assert_eq!((&*entry.method, &*entry.target, entry.status), ("", "", 503), "no request was read");
    assert_eq!(entry.peer, third.socket.local_addr().ok());
    for client in &mut first {
        client.get("/");
        assert_eq!(client.response().status, 200, "those that were there before are served");
    }
}

/// Answers `/later` after a time, and `/stream` with a stream that is told to end.
fn stoppable() -> impl Fn(&IoLoop, &Request, Reply) {
    let slow = later(SHORT);
    move |ioloop, request, reply| match request.path() {
        "/stream" => {
            let stream = Rc::new(reply.stream(Response::new(200)));
            let _ = stream.write(b"first");
            let kept = Rc::clone(&stream);
            stream.when_closed(move |_| {
                kept.write(b"last").expect("the client is still there");
            });
        }
        "/endless" => std::mem::forget(reply.stream(Response::new(200))),
        _ => slow(ioloop, request, reply),
    }
}

#[test]
fn kind_14_a_stop_answers_what_runs_closes_what_is_idle_and_ends_streams() {
    testing::needs!(loopback);
    let server = Serving::start(stoppable);
    let address = server.address;
    let mut fresh = Client::connect(address);
    let mut idle = Client::connect(address);
    idle.get("/");
    idle.response();
    let mut running = Client::connect(address);
    running.get("/later");
    let mut stream = Client::connect(address);
    stream.get("/stream");
    server.until("all are connected", |counters| counters.open == 4 && counters.requests == 3);
    server.within(|ioloop, server| server.stop(ioloop, LONG));
    let start = Instant::now();
    assert_eq!(fresh.rest(), b"");
    assert_eq!(idle.rest(), b"");
    let got = running.response();
    assert_eq!((got.text(), got.closes()), ("later", true));
    assert_eq!(running.rest(), b"");
    assert_eq!(stream.response().text(), "firstlast", "the stream is told, and ends in its own way");
    drop((running, stream));
    server.join();
    assert!(
        start.elapsed() < LONG / 10,
        "the server stops when the last connection is closed, not when grace is over"
    );
}

#[test]
fn kind_14_grace_bounds_a_stop() {
    testing::needs!(loopback);
    let server = Serving::start(stoppable);
    let mut client = Client::connect(server.address);
    client.get("/endless");
    server.until("the stream has begun", |counters| counters.requests == 1);
    server.within(|ioloop, server| server.stop(ioloop, SHORT));
    let bytes = client.rest();
    assert!(!bytes.ends_with(b"0\r\n\r\n"), "a stream that was cut must not look complete");
    server.join();
}

// ANCHOR: last_call
#[test]
fn kind_14_a_request_on_its_way_is_answered_and_closes() {
    testing::needs!(loopback);
    let server = Serving::echo();
    let mut client = Client::connect(server.address);
    client.get("/1");
    client.response();
    server.within(|ioloop, server| server.stop(ioloop, LONG));
    client.get("/2");
    let got = client.response();
    assert_eq!((got.text(), got.closes()), ("GET /2", true));
}
// ANCHOR_END: last_call

#[test]
fn kind_20_many_streams_leave_room_for_requests() {
    testing::needs!(loopback);
    let left = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&left);
    let server = Serving::start(move || {
        let open = RefCell::new(Vec::new());
        move |ioloop: &IoLoop, request: &Request, reply: Reply| match request.path() {
            "/events" => {
                let stream = EventStream::new(ioloop, reply).expect("its fields are valid");
                stream.send("hello", "1", "a\nb").expect("the client is there");
                let counted = Arc::clone(&counted);
                stream.stream().when_closed(move |_| {
                    counted.fetch_add(1, Ordering::Relaxed);
                });
                open.borrow_mut().push(stream);
            }
            _ => echo(ioloop, request, reply),
        }
    });
    let mut tabs: Vec<Client> = (0..10).map(|_| Client::connect(server.address)).collect();
    for tab in &mut tabs {
        tab.get("/events");
    }
    let mut client = Client::connect(server.address);
    client.get("/a");
    assert_eq!(client.response().text(), "GET /a");
    tabs.clear();
    server.until("each closed tab is noticed", |_| left.load(Ordering::Relaxed) == 10);
}

#[test]
fn kind_21_a_panic_of_a_handler_is_a_500_for_its_request_alone() {
    testing::needs!(loopback);
    let server = Serving::start(|| {
        |ioloop: &IoLoop, request: &Request, reply: Reply| {
            assert!(request.path() != "/panic", "this request panics");
            echo(ioloop, request, reply);
        }
    });
    let mut client = Client::connect(server.address);
    client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /panic HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n");
    let statuses: Vec<u16> = (0..3).map(|_| client.response().status).collect();
    assert_eq!(statuses, [200, 500, 200]);
}

#[test]
fn a_reply_that_is_dropped_is_a_500() {
    testing::needs!(loopback);
    let server = Serving::start(|| |_: &IoLoop, _: &Request, reply: Reply| drop(reply));
    let mut client = Client::connect(server.address);
    client.get("/");
    assert_eq!(client.response().status, 500);
}

#[test]
fn a_stream_that_is_full_says_when_there_is_room() {
    testing::needs!(loopback);
    fn fill(stream: Rc<Stream>, left: usize) {
        for left in (0..left).rev() {
            if stream.write(&[b'x'; 16 * 1024]) == Ok(Room::Full) {
                let again = Rc::clone(&stream);
                return stream.when_room(move |_| fill(again, left));
            }
        }
    }
    let total = 1000;
    let server = Serving::start(move || {
        move |_: &IoLoop, _: &Request, reply: Reply| {
            fill(Rc::new(reply.stream(Response::new(200))), total);
        }
    });
    let mut client = Client::connect(server.address);
    client.get("/");
    client.socket.peek(&mut [0]).expect("the response has begun");
    assert!(
        server.counters().sent < (total * 16 * 1024) as u64,
        "the client has not read, so not all can be sent"
    );
    assert_eq!(client.response().body.len(), total * 16 * 1024);
}

#[test]
fn an_access_log_has_an_entry_for_each_response() {
    testing::needs!(loopback);
    let (send, entries) = std::sync::mpsc::channel();
    let log = move |server: HttpServer| {
        server.on_access(move |access| send.send(access.clone()).expect("the test listens"))
    };
    let server = Serving::with(Limits::default(), log, || later(Duration::ZERO));
    let mut client = Client::connect(server.address);
    client.send(
        "GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /later HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/9.9\r\n\r\n",
    );
    for (method, target, status, bytes) in
        [("GET", "/a", 200, 6), ("GET", "/later", 200, 5), ("", "", 505, 40)]
    {
        client.response();
        let entry = entries.recv_timeout(Duration::from_secs(10)).expect("an entry");
        assert_eq!((&*entry.method, &*entry.target, entry.status), (method, target, status));
        assert_eq!(entry.peer, client.socket.local_addr().ok());
        assert!(entry.bytes == bytes || status == 505, "{entry:?}");
    }
}

#[test]
fn an_access_entry_counts_no_body_where_a_stream_has_none() {
    testing::needs!(loopback);
    let (send, entries) = std::sync::mpsc::channel();
    let log = move |server: HttpServer| {
        server.on_access(move |access| send.send(access.clone()).expect("the test listens"))
    };
    let server = Serving::with(Limits::default(), log, || {
        |_: &IoLoop, request: &Request, reply: Reply| {
            let status = request.path()[1..].parse().unwrap_or(500);
            let stream = reply.stream(Response::text(status, "first"));
            assert_eq!(stream.write(b"second").is_ok(), request.method() == "GET" && status == 200);
        }
    });
    let mut client = Client::connect(server.address);
    for (method, status, bytes) in [("GET", 200, 11), ("HEAD", 200, 0), ("GET", 204, 0), ("GET", 304, 0)] {
        client.send(format!("{method} /{status} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(client.response_to(method).body.len(), bytes);
        let entry = entries.recv_timeout(Duration::from_secs(10)).expect("an entry");
        assert_eq!(
            (entry.status, entry.bytes),
            (status, bytes as u64),
            "the stream of {method} with {status}: an entry counts the bytes that were queued for the client, so none for a \
             response without a body"
        );
    }
}

#[test]
fn kind_13_a_client_is_not_too_slow_because_the_loop_was_blocked() {
    testing::needs!(loopback);
    const TIME: Duration = Duration::from_secs(1);
    let limits =
        Limits { head_time: TIME, body_time: TIME, write_time: TIME, idle_time: LONG, ..Limits::default() };
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let (is_blocked, blocked) = std::sync::mpsc::channel();
    let server = serving(limits, move || {
        move |ioloop: &IoLoop, request: &Request, reply: Reply| match request.path() {
            "/block" => {
                is_blocked.send(()).expect("the test listens");
                let _ = wait.recv();
                reply.send(Response::new(204));
            }
            "/head" | "/body" => echo(ioloop, request, reply),
            _ => long(ioloop, request, reply),
        }
    });
    let [mut head, mut body, mut reader, mut blocking] = [(); 4].map(|()| Client::connect(server.address));
    let length = 32 * 1024 * 1024;
    let begun = [
        format!("GET /{length} HTTP/1.1\r\nHost: a\r\n\r\n"),
        "GET /head HTTP/1.1\r\n".to_owned(),
        "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n".to_owned(),
    ];
    [&mut reader, &mut head, &mut body].into_iter().zip(&begun).for_each(|(client, part)| client.send(part));
    let received: usize = begun.iter().map(String::len).sum();
    server.until("each has begun", |counters| counters.received == received as u64 && counters.sent > 0);
    blocking.get("/block");
    blocked.recv().expect("the handler runs");
    head.send("Host: a\r\n\r\n");
    body.send("ok");
    // The kernel sends what the server has given it.
    let (start, mut count, mut bytes) = (Instant::now(), 0, vec![0; 64 * 1024]);
    while !reader.is_quiet(Duration::from_millis(300)) {
        count += reader.socket.read(&mut bytes).expect("the connection is open");
    }
    assert!(count < length, "the client must have something to wait for");
    std::thread::sleep((TIME + TIME / 5).saturating_sub(start.elapsed()));
    drop(go);
    let why = "while a handler blocked the loop for longer than the limit. When the handler returns, the timers run before the loop \
               looks at its sockets: look at the socket once more before you call its client too slow";
    assert_eq!(head.response().text(), "GET /head", "the rest of a head arrived {why}");
    assert_eq!(body.response().text(), "POST /body ok", "the rest of a body arrived {why}");
    while let Ok(read @ 1..) = reader.socket.read(&mut bytes) {
        count += read;
        if count >= length {
            break;
        }
    }
    assert!(count >= length, "a client got {count} of {length} bytes, and took all that was sent {why}");
    assert_eq!(server.counters().timeouts, 0);
}

#[test]
fn kind_8_a_205_has_no_body_and_says_so() {
    testing::needs!(loopback);
    let server = Serving::start(|| {
        |_: &IoLoop, request: &Request, reply: Reply| {
            let response = Response::text(205, "a body");
            match request.path() {
                "/stream" => drop(reply.stream(response).write(b"a part")),
                _ => reply.send(response),
            }
        }
    });
    let mut client = Client::connect(server.address);
    for target in ["/whole", "/stream"] {
        for method in ["GET", "HEAD"] {
            client.send(format!("{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
            let got = client.response_to(method);
            assert_eq!(
                (got.status, got.field("Content-Length"), got.field("Transfer-Encoding"), got.text()),
                (205, Some("0"), None, ""),
                "{method} {target}: a 205 has no content, RFC 9110, 15.3.6. Chromium reads none whatever its head says, and takes a \
                 body for the beginning of the next response"
            );
        }
    }
}

/// What an application keeps, and what fails when it is dropped.
struct Fragile;

impl Drop for Fragile {
    fn drop(&mut self) {
        panic!("a value of the application fails when it is dropped");
    }
}

#[test]
fn kind_21_a_panic_of_a_value_that_a_stream_keeps_leaves_no_connection_behind() {
    testing::needs!(loopback);
    let server = Serving::start(|| {
        |_: &IoLoop, request: &Request, reply: Reply| {
            let stream = reply.stream(Response::new(200));
            let (room, closed) = (Fragile, Fragile);
            stream.when_closed(move |_| std::mem::forget(closed));
            if request.path() == "/finished" {
                std::mem::forget(room);
                return stream.finish();
            }
            while stream.write(&[b'x'; 64 * 1024]) == Ok(Room::Left) {}
            stream.when_room(move |_| drop(room));
            std::mem::forget(stream);
        }
    });
    let mut client = Client::connect(server.address);
    client.get("/finished");
    let got = client.response();
    assert_eq!(
        (got.status, got.text()),
        (200, ""),
        "the end of the stream is sent before its callbacks are dropped"
    );
    client.get("/endless");
    client.socket.peek(&mut [0]).expect("the response has begun");
    client.reset();
    let is_closed = |counters: &httpserver::Counters| counters.open == 0;
    server.until("the client that left is no longer counted as a connection", is_closed);
}

#[test]
fn kind_21_a_stream_that_a_panic_drops_does_not_look_complete() {
    testing::needs!(loopback);
    let server = Serving::start(|| {
        |ioloop: &IoLoop, _: &Request, reply: Reply| {
            let stream = reply.stream(Response::new(200));
            stream.write(b"half").expect("the client is there");
            ioloop.add_callback(move |_| -> () {
                let _dropped = stream;
                panic!("the other half is missing");
            });
        }
    });
    for version in ["HTTP/1.1", "HTTP/1.0"] {
        let mut client = Client::connect(server.address);
        client.send(format!("GET / {version}\r\nHost: a\r\n\r\n"));
        let mut got = Vec::new();
        let end = client.socket.read_to_end(&mut got).map_err(|error| error.kind());
        assert!(
            !got.ends_with(b"0\r\n\r\n"),
            "{version}: the last chunk says that this is all: {}",
            got.escape_ascii()
        );
        assert!(
            version == "HTTP/1.1" || end == Err(ErrorKind::ConnectionReset),
            "{version} has no chunks: the end of the connection is the end of the body, so a client takes half of it for the whole. \
             Reset the connection, which no client takes for the end. It saw {end:?} after {}",
            got.escape_ascii()
        );
    }
}

#[test]
fn kind_19_a_part_of_no_bytes_of_a_file_delays_nothing() {
    testing::needs!(loopback);
    let server = Serving::start(|| {
        |_: &IoLoop, _: &Request, reply: Reply| {
            let file = std::fs::File::open("/dev/null").expect("each machine has it").into();
            reply.send(Response::new(200).file(FileBody { file, offset: 0, length: 0 }));
        }
    });
    let mut client = Client::connect(server.address);
    let mut ask = || {
        let start = Instant::now();
        client.get("/");
        assert_eq!(client.response().body.len(), 0);
        start.elapsed()
    };
    let fastest = (0..5).map(|_| ask()).min().expect("five answers");
    assert!(
        fastest < Duration::from_millis(100),
        "the fastest of five responses took {fastest:?}. Was the head sent with MSG_MORE, although nothing follows? The kernel then \
         waits up to 200 ms for more: send(2)"
    );
}

#[test]
fn an_access_entry_of_a_refused_body_names_its_request() {
    testing::needs!(loopback);
    let (send, entries) = std::sync::mpsc::channel();
    let log = move |server: HttpServer| {
        server.on_access(move |access| send.send(access.clone()).expect("the test listens"))
    };
    let limits = Limits { body: 4, body_time: SHORT, idle_time: LONG, ..Limits::default() };
    let server = Serving::with(limits, log, || echo);
    for (target, body, status) in [
        ("/slow", "Content-Length: 2\r\n\r\nx", 408),
        ("/long", "Content-Length: 5\r\n\r\nabcde", 413),
        ("/longer", "Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n", 413),
        ("/wrong", "Transfer-Encoding: chunked\r\n\r\nx\r\n", 400),
    ] {
        let mut client = Client::connect(server.address);
        client.send(format!("POST {target} HTTP/1.1\r\nHost: a\r\n{body}"));
        assert_eq!(client.response().status, status, "{target}");
        let entry = entries.recv_timeout(Duration::from_secs(10)).expect("an entry");
        assert_eq!(
            (&*entry.method, &*entry.target, entry.status),
            ("POST", target, status),
            "the head of the request was accepted, and then its body was refused: whoever reads the log must see which request it was"
        );
    }
}

#[test]
fn clients_far_beyond_the_limit_are_closed_at_once() {
    testing::needs!(loopback);
    let limits = Limits { connections: 0, linger_time: LONG, ..Limits::default() };
    let server = serving(limits, || echo);
    let mut clients: Vec<Client> = (0..16).map(|_| Client::connect(server.address)).collect();
    for client in &mut clients {
        assert_eq!(client.response().status, 503);
    }
    assert_eq!(
        Client::connect(server.address).rest(),
        b"",
        "16 clients are told that there are too many. Another one is closed without a word, so that those that are told are not too many"
    );
    assert_eq!(server.counters().refused, 17);
}

#[test]
fn kind_13_an_empty_line_after_a_request_does_not_begin_another() {
    testing::needs!(loopback);
    let limits = Limits { head_time: SHORT, idle_time: 4 * SHORT, ..Limits::default() };
    let server = serving(limits, || echo);
    let mut client = Client::connect(server.address);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok\r\n");
    assert_eq!(client.response().text(), "POST / ok");
    assert_eq!(
        client.rest().escape_ascii().to_string(),
        "",
        "the client sent an empty line after its body, as old clients do, and nothing else. Its connection is idle: a 408 would be an \
         answer to no request, and may be taken for that of the next one"
    );
    assert_eq!((server.counters().idled, server.counters().timeouts), (1, 0));
}

#[test]
fn kind_8_a_stream_without_a_body_is_complete_with_its_head() {
    testing::needs!(loopback);
    let server = Serving::start(|| {
        let open = RefCell::new(Vec::new());
        move |ioloop: &IoLoop, request: &Request, reply: Reply| match request.path().strip_prefix("/stream/")
        {
            Some(status) => {
                let stream = reply.stream(Response::new(status.parse().expect("a status")));
                // As an application does that sends events to its clients for as long as they are there.
                open.borrow_mut().push(stream);
            }
            None => echo(ioloop, request, reply),
        }
    });
    for (method, status) in [("HEAD", 200), ("GET", 204), ("GET", 205), ("GET", 304)] {
        let mut client = Client::connect(server.address);
        client.send(format!("{method} /stream/{status} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(client.response_to(method).status, status);
        client.get("/next");
        client.socket.set_read_timeout(Some(Duration::from_secs(5))).expect("the timeout is not zero");
        assert!(
            client.socket.peek(&mut [0]).is_ok(),
            "the response to {method} with {status} has no body, so it is complete with its head, and the client sends the next request. \
             The application has not finished its stream, and may never do so, and the server waits for that"
        );
        assert_eq!(client.response().text(), "GET /next");
    }
    server.until("each client that left is closed", |counters| counters.open == 0);
}

#[test]
fn kind_19_the_bytes_of_a_file_that_is_too_short_are_counted() {
    testing::needs!(loopback);
    let server = Serving::start(|| {
        |_: &IoLoop, _: &Request, reply: Reply| {
            let mut file =
                tempfile::tempfile_in(testing::machine::temporary_folder().expect("a folder")).unwrap();
            file.write_all(b"abc").expect("a file takes 3 bytes");
            reply.send(Response::new(200).file(FileBody { file: file.into(), offset: 0, length: 10 }));
        }
    });
    let mut client = Client::connect(server.address);
    client.get("/");
    let got = client.rest();
    assert!(got.ends_with(b"abc"), "{}", got.escape_ascii());
    assert_eq!(
        server.counters().sent,
        got.len() as u64,
        "the client got this many bytes, before the file was found to be too short"
    );
}
