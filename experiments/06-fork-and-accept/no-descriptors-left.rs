//! A server that has no descriptor left for the connection in its queue.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::Duration;

use experiments::{Choice, Gate, Lab, Question, Result, ask};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use nix::unistd::read;

/// How many descriptors the server may have: few, and below the laboratory's descriptors, which are open already.
const LIMIT: rlim_t = 32;
/// How many times its loop waits.
const TURNS: i32 = 100;

const QUESTION: Question = Question {
    question: "What does accept do when the process has no descriptor left?",
    setup: "A server has as many descriptors open as its limit allows. It sleeps in epoll_wait, which \
            watches its listening socket, level-triggered. What happens when a client connects?",
    choices: &[
        Choice::new("The client is refused, and the server sleeps on.")
            .because("The kernel completes the connection without the server: the client is connected."),
        Choice::new(
            "The client waits in connect until the server has a descriptor for it; the server sleeps \
                     on.",
        )
        .because("connect returned at once; the server woke up, and its accept failed."),
        Choice::new(
            "The client is connected; accept fails and drops the connection, and the server sleeps \
                     again.",
        )
        .because("accept failed and left the connection in the queue, so the listener stayed ready."),
        Choice::new("The client is connected; accept fails, and the server does not sleep any more."),
    ],
    book: 3,
    shows: "A connection needs no descriptor until it is accepted, so the client is connected, and waits. accept \
            fails and leaves the connection in the queue. The socket stays ready, so a level-triggered wait returns \
            again at once. A server with a spare descriptor can close the spare, accept the client, close this \
            connection, and open the spare again.",
    lane: "client",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let listener = lab.listen()?;
        let address = listener.local_addr()?;
        let (arrived, done) = (lab.gate()?, lab.gate()?);
        let server = lab.fork("server", |lab| serve(lab, listener.try_clone()?, &arrived, &done))?;
        drop(listener);
        done.pass()?;
        let first = connect(lab, address)?;
        arrived.open()?;
        done.pass()?;
        let silent = match &first {
            Ok(client) => poll(&mut [PollFd::new(client.as_fd(), PollFlags::POLLIN)], 0_u8)? == 0,
            Err(_) => false,
        };
        lab.note(format!("poll: {}", if silent { "nothing, it is still connected" } else { "ready" }));
        arrived.open()?;
        done.pass()?;
        let end = first.as_ref().ok().map(|client| read(client, &mut [0; 64]));
        lab.note(format!("read: {}", said(end)));
        lab.check(end == Some(Ok(0)), "with a spare descriptor: the client reads a clean end of file");
        let mut second = connect(lab, address)?.map_err(|kind| kind.to_string())?;
        second.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        lab.await_arrival(second.local_addr()?.port(), address.port())?;
        lab.note("it sends a request");
        arrived.open()?;
        done.pass()?;
        let end = Some(read(&second, &mut [0; 64]));
        lab.note(format!("read: {}", said(end)));
        lab.check(end == Some(Err(Errno::ECONNRESET)), "a client whose request was not read is reset");
        match (first.map(drop), server.answer(lab)?, silent) {
            (Err(ErrorKind::ConnectionRefused), ..) => Ok(0),
            (Err(ErrorKind::TimedOut), ..) => Ok(1),
            (Ok(()), 1, false) => Ok(2),
            (Ok(()), TURNS, true) => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

fn connect(lab: &Lab, address: SocketAddr) -> Result<std::result::Result<TcpStream, ErrorKind>> {
    let outcome = TcpStream::connect_timeout(&address, Duration::from_secs(5)).map_err(|error| error.kind());
    lab.note(match &outcome {
        Ok(_) => "connect: connected".to_owned(),
        Err(kind) => format!("connect: {kind}"),
    });
    Ok(outcome)
}

fn said(outcome: Option<nix::Result<usize>>) -> String {
    match outcome {
        Some(Ok(0)) => "end of file".into(),
        Some(Ok(length)) => format!("{length} bytes"),
        Some(Err(error)) => format!("{error:?}"),
        None => "not connected".into(),
    }
}

/// The server. Answers in how many iterations of its loop accept failed.
fn serve(lab: &Lab, listener: TcpListener, arrived: &Gate, done: &Gate) -> Result<i32> {
    listener.set_nonblocking(true)?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
    let mut spare = open_spare()?;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, LIMIT.min(hard), hard)?;
    let mut others = Vec::new();
    let full = loop {
        match spare.try_clone() {
            Ok(other) => others.push(other),
            Err(error) => break Errno::try_from(error)?,
        }
    };
    lab.note(format!("open descriptors up to the limit, {LIMIT}: {full:?}"));
    let empty = accept(&listener);
    lab.note(format!("accept, with an empty queue: {}", failed(&empty)));
    lab.check(
        empty.err() == Some(Errno::EMFILE),
        "accept allocates the descriptor first: EMFILE even if the queue is empty",
    );
    done.open()?;
    arrived.pass()?;
    let mut turns = 0;
    // ANCHOR: core
    for _ in 0..TURNS {
        if epoll.wait(&mut [EpollEvent::empty()], 5000_u16)? == 0 {
            break; // It sleeps.
        }
        turns += i32::from(accept(&listener).err() == Some(Errno::EMFILE));
    }
    // ANCHOR_END: core
    lab.note(format!("epoll_wait: ready, accept: EMFILE; {turns} times in {TURNS}"));
    done.open()?;
    for which in ["first", "second"] {
        arrived.pass()?;
        // ANCHOR: spare
        drop(spare);
        let client = accept(&listener);
        let taken = client.is_ok();
        drop(client);
        spare = open_spare()?;
        // ANCHOR_END: spare
        lab.note(format!(
            "close the spare, accept: {}, close, open the spare",
            if taken { "works" } else { "fails" }
        ));
        let ready = epoll.wait(&mut [EpollEvent::empty()], 100_u8)?;
        lab.note(format!("epoll_wait for 100 ms: {ready} events"));
        lab.check(
            taken && ready == 0,
            format!("the {which} connection is out of the queue: the loop sleeps"),
        );
        done.open()?;
    }
    Ok(turns)
}

fn accept(listener: &TcpListener) -> nix::Result<TcpStream> {
    match listener.accept() {
        Ok((client, _)) => Ok(client),
        Err(error) => Err(Errno::try_from(error).unwrap_or(Errno::UnknownErrno)),
    }
}

fn failed<T>(outcome: &nix::Result<T>) -> String {
    outcome.as_ref().map_or_else(|error| format!("{error:?}"), |_| "it works".into())
}

/// A spare descriptor, which can be closed to make room for one client.
fn open_spare() -> io::Result<File> {
    File::open("/dev/null")
}
