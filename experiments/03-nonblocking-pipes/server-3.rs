//! Stages 2 and 3 of the book's server, and a client whose input and output are both long.

use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use experiments::{Choice, Lab, PATIENCE, Question, Result, STAGES, Server, ask, children, sleeps, vary};
use nix::sys::prctl;
use nix::unistd::Pid;

const QUESTION: Question = Question {
    question: "What does a client get whose program prints before it has read all of its input?",
    setup: "Client 1 sends 1 MiB for the program `upper`, which prints each piece as soon as it has read it. Stage 2 of \
            the server writes the whole input to the program's pipe, and then reads the program's output from another \
            pipe. What does client 1 get?",
    choices: &[
        Choice::new("1 MiB in capitals.").because(
            "A pipe holds 64 KiB, so the pipe of the output is full while the server is still writing the input.",
        ),
        Choice::new("64 KiB in capitals, which is what fits into the pipe of the output, and then nothing.")
            .because("The server reads no output before it has written all of the input."),
        Choice::new("Nothing, ever: server and program both wait until the other reads."),
        Choice::new("End of file, because the server's write fails when the pipe of the input is full.")
            .because("A write to a full pipe waits, unless O_NONBLOCK is set."),
    ],
    book: 2,
    shows: "The program waits until the server reads its output, and the server waits until the program reads its \
            input. Client 2 waits for the server. In stage 3 no write waits: the server keeps in a queue what a pipe \
            does not take, and serves client 2 meanwhile.",
    lane: "clients",
    roles: &STAGES,
};

/// Much more than two pipes and the program's buffer hold.
const LONG: usize = 1 << 20;

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        // The program outlives the server of stage 2 for a moment. As a subreaper, this process becomes its parent.
        prctl::set_child_subreaper(true)?;
        let choice = stage_2(lab)?;
        stage_3(lab)?;
        Ok(choice)
    })
}

fn stage_2(lab: &mut Lab) -> Result<usize> {
    let server = lab.server(2, "/dev/null")?;
    let first = lab.client("client 1", &server)?;
    first.send_last(&request())?;
    let second = lab.client("client 2", &server)?;
    second.send_last("upper\nhello")?;
    let program = both_sleep(&server)?;
    let lane = lab.thread("upper", format!("process {} and server asleep", vary("pid", program)));
    let first_waits = first.gets_nothing()?;
    let second_waits = second.gets_nothing()?;
    server.kill(lab)?;
    lab.adopt(program, lane.name()).wait(lab)?;
    let got = first.rest(lab)?.unwrap_or_default().len();
    second.rest(lab)?;
    lab.check(second_waits, "stage 2: client 2 waits too");
    Ok(match got {
        LONG => 0,
        0 if first_waits => 2,
        0 => 3,
        _ => 1,
    })
}

fn stage_3(lab: &mut Lab) -> Result {
    let server = lab.server(3, "/dev/null")?;
    let first = lab.client("client 1", &server)?;
    first.send_last(&request())?;
    let second = lab.client("client 2", &server)?;
    second.send_last("upper\nhello")?;
    let of_second = second.rest(lab)?;
    let of_first = first.rest(lab)?.unwrap_or_default();
    server.kill(lab)?;
    let all = of_first.len() == LONG && of_first.bytes().all(|byte| byte == b'X');
    lab.check(all, "stage 3: client 1 gets 1 MiB in capitals");
    lab.check(
        of_second.as_deref() == Some("HELLO"),
        "stage 3: client 2 gets its answer before client 1 reads its own",
    );
    Ok(())
}

fn request() -> String {
    format!("upper\n{}", "x".repeat(LONG))
}

/// Wait until a server and the program that it has started sleep, and return the program's pid.
fn both_sleep(server: &Server) -> Result<Pid> {
    let (pid, start) = (server.pid(), Instant::now());
    while start.elapsed() < PATIENCE {
        if let [program] = children(pid)?[..]
            && sleeps(pid)?
            && sleeps(program)?
        {
            return Ok(program);
        }
        thread::yield_now();
    }
    Err("the server and its program do not both come to sleep".into())
}
