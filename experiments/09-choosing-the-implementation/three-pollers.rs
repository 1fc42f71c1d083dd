//! One program on epoll, poll and select, and every system call that it makes.

use std::cell::RefCell;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::rc::Rc;

use experiments::{Call, Choice, Lab, Question, Result, ask};
use ioloop::poller::Kind;
use ioloop::{Config, Event, Events, IoLoop};
use nix::libc;

const CONNECTIONS: usize = 10;
const MESSAGES: usize = 50;
/// The order in which connections are added to the loop, and the one in which clients hang up: neither is by number.
const ADDED: [usize; CONNECTIONS] = [5, 6, 7, 8, 9, 0, 1, 2, 3, 4];
const HUNG_UP: [usize; CONNECTIONS] = [9, 7, 5, 3, 1, 8, 6, 4, 2, 0];

const QUESTION: Question = Question {
    question: "With which poller does the same program make the fewest system calls?",
    setup: "An echo server on a loop has ten connections and answers fifty messages, one at a time. The same program runs \
            on epoll, on poll and on select. Count the calls that tell the kernel what to watch, and those that wait. \
            With which poller are these the fewest?",
    choices: &[
        Choice::new("With epoll: fewer calls are what makes it fast.")
            .because("epoll makes about twice as many, because each change of interest is a call."),
        Choice::new("It is the same with all three: one call an iteration, and the iterations are the same.")
            .because("The waits are equally many, but epoll adds an epoll_ctl for each change."),
        Choice::new(
            "With poll and with select, equally few: they wait as often as epoll, and a change is no call.",
        ),
        Choice::new("With poll: select takes a call for reading and one for writing.")
            .because("select takes the sets for reading and for writing in one call."),
    ],
    book: 2,
    shows: "The program is the same, and so are the answers and the number of waits. epoll does not save calls: it makes \
            about twice as many, because each change is a call. What it saves is the list that each wait passes to the \
            kernel: poll and select pass the whole list again. And descriptors that are ready at the same time are \
            reported in no order that you may rely on.",
    lane: "tracer",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        lab.note(format!("the clients are added: {}", words(&ADDED)));
        lab.note(format!("at the end they hang up: {}", words(&HUNG_UP)));
        let [epoll, poll, select] = [run(lab, Kind::Epoll)?, run(lab, Kind::Poll)?, run(lab, Kind::Select)?];
        let runs = [&epoll, &poll, &select];
        let served = runs.iter().all(|run| run.served == epoll.served && run.served.len() == MESSAGES);
        lab.check(served, "the same fifty answers, in the same order");
        lab.check(runs.iter().all(|run| run.waits.len() == epoll.waits.len()), "the same number of waits");
        lab.check(
            epoll.changes == [1 + CONNECTIONS, 2 * MESSAGES, CONNECTIONS] && epoll.handed() == 0,
            "epoll: a call for each change, and an empty list at each wait",
        );
        lab.check(
            poll.changes == [0; 3] && poll.waits.iter().all(|handed| *handed == 1 + CONNECTIONS as u64),
            "poll: no call for a change, and the whole list at each wait",
        );
        lab.check(
            select.changes == [0; 3] && select.waits.iter().all(|handed| *handed > 1 + CONNECTIONS as u64),
            "select: no call for a change, and three whole sets at each wait",
        );
        let ended = epoll.ended == HUNG_UP && poll.ended == ADDED && select.ended.is_sorted();
        lab.check(ended, "each poller reports ten hang-ups in an order of its own");
        match [&epoll, &poll, &select].map(Run::calls) {
            [a, b, c] if a < b && a < c => Ok(0),
            [a, b, c] if a == b && b == c => Ok(1),
            [a, b, c] if b == c && b < a => Ok(2),
            [a, b, c] if b < c && b <= a => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

/// What came of one run.
#[derive(Debug, Default)]
struct Run {
    /// The clients whose messages were answered, in order.
    served: Vec<usize>,
    /// The clients whose end of file was read, in order.
    ended: Vec<usize>,
    made: usize,
    /// Added, modified, removed, by `epoll_ctl`.
    changes: [usize; 3],
    /// For each wait, how many descriptors the kernel was handed: for `select`, how many bits of each set.
    waits: Vec<u64>,
    /// The calls with which this book's poll and select check a number: its flags, and an epoll.
    looks: usize,
}

impl Run {
    /// All calls that have to do with readiness. The own checks are not counted: poll and select do not need them.
    fn calls(&self) -> usize {
        self.made + self.changes.iter().sum::<usize>() + self.waits.len()
    }

    fn handed(&self) -> u64 {
        self.waits.iter().sum()
    }
}

fn run(lab: &mut Lab, kind: Kind) -> Result<Run> {
    let mut written = lab.file(b"")?;
    let report = written.try_clone()?;
    let (status, calls) = lab.traced(&kind.to_string(), move |lab| {
        serve(lab, kind, report)?;
        Ok(0)
    })?;
    if status != 0 {
        return Err(format!("the server on {kind} ended with {status}").into());
    }
    let mut text = String::new();
    written.rewind()?;
    written.read_to_string(&mut text)?;
    let mut lines = text.lines().map(|line| line.split(' ').flat_map(str::parse).collect());
    let mut run = Run {
        served: lines.next().unwrap_or_default(),
        ended: lines.next().unwrap_or_default(),
        ..Run::default()
    };
    calls.iter().for_each(|call| run.count(kind, call));
    let (waits, [added, modified, removed]) = (run.waits.len(), run.changes);
    let (least, most) = (run.waits.iter().min().unwrap_or(&0), run.waits.iter().max().unwrap_or(&0));
    let each = if least == most { most.to_string() } else { format!("{least} to {most}") };
    match kind {
        Kind::Epoll => {
            lab.note(format!("epoll_ctl: ADD {added}, MOD {modified}, DEL {removed}"));
            lab.note(format!("epoll_wait {waits}, each with an empty list"));
        }
        Kind::Poll => lab.note(format!("poll {waits}, each with a list of {each}: {} in all", run.handed())),
        Kind::Select => lab.note(format!("select {waits}, each with 3 sets of {each} bits")),
    }
    if run.looks > 0 {
        lab.note(format!("{} calls of our own checks, not counted", run.looks));
    }
    Ok(run)
}

impl Run {
    fn count(&mut self, kind: Kind, call: &Call) {
        let Call { number, args, .. } = *call;
        match number {
            libc::SYS_epoll_create1 | libc::SYS_epoll_ctl if kind != Kind::Epoll => self.looks += 1,
            libc::SYS_fcntl if args[1] as i32 == libc::F_GETFL => self.looks += 1,
            libc::SYS_epoll_create1 => self.made += 1,
            libc::SYS_epoll_ctl => match args[1] as i32 {
                libc::EPOLL_CTL_ADD => self.changes[0] += 1,
                libc::EPOLL_CTL_MOD => self.changes[1] += 1,
                _ => self.changes[2] += 1,
            },
            // It is handed room for the answer only.
            libc::SYS_epoll_pwait => self.waits.push(0),
            libc::SYS_ppoll => self.waits.push(args[1]),
            libc::SYS_pselect6 => self.waits.push(args[0]),
            #[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
            libc::SYS_epoll_wait => self.waits.push(0),
            #[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
            libc::SYS_poll => self.waits.push(args[1]),
            #[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
            libc::SYS_select => self.waits.push(args[0]),
            _ => {}
        }
    }
}

// ANCHOR: server
/// The server and its clients, in one thread: a client's next message is written when the last one is answered.
fn serve(lab: &Lab, kind: Kind, mut report: File) -> Result {
    let ioloop = IoLoop::with(Config { poller: kind, ..Config::default() })?;
    let (ours, theirs): (Vec<_>, Vec<_>) = (0..CONNECTIONS)
        .map(|_| UnixStream::pair())
        .collect::<std::io::Result<Vec<_>>>()?
        .into_iter()
        .unzip();
    let mut ours: Vec<Option<UnixStream>> = ours.into_iter().map(Some).collect();
    let clients =
        Rc::new(Clients { ends: RefCell::new(theirs.into_iter().map(Some).collect()), ..Clients::default() });
    let ended = Rc::<RefCell<Vec<usize>>>::default();
    for who in ADDED {
        let Some(stream) = ours[who].take() else { continue };
        stream.set_nonblocking(true)?;
        let (clients, ended) = (Rc::clone(&clients), Rc::clone(&ended));
        let mut message = [0];
        let handler = move |ioloop: &IoLoop, stream: &mut UnixStream, Event { token, events }| -> Result {
            // ANCHOR: core
            if events.contains(Events::WRITE) {
                stream.write_all(&message)?;
                ioloop.update_handler(token, Events::READ)?;
                return clients.answered(who);
            }
            if stream.read(&mut message)? > 0 {
                return Ok(ioloop.update_handler(token, Events::WRITE)?);
            }
            // ANCHOR_END: core
            ended.borrow_mut().push(who);
            ioloop.remove_handler(token);
            if ended.borrow().len() == CONNECTIONS {
                ioloop.stop();
            }
            Ok(())
        };
        ioloop.add_handler(stream, Events::READ, handler)?;
    }
    clients.write(0)?;
    ioloop.start()?;
    // ANCHOR_END: server
    let (served, ended) = (clients.served.take(), ended.take());
    lab.note(format!("{} answers; hang-ups seen: {}", served.len(), words(&ended)));
    writeln!(report, "{}\n{}", words(&served), words(&ended))?;
    Ok(())
}

fn words(numbers: &[usize]) -> String {
    numbers.iter().map(usize::to_string).collect::<Vec<_>>().join(" ")
}

/// The clients' ends. They are not watched: once a message is answered, the answer can be read.
#[derive(Default)]
struct Clients {
    ends: RefCell<Vec<Option<UnixStream>>>,
    served: RefCell<Vec<usize>>,
}

impl Clients {
    fn write(&self, who: usize) -> Result {
        let ends = self.ends.borrow();
        let mut end = ends[who].as_ref().ok_or("a client that has hung up")?;
        Ok(end.write_all(b"x")?)
    }

    /// Let the next client write; after the last message, all of them hang up.
    fn answered(&self, who: usize) -> Result {
        {
            let ends = self.ends.borrow();
            let mut end = ends[who].as_ref().ok_or("a client that has hung up")?;
            end.read_exact(&mut [0])?;
        }
        self.served.borrow_mut().push(who);
        if self.served.borrow().len() < MESSAGES {
            return self.write((who + 1) % CONNECTIONS);
        }
        let mut ends = self.ends.borrow_mut();
        HUNG_UP.iter().for_each(|who| drop(ends[*who].take()));
        Ok(())
    }
}
