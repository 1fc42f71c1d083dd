//! An HTTP server: each client is answered, or sees that its connection was closed.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use httpserver::{HttpServer, Reply, Request, Response};
use ioloop::IoLoop;
use ioloop::poller::Kind;

use super::accepting::two_clients;
use super::making::{Reports, a_loop, works};
use crate::scene::{judged, made, must_hold, one_line, or_again};

/// A server, and two clients that have sent a request and wait in the queue of a listener.
fn scene(kind: Kind) -> (IoLoop, Reports, HttpServer, UnixListener, [UnixStream; 2]) {
    let (ioloop, reports) = a_loop(kind);
    let (listener, mut clients) = two_clients();
    for client in &mut clients {
        made(client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        // So the server is done with it once it has answered.
        made(client.shutdown(Shutdown::Write));
    }
    let app = |_: &IoLoop, _: &Request, reply: Reply| reply.send(Response::text(200, "here"));
    (ioloop, reports, HttpServer::new(app), listener, clients)
}

/// Some iterations: a listener that is stuck is paused for a tenth of a second.
fn go_on(ioloop: &IoLoop, server: &HttpServer, answers: u64) {
    for _ in 0..40 {
        if server.counters().responses[2] >= answers && server.counters().open == 0 {
            break;
        }
        must_hold("an iteration succeeds", ioloop.turn(Duration::from_millis(20)).is_ok());
    }
}

/// Each client has a whole response or the end of its connection. Returns the number of responses.
fn answered(clients: [UnixStream; 2]) -> usize {
    let mut answered = 0;
    for mut client in clients {
        let mut bytes = [0; 1024];
        match client.read(&mut bytes) {
            Ok(0) => {}
            Ok(count) => {
                must_hold("a response is whole", bytes[..count].ends_with(b"\r\n\r\nhere"));
                answered += 1;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                must_hold("a client is answered or closed, and does not wait", false);
            }
            Err(_) => {}
        }
    }
    answered
}

pub fn add(kind: Kind) {
    let (ioloop, reports, server, listener, clients) = scene(kind);
    let copy = made(listener.try_clone());
    let first = judged(|| server.add_sockets(&ioloop, vec![listener]));
    if or_again(first, || server.add_sockets(&ioloop, vec![copy])).is_some() {
        go_on(&ioloop, &server, 2);
        must_hold("both clients are answered", answered(clients) == 2);
    }
    works(&ioloop);
    drop(ioloop);
    drop(server);
    reports.print();
}

pub fn answer(kind: Kind) {
    let (ioloop, reports, server, listener, clients) = scene(kind);
    made(server.add_sockets(&ioloop, vec![listener]));
    let turned = judged(|| {
        // The first accepts, and the second reads and answers.
        ioloop.turn(Duration::ZERO).and_then(|_| ioloop.turn(Duration::ZERO))
    });
    if let Err(error) = turned {
        println!("error {}", one_line(error));
    }
    println!("ok");
    go_on(&ioloop, &server, 2);
    let answered = answered(clients);
    must_hold("the server counts its answers", server.counters().responses[2] >= answered as u64);
    works(&ioloop);
    reports.print();
}

pub fn stop(kind: Kind) {
    let (ioloop, reports, server, listener, clients) = scene(kind);
    made(server.add_sockets(&ioloop, vec![listener]));
    let ended = judged(|| {
        server.stop(&ioloop, Duration::from_millis(300));
        ioloop.start()
    });
    if let Err(error) = ended {
        println!("error {}", one_line(error));
    }
    println!("ok");
    go_on(&ioloop, &server, 0);
    answered(clients);
    must_hold("the server has no connection left", server.counters().open == 0);
    reports.print();
}
