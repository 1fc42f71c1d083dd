//! Stages 5 and 6 of the book's server, two clients that are connected, and a SIGKILL.

use std::process::ExitCode;
use std::time::Instant;
use std::{fs, thread};

use experiments::{Choice, Client, Lab, PATIENCE, Question, Result, STAGES, Server, ask, sleeps};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const QUESTION: Question = Question {
    question: "Which clients get no answer when one worker of a server is killed?",
    setup: "Stage 6 of the server is a supervisor with two workers, which accept from the same listening socket. Worker 0 \
            has the connection of client 1, and worker 1 that of client 2. Worker 0 is killed with SIGKILL. Then client \
            2 sends its request. After that, client 3 connects and sends a request, while worker 1 is stopped, as if it were \
            busy. Which clients get no answer?",
    choices: &[
        Choice::new("All three: the kernel closes the listening socket of a process that is killed, and with it the \
                     connections that came from it.")
            .because(
                "The supervisor and worker 1 also have the listening socket open, and each accepted connection is another \
                 socket.",
            ),
        Choice::new("Clients 1 and 3: worker 1 goes on with client 2, and no process accepts client 3.")
            .because("The supervisor forked a new worker, which accepted client 3."),
        Choice::new("Client 1 only."),
        Choice::new("None: the new worker goes on with what worker 0 had.")
            .because("Only worker 0 had the connection of client 1, so the kernel closed it."),
    ],
    book: 2,
    shows: "Stage 5 is one process. When it is killed, all its clients lose their connections, and a new client is \
            refused. In stage 6, a killed worker takes only its own clients with it. The supervisor and both workers \
            have the same listening socket, so the socket stays open. The supervisor learns that a worker was killed, \
            and forks another one.",
    lane: "clients",
    roles: &STAGES,
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        stage_5(lab)?;
        stage_6(lab)
    })
}

fn stage_5(lab: &mut Lab) -> Result {
    let server = lab.server(5, "/dev/null")?;
    let first = client_of(lab, "client 1", &server, server.pid())?;
    let second = client_of(lab, "client 2", &server, server.pid())?;
    let port = server.port();
    server.kill(lab)?;
    let lost = [first.rest(lab)?, second.rest(lab)?].iter().all(|answer| answer.as_deref() == Some(""));
    lab.check(lost, "stage 5: both clients get end of file when the server is killed");
    let refused = lab.connect(port).is_err_and(|error| error.errno() == Some(Errno::ECONNREFUSED));
    lab.note("client 3: ECONNREFUSED");
    lab.check(refused, "stage 5: another client is refused");
    Ok(())
}

fn stage_6(lab: &mut Lab) -> Result<usize> {
    let server = lab.server(6, "/dev/null")?;
    let [one, two] = server.workers(2)?[..] else { return Err("there are two workers".into()) };
    let first = while_stopped(two, || client_of(lab, "client 1", &server, one))?;
    let second = while_stopped(one, || client_of(lab, "client 2", &server, two))?;
    lab.note("worker 0 has client 1");
    lab.note("worker 1 has client 2");
    lab.note("kill worker 0");
    // ANCHOR: core
    kill(one, Signal::SIGKILL)?;
    let of_first = first.rest(lab)?;
    second.send_last("upper\nhello")?;
    let of_second = second.rest(lab)?;
    lab.note("stop worker 1");
    kill(two, Signal::SIGSTOP)?;
    let third = lab.client("client 3", &server)?;
    third.send_last("upper\nhello")?;
    let of_third = third.rest(lab)?;
    // ANCHOR_END: core
    kill(two, Signal::SIGCONT)?;
    let new = server.workers(2)?;
    lab.check(new.contains(&two) && !new.contains(&one), "stage 6: a new worker has replaced worker 0");
    lab.note("end the supervisor with SIGTERM");
    server.terminate(lab)?;
    match [of_first, of_second, of_third].map(|answer| answer.as_deref() == Some("HELLO")) {
        [false, false, false] => Ok(0),
        [false, true, false] => Ok(1),
        [false, true, true] => Ok(2),
        [true, true, true] => Ok(3),
        other => Err(format!("none of the choices: {other:?}").into()),
    }
}

/// Connect a client, and wait until this process has accepted it.
fn client_of(lab: &Lab, name: &str, server: &Server, process: Pid) -> Result<Client> {
    let start = Instant::now();
    while !sleeps(process)? && start.elapsed() < PATIENCE {
        thread::yield_now();
    }
    let before = descriptors(process)?;
    let client = lab.client(name, server)?;
    while start.elapsed() < PATIENCE {
        if descriptors(process)? > before {
            return Ok(client);
        }
        thread::yield_now();
    }
    Err(format!("{name} was not accepted").into())
}

/// Stop a worker, so that the other one accepts, and let it go on afterwards.
fn while_stopped<T>(worker: Pid, body: impl FnOnce() -> Result<T>) -> Result<T> {
    kill(worker, Signal::SIGSTOP)?;
    let outcome = body();
    kill(worker, Signal::SIGCONT)?;
    outcome
}

fn descriptors(process: Pid) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{process}/fd"))?.count())
}
