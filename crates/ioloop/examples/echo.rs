//! An echo server on the loop, a task for each client.
//!
//! ```sh
//! cargo run -p ioloop --example echo -- 7007    # port
//! ```
//!
//! Then `nc localhost 7007` in some other terminals, and Ctrl-C in this one.

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
Listens on localhost, and sends back what it is sent. SIGTERM and SIGINT (Ctrl-C) end it, whoever is connected.

  PORT  where to listen; 0 for any that is free";

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.iter().any(|arg| arg == "-h" || arg == "--help") {
        println!("{USAGE}\n{HELP}");
        return ExitCode::SUCCESS;
    }
    let port = match &args[..] {
        [port] => port.parse().map_err(|_| format!("PORT is 0 to 65535, and not {port}")),
        _ => Err(format!("one number is needed, and these are {}", args.len())),
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

/// Listen, serve, and come back after a signal. `tell` hears what happens, a line each.
// ANCHOR: serve
pub fn serve(port: u16, mut tell: impl FnMut(String)) -> Result {
    let ioloop = IoLoop::new()?;
    let clients = Rc::<Clients>::default();
    for listener in sockets::bind_host("localhost", port, &sockets::Options::default())? {
        tell(format!("listening on {}", listener.local_addr()?));
        let clients = Rc::clone(&clients);
        ioloop.add_accept_handler(listener, move |ioloop, socket| {
            let (here, socket) = (clients.one_more(), TcpStream::from(socket));
            match ioloop.watch(socket) {
                Ok(connection) => drop(ioloop.spawn(async move {
                    let _here = here;
                    echo(connection).await
                })),
                Err(error) => eprintln!("echo: a client is sent away: {error}"),
            }
        })?;
    }
    ioloop.add_signal_handler(&[Signal::SIGINT, Signal::SIGTERM], |ioloop, _| ioloop.stop())?;
    ioloop.start()?;
    let there = clients.now.get();
    // With the loop, its tasks are dropped, and with each task its connection is closed.
    ioloop.close();
    tell(format!("ended, with {there} of {} clients there", clients.ever.get()));
    Ok(())
}
// ANCHOR_END: serve

/// Send a client what it sends, until it ends. While it does not take that, nothing more is read.
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

fn went_away(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

/// How many clients there have been, and how many are there.
#[derive(Default)]
struct Clients {
    ever: Cell<usize>,
    now: Cell<usize>,
}

/// One of them, as long as it is there.
struct Here(Rc<Clients>);

impl Clients {
    fn one_more(self: &Rc<Self>) -> Here {
        self.ever.set(self.ever.get() + 1);
        self.now.set(self.now.get() + 1);
        Here(Rc::clone(self))
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        self.0.now.set(self.0.now.get() - 1);
    }
}
