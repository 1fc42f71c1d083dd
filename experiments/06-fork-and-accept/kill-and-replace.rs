//! A supervisor, two workers on one listening socket, and a SIGKILL.

use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Read, Write, pipe};
use std::net::{Ipv4Addr, Shutdown, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use experiments::{
    Answer, Child, Choice, Connection, Gate, Lab, Question, Result, ask, pidfd, vary, write_all_that_fits,
};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::getpid;

const QUESTION: Question = Question {
    question: "What does a client read from a worker that is killed in the middle of its answer?",
    setup: "Two workers share a listening socket, and each serves one connection. Worker 0 has read the request of \
            its client, and has written as much of a long answer as the socket takes. The client has not read \
            any of it. Then worker 0 is killed with SIGKILL, and its supervisor forks a replacement. What does \
            the client read?",
    choices: &[
        Choice::new("Nothing but an error: the kernel discards what a killed process had in its socket.")
            .because("The client read all that worker 0 had written, and no error."),
        Choice::new(
            "What had arrived in its own socket before the kill, and then an error: the kernel discards the \
             rest.",
        )
        .because("The client read more than had arrived: the kernel went on sending after the kill."),
        Choice::new("All that worker 0 had written, and then end of file."),
        Choice::new("The whole answer: the replacement goes on where worker 0 was killed.").because(
            "Only worker 0 had that connection open, so the client read end of file after what worker 0 had written.",
        ),
    ],
    book: 2,
    shows: "An accepted connection belongs to one process, and the kernel closes it when this process dies. If the \
            process had read all bytes that had arrived, the kernel still sends all that it had written, and then end \
            of file, so the client sees an orderly close. If bytes were unread, the kernel resets the connection. The \
            queue belongs to the listening socket, so it stays. A pidfd tells the supervisor which worker has exited.",
    lane: "client",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        drop(pidfd(getpid())?);
        // It checks that 127.0.0.1 can be used.
        drop(lab.listen()?);
        let gates = Gates { begin: lab.gate()?, full: lab.gate()?, unread: lab.gate()?, count: pipe()? };
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
        lab.check(third.is_silent()?, "a third client is connected, and gets no answer");
        lab.note("3rd: nothing for 100 ms");

        first.say("a long answer")?;
        gates.full.pass()?;
        let arrived = first.arrived()?;
        lab.note("kill worker 0");
        kill(zero.pid, Signal::SIGKILL)?;
        let queued = third.answer(lab);
        let (read, end) = first.read_all(lab);
        let untouched = second.ask(lab);
        let written = gates.written()?;
        lab.check(arrived < written, "worker 0 had written more than had arrived at its client");
        lab.check(untouched.as_ref().is_ok_and(|same| *same == one), "worker 1's connection goes on");
        if let Ok(new) = &queued {
            lab.check(
                new.task == zero.task && new.pid != zero.pid,
                "the replacement serves the third client: the same task, another pid",
            );
            kill_with_something_unread(lab, &gates, port, third, new)?;
        }
        // Closing it would not be enough: fork has given the supervisor a copy of this end.
        line.shutdown(Shutdown::Both)?;
        supervisor.status(lab)?;
        match (read, end) {
            (0, Err(_)) => Ok(0),
            (read, Err(Errno::ECONNRESET)) if read <= arrived => Ok(1),
            (read, Ok(())) if read == written => Ok(2),
            (read, _) if read > written => Ok(3),
            other => {
                Err(format!("none of the choices: {other:?}, {arrived} arrived, {written} written").into())
            }
        }
    })
}

struct Gates {
    /// The gate at which worker 1 waits before it accepts.
    begin: Gate,
    /// Opened by a worker whose socket takes no more of a long answer.
    full: Gate,
    /// Opened by a worker that leaves its input unread.
    unread: Gate,
    /// The number of bytes of the long answer, from the worker that has written them.
    count: (PipeReader, PipeWriter),
}

impl Gates {
    fn written(&self) -> Result<usize> {
        let mut bytes = [0; size_of::<usize>()];
        (&self.count.0).read_exact(&mut bytes)?;
        Ok(usize::from_ne_bytes(bytes))
    }
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
            let line = line?;
            if line == "a long answer" {
                let written = write_all_that_fits(&mut stream)?;
                lab.note(format!("writes {} bytes", vary("n", written)));
                (&gates.count.1).write_all(&written.to_ne_bytes())?;
                gates.full.open()?;
                sleep_until_killed()?;
            }
            writeln!(stream, "{task} {}", getpid())?;
            if line == "stop reading" {
                poll(&mut [PollFd::new(stream.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE)?;
                gates.unread.open()?;
                sleep_until_killed()?;
            }
        }
    }
}

fn sleep_until_killed() -> Result {
    poll(&mut [], PollTimeout::NONE)?;
    Err("a signal did not kill the worker".into())
}
