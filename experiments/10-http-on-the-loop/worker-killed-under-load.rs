//! A worker of an HTTP server is killed while its clients ask: who loses a request, and what does each see?

use std::cell::RefCell;
use std::io::{self, Read, Write, pipe};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{ExitCode, id};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use experiments::{Child, Choice, Lab, PATIENCE, Question, Result, ask, pidfd, stop, workers};
use httpserver::{HttpServer, Reply, Request, Response, Stream};
use ioloop::IoLoop;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid, write};
use prefork::sockets::Options;

const QUESTION: Question = Question {
    question: "Which requests get no answer when a worker of an HTTP server is killed under load?",
    setup: "Two workers have four clients each. Each client keeps its connection, and sends its next request as soon as it has \
            the response. One worker is killed with SIGKILL, and its supervisor forks a replacement. A client whose \
            connection ends connects again and goes on. How many requests get no response?",
    choices: &[
        Choice::new("None: the replacement answers what the killed worker had accepted.").because(
            "The replacement has the listening socket, but not the connections of the killed worker.",
        ),
        Choice::new("Four: one of each client of the killed worker."),
        Choice::new("Four, and new connections are refused until the replacement is ready.").because(
            "The other worker and the supervisor still have the listening socket open, so it still listens.",
        ),
        Choice::new("Eight: one of each client, because both workers have the same listening socket.")
            .because("A connection does not depend on the listening socket from which it was accepted."),
    ],
    book: 1,
    shows: "When a worker is killed, its own connections end, and no others. Each of its clients loses at most one request: \
            the one that has no response yet, or the next one. The client can connect again at once, but it cannot know \
            whether the lost request was handled.",
    lane: "clients",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        drop((lab.listen()?, pidfd(getpid())?));
        let (mut has, tells) = pipe()?;
        let mut server = HttpServer::new(app(tells.into()));
        let addresses = server.bind(&[SocketAddr::from((Ipv4Addr::LOCALHOST, 0))], &Options::default())?;
        let port = addresses.first().ok_or("no address")?.port();
        let child = lab.fork("server", move |_| {
            server.start(2, Duration::from_secs(5)).map_err(io::Error::other)?;
            Ok(0)
        })?;
        let choice = under_load(lab, &child, port)?;
        each_state(lab, &child, port, &mut has)?;
        kill(child.pid(), Signal::SIGTERM)?;
        child.status(lab)?;
        Ok(choice)
    })
}

// ANCHOR: app
/// Answers with the id of the process. It never answers `/wait`, and of
/// the response to `/half` it sends only the beginning.
fn app(tells: OwnedFd) -> impl Fn(&IoLoop, &Request, Reply) {
    let kept: RefCell<(Vec<Reply>, Vec<Stream>)> = RefCell::default();
    move |_, request, reply| match request.path() {
        "/wait" => {
            let _ = write(&tells, b"x");
            kept.borrow_mut().0.push(reply);
        }
        "/half" => {
            let stream = reply.stream(Response::text(200, ""));
            let _ = stream.write(b"half");
            kept.borrow_mut().1.push(stream);
        }
        _ => reply.send(Response::text(200, format!("{:>8}", id()))),
    }
}
// ANCHOR_END: app

/// Kill one of two workers while eight clients ask. Gives the choice.
fn under_load(lab: &Lab, server: &Child, port: u16) -> Result<usize> {
    let [killed, other] = workers(server.pid(), 2)?[..] else { return Err("not two workers".into()) };
    let theirs = [clients_of(lab, port, killed, other)?, clients_of(lab, port, other, killed)?];
    let (answers, is_over) = ([const { AtomicUsize::new(0) }; 8], AtomicBool::new(false));
    let count = || answers.each_ref().map(|answers| answers.load(SeqCst));
    let [lost, refused] = thread::scope(|scope| -> Result<[[usize; 2]; 2]> {
        let is_over = &is_over;
        let mut each = answers.iter();
        let load = theirs.map(|clients| {
            clients.map(|client| {
                each.next().map(|answers| scope.spawn(|| go_on(client, port, answers, is_over)))
            })
        });
        // The response to one more request may be on its way when the worker is killed.
        let outcome = until(|| count().iter().all(|answers| *answers > 20)).and_then(|()| {
            kill(killed, Signal::SIGKILL)?;
            let before = count();
            until(|| count().iter().zip(before).all(|(answers, before)| *answers > before + 20))
        });
        is_over.store(true, SeqCst);
        let mut seen = [[0; 2]; 2];
        for (whose, clients) in load.into_iter().enumerate() {
            for client in clients.into_iter().flatten() {
                let (lost, refused) = client.join().map_err(|_| "a client panicked")??;
                seen[0][whose] += lost;
                seen[1][whose] += refused;
            }
        }
        outcome.map(|()| seen)
    })?;
    lab.note("a worker is killed under load; requests without a response");
    lab.note(format!("  of its 4 clients: {}; of the other worker's 4 clients: {}", lost[0], lost[1]));
    lab.note(format!("  connections that were refused: {}", refused[0] + refused[1]));
    match (lost, refused) {
        ([0, 0], [0, 0]) => Ok(0),
        ([4, 0], [0, 0]) => Ok(1),
        ([4, 0], _) => Ok(2),
        ([4, 4], _) => Ok(3),
        other => Err(format!("none of the choices: {other:?}").into()),
    }
}

// ANCHOR: core
/// Send requests until `is_over`. Returns how many requests got no
/// response, and how many connections were refused.
fn go_on(
    mut client: TcpStream,
    port: u16,
    answers: &AtomicUsize,
    is_over: &AtomicBool,
) -> io::Result<(usize, usize)> {
    let (mut lost, mut refused) = (0, 0);
    while !is_over.load(SeqCst) {
        if get(&mut client).is_ok() {
            answers.fetch_add(1, SeqCst);
            continue;
        }
        lost += 1;
        client = loop {
            match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
                Ok(client) => break client,
                Err(_) if is_over.load(SeqCst) => return Ok((lost, refused + 1)),
                Err(_) => refused += 1,
            }
        };
        client.set_read_timeout(Some(PATIENCE))?;
    }
    Ok((lost, refused))
}
// ANCHOR_END: core

/// Kill a worker once more, with a client in each of four states.
fn each_state(lab: &Lab, server: &Child, port: u16, has: &mut impl Read) -> Result {
    let [worker, other] = workers(server.pid(), 2)?[..] else { return Err("not two workers".into()) };
    let [mut idle, mut waits, mut half, mut unread] = clients_of(lab, port, worker, other)?;
    ask_for(&mut waits, "/wait")?;
    has.read_exact(&mut [0])?;
    ask_for(&mut half, "/half")?;
    let begin = read_to(&mut half, "4\r\nhalf\r\n")?;
    // A stopped process reads nothing.
    stop(worker)?;
    ask_for(&mut unread, "/")?;
    lab.await_arrival(unread.local_addr()?.port(), port)?;
    kill(worker, Signal::SIGKILL)?;
    let [idle, waits, half, unread] = [&mut idle, &mut waits, &mut half, &mut unread].map(end);
    lab.note("another worker is killed; its four clients get");
    lab.note(format!("  the idle one: {idle}"));
    lab.note(format!("  the one whose request is being handled: {waits}"));
    lab.note(format!("  the one with half of a response: {half}"));
    lab.note(format!("  the one whose request the worker has not read: {unread}"));
    lab.check(
        begin.contains("Transfer-Encoding: chunked"),
        "the half response came in chunks, without the last chunk",
    );
    lab.check(
        [idle, waits, half] == ["end of file"; 3],
        "if the worker had read all received bytes, its client gets end of file",
    );
    lab.check(unread == "ECONNRESET", "if it had not read all of them, its client gets a reset");
    // The other worker is stopped, so that the replacement alone can accept.
    let new = workers(server.pid(), 2)?.into_iter().find(|new| *new != other).ok_or("no replacement")?;
    let serves = clients_of(lab, port, new, other).is_ok();
    lab.check(serves && new != worker, "the replacement serves new clients on the same port");
    Ok(())
}

/// Four clients of a worker: the other one is stopped while they connect.
fn clients_of(lab: &Lab, port: u16, worker: Pid, other: Pid) -> Result<[TcpStream; 4]> {
    stop(other)?;
    let connect = || -> Result<TcpStream> {
        let mut client = lab.connect(port)?;
        match get(&mut client)? {
            by if by == worker.to_string() => Ok(client),
            by => Err(format!("{by} answers, and not {worker}").into()),
        }
    };
    let [a, b, c, d] = [connect(), connect(), connect(), connect()];
    kill(other, Signal::SIGCONT)?;
    Ok([a?, b?, c?, d?])
}

fn until(mut so: impl FnMut() -> bool) -> Result {
    let start = Instant::now();
    while !so() {
        if start.elapsed() > PATIENCE {
            return Err("what was sure to come has not come".into());
        }
        thread::yield_now();
    }
    Ok(())
}

fn ask_for(client: &mut TcpStream, path: &str) -> io::Result<()> {
    client.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
}

/// A request and its response. Gives the body, which is 8 bytes long.
fn get(client: &mut TcpStream) -> io::Result<String> {
    ask_for(client, "/")?;
    read_to(client, "\r\n\r\n")?;
    let mut body = [0; 8];
    client.read_exact(&mut body)?;
    Ok(String::from_utf8_lossy(&body).trim().to_owned())
}

/// Read up to these bytes.
fn read_to(client: &mut TcpStream, end: &str) -> io::Result<String> {
    let mut text = Vec::new();
    while !text.ends_with(end.as_bytes()) {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        text.extend(byte);
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// What a client reads where no byte can come.
fn end(client: &mut TcpStream) -> &'static str {
    match client.read(&mut [0]) {
        Ok(0) => "end of file",
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => "ECONNRESET",
        _ => "something else",
    }
}
