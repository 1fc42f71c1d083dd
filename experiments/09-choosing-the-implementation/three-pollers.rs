//! One program in epoll, poll and select, and every system call that this takes.

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
/// In which order they come into the loop, and in which the clients hang up: two that are not that of their numbers.
const ADDED: [usize; CONNECTIONS] = [5, 6, 7, 8, 9, 0, 1, 2, 3, 4];
const HUNG_UP: [usize; CONNECTIONS] = [9, 7, 5, 3, 1, 8, 6, 4, 2, 0];

const QUESTION: Question = Question {
    question: "An echo server on a loop has ten connections and answers fifty messages, one at a time. The \
               same program runs three times: in epoll, in poll, and in select. In which of them does it \
               make the fewest system calls to learn who is ready?",
    choices: &[
        Choice::new("In epoll: fewer calls are what makes it fast."),
        Choice::new("In none: it is one call a turn, and the turns are the same."),
        Choice::new("In poll and select: they wait as often as epoll, and that is all they do."),
        Choice::new("In poll: select takes a call for reading and one for writing."),
    ],
    book: 2,
    shows: "The program is the same, the answers are, and so are the waits. What epoll saves is not calls, \
            of which it makes twice as many, since each change is one. It saves what each wait is handed: \
            poll and select get the whole list again, all of it looked through. And who is ready at the same \
            time comes in no order that you may rely on.",
    lane: "tracer",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let [epoll, poll, select] = [run(lab, Kind::Epoll)?, run(lab, Kind::Poll)?, run(lab, Kind::Select)?];
        let runs = [&epoll, &poll, &select];
        lab.check(
            runs.iter().all(|run| run.served == epoll.served && run.served.len() == MESSAGES),
            "the same fifty answers, in the same order",
        );
        lab.check(runs.iter().all(|run| run.waits.len() == epoll.waits.len()), "the same number of waits");
        lab.check(
            epoll.changes == [1 + CONNECTIONS, 2 * MESSAGES, CONNECTIONS] && epoll.handed() == 0,
            "epoll: a call for each change, and nothing is handed over at a wait",
        );
        lab.check(
            poll.changes == [0; 3] && poll.waits.iter().all(|handed| *handed == 1 + CONNECTIONS as u64),
            "poll: no call for a change, and the whole list at each wait",
        );
        lab.check(
            select.changes == [0; 3] && select.waits.iter().all(|handed| *handed > 1 + CONNECTIONS as u64),
            "select: the same, and a bit for each number that is not watched",
        );
        lab.check(
            epoll.ended == HUNG_UP && poll.ended == ADDED && select.ended.is_sorted(),
            "ten ready at once: as they became so, as they were added, by number",
        );
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
    /// Whose message was answered, one after the other.
    served: Vec<usize>,
    /// Whose end was seen, one after the other.
    ended: Vec<usize>,
    made: usize,
    /// Added, modified, removed, by `epoll_ctl`.
    changes: [usize; 3],
    /// For each wait, how many descriptors the kernel was handed: for `select`, how many bits of each set.
    waits: Vec<u64>,
    /// How often this book's poll and select look for themselves whether a number can be watched.
    looks: usize,
}

impl Run {
    /// All that has to do with who is ready. To look for oneself is nothing that poll or select need.
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
    calls.iter().for_each(|call| run.count(call));
    let (waits, [added, modified, removed]) = (run.waits.len(), run.changes);
    let (least, most) = (run.waits.iter().min().unwrap_or(&0), run.waits.iter().max().unwrap_or(&0));
    let each = if least == most { most.to_string() } else { format!("{least} to {most}") };
    match kind {
        Kind::Epoll => {
            lab.note(format!("epoll_ctl: ADD {added}, MOD {modified}, DEL {removed}"));
            lab.note(format!("epoll_wait {waits}, each with nothing handed over"));
        }
        Kind::Poll => lab.note(format!("poll {waits}, each with a list of {each}: {} in all", run.handed())),
        Kind::Select => lab.note(format!("select {waits}, each with 3 sets of {each} bits")),
    }
    if run.looks > 0 {
        lab.note(format!("fstat {}: our own look at what is added", run.looks));
    }
    Ok(run)
}

impl Run {
    fn count(&mut self, call: &Call) {
        let Call { number, args, .. } = *call;
        match number {
            libc::SYS_epoll_create1 => self.made += 1,
            libc::SYS_epoll_ctl => match args[1] as i32 {
                libc::EPOLL_CTL_ADD => self.changes[0] += 1,
                libc::EPOLL_CTL_MOD => self.changes[1] += 1,
                _ => self.changes[2] += 1,
            },
            // What it is handed is room for the answer.
            libc::SYS_epoll_pwait => self.waits.push(0),
            libc::SYS_ppoll => self.waits.push(args[1]),
            libc::SYS_pselect6 => self.waits.push(args[0]),
            libc::SYS_fstat | libc::SYS_newfstatat => self.looks += 1,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_epoll_wait => self.waits.push(0),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_poll => self.waits.push(args[1]),
            #[cfg(target_arch = "x86_64")]
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
            if events.contains(Events::WRITE) {
                stream.write_all(&message)?;
                ioloop.update_handler(token, Events::READ)?;
                return clients.answered(who);
            }
            if stream.read(&mut message)? > 0 {
                return Ok(ioloop.update_handler(token, Events::WRITE)?);
            }
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
    let words = |numbers: &[usize]| numbers.iter().map(usize::to_string).collect::<Vec<_>>().join(" ");
    lab.note(format!("{} answers; hung up: {}", served.len(), words(&ended)));
    writeln!(report, "{}\n{}", words(&served), words(&ended))?;
    Ok(())
}

/// The other ends. Nobody watches them: what was answered can be read.
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

    /// The next one's turn; after the last message, all of them hang up.
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
