//! Clients and a corpus from PyPI: h11 reads each response byte by byte, gunicorn's corpus is sent in four splits, pools of
//! connections meet the idle timeout, and REDbot looks for what a cache or a browser would stumble over. Skipped, with the
//! reason, where they cannot be had.

#[path = "support/files.rs"]
mod files;
#[path = "support/python.rs"]
mod python;
mod support;

use std::fmt::Write;
use std::time::Duration;

use httpserver::{EventStream, Limits, Reply, Request, Response};
use ioloop::IoLoop;
use support::serving::Serving;

testing::begin!();

/// Bytes as a string of JSON, each as the character with its number.
fn quoted(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for byte in bytes {
        let _ = match byte {
            b'"' | b'\\' | 0..0x20 | 0x7f.. => write!(text, "\\u{byte:04x}"),
            _ => write!(text, "{}", *byte as char),
        };
    }
    text + "\""
}

fn fields<'a>(fields: impl Iterator<Item = (&'a str, &'a [u8])>) -> String {
    let pairs = fields.map(|(name, value)| format!("[{}, {}]", quoted(name.as_bytes()), quoted(value)));
    format!("[{}]", pairs.collect::<Vec<_>>().join(", "))
}

/// Answer with what the application sees of the request.
fn seen(_: &IoLoop, request: &Request, reply: Reply) {
    let version = &request.version().to_string()[5..];
    reply.send(Response::new(200).body(
        format!(
            r#"{{"method": {}, "uri": {}, "version": "{version}", "headers": {}, "body": {}, "trailers": {}}}"#,
            quoted(request.method().as_bytes()),
            quoted(request.target().as_bytes()),
            fields(request.headers()),
            quoted(request.body()),
            fields(request.trailers()),
        )
        .into_bytes(),
    ));
}

#[test]
fn gunicorns_corpus_is_read_as_it_says_however_it_is_split() {
    testing::needs!(loopback);
    let Some(environment) = python::environment() else { return };
    let limits = Limits { body: 16 * 1024 * 1024, ..Limits::default() };
    let server = Serving::with(limits, |server| server, || seen);
    let corpus = python::corpus(environment);
    let args = [corpus.to_str().expect("a path"), &server.address.to_string()];
    python::is_content(environment, "corpus.py", &args);
}

/// Answers of all kinds.
fn all_kinds(ioloop: &IoLoop, request: &Request, reply: Reply) {
    let path = request.path();
    match (path, path[1..].parse()) {
        (_, Ok(status)) => reply.send(Response::text(status, "a body")),
        ("/stream", _) => {
            let stream = reply.stream(Response::new(200));
            let _ = stream.write(b"a part").and_then(|_| stream.write(b"another"));
        }
        ("/events", _) => {
            let stream = EventStream::new(ioloop, reply).expect("its fields are valid");
            let _ = stream.send("hello", "1", "a\nb");
        }
        ("/long", _) => reply.send(Response::new(200).body(vec![b'x'; 10_000])),
        ("/panic", _) => panic!("this request panics"),
        ("/close", _) => reply.send(Response::text(200, "the last").close()),
        _ => seen(ioloop, request, reply),
    }
}

#[test]
fn h11_reads_each_response_byte_by_byte() {
    testing::needs!(loopback);
    let Some(environment) = python::environment() else { return };
    let limits = Limits { body: 10, head_time: Duration::from_millis(100), ..Limits::default() };
    let server = Serving::with(limits, |server| server, || all_kinds);
    let files = files::Served::new();
    python::is_content(environment, "responses.py", &[&server.address.to_string(), &files.authority()]);
}

#[test]
fn pools_of_connections_meet_the_idle_timeout() {
    testing::needs!(loopback);
    let Some(environment) = python::environment() else { return };
    let limits = Limits { idle_time: Duration::from_millis(300), ..Limits::default() };
    let server = Serving::with(limits, |server| server, || seen);
    python::is_content(environment, "pools.py", &[&server.address.to_string(), "0.3"]);
}

#[test]
fn redbot_finds_nothing_bad_and_nothing_to_warn_of() {
    testing::needs!(loopback);
    let Some(environment) = python::environment() else { return };
    let served = files::Served::new();
    // It asks for a part of up to 96 bytes, and a part that is the whole is answered with the whole.
    std::fs::write(served.root.join("page.html"), "<!doctype html><title>A page</title>\n".repeat(100))
        .expect("a file");
    std::fs::write(served.root.join("style.css"), "p { color: red }\n".repeat(100)).expect("a file");
    let hello = Serving::start(|| {
        |_: &IoLoop, _: &Request, reply: Reply| {
            // How long a response may be kept is for the application to say.
            let response = Response::text(200, "Hello!").header("Cache-Control", "max-age=60");
            reply.send(response.expect("a valid field"));
        }
    });
    let urls = [
        format!("http://{}/", hello.address),
        served.url("/page.html"),
        served.url("/style.css"),
        served.url("/a"),
        served.url("/nothing"),
    ];
    for url in &urls {
        python::is_content(environment, "redbot_says.py", &[url]);
    }
}
