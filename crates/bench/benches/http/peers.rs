//! The servers: each is a process that has one thread and one processor.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::load::{Client, Load, Sample};
use crate::{bare, on_hyper, others, ours, processors};

/// The argument that makes a server of this program.
pub const SERVE: &str = "--serve";

/// The path of the file.
pub const FILE: &str = "/file.bin";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    Ours,
    /// Ours, with files.
    OurFiles,
    /// Epoll and httparse.
    Bare,
    Hyper,
    Nginx,
    Libuv,
}

impl Peer {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::OurFiles => "our files",
            Self::Bare => "bare epoll + httparse",
            Self::Hyper => "hyper on tokio",
            Self::Nginx => "nginx",
            Self::Libuv => "libuv + http-parser",
        }
    }

    /// # Errors
    /// Why there is no such server here.
    fn command(self, folder: &Path, free: SocketAddr) -> Result<Command, &'static str> {
        match self {
            Self::Nginx => nginx(folder, free),
            Self::Libuv => libuv(folder),
            Self::Ours | Self::OurFiles | Self::Bare | Self::Hyper => {
                let mut command = Command::new(std::env::current_exe().expect("this program"));
                command.args([SERVE, self.name()]).arg(folder);
                Ok(command)
            }
        }
    }
}

/// Be the server with this name, for as long as this process runs.
pub fn serve(name: &str, folder: &str) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.set_nonblocking(true).expect("a socket");
    println!("{}", listener.local_addr().expect("an address").port());
    match name {
        _ if name == Peer::Bare.name() => bare::serve(&listener),
        _ if name == Peer::Hyper.name() => on_hyper::serve(listener),
        _ if name == Peer::OurFiles.name() => ours::files(listener, Path::new(folder)),
        _ => ours::hello(listener),
    }
}

/// A server that runs, and a client of it. Dropped, it is killed.
pub struct Started {
    server: Child,
    clock: ClockId,
    client: Client,
    _folder: TempDir,
}

impl Started {
    /// # Errors
    /// Why there is no such server here.
    pub fn new(peer: Peer, load: &Load) -> Result<Self, &'static str> {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join(&FILE[1..]), vec![b'x'; 100 * 1024]).expect("room");
        let free =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr()).expect("a port");
        let mut command = peer.command(folder.path(), free)?;
        let mut server =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(|_| "not installed")?;
        let pid = Pid::from_raw(server.id().cast_signed());
        processors::move_to_processor(pid, 0);
        let address = if peer == Peer::Nginx {
            others::await_listener(free);
            free
        } else {
            let mut line = String::new();
            BufReader::new(server.stdout.take().expect("a pipe")).read_line(&mut line).expect("a port");
            (Ipv4Addr::LOCALHOST, line.trim().parse().expect("a port")).into()
        };
        let clock = ClockId::pid_cpu_clock_id(pid).expect("a clock");
        Ok(Self { server, clock, client: Client::connect(address, load), _folder: folder })
    }

    /// Some rounds of the load.
    pub fn block(&mut self, load: &Load) -> Sample {
        let cpu = |clock| Duration::from(clock_gettime(clock).expect("the server runs"));
        let (before, start) = (cpu(self.clock), Instant::now());
        (0..load.rounds).for_each(|_| self.client.round());
        let (took, wall) = (cpu(self.clock) - before, start.elapsed());
        let requests = load.rounds * load.connections * load.pipelined;
        Sample { request: took.as_secs_f64() * 1e9 / requests as f64, wall }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn nginx(folder: &Path, address: SocketAddr) -> Result<Command, &'static str> {
    let root = folder.display();
    let http = format!(
        "keepalive_requests 1000000000; sendfile on;
        server {{
            listen {address};
            location = / {{ default_type text/plain; return 200 \"Hello, world!\"; }}
            location / {{ root {root}; }}
        }}"
    );
    others::nginx(folder, &http)
}

/// Compiled here, from C.
fn libuv(folder: &Path) -> Result<Command, &'static str> {
    let source = "benches/http/libuv.c";
    let program = folder.join("libuv");
    let mut compiler = Command::new("cc");
    compiler.args(["-O2", "-o"]).arg(&program).args([source, "-luv", "-lhttp_parser"]).stderr(Stdio::null());
    match compiler.status() {
        Ok(status) if status.success() => Ok(Command::new(program)),
        Ok(_) => Err("libuv and http-parser are not installed (Debian: libuv1-dev, libhttp-parser-dev)"),
        Err(_) => Err("no C compiler is installed"),
    }
}
