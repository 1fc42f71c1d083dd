//! The fields that a server gives each response: the application's, its own refusals, the heads of streams.

mod support;

use std::time::Duration;

use httpserver::{HttpServer, Limits, Reply, Request, Response};
use ioloop::IoLoop;
use support::client::Client;
use support::parse::Got;
use support::serving::Serving;

testing::begin!();

const NOSNIFF: (&str, &str) = ("X-Content-Type-Options", "nosniff");
const POLICY: (&str, &str) = ("Content-Security-Policy", "default-src 'none'");

fn answer(_: &IoLoop, request: &Request, reply: Reply) {
    match request.path() {
        "/own" => {
            let own = Response::text(200, "").header("content-security-policy", "default-src 'self'");
            reply.send(own.expect("a valid field"));
        }
        "/stream" => drop(reply.stream(Response::new(200))),
        "/dropped" => drop(reply),
        "/panic" => panic!("this request panics"),
        _ => reply.send(Response::text(200, "")),
    }
}

fn serving(limits: Limits) -> Serving {
    let fields = |server: HttpServer| server.with_fields(&[NOSNIFF, POLICY]).expect("valid fields");
    Serving::with(limits, fields, || answer)
}

fn values<'a>(got: &'a Got, name: &str) -> Vec<&'a str> {
    let is_it = |(other, _): &&(String, String)| other.eq_ignore_ascii_case(name);
    got.fields.iter().filter(is_it).map(|(_, value)| &**value).collect()
}

#[track_caller]
fn has_both(got: &Got, status: u16, what: &str) {
    assert_eq!(got.status, status, "{what}");
    for (name, value) in [NOSNIFF, POLICY] {
        assert_eq!(values(got, name), [value], "the answer to {what} has these values of {name}");
    }
}

#[test]
fn each_response_has_the_fields_of_the_server() {
    testing::needs!(loopback);
    let server = serving(Limits { body: 10, head_time: Duration::from_millis(50), ..Limits::default() });
    for (path, status) in [("/", 200), ("/stream", 200), ("/dropped", 500), ("/panic", 500)] {
        let mut client = Client::connect(server.address);
        client.get(path);
        has_both(&client.response(), status, path);
    }
    let long = "x".repeat(20 * 1024);
    let too_long = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n";
    for (bytes, status) in [
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: a\r\n".to_owned(), 408),
        (too_long.to_owned(), 413),
        (format!("GET /{long} HTTP/1.1\r\n\r\n"), 414),
        ("GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n".to_owned(), 417),
        (format!("GET / HTTP/1.1\r\nx: {long}\r\n\r\n"), 431),
        ("GET / HTTP/3.0\r\nHost: a\r\n\r\n".to_owned(), 505),
    ] {
        let mut client = Client::connect(server.address);
        client.send(&bytes);
        has_both(&client.response(), status, bytes.get(..40).unwrap_or(&bytes));
    }
}

#[test]
fn a_client_that_is_turned_away_gets_them_too() {
    testing::needs!(loopback);
    let server = serving(Limits { connections: 0, ..Limits::default() });
    has_both(&Client::connect(server.address).response(), 503, "a connection too many");
}

#[test]
fn a_field_of_the_response_itself_counts() {
    testing::needs!(loopback);
    let server = serving(Limits::default());
    let mut client = Client::connect(server.address);
    client.get("/own");
    let got = client.response();
    assert_eq!(values(&got, POLICY.0), ["default-src 'self'"], "one value: the application's own");
    assert_eq!(values(&got, NOSNIFF.0), ["nosniff"]);
}

#[test]
fn a_date_of_the_server_is_the_only_one() {
    testing::needs!(loopback);
    let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
    let fields = move |server: HttpServer| server.with_fields(&[date]).expect("a valid field");
    let server = Serving::with(Limits::default(), fields, || answer);
    let mut client = Client::connect(server.address);
    for path in ["/", "/stream", "/dropped"] {
        client.get(path);
        let got = client.response();
        assert_eq!(
            values(&got, "Date"),
            [date.1],
            "{path}: Date is no list, so a response has one: RFC 9110, 5.3. Leave out the usual one if the server's fields have it"
        );
    }
}

#[test]
fn a_field_that_would_break_the_message_is_refused() {
    for (name, value) in [("x", "a\r\nb: c"), ("x y", "a"), ("Content-Length", "5")] {
        let server = HttpServer::new(|_: &IoLoop, _: &Request, _: Reply| {});
        assert!(server.with_fields(&[(name, value)]).is_err(), "{name:?}: {value:?} was accepted");
    }
}
