//! Two events in one batch, and a handler that closes the second one's descriptor and reuses its number.

use std::collections::HashMap;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::ExitCode;

use experiments::{Choice, Lab, Question, Result, ask};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::unistd::{read, write};

const QUESTION: Question = Question {
    question: "Which handler gets an event whose descriptor number was reused?",
    setup: "A loop finds its handlers by descriptor number. epoll_wait reports two connections, first A, \
            then B. The handler of A closes B and opens a new connection, C, which gets the number that B \
            had. Which handler does the loop call for the second event?",
    choices: &[
        Choice::new("None: when B was closed, the kernel withdrew its event.")
            .because("The event is in the loop's array, and the kernel does not change that array after epoll_wait has returned."),
        Choice::new("The handler of B, because the event was B's.")
            .because("The number in the event now belongs to C, so the loop finds C's handler."),
        Choice::new("The handler of C, to which nothing has happened."),
        Choice::new("None: the kernel reuses a number only after the next epoll_wait.")
            .because("C got the lowest free number at once, the one that B had."),
    ],
    book: 2,
    shows: "What epoll_wait has written into the array stays there, and the kernel does not correct it. A descriptor \
            number in an event belongs to whichever connection has that number now, which may not be the connection \
            that the event was for. So register a token that no later connection can have, such as a slot and a \
            generation. Then the loop can recognize a stale event.",
    lane: "loop",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        lab.note("the token of each connection is its descriptor number");
        let by_number = batch(lab, Tokens::Number, Farewell::Close)?;
        lab.note("the same, but the handler removes B from the epoll before it closes B");
        let deleted = batch(lab, Tokens::Number, Farewell::DeleteAndClose)?;
        lab.check(
            deleted == by_number,
            "EPOLL_CTL_DEL before close does not help: the array has the event already",
        );
        lab.note("the token of each connection is generation:slot");
        let by_generation = batch(lab, Tokens::Generation, Farewell::Close)?;
        lab.check(
            by_generation.called.is_none(),
            "with a generation in the token, the event reaches no handler",
        );
        lab.check(
            by_number.read == Some(Err(Errno::EAGAIN)),
            "the handler of C, called by mistake, reads nothing: EAGAIN",
        );
        match (by_number.same_number, by_number.called) {
            (false, _) => Ok(3),
            (true, None) => Ok(0),
            (true, Some("B")) => Ok(1),
            (true, Some("C")) => Ok(2),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

/// What the loop puts into the 64 bits that an event carries.
#[derive(Clone, Copy, PartialEq)]
enum Tokens {
    /// The descriptor's number, and the handler is found by that.
    Number,
    /// A slot of a table in the lower half; how often it was given out, its generation, in the upper one.
    Generation,
}

#[derive(Clone, Copy, PartialEq)]
enum Farewell {
    Close,
    DeleteAndClose,
}

/// What came of the second event.
#[derive(Debug, PartialEq)]
struct Seen {
    /// C was given the number of B.
    same_number: bool,
    /// The connection whose handler was called, and the result of its read.
    called: Option<&'static str>,
    read: Option<nix::Result<usize>>,
}

/// A connection with its handler, which is only a name here.
struct Connection {
    name: &'static str,
    fd: OwnedFd,
}

/// A minimal loop: an epoll, and a way from an event to a handler.
struct Loop {
    epoll: Epoll,
    tokens: Tokens,
    connections: HashMap<u64, Connection>,
    /// For `Tokens::Generation`: how often each slot was given out.
    generations: Vec<u64>,
    free: Vec<usize>,
}

impl Loop {
    fn new(tokens: Tokens) -> Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Self { epoll, tokens, connections: HashMap::new(), generations: Vec::new(), free: Vec::new() })
    }

    fn add(&mut self, name: &'static str, fd: OwnedFd) -> Result<u64> {
        let token = match self.tokens {
            Tokens::Number => fd.as_raw_fd() as u64,
            Tokens::Generation => {
                let slot = self.free.pop().unwrap_or_else(|| {
                    self.generations.push(0);
                    self.generations.len() - 1
                });
                self.generations[slot] += 1;
                self.generations[slot] << 32 | slot as u64
            }
        };
        self.epoll.add(&fd, EpollEvent::new(EpollFlags::EPOLLIN, token))?;
        self.connections.insert(token, Connection { name, fd });
        Ok(token)
    }

    fn remove(&mut self, token: u64, how: Farewell) -> Result {
        let connection =
            self.connections.remove(&token).ok_or("a connection was removed that does not exist")?;
        if self.tokens == Tokens::Generation {
            self.free.push(usize::try_from(token & 0xffff_ffff)?);
        }
        if how == Farewell::DeleteAndClose {
            self.epoll.delete(&connection.fd)?;
        }
        Ok(())
    }
}

/// A and B become ready and are reported together; then the handler of A closes B and opens C.
fn batch(lab: &Lab, tokens: Tokens, farewell: Farewell) -> Result<Seen> {
    let mut the_loop = Loop::new(tokens)?;
    let mut peers = Vec::new();
    let (a, a_number) = open(lab, &mut the_loop, "A", &mut peers)?;
    let (b, b_number) = open(lab, &mut the_loop, "B", &mut peers)?;
    for peer in &peers {
        write(peer, b"x")?;
    }
    let mut events = [EpollEvent::empty(); 8];
    let count = the_loop.epoll.wait(&mut events, 0_u8)?;
    let reported: Vec<u64> = events[..count].iter().map(EpollEvent::data).collect();
    if reported != [a, b] {
        return Err(format!("{reported:?} is reported instead of {:?}", [a, b]).into());
    }
    lab.note(format!(
        "A is descriptor {a_number}, B is {b_number}; a wait reports {} and {}",
        hex(a),
        hex(b)
    ));
    the_loop.remove(b, farewell)?;
    let (c, c_number) = open(lab, &mut the_loop, "C", &mut peers)?;
    lab.note(format!("the handler of A closes B and opens C: descriptor {c_number}, token {}", hex(c)));
    // ANCHOR: core
    let called = the_loop.connections.get(&reported[1]);
    let read = called.map(|connection| read(&connection.fd, &mut [0; 8]));
    // ANCHOR_END: core
    let (who, said) = match (called, read) {
        (Some(connection), Some(read)) => (connection.name, format!("; it reads: {}", said(read))),
        _ => ("none", String::new()),
    };
    lab.note(format!("the second event, {}: call {who}{said}", hex(reported[1])));
    Ok(Seen { same_number: c_number == b_number, called: called.map(|connection| connection.name), read })
}

/// A new connection, which the loop watches: its token and its number.
fn open(lab: &Lab, the_loop: &mut Loop, name: &'static str, peers: &mut Vec<OwnedFd>) -> Result<(u64, i32)> {
    let (reader, writer) = lab.nonblocking_pipe(4096)?;
    let number = reader.as_raw_fd();
    peers.push(writer);
    Ok((the_loop.add(name, reader)?, number))
}

/// Shows generation and slot apart, in hexadecimal.
fn hex(token: u64) -> String {
    if token < 1 << 32 { token.to_string() } else { format!("{:x}:{:x}", token >> 32, token & 0xffff_ffff) }
}

fn said(outcome: nix::Result<usize>) -> String {
    outcome.map_or_else(|error| format!("{error:?}"), |length| format!("{length} bytes"))
}
