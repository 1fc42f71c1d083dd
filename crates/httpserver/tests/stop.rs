//! A graceful stop meets connections that the kernel has completed and the server has not accepted yet.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use httpserver::{HttpServer, Limits, Reply, Request, Response};
use ioloop::IoLoop;

testing::begin!();

#[test]
fn requests_in_the_queue_of_the_listener_are_answered_before_it_is_closed() {
    testing::needs!(loopback);
    let ioloop = IoLoop::new().unwrap();
    let server =
        HttpServer::new(|_: &IoLoop, _: &Request, reply: Reply| reply.send(Response::text(200, "here")));
    let address = server.listen(&ioloop, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let mut clients: Vec<_> = (0..10).map(|_| TcpStream::connect(address).unwrap()).collect();
    for client in &mut clients {
        client.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    }
    // The loop has not run yet, so all of them are in the queue.
    server.stop(&ioloop, Duration::from_secs(10));
    // Reading to the end lets the server close; a loop that does not stop would hang here, and the test with it.
    let reader = std::thread::spawn(move || {
        let read = |mut client: TcpStream| {
            let mut response = String::new();
            client.read_to_string(&mut response).map(|_| response)
        };
        clients.into_iter().map(read).collect::<Vec<_>>()
    });
    ioloop.start().unwrap();
    for response in reader.join().unwrap() {
        let response = response.expect("a client in the queue is answered, and not reset");
        assert!(response.starts_with("HTTP/1.1 200") && response.ends_with("here"), "{response:?}");
        assert!(
            response.contains("Connection: close\r\n"),
            "{response:?} does not say that it is the last one"
        );
    }
    assert!(TcpStream::connect(address).is_err(), "the server has stopped, and still listens");
}

#[test]
fn a_client_that_has_left_the_queue_does_not_end_the_stop_for_the_others() {
    testing::needs!(loopback);
    let ioloop = IoLoop::new().unwrap();
    let server = HttpServer::new(|ioloop: &IoLoop, _: &Request, reply: Reply| {
        ioloop.call_later(Duration::from_millis(50), move |_| reply.send(Response::text(200, "here")));
    });
    let address = server.listen(&ioloop, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    // As a health check does: it connects and closes.
    drop(TcpStream::connect(address).unwrap());
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    server.stop(&ioloop, Duration::from_secs(10));
    let reader = std::thread::spawn(move || {
        let mut response = String::new();
        client.read_to_string(&mut response).map(|_| response)
    });
    ioloop.start().unwrap();
    drop(ioloop);
    let response = reader.join().unwrap().unwrap_or_else(|error| error.to_string());
    assert!(
        response.starts_with("HTTP/1.1 200"),
        "two clients were in the queue. The first had left, so its connection was the last one until the server accepted the second, \
         which got {response:?}. The loop must not stop before all of the queue is accepted"
    );
}

#[test]
fn the_grace_period_of_a_stop_is_over_when_the_server_has_stopped() {
    testing::needs!(loopback);
    let ioloop = IoLoop::new().unwrap();
    let server = HttpServer::new(|_: &IoLoop, _: &Request, _: Reply| {});
    server.listen(&ioloop, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    server.stop(&ioloop, Duration::from_millis(50));
    ioloop.start().unwrap();
    // The program goes on with the same loop.
    let is_run = Rc::new(Cell::new(false));
    let seen = Rc::clone(&is_run);
    ioloop.call_later(Duration::from_millis(150), move |ioloop| {
        seen.set(true);
        ioloop.stop();
    });
    ioloop.start().unwrap();
    assert!(
        is_run.get(),
        "the server stopped before its grace period was over, and the program started its loop again. The timer of the grace period \
         stopped the loop a second time: remove it when the last connection is closed"
    );
}

#[test]
fn a_server_without_connections_stops_at_once() {
    testing::needs!(loopback);
    let ioloop = IoLoop::new().unwrap();
    let server = HttpServer::new(|_: &IoLoop, _: &Request, _: Reply| {});
    server.listen(&ioloop, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let before = ioloop.time();
    server.stop(&ioloop, Duration::from_secs(60));
    ioloop.start().unwrap();
    assert!(ioloop.time() - before < Duration::from_secs(30), "it waited for the grace period");
}

#[test]
fn a_request_that_arrives_with_the_idle_timeout_is_answered() {
    testing::needs!(loopback);
    let ioloop = IoLoop::new().unwrap();
    // Each connection is idle for too long at once, so its timer is due in the iteration after the accept.
    let limits = Limits { idle_time: Duration::ZERO, ..Limits::default() };
    let app = |_: &IoLoop, _: &Request, reply: Reply| reply.send(Response::text(200, "here"));
    let server = HttpServer::new(app).with_limits(limits);
    let address = server.listen(&ioloop, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    while server.counters().open == 0 {
        ioloop.turn(Duration::from_secs(10)).unwrap();
    }
    client.write_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nok").unwrap();
    while server.counters().open > 0 {
        ioloop.turn(Duration::from_millis(10)).unwrap();
    }
    let mut response = String::new();
    client.read_to_string(&mut response).expect("the connection is not reset");
    assert!(
        response.starts_with("HTTP/1.1 200"),
        "the request was there before the connection was closed as idle: {response:?}"
    );
    assert_eq!(server.counters().idled, 1, "then it is idle, and is closed");
}
