//! The servers, each a process that answers each request that it accepts with 200, after it has read its body.

use std::convert::Infallible;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use http_body_util::{BodyExt, Full};
use httpserver::{HttpServer, Reply, Response};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use ioloop::IoLoop;

use crate::others;

/// The argument that makes a server of this program.
pub const SERVE: &str = "--serve";

const NODE: &str = "
    const server = require('http').createServer((request, response) => {
        request.on('data', () => {}).on('end', () => response.end('ok'));
    });
    server.listen(0, '127.0.0.1', () => console.log(server.address().port));
";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Ours,
    Nginx,
    Lighttpd,
    Node,
    Hyper,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Nginx => "nginx",
            Self::Lighttpd => "lighttpd",
            Self::Node => "node",
            Self::Hyper => "hyper",
        }
    }
}

/// A server that runs. Dropped, it is killed.
pub struct Server {
    pub kind: Kind,
    pub address: SocketAddr,
    process: Child,
}

impl Server {
    /// # Errors
    /// Why there is no such server here.
    pub fn start(kind: Kind, folder: &Path) -> Result<Self, &'static str> {
        let free =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr()).expect("a port");
        let mut command = match kind {
            Kind::Nginx => nginx(folder, free)?,
            Kind::Lighttpd => lighttpd(folder, free)?,
            Kind::Node => Command::new("node"),
            Kind::Ours | Kind::Hyper => Command::new(std::env::current_exe().expect("this program")),
        };
        match kind {
            Kind::Node => command.args(["-e", NODE]),
            Kind::Ours | Kind::Hyper => command.args([SERVE, kind.name()]),
            Kind::Nginx | Kind::Lighttpd => &mut command,
        };
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn().map_err(|_| "it is not installed")?;
        let address = if matches!(kind, Kind::Nginx | Kind::Lighttpd) {
            others::await_listener(free);
            free
        } else {
            let mut line = String::new();
            let output = process.stdout.take().expect("a pipe");
            BufReader::new(output).read_line(&mut line).expect("a port");
            (Ipv4Addr::LOCALHOST, line.trim().parse().expect("a port")).into()
        };
        Ok(Self { kind, address, process })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Two servers in one process: the first reads requests, and passes them on to the second.
fn nginx(folder: &Path, address: SocketAddr) -> Result<Command, &'static str> {
    let root = folder.display();
    let http = format!(
        "server {{ listen {address}; location / {{ proxy_pass http://unix:{root}/back:; }} }}
        server {{ listen unix:{root}/back; location / {{ return 200 ok; }} }}"
    );
    others::nginx(folder, &http)
}

/// It passes requests on to nginx's second server.
fn lighttpd(folder: &Path, address: SocketAddr) -> Result<Command, &'static str> {
    let program = others::installed("lighttpd").ok_or("it is not installed")?;
    let root = folder.display();
    if !folder.join("back").exists() {
        return Err("nginx, to which it passes requests on, is not installed");
    }
    let config = format!(
        "server.modules = (\"mod_proxy\")
        server.document-root = \"{root}\"
        server.bind = \"{}\"
        server.port = {}
        proxy.server = (\"\" => ((\"socket\" => \"{root}/back\")))",
        address.ip(),
        address.port()
    );
    let path = folder.join("lighttpd.conf");
    fs::write(&path, config).expect("room");
    let mut command = Command::new(program);
    command.arg("-D").arg("-f").arg(path).stderr(Stdio::null());
    Ok(command)
}

/// Be the server with this name, for as long as this process runs.
pub fn serve(name: &str) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.set_nonblocking(true).expect("a socket");
    println!("{}", listener.local_addr().expect("an address").port());
    if name == Kind::Hyper.name() {
        return hyper(listener);
    }
    let server = HttpServer::new(|_: &IoLoop, _: &httpserver::Request, reply: Reply| {
        reply.send(Response::text(200, "ok"));
    });
    let ioloop = IoLoop::new().expect("a loop");
    server.add_sockets(&ioloop, vec![listener]).expect("a socket");
    ioloop.start().expect("it runs");
}

fn hyper(listener: TcpListener) {
    others::on_tokio(listener, |socket| {
        http1::Builder::new().serve_connection(TokioIo::new(socket), service_fn(ok))
    });
}

async fn ok(request: hyper::Request<Incoming>) -> Result<hyper::Response<Full<Bytes>>, Infallible> {
    let read = request.into_body().collect().await;
    let mut response = hyper::Response::new(Full::new(Bytes::from_static(b"ok")));
    if read.is_err() {
        *response.status_mut() = hyper::StatusCode::BAD_REQUEST;
    }
    Ok(response)
}
