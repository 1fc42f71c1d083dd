//! A supervisor, two workers on one listening socket, and a SIGKILL.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

use experiments::{Child, Choice, Gate, Lab, Question, Result, ask, pidfd, vary};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid, pause, read};

const QUESTION: Question = Question {
    question: "What happens to a server's connections when a worker is killed and replaced?",
    setup: "Two workers share a listening socket, and each serves one connection. A third connection is \
            established and waits in the queue. Worker 0 is killed with SIGKILL, and its supervisor forks a \
            replacement. What happens to the three connections?",
    choices: &[
        Choice::new(
            "All three break: the kernel closes what a killed process had open, and it had the \
                     listening socket.",
        )
        .because("Other processes have the listening socket too: the second and the third went on."),
        Choice::new("The first breaks, and the third: it was in the queue of worker 0.")
            .because("The queue belongs to the socket: the replacement accepted the third."),
        Choice::new("The first breaks. The third waits in the queue until a worker accepts it."),
        Choice::new("None breaks: the replacement has everything that worker 0 had open.")
            .because("The first client read end of file: only worker 0 had that connection open."),
    ],
    book: 2,
    shows: "The queue belongs to the listening socket, which is open as long as any process has it. An \
            accepted connection belongs to one process and ends with it: with end of file if all that had \
            arrived was read, else with a reset. A pidfd tells the supervisor that a worker has exited, and \
            which one.",
    lane: "client",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        drop(pidfd(getpid())?);
        // It checks that 127.0.0.1 can be used.
        drop(lab.listen()?);
        let gates = Gates { begin: lab.gate()?, unread: lab.gate()? };
        let (mut line, its_line) = UnixStream::pair()?;
        let supervisor = lab.fork("supervisor", |lab| supervise(lab, &gates, its_line))?;
        let mut port = [0; 2];
        line.read_exact(&mut port)?;
        let port = u16::from_ne_bytes(port);

        // Only worker 0 accepts so far, and it is busy with the first client when worker 1 begins.
        let mut first = Connection::new("1st", port)?;
        let zero = first.ask(lab)?;
        gates.begin.open()?;
        let mut second = Connection::new("2nd", port)?;
        let one = second.ask(lab)?;
        lab.check(zero.task == 0 && one.task == 1, "each worker serves a connection");
        let mut third = Connection::new("3rd", port)?;
        third.say("who")?;
        lab.check(third.is_silent()?, "a third is connected, and gets no answer");
        lab.note("3rd: nothing for 100 ms");

        lab.note("kill worker 0");
        kill(zero.pid, Signal::SIGKILL)?;
        let queued = third.answer(lab);
        let broken = first.end(lab);
        let untouched = second.ask(lab);
        lab.check(untouched.as_ref().is_ok_and(|same| *same == one), "worker 1's connection goes on");
        if let Ok(new) = &queued {
            lab.check(
                new.task == zero.task && new.pid != zero.pid,
                "the third is served by the replacement: the same task id, another pid",
            );
            kill_with_something_unread(lab, &gates, port, third, new)?;
        }
        // Closing it would not be enough: fork has given the supervisor a copy of this end.
        line.shutdown(Shutdown::Both)?;
        supervisor.status(lab)?;
        match (broken, untouched.is_ok(), queued.is_ok()) {
            (Ok(0), false, _) => Ok(0),
            (Ok(0), true, false) => Ok(1),
            (Ok(0), true, true) => Ok(2),
            (Err(Errno::EAGAIN), ..) => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

struct Gates {
    /// The gate at which worker 1 waits before it accepts.
    begin: Gate,
    /// Opened by a worker that leaves its input unread.
    unread: Gate,
}

/// The same once more, but for a byte.
fn kill_with_something_unread(
    lab: &Lab,
    gates: &Gates,
    port: u16,
    mut connection: Connection,
    worker: &Answer,
) -> Result {
    connection.say("stop reading")?;
    connection.answer(lab)?;
    connection.say("who")?;
    gates.unread.pass()?;
    lab.note("3rd: kill worker 0 with bytes unread");
    kill(worker.pid, Signal::SIGKILL)?;
    Connection::new("4th", port)?.ask(lab)?;
    let end = connection.end(lab);
    lab.check(end == Err(Errno::ECONNRESET), "a worker that dies with unread data resets the connection");
    Ok(())
}

/// Keep two workers running until the line is shut down.
fn supervise(lab: &mut Lab, gates: &Gates, mut line: UnixStream) -> Result<i32> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    lab.note(format!("listen on port {}", vary("port", port)));
    let mut workers = Vec::new();
    for task in 0..2 {
        workers.push(start(lab, gates, &listener, task)?);
    }
    line.write_all(&port.to_ne_bytes())?;
    loop {
        // A pidfd is ready when its process has exited, and so is a line that is shut down.
        let sources = workers.iter().map(|(_, pidfd)| pidfd.as_fd()).chain([line.as_fd()]);
        let mut watched: Vec<_> = sources.map(|source| PollFd::new(source, PollFlags::POLLIN)).collect();
        // ANCHOR: core
        poll(&mut watched, PollTimeout::NONE)?;
        let ready = watched.iter().position(|watched| watched.any() == Some(true));
        match ready {
            Some(task) if task < workers.len() => {
                let (ended, _) = workers.remove(task);
                ended.wait(lab)?;
                workers.insert(task, start(lab, gates, &listener, task)?);
            }
            _ => break,
        }
        // ANCHOR_END: core
    }
    for (worker, _) in workers {
        kill(worker.pid(), Signal::SIGTERM)?;
        worker.wait(lab)?;
    }
    Ok(0)
}

/// Fork a worker for a task: the first one, or a replacement.
fn start(lab: &mut Lab, gates: &Gates, listener: &TcpListener, task: usize) -> Result<(Child, OwnedFd)> {
    let worker = lab.fork(&format!("worker {task}"), |lab| work(lab, gates, listener, task))?;
    let pidfd = pidfd(worker.pid())?;
    Ok((worker, pidfd))
}

/// Serve one connection after the other. Each line is answered with this worker's task and pid.
fn work(lab: &Lab, gates: &Gates, listener: &TcpListener, task: usize) -> Result<i32> {
    if task == 1 {
        gates.begin.pass()?;
    }
    loop {
        let (mut stream, _) = listener.accept()?;
        lab.note("accept");
        let lines = BufReader::new(stream.try_clone()?).lines();
        for line in lines {
            let stop = line? == "stop reading";
            writeln!(stream, "{task} {}", getpid())?;
            if stop {
                poll(&mut [PollFd::new(stream.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE)?;
                gates.unread.open()?;
                pause();
            }
        }
    }
}

/// A client's connection.
struct Connection {
    name: &'static str,
    stream: BufReader<TcpStream>,
}

/// The worker that answers.
#[derive(PartialEq)]
struct Answer {
    task: usize,
    pid: Pid,
}

impl Connection {
    fn new(name: &'static str, port: u16) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(Self { name, stream: BufReader::new(stream) })
    }

    fn say(&mut self, line: &str) -> Result {
        Ok(writeln!(self.stream.get_mut(), "{line}")?)
    }

    fn answer(&mut self, lab: &Lab) -> Result<Answer> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let (task, pid) = line.trim().split_once(' ').ok_or("no answer")?;
        lab.note(format!("{}: worker {task} answers, {}", self.name, vary("pid", pid)));
        Ok(Answer { task: task.parse()?, pid: Pid::from_raw(pid.parse()?) })
    }

    fn ask(&mut self, lab: &Lab) -> Result<Answer> {
        self.say("who")?;
        self.answer(lab)
    }

    /// Checks that nothing can be read for 100 ms.
    fn is_silent(&self) -> Result<bool> {
        Ok(poll(&mut [PollFd::new(self.stream.get_ref().as_fd(), PollFlags::POLLIN)], 100_u8)? == 0)
    }

    /// Read once more, where no answer can come.
    fn end(&self, lab: &Lab) -> nix::Result<usize> {
        let outcome = read(self.stream.get_ref(), &mut [0]);
        let said = match outcome {
            Ok(0) => "end of file".into(),
            Ok(_) => "an answer".into(),
            Err(error) => format!("{error:?}"),
        };
        lab.note(format!("{}: read: {said}", self.name));
        outcome
    }
}
