//! Stages 7 and 8 of the book's server, and SIGTERM while the program of a client is running.

use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use experiments::{Choice, Lab, PATIENCE, Question, Result, STAGES, ask, pidfd};
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::WaitStatus;

const QUESTION: Question = Question {
    question: "What happens to a running request when SIGTERM stops the server's loop?",
    setup: "A client's program is running, and the client waits for the line that says how the program ends. The server, \
            stage 7, gets SIGTERM, as at each restart. Its handler stops the loop, run returns, and the server exits with \
            0. What do the client and the program get?",
    choices: &[
        Choice::new("The client gets the line: a loop that is stopped first serves the clients that it has.")
            .because("A stopped loop returns when its present iteration ends. It does not know that clients wait."),
        Choice::new("The client gets end of file without the line, and the program is killed."),
        Choice::new("The client gets end of file without the line, and the program keeps running.").because(
            "The program would keep running if SIGTERM had killed the server. But the handler of stage 7 drops the clients when it stops the \
             loop, and dropping a client kills and reaps its program.",
        ),
        Choice::new("The client gets ECONNRESET, because the server exits while the connection is open.").because(
            "The kernel closes the connection as close(2) does. It resets a connection only if bytes of the client were \
             not read, and the server had read all of them.",
        ),
    ],
    book: 1,
    shows: "A server that exits with 0 may have lost answers. Stage 8 ends in another order: it closes the listener, so \
            that the kernel refuses new clients. It serves those that it has, and stops the loop when the last one has \
            left.",
    lane: "clients",
    roles: &STAGES,
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        // The program may outlive the server that started it. As a subreaper, this process becomes its parent.
        prctl::set_child_subreaper(true)?;
        let old = terminated(lab, 7)?;
        let new = terminated(lab, 8)?;
        lab.check(
            matches!(old.server, WaitStatus::Exited(_, 0)),
            "stage 7: the server exits with 0, although an answer is lost",
        );
        lab.check(!old.program_runs, "stage 7: the program does not outlive the server");
        lab.check(
            new.answer.as_deref() == Some("killed by SIGKILL\n"),
            "stage 8: the client gets the line when its program exits",
        );
        lab.check(new.refuses, "stage 8: meanwhile the kernel refuses new clients");
        lab.check(matches!(new.server, WaitStatus::Exited(_, 0)), "stage 8: then the server exits with 0");
        Ok(match (old.answer.as_deref(), old.program_runs) {
            (Some("killed by SIGKILL\n"), _) => 0,
            (Some(""), false) => 1,
            (Some(""), true) => 2,
            (None, _) => 3,
            other => return Err(format!("none of the choices: {other:?}").into()),
        })
    })
}

struct Seen {
    /// Whether new clients are refused while the client waits.
    refuses: bool,
    /// All that the client gets after the program's pid.
    answer: Option<String>,
    server: WaitStatus,
    /// Whether the program is running when the server has exited.
    program_runs: bool,
}

/// SIGTERM for a server, while a client's program runs.
fn terminated(lab: &mut Lab, stage: usize) -> Result<Seen> {
    let server = lab.server(stage, "/dev/null")?;
    let port = server.port();
    // ANCHOR: core
    let client = lab.client("client", &server)?;
    client.send_last_with_pid("silent")?;
    let program = client.pid()?;
    let exit = pidfd(program)?;
    server.send_sigterm(lab)?;
    let waits = stage == 8 && client.gets_nothing()?;
    let refuses = waits && is_refused(lab, port)?;
    if waits {
        lab.note("SIGKILL for the program");
        kill(program, Signal::SIGKILL)?;
    }
    let answer = client.rest(lab)?;
    let server = server.wait(lab)?;
    // A pidfd is ready when its process has exited.
    let program_runs = poll(&mut [PollFd::new(exit.as_fd(), PollFlags::POLLIN)], 0_u8)? == 0;
    // ANCHOR_END: core
    let ready = if program_runs { "not ready: it is running" } else { "ready: it has exited" };
    lab.note(format!("the program's pidfd is {ready}"));
    if program_runs {
        kill(program, Signal::SIGKILL)?;
        let lane = lab.thread("program", "is still running");
        lab.adopt(program, lane.name()).wait(lab)?;
    }
    Ok(Seen { refuses, answer, server, program_runs })
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
