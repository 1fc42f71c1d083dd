//! Stages 7 and 8 of the book's server, and SIGTERM while the program of a client is running.

use std::net::{Ipv4Addr, TcpStream};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use experiments::{Choice, Lab, Question, Result, STAGES, ask};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::WaitStatus;

const QUESTION: Question = Question {
    question: "What happens to a client and its running program when SIGTERM ends their server?",
    setup: "A client's program is running, and the client waits for the line that says how it ends. The server, stage 7, \
            has no handler for SIGTERM. Then the server gets SIGTERM, as at each restart. What happens to the client \
            and to the program?",
    choices: &[
        Choice::new("The client waits, and gets the line when the program exits: SIGTERM ends no running request.")
            .because("The default action of SIGTERM kills the process at once, and the kernel closes its descriptors."),
        Choice::new("The client gets end of file without the line, and the program is killed with its server.").because(
            "The signal was sent to one process. A child does not die with its parent: it gets another parent.",
        ),
        Choice::new("The client gets end of file without the line, and the program keeps running."),
        Choice::new("The client waits forever, because the program still has the connection.")
            .because("The connection is close-on-exec, so only the server had it."),
    ],
    book: 2,
    shows: "The default action of SIGTERM leaves a process no time: what it had promised is lost, and what it has started \
            runs on without it. Stage 8 handles SIGTERM in its loop: it closes the listener, serves the clients that it \
            has, and exits with 0 when the last one has left.",
    lane: "clients",
    roles: &STAGES,
};

const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        // The program may outlive the server that started it. As a subreaper, this process becomes its parent.
        prctl::set_child_subreaper(true)?;
        let old = terminated(lab, 7)?;
        let new = terminated(lab, 8)?;
        lab.check(matches!(old.server, WaitStatus::Signaled(..)), "stage 7: SIGTERM kills the server");
        lab.check(
            new.client_waits && new.answer.as_deref() == Some("killed by SIGKILL\n"),
            "stage 8: the client gets the line when its program exits",
        );
        lab.check(
            new.refuses,
            "stage 8: the kernel refuses new clients while the server still serves the old one",
        );
        lab.check(matches!(new.server, WaitStatus::Exited(_, 0)), "stage 8: the server exits with 0");
        Ok(match (old.client_waits, old.answer.as_deref(), old.program_runs) {
            (_, Some("killed by SIGKILL\n"), _) => 0,
            (false, Some(""), false) => 1,
            (false, Some(""), true) => 2,
            (true, ..) => 3,
            other => return Err(format!("none of the choices: {other:?}").into()),
        })
    })
}

struct Seen {
    /// Whether the client gets neither an answer nor end of file while its program runs.
    client_waits: bool,
    /// Whether a new client is refused at that time.
    refuses: bool,
    program_runs: bool,
    /// All that the client gets after the program's pid.
    answer: Option<String>,
    server: WaitStatus,
}

/// SIGTERM for a server, while a client's program runs.
fn terminated(lab: &mut Lab, stage: usize) -> Result<Seen> {
    let server = lab.server(stage, "/dev/null")?;
    let port = server.port();
    // ANCHOR: core
    let client = lab.client("client", &server)?;
    client.send_last_with_pid("silent")?;
    let program = client.pid()?;
    let lane = lab.thread("program", "keeps running");
    server.send_sigterm(lab)?;
    let refuses = is_refused(lab, port)?;
    let client_waits = client.gets_nothing()?;
    lane.note("gets SIGKILL");
    let program_runs = kill(program, Signal::SIGKILL).is_ok();
    let answer = client.rest(lab)?;
    // ANCHOR_END: core
    let server = server.wait(lab)?;
    if let WaitStatus::Signaled(..) = server {
        // Its server did not reap it.
        lab.adopt(program, lane.name()).wait(lab)?;
    } else {
        lab.ended(&lane, "was reaped by the server");
    }
    Ok(Seen { client_waits, refuses, program_runs, answer, server })
}

/// Wait until the server has got the signal, so that the kernel refuses new clients. Returns false if that does not come.
fn is_refused(lab: &Lab, port: u16) -> Result<bool> {
    let start = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
        if start.elapsed() > PATIENCE {
            return Ok(false);
        }
        thread::yield_now();
    }
    lab.note("connect: ECONNREFUSED");
    Ok(true)
}
