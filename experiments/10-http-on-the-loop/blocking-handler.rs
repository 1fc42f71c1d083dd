//! A handler that blocks, in a server of one process and of four: which of the other clients wait?

use std::io::{ErrorKind, Read, Write, pipe};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{ExitCode, id};
use std::time::Duration;

use experiments::{Choice, Lab, Question, Result, ask};
use httpserver::{HttpServer, Reply, Request, Response};
use ioloop::IoLoop;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{read, write};
use prefork::sockets::Options;

const QUESTION: Question = Question {
    question: "Which clients of an HTTP server wait while one handler blocks, with one process and with four?",
    setup: "Two clients are connected to the same process of a server, and have each got a response. Then the first sends a \
            request whose handler blocks. Meanwhile the second sends its next request, and four new clients connect and send \
            one request each. How many of these five clients wait until the handler returns, if the server has one process, \
            and if it has four?",
    choices: &[
        Choice::new("With one process none, with four none: the loop serves other clients while a handler waits.").because(
            "The loop has called the handler, and goes on only when the handler returns. Meanwhile it serves no client.",
        ),
        Choice::new("With one process five, with four none: three other processes are free.").because(
            "An accepted connection belongs to its process. The free processes do not have its descriptor.",
        ),
        Choice::new("With one process five, with four one: the client whose connection belongs to the blocked process."),
        Choice::new("With one process five, with four two: one of the four new clients comes to the blocked process, too.")
            .because(
                "A blocked process does not accept. The new clients stay in the listening socket's queue, which all \
                 processes share.",
            ),
    ],
    book: 2,
    shows: "Processes share the listening socket, so a free process accepts a new client. They do not share connections: a \
            client whose connection is kept alive waits for the process that has this connection. If as many handlers block \
            as there are processes, all clients wait.",
    lane: "clients",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let one = waiting(lab, 1)?;
        let four = waiting(lab, 4)?;
        match (one, four) {
            (0, 0) => Ok(0),
            (5, 0) => Ok(1),
            (5, 1) => Ok(2),
            (5, 2) => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

// ANCHOR: app
/// Answers with the id of the process. For `/block`, it first writes a byte
/// to one pipe, and then waits for a byte in another.
fn app(blocks: OwnedFd, go: OwnedFd) -> impl Fn(&IoLoop, &Request, Reply) {
    move |_, request, reply| {
        if request.path() == "/block" {
            let _ = write(&blocks, b"x");
            let _ = read(go.as_fd(), &mut [0]);
        }
        reply.send(Response::text(200, format!("{:>8}", id())));
    }
}
// ANCHOR_END: app

/// Block one process of a server. Gives how many of five other clients wait for it, and get their answers from it then.
fn waiting(lab: &mut Lab, processes: usize) -> Result<usize> {
    // Whether 127.0.0.1 can be used.
    drop(lab.listen()?);
    let ((mut blocked, blocks), (go, mut release)) = (pipe()?, pipe()?);
    let mut server = HttpServer::new(app(blocks.into(), go.into()));
    let addresses = server.bind(&[SocketAddr::from((Ipv4Addr::LOCALHOST, 0))], &Options::default())?;
    let port = addresses.first().ok_or("no address")?.port();
    let child = lab.fork("server", move |_| {
        server.start(processes, Duration::from_secs(5)).map_err(std::io::Error::other)?;
        Ok(0)
    })?;
    // After an error the server is dropped, and so killed: its handler may be blocked, and SIGTERM would wait for that.
    let seen = during(lab, port, processes, &mut blocked, &mut release)?;
    kill(child.pid(), Signal::SIGTERM)?;
    child.status(lab)?;
    Ok(seen)
}

fn during(
    lab: &Lab,
    port: u16,
    processes: usize,
    blocked: &mut impl Read,
    release: &mut impl Write,
) -> Result<usize> {
    let (mut first, second) = same_process(lab, port)?;
    // ANCHOR: core
    ask_for(&first, "/block")?;
    blocked.read_exact(&mut [0])?;
    let mut others = vec![second];
    ask_for(&others[0], "/")?;
    lab.await_arrival(others[0].local_addr()?.port(), port)?;
    // With one process, the kernel keeps these until the handler returns.
    for _ in 0..4 {
        let client = lab.connect(port)?;
        ask_for(&client, "/")?;
        match processes {
            1 => lab.await_arrival(client.local_addr()?.port(), port)?,
            _ => drop(client.peek(&mut [0])?),
        }
        others.push(client);
    }
    // ANCHOR_END: core
    let mut waiting = Vec::new();
    for client in &others {
        waiting.push(!has_answer(client)?);
    }
    let count = waiting.iter().filter(|waits| **waits).count();
    let kept = if waiting[0] { "waits" } else { "is answered" };
    let new = waiting[1..].iter().filter(|waits| **waits).count();
    lab.note(format!("processes: {processes}; second: {kept}; new clients that wait: {new} of 4"));
    release.write_all(b"x")?;
    let process = response(&mut first)?;
    let answers = others.iter_mut().map(response).collect::<Result<Vec<_>>>()?;
    let by_it = answers.iter().filter(|answer| **answer == process).count();
    if processes > 1 {
        all_block(lab, port, processes, blocked, release)?;
    }
    if by_it != count {
        return Err(format!(
            "clients that waited: {count}; answered by the process that was blocked: {by_it}"
        )
        .into());
    }
    Ok(count)
}

/// As many blocking requests as there are processes.
fn all_block(
    lab: &Lab,
    port: u16,
    processes: usize,
    blocked: &mut impl Read,
    release: &mut impl Write,
) -> Result {
    let mut blocking = Vec::new();
    for _ in 0..processes {
        let client = lab.connect(port)?;
        ask_for(&client, "/block")?;
        blocked.read_exact(&mut [0])?;
        blocking.push(client);
    }
    let mut new = lab.connect(port)?;
    ask_for(&new, "/")?;
    lab.await_arrival(new.local_addr()?.port(), port)?;
    let waits = !has_answer(&new)?;
    lab.note(format!(
        "all {processes} processes blocked: a new client {}",
        if waits { "waits" } else { "is answered" }
    ));
    release.write_all(&vec![b'x'; processes])?;
    let mut numbers = Vec::new();
    for client in &mut blocking {
        numbers.push(response(client)?);
    }
    response(&mut new)?;
    numbers.sort();
    numbers.dedup();
    lab.check(numbers.len() == processes, "each of the four requests for /block went to a free process");
    lab.check(waits, "when all processes are blocked, a new client waits");
    Ok(())
}

/// Connect clients until two of them have the same process.
fn same_process(lab: &Lab, port: u16) -> Result<(TcpStream, TcpStream)> {
    let mut clients: Vec<(String, TcpStream)> = Vec::new();
    loop {
        let mut client = lab.connect(port)?;
        ask_for(&client, "/")?;
        let process = response(&mut client)?;
        if let Some(at) = clients.iter().position(|(other, _)| *other == process) {
            return Ok((clients.swap_remove(at).1, client));
        }
        clients.push((process, client));
    }
}

fn ask_for(mut client: &TcpStream, path: &str) -> Result {
    Ok(client.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())?)
}

/// Wait for a response. Gives its body, the number of the process, which is always 8 bytes long.
fn response(client: &mut TcpStream) -> Result<String> {
    let mut text = Vec::new();
    while !text.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        text.extend(byte);
    }
    let mut body = [0; 8];
    client.read_exact(&mut body)?;
    Ok(String::from_utf8_lossy(&body).trim().to_owned())
}

fn has_answer(client: &TcpStream) -> Result<bool> {
    client.set_nonblocking(true)?;
    let peeked = client.peek(&mut [0]);
    client.set_nonblocking(false)?;
    match peeked {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error.into()),
    }
}
