//! Ours, in one process: the program of the examples, and one that has files.

use std::net::TcpListener;
use std::path::Path;

use httpserver::files::Files;
use httpserver::{HttpServer, Reply, Request, Response};
use ioloop::IoLoop;

pub fn hello(listener: TcpListener) {
    serve(
        listener,
        HttpServer::new(|_: &IoLoop, _: &Request, reply: Reply| {
            reply.send(Response::text(200, "Hello, world!"));
        }),
    );
}

pub fn files(listener: TcpListener, folder: &Path) {
    let files = Files::new(folder).expect("a folder");
    serve(
        listener,
        HttpServer::new(move |_: &IoLoop, request: &Request, reply: Reply| reply.send(files.answer(request))),
    );
}

fn serve(listener: TcpListener, server: HttpServer) {
    let ioloop = IoLoop::new().expect("a loop");
    server.add_sockets(&ioloop, vec![listener]).expect("a socket");
    ioloop.start().expect("it runs");
}
