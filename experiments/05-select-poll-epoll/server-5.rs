//! Stages 4 and 5 of the book's server, 500 clients that send nothing, and one that sends a request.

use std::net::TcpStream;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use experiments::{
    Choice, Lab, PATIENCE, Question, Result, STAGES, Server, ask, cannot_ask, hang_up, shown, sleeps, vary,
};
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use nix::unistd::Pid;

const QUESTION: Question = Question {
    question: "How often does a server call read for one request, beside 500 idle clients?",
    setup: "500 clients are connected to stage 4 of the server and send nothing. One more client sends a request, and \
            the server's poll returns. A thread looks up the program, the program answers and exits, and each time poll \
            returns again. How often does the server call read until it sleeps again?",
    choices: &[
        Choice::new("Fewer than 500 times, because poll reports which descriptors are ready.").because(
            "poll reports that in its list, but stage 4 does not look there: it tries to read from every client.",
        ),
        Choice::new("500 to 1,000 times: once from each client.")
            .because("The server reads from each client each time that poll returns."),
        Choice::new("1,000 times or more: from each client, each time that poll returns."),
    ],
    book: 2,
    shows: "poll forgets its list, so stage 4 hands over 502 entries before each sleep: one for each client, one \
            for the listener and one for the waker. When poll returns, stage 4 tries to read from every client, and \
            nearly every read fails with EAGAIN. Stage 5 adds each client to an epoll once, and the kernel keeps it. \
            epoll_wait reports only the ready entries, each with the token of its client, so an idle client costs \
            nothing after it was registered.",
    lane: "clients",
    roles: &STAGES,
};

/// With a thousand, stage 4 would read 500,000 times while they connect: most of a minute on a slow machine in a page.
const IDLE: usize = 500;

/// Fewer than wait in the listener's queue at most: for one more, connect would take a second.
const AT_ONCE: usize = 50;

/// Descriptors of this program and of the server that are no idle client's.
const OTHERS: usize = 256;

/// More reads than a request takes beside no idle clients, with those of its program.
const FEW: usize = 200;

/// How long after one look at the server the next one follows.
const LOOK: Duration = Duration::from_millis(1);

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
        let wanted = (IDLE + OTHERS) as rlim_t;
        if hard < wanted {
            return Err(cannot_ask(format!(
                "a process may have {hard} descriptors here, and this takes {wanted}"
            )));
        }
        // The server inherits the limit.
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)?;
        let old = reads_for_one_request(lab, 4)?;
        let new = reads_for_one_request(lab, 5)?;
        lab.check(new < FEW, "stage 5: fewer than 200 reads, including those of the program");
        Ok((old / IDLE).min(2))
    })
}

fn reads_for_one_request(lab: &mut Lab, stage: usize) -> Result<usize> {
    let server = lab.server(stage, "/dev/null")?;
    let idle = connect_idle(lab, &server)?;
    let list = entries(lab, &server, stage)?;
    // ANCHOR: core
    let before = reads(server.pid())?;
    let client = lab.client("client", &server)?;
    client.send_last("upper\nhello")?;
    let answer = client.rest(lab)?;
    await_sleep(&server)?;
    let reads = reads(server.pid())? - before;
    // ANCHOR_END: core
    let about = if reads < FEW { "fewer than 200" } else { "1,000 or more" };
    lab.note(format!("the server has called read {} times", vary(about, reads)));
    let all = [list, entries(lab, &server, stage)?] == [IDLE + 2; 2];
    lab.check(all, format!("stage {stage}: an entry for each idle client, the listener and the waker"));
    lab.check(answer.as_deref() == Some("HELLO"), format!("stage {stage}: the client gets its answer"));
    server.kill(lab)?;
    idle.into_iter().try_for_each(hang_up)?;
    Ok(reads)
}

/// Connect clients that send nothing, and wait until the server has accepted all of them.
fn connect_idle(lab: &Lab, server: &Server) -> Result<Vec<TcpStream>> {
    let before = await_sleep(server)?;
    let mut clients = Vec::with_capacity(IDLE);
    while clients.len() < IDLE {
        for _ in 0..AT_ONCE {
            clients.push(lab.connect(server.port())?);
        }
        while await_sleep(server)? < before + clients.len() {}
    }
    lab.note(format!("{IDLE} clients connect, and send nothing"));
    Ok(clients)
}

/// How long the list is that stage 4 hands to poll while it sleeps, or the one that the kernel keeps for stage 5.
fn entries(lab: &Lab, server: &Server, stage: usize) -> Result<usize> {
    let (entries, list) = match stage {
        4 => (poll_entries(server.pid())?, "poll has a list of"),
        _ => (epoll_entries(server.pid())?, "its epoll has"),
    };
    lab.note(format!("the server sleeps: {list} {entries} entries"));
    Ok(entries)
}

/// Wait until the server sleeps. Returns how many descriptors it has.
fn await_sleep(server: &Server) -> Result<usize> {
    let start = Instant::now();
    let mut before = None;
    while start.elapsed() < PATIENCE {
        let pid = server.pid();
        let now = if sleeps(pid)? { Some(reads(pid)?) } else { None };
        // A process has the state of a sleeping one a moment before it sleeps, and a moment after it was woken.
        if now.is_some() && now == before {
            // Last, because the kernel makes a long list for each look, and the server waits meanwhile.
            return Ok(descriptors(pid)?);
        }
        before = now;
        // The server needs the processor, and a machine may have only one.
        thread::sleep(LOOK);
    }
    Err("the server does not go to sleep".into())
}

/// How many calls of read a process has made, with those of its programs that were reaped. See proc_pid_io(5).
fn reads(pid: Pid) -> Result<usize> {
    let counts = shown(pid, "io")?;
    let reads = counts.lines().find_map(|line| line.strip_prefix("syscr: "));
    Ok(reads.ok_or("/proc/PID/io has no count of reads")?.parse()?)
}

/// How many entries a process has handed to the poll in which it sleeps: the second argument. See proc_pid_syscall(5).
fn poll_entries(pid: Pid) -> Result<usize> {
    let call = shown(pid, "syscall")?;
    let entries = call.split_whitespace().nth(2).and_then(|argument| argument.strip_prefix("0x"));
    Ok(usize::from_str_radix(
        entries.ok_or_else(|| format!("the server is not in a call, but {call:?}"))?,
        16,
    )?)
}

/// How many entries a process has in its epoll. See proc_pid_fdinfo(5).
fn epoll_entries(pid: Pid) -> Result<usize> {
    let mut entries = 0;
    for file in fs::read_dir(format!("/proc/{pid}/fdinfo"))? {
        let info = fs::read_to_string(file?.path())?;
        entries += info.lines().filter(|line| line.starts_with("tfd:")).count();
    }
    Ok(entries)
}

fn descriptors(pid: Pid) -> io::Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}
