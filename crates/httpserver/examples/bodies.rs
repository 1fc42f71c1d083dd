//! Answers each request with what the server saw of it. `/stream` sends a line a second, and `/later` answers after one.
//!
//! ```sh
//! cargo run -p httpserver --example bodies -- 7080    # port
//! curl -d 'a body' http://127.0.0.1:7080/a?b
//! ```

use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use httpserver::{HttpServer, Reply, Request, Response, Stream};
use ioloop::IoLoop;
use prefork::sockets::Options;

fn main() -> ExitCode {
    let port = std::env::args().nth(1).unwrap_or_else(|| "7080".to_owned());
    let Ok(port) = port.parse() else {
        eprintln!("usage: bodies [PORT]");
        return ExitCode::from(2);
    };
    match serve(port) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bodies: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(port: u16) -> Result<(), Box<dyn std::error::Error>> {
    let mut server = HttpServer::new(answer).on_access(|access| {
        println!("{} {} {} {} {:?}", access.method, access.target, access.status, access.bytes, access.took);
    });
    for address in server.bind(&[(Ipv4Addr::LOCALHOST, port).into()], &Options::default())? {
        println!("listening on http://{address}/");
    }
    server.start(1, Duration::from_secs(5))?;
    Ok(())
}

fn answer(ioloop: &IoLoop, request: &Request, reply: Reply) {
    match request.path() {
        "/stream" => {
            let stream = Rc::new(reply.stream(Response::text(200, "one line a second\n")));
            count(ioloop, stream, 1);
        }
        "/later" => {
            ioloop
                .call_later(Duration::from_secs(1), |_| reply.send(Response::text(200, "a second later\n")));
        }
        _ => reply.send(Response::text(200, describe(request))),
    }
}

/// Send numbers until the client leaves.
fn count(ioloop: &IoLoop, stream: Rc<Stream>, number: u32) {
    ioloop.call_later(Duration::from_secs(1), move |ioloop| {
        if stream.write(format!("{number}\n").as_bytes()).is_ok() {
            count(ioloop, stream, number + 1);
        }
    });
}

fn describe(request: &Request) -> String {
    let mut text = format!("{} {} {}\n", request.method(), request.target(), request.version());
    for (name, value) in request.headers() {
        text += &format!("{name}: {}\n", value.escape_ascii());
    }
    text + &format!("\n{}\n", request.body().escape_ascii())
}
