//! Stages 3 and 4 of the book's server, a client whose program is looked up slowly, and one whose program exits late.

use std::fs;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::process::ExitCode;

use experiments::{Choice, Lab, Question, Result, STAGES, ask, sleeps_in, vary};
use nix::fcntl::OFlag;
use nix::libc::SYS_wait4;
use nix::sys::signal::{Signal, kill};
use nix::unistd::pipe2;

const QUESTION: Question = Question {
    question: "What do other clients get while a server waits for one client's lookup or program?",
    setup: "In stage 3 of the server, no read or write of a client or a pipe waits. Client 1 names a program that the \
            server must look up in a file, and the disk is slow. Later, client 1's program closes its output and keeps \
            running, and the server calls waitpid to get its exit status. Client 2 sends a request both times. When is \
            it answered?",
    choices: &[
        Choice::new("At once both times, because poll reports client 2.")
            .because("The server was not in poll: it slept in read, and later in waitpid."),
        Choice::new("At once during the lookup, and after the exit of client 1's program.")
            .because("A read of a file waits for the disk, and O_NONBLOCK does not change that."),
        Choice::new("After the lookup, and at once during waitpid.")
            .because("waitpid waits until the program exits, and this one has only closed its output."),
        Choice::new("After the lookup, and after the exit of client 1's program."),
    ],
    book: 3,
    shows: "While a loop sleeps in another call than poll, it serves no client. In stage 4, a thread does the lookup, \
            and the loop calls waitpid with WNOHANG. The thread and the handler of SIGCHLD end the sleep in poll: they \
            make a descriptor ready that the loop watches for this purpose, the waker.",
    lane: "clients",
    roles: &STAGES,
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let old = [lookup(lab, 3)?, exit(lab, 3)?];
        let new = [lookup(lab, 4)?, exit(lab, 4)?];
        lab.check(new[0], "stage 4: client 2 gets its answer during client 1's lookup");
        lab.check(new[1], "stage 4: client 2 gets its answer while client 1's program runs");
        Ok(match old {
            [true, true] => 0,
            [true, false] => 1,
            [false, true] => 2,
            [false, false] => 3,
        })
    })
}

/// Client 1's program is looked up slowly. Returns whether client 2 is served meanwhile.
fn lookup(lab: &mut Lab, stage: usize) -> Result<bool> {
    // The file of programs is a pipe: it ends when this process closes the write end, as if the disk took so long.
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    let path = format!("/proc/{}/fd/{}", std::process::id(), reader.as_raw_fd());
    let server = lab.server(stage, &path)?;
    // ANCHOR: core
    let first = lab.client("client 1", &server)?;
    first.send_last("greet\n")?;
    let second = lab.client("client 2", &server)?;
    second.send_last("upper\nhello")?;
    let waits = stage == 3 && second.gets_nothing()?;
    // ANCHOR_END: core
    let mut second = Some(second);
    if !waits {
        answered(lab, second.take())?;
    }
    first.gets_nothing()?;
    lab.note("the slow file gets its line, and ends");
    fs::File::from(writer).write_all(b"greet echo hello\n")?;
    let greeted = first.rest(lab)?.as_deref() == Some("hello\n");
    lab.check(greeted, format!("stage {stage}: client 1 gets its answer when the lookup has ended"));
    answered(lab, second)?;
    server.kill(lab)?;
    Ok(!waits)
}

/// Client 1's program closes its output, and exits later. Returns whether client 2 is served meanwhile.
fn exit(lab: &mut Lab, stage: usize) -> Result<bool> {
    let server = lab.server(stage, "/dev/null")?;
    let first = lab.client("client 1", &server)?;
    first.send_last_with_pid("silent")?;
    let program = first.pid()?;
    if stage == 3 {
        // It closes its output, and the server sees that and waits for its exit, before client 2 comes.
        sleeps_in(server.pid(), SYS_wait4)?;
    }
    let second = lab.client("client 2", &server)?;
    second.send_last("upper\nhello")?;
    let waits = stage == 3 && second.gets_nothing()?;
    let mut second = Some(second);
    if !waits {
        answered(lab, second.take())?;
    }
    first.gets_nothing()?;
    lab.note(format!("kill process {}", vary("pid", program)));
    kill(program, Signal::SIGKILL)?;
    let status = first.rest(lab)?;
    let fact = format!("stage {stage}: client 1 gets the exit status when its program exits");
    lab.check(status.as_deref() == Some("killed by SIGKILL\n"), fact);
    answered(lab, second)?;
    server.kill(lab)?;
    Ok(!waits)
}

/// Client 2's answer, unless it has come already.
fn answered(lab: &Lab, second: Option<experiments::Client>) -> Result {
    match second.map(|client| client.rest(lab)).transpose()? {
        Some(answer) if answer.as_deref() != Some("HELLO") => Err(format!("client 2 got {answer:?}").into()),
        _ => Ok(()),
    }
}
