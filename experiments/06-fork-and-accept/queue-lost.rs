//! Clients that are connected and not accepted, when one of the listening sockets of their port is closed.

use std::fs;
use std::io::{ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::process::ExitCode;

use experiments::{Choice, Lab, Question, Result, ask, cannot_ask, hang_up, vary};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::unistd::read;

const QUESTION: Question = Question {
    question: "What happens to queued connections when one of two SO_REUSEPORT sockets is closed?",
    setup: "Two workers listen on one port, each with its own SO_REUSEPORT socket. Clients are connected and \
            wait in both queues. Then one worker closes its socket. What happens to the clients in its \
            queue?",
    choices: &[
        Choice::new("The other worker accepts them: they have connected to a port, and it listens on that.")
            .because(
                "A client waits in the queue of one socket: the other worker's accept found none \
                      of them.",
            ),
        Choice::new("They are reset, although they were connected and another worker listens."),
        Choice::new("They read end of file, as if the worker had accepted and closed them.")
            .because("Closing a listening socket resets the connections in its queue."),
        Choice::new("They wait forever: connected, and in no queue.")
            .because("The kernel resets them: they read ECONNRESET at once."),
    ],
    book: 1,
    shows: "A connection waits in the queue of a socket and not of a port. When the socket is closed, the kernel \
            resets the connections in its queue. If all workers share one socket, the socket and its queue stay until \
            the last worker has closed its descriptor. So no connection is lost when one worker closes its own.",
    lane: "server",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let migrate = fs::read_to_string("/proc/sys/net/ipv4/tcp_migrate_req").unwrap_or_default();
        if migrate.trim() == "1" {
            return Err(cannot_ask(
                "net.ipv4.tcp_migrate_req is on: queued connections move to another socket",
            ));
        }
        let choice = own_sockets(lab)?;
        one_socket(lab)?;
        Ok(choice)
    })
}

/// What a client sees that was not accepted before the socket was closed.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Answer,
    Reset,
    End,
    Nothing,
}

fn own_sockets(lab: &Lab) -> Result<usize> {
    let closing = lab.listen_beside(0)?;
    let port = closing.local_addr()?.port();
    let staying = lab.listen_beside(port)?;
    lab.note(format!("SO_REUSEPORT: two sockets listen on port {}", vary("port", port)));
    // The kernel picks the socket for each client. So clients come until both sockets have one.
    // ANCHOR: core
    let mut clients = Vec::new();
    while !(is_ready(&closing)? && is_ready(&staying)?) {
        if clients.len() == 100 {
            return Err("one of two sockets gets 100 clients of 100".into());
        }
        clients.push(connect(lab, port)?);
    }
    let all = clients.len();
    lab.note(format!("clients connect until both have one in their queue: {}", vary("n", all)));
    drop(closing);
    lab.note("close the first socket");
    let answered = serve(&staying)?;
    // ANCHOR_END: core
    lab.note(format!("accept from the second until it is empty: {}", vary("n", answered)));
    let seen = clients.iter().map(look).collect::<Result<Vec<_>>>()?;
    let of = |what: Seen| seen.iter().filter(|seen| **seen == what).count();
    let (answers, resets, ends) = (of(Seen::Answer), of(Seen::Reset), of(Seen::End));
    lab.note(format!(
        "the clients: {} have an answer, {} read ECONNRESET",
        vary("n", answers),
        vary("n", resets)
    ));
    for client in clients {
        hang_up(client)?;
    }
    lab.check(answers == answered, "the clients in the second queue have an answer");
    match all - answered {
        0 => Ok(0),
        lost if lost == resets => Ok(1),
        lost if lost == ends => Ok(2),
        lost if lost == of(Seen::Nothing) => Ok(3),
        _ => Err(format!("none of the choices: {seen:?}").into()),
    }
}

fn one_socket(lab: &Lab) -> Result {
    let closing = lab.listen()?;
    let port = closing.local_addr()?.port();
    let staying = closing.try_clone()?;
    lab.note(format!("one socket listens on port {}, with two descriptors", vary("port", port)));
    let clients = (0..8).map(|_| connect(lab, port)).collect::<Result<Vec<_>>>()?;
    lab.note(format!("clients connect: {}", clients.len()));
    drop(closing);
    lab.note("close the first descriptor");
    let answered = serve(&staying)?;
    lab.note(format!("accept by the second until it is empty: {answered}"));
    let mut answers = 0;
    for client in clients {
        answers += usize::from(look(&client)? == Seen::Answer);
        hang_up(client)?;
    }
    lab.note(format!("the clients: {answers} have an answer"));
    lab.check((answered, answers) == (8, 8), "a shared socket: all eight clients have an answer");
    Ok(())
}

/// A client that is in the queue.
fn connect(lab: &Lab, port: u16) -> Result<TcpStream> {
    let client = lab.connect(port)?;
    lab.await_queued(&client)?;
    Ok(client)
}

/// Accept all clients in the queue, and answer them. Gives how many there were.
fn serve(listener: &TcpListener) -> Result<usize> {
    listener.set_nonblocking(true)?;
    let mut answered = 0;
    loop {
        match listener.accept() {
            Ok((mut client, _)) => client.write_all(b"!")?,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(answered),
            Err(error) => return Err(error.into()),
        }
        answered += 1;
    }
}

fn look(client: &TcpStream) -> Result<Seen> {
    if poll(&mut [PollFd::new(client.as_fd(), PollFlags::POLLIN)], 5000_u16)? == 0 {
        return Ok(Seen::Nothing);
    }
    match read(client, &mut [0; 8]) {
        Ok(0) => Ok(Seen::End),
        Ok(_) => Ok(Seen::Answer),
        Err(Errno::ECONNRESET) => Ok(Seen::Reset),
        Err(error) => Err(error.into()),
    }
}

fn is_ready(listener: &TcpListener) -> Result<bool> {
    Ok(poll(&mut [PollFd::new(listener.as_fd(), PollFlags::POLLIN)], 0_u8)? > 0)
}
