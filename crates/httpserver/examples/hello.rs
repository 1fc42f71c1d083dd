//! Answers each request with a few bytes: for measurements.
//!
//! ```sh
//! cargo run --release -p httpserver --example hello -- 7080 1    # port, processes
//! ```

use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::time::Duration;

use httpserver::{HttpServer, Reply, Request, Response};
use ioloop::IoLoop;
use prefork::sockets::Options;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, otherwise: &str| args.get(at).map_or(otherwise, String::as_str).parse::<u16>();
    let (Ok(port), Ok(processes)) = (number(0, "7080"), number(1, "1")) else {
        eprintln!("usage: hello [PORT [PROCESSES]]");
        return ExitCode::from(2);
    };
    match serve(port, processes.into()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hello: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(port: u16, processes: usize) -> Result<(), Box<dyn std::error::Error>> {
    let mut server = HttpServer::new(|_: &IoLoop, _: &Request, reply: Reply| {
        reply.send(Response::text(200, "Hello, world!"));
    });
    let options = Options { backlog: 1024, ..Options::default() };
    for address in server.bind(&[(Ipv4Addr::LOCALHOST, port).into()], &options)? {
        println!("listening on http://{address}/");
    }
    server.start(processes, Duration::from_secs(5))?;
    Ok(())
}
