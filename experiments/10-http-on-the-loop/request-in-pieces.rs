//! One request in one, two and a thousand pieces, and three requests in one piece, to a server on the loop.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use experiments::{Choice, Http, Lab, Question, Result, ask};
use httpserver::{Limits, Reply, Request, Response};
use ioloop::IoLoop;

const QUESTION: Question = Question {
    question: "How often does an HTTP server call its handler for a request in pieces, and for three in one piece?",
    setup: "A client sends one request of 1,000 bytes in one piece, in two, and in a thousand pieces of one byte. The \
            server has read each piece before the client sends the next. Then another client sends three requests in one \
            piece, without waiting for a response. The handler answers the first of the three later, and the others at \
            once. How often is the handler called each time, and what does the last client get?",
    choices: &[
        Choice::new("1, 2, 1,000 and 1 times, because each read calls it: the last client gets one response.")
            .because(
                "The loop calls the handler of the descriptor for each read. The server calls the handler of the request \
                 only when a whole request is there.",
            ),
        Choice::new(
            "1, 1, 1 and 1 times: the last client gets one response, because the server drops what follows the first request.",
        )
        .because("The server keeps the bytes that follow a request, because they are the next request."),
        Choice::new("1, 1, 1 and 3 times: the last client gets three responses, in the order of its requests."),
        Choice::new("1, 1, 1 and 3 times: the last client gets three responses, the fastest first.")
            .because(
                "The server sends the slow response first, because responses must come in the order of the requests.",
            ),
    ],
    book: 2,
    shows: "TCP keeps the order of the bytes, but not the pieces in which they were sent. So the server keeps what has \
            arrived until a request is complete, and it keeps what follows a request until that request is answered.",
    lane: "client",
    ..Question::EMPTY
};

const LENGTH: usize = 1000;

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let paths = Paths::default();
        let seen = Arc::clone(&paths);
        let server = lab.http(Limits::default(), || app(seen))?;
        let (mut calls, mut whole) = (Vec::new(), true);
        for pieces in [1, 2, LENGTH] {
            let got = one_request(lab, &server, pieces)?;
            let called = take(&paths).len();
            lab.note(format!("one request: pieces {pieces}, calls {called}, responses {}", got.len()));
            whole &= got == ["951 bytes"];
            calls.push(called);
        }
        lab.check(whole, "the handler has the whole body each time");
        let got = three_requests(lab, &server)?;
        let order = take(&paths);
        calls.push(order.iter().filter(|event| event.starts_with("call")).count());
        lab.note(format!("three requests: {}", order.join(", ")));
        lab.note(format!("their client gets the responses {}", got.join(", ")));
        lab.check(
            order == ["call /slow", "answer /slow", "call /b", "call /c"],
            "the handler is not called for /b before /slow is answered",
        );
        match (&calls[..], &got.iter().map(String::as_str).collect::<Vec<_>>()[..]) {
            ([1, 2, 1000, 1], [_]) => Ok(0),
            ([1, 1, 1, 1], [_]) => Ok(1),
            ([1, 1, 1, 3], ["/slow", "/b", "/c"]) => Ok(2),
            ([1, 1, 1, 3], [_, _, _]) => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

/// What the handler did, in order.
type Paths = Arc<Mutex<Vec<String>>>;

fn note(paths: &Paths, event: String) {
    if let Ok(mut paths) = paths.lock() {
        paths.push(event);
    }
}

fn take(paths: &Paths) -> Vec<String> {
    paths.lock().map(|mut paths| std::mem::take(&mut *paths)).unwrap_or_default()
}

// ANCHOR: app
/// Answers with the length of the body, or with the path if there is
/// no body. For `/slow`, a later callback sends the answer.
fn app(paths: Paths) -> impl Fn(&IoLoop, &Request, Reply) {
    move |ioloop, request, reply| {
        let path = request.path().to_owned();
        note(&paths, format!("call {path}"));
        match (request.body().len(), &*path) {
            (0, "/slow") => {
                let paths = Arc::clone(&paths);
                ioloop.add_callback(move |_| {
                    note(&paths, format!("answer {path}"));
                    reply.send(Response::text(200, path));
                });
            }
            (0, _) => reply.send(Response::text(200, path)),
            (length, _) => reply.send(Response::text(200, format!("{length} bytes"))),
        }
    }
}
// ANCHOR_END: app

/// Send one request in so many pieces. Gives the bodies of the responses.
fn one_request(lab: &Lab, server: &Http, pieces: usize) -> Result<Vec<String>> {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 951\r\n\r\n";
    let mut request = head.as_bytes().to_vec();
    request.resize(head.len() + 951, b'x');
    let mut client = lab.connect(server.port())?;
    client.set_nodelay(true)?;
    // ANCHOR: core
    let mut received = server.counters()?.received;
    for piece in request.chunks(request.len().div_ceil(pieces)) {
        client.write_all(piece)?;
        received += piece.len() as u64;
        server.until(|counters| counters.received == received)?;
    }
    // ANCHOR_END: core
    responses(client)
}

fn three_requests(lab: &Lab, server: &Http) -> Result<Vec<String>> {
    let mut client = lab.connect(server.port())?;
    client.write_all(
        ["/slow", "/b", "/c"]
            .map(|path| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"))
            .concat()
            .as_bytes(),
    )?;
    responses(client)
}

/// The bodies of all responses until end of file. A body here has one line at most, and no empty line.
fn responses(mut client: TcpStream) -> Result<Vec<String>> {
    client.shutdown(Shutdown::Write)?;
    let mut text = String::new();
    client.read_to_string(&mut text)?;
    let bodies = text.split("HTTP/1.1 ").skip(1).map(|response| {
        response.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).ok_or("a response without a body")
    });
    Ok(bodies.collect::<std::result::Result<_, _>>()?)
}
