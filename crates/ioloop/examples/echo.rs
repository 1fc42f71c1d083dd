//! An echo server on the loop, with a task for each client.
//!
//! ```sh
//! cargo run -p ioloop --example echo -- 7007    # port
//! ```
//!
//! Then run `nc localhost 7007` in other terminals, and press Ctrl-C in this one.

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::process::ExitCode;
use std::rc::Rc;

use ioloop::{AsyncFd, IoLoop};
use nix::sys::signal::Signal;
use prefork::sockets;

const USAGE: &str = "usage: echo PORT";

const HELP: &str = "
Listens on localhost, and sends each client's bytes back. SIGTERM and SIGINT (Ctrl-C) stop it, even if clients are connected.

  PORT  the port to listen on; 0 for any free port";

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.iter().any(|arg| arg == "-h" || arg == "--help") {
        println!("{USAGE}\n{HELP}");
        return ExitCode::SUCCESS;
    }
    let port = match &args[..] {
        [port] => port.parse().map_err(|_| format!("PORT must be a number from 0 to 65535: {port}")),
        _ => Err(format!("expected one argument, got {}", args.len())),
    };
    match port.map(|port| serve(port, |line| println!("{line}"))) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            eprintln!("echo: {error}");
            ExitCode::FAILURE
        }
        Err(wrong) => {
            eprintln!("echo: {wrong}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// Listen, and serve clients until a signal arrives. `log` gets a line for each listener, and one at the end.
// ANCHOR: serve
pub fn serve(port: u16, mut log: impl FnMut(String)) -> Result {
    let ioloop = IoLoop::new()?;
    let clients = Rc::<Clients>::default();
    for listener in sockets::bind_host("localhost", port, &sockets::Options::default())? {
        log(format!("listening on {}", listener.local_addr()?));
        let clients = Rc::clone(&clients);
        ioloop.add_accept_handler(listener, move |ioloop, socket| {
            let (connected, socket) = (clients.connected(), TcpStream::from(socket));
            match ioloop.watch(socket) {
                Ok(connection) => drop(ioloop.spawn(async move {
                    let _connected = connected;
                    echo(connection).await
                })),
                Err(error) => eprintln!("echo: a client was disconnected: {error}"),
            }
        })?;
    }
    ioloop.add_signal_handler(&[Signal::SIGINT, Signal::SIGTERM], |ioloop, _| ioloop.stop())?;
    ioloop.start()?;
    let connected = clients.now.get();
    // Closing the loop drops its tasks, and dropping a task closes its connection.
    ioloop.close();
    log(format!("stopped with {connected} of {} clients connected", clients.ever.get()));
    Ok(())
}
// ANCHOR_END: serve

/// Send a client's bytes back until it closes. While the client does not read, the server does not read from it either.
// ANCHOR: echo
async fn echo(connection: AsyncFd<TcpStream>) -> Result {
    let mut buffer = [0; 4096];
    loop {
        let echoed = match connection.read(&mut buffer).await {
            Ok(0) => return Ok(()),
            Ok(read) => connection.write_all(&buffer[..read]).await,
            Err(error) => Err(error),
        };
        match echoed {
            Err(error) if went_away(&error) => return Ok(()),
            other => other?,
        }
    }
}
// ANCHOR_END: echo

/// Did the client close the connection?
fn went_away(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

/// How many clients ever connected, and how many are connected now.
#[derive(Default)]
struct Clients {
    ever: Cell<usize>,
    now: Cell<usize>,
}

/// Counts a client as connected until it is dropped.
struct Connected(Rc<Clients>);

impl Clients {
    fn connected(self: &Rc<Self>) -> Connected {
        self.ever.set(self.ever.get() + 1);
        self.now.set(self.now.get() + 1);
        Connected(Rc::clone(self))
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.now.set(self.0.now.get() - 1);
    }
}
