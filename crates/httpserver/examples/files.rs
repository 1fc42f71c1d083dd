//! A server of the files below a folder: `cargo run -p httpserver --example files -- FOLDER [ADDRESS]`.

use std::env;
use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;

use httpserver::files::Files;
use httpserver::{HttpServer, Reply, Request};
use ioloop::IoLoop;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args_os().skip(1);
    let root = args.next().map_or_else(|| PathBuf::from("."), PathBuf::from);
    let address = args.next().and_then(|address| address.into_string().ok());
    let address: SocketAddr = address.as_deref().unwrap_or("127.0.0.1:8000").parse()?;
    let files = Files::new(&root)?;
    let ioloop = IoLoop::new()?;
    let server =
        HttpServer::new(move |_: &IoLoop, request: &Request, reply: Reply| reply.send(files.answer(request)));
    println!("http://{}/", server.listen(&ioloop, address)?);
    ioloop.start()?;
    Ok(())
}
