//! Stages 9 and 12 of the book's server, and the system calls that they make for the same client.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::process::ExitCode;

use experiments::{Choice, Lab, Question, Result, ask};
use nix::fcntl::OFlag;
use nix::libc::{self, c_long};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, dup2_stderr, dup2_stdout, getpid, pipe2, write};

const QUESTION: Question = Question {
    question: "Which system calls does an async server make that a server of callbacks does not?",
    setup: "Stage 9 serves its clients with callbacks, and stage 12 with an async function that awaits each step. A client \
            asks each stage for the program `upper`, gets its answer, and ends the server with SIGTERM. All system calls \
            of the server's main thread are recorded. Which calls does stage 12 make only for its tasks and awaits?",
    choices: &[
        Choice::new("clone3, because each task runs in a thread of its own.").because(
            "A task is a future, which is a value in the memory of the server. The loop calls its poll, in the main thread.",
        ),
        Choice::new("timerfd_create, because an await with a deadline needs a timer of the kernel.")
            .because("The deadlines are in the loop's heap, as in stage 9, and the nearest one is the timeout of the loop's \
                      wait."),
        Choice::new("io_uring_enter, because an await hands its read to the kernel, which completes it.")
            .because("The loop waits until the descriptor is ready, and then the task makes the call, as a callback does."),
        Choice::new("None: an await makes no system call of its own."),
    ],
    book: 3,
    shows: "The kernel does not know tasks and futures. Both servers register descriptors, sleep in one call, and read and \
            write what is ready. What differs is who keeps the state between two events: fields and callbacks that you \
            write, or a future that the compiler makes from an async function.",
    lane: "tracer",
    ..Question::EMPTY
};

/// Memory, locks and signals: whether a process makes such a call in a run depends on chance.
const BY_CHANCE: [c_long; 9] = [
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_futex,
    libc::SYS_rt_sigreturn,
    libc::SYS_restart_syscall,
];

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        // It checks that 127.0.0.1 can be used: a client that cannot connect would never end the server.
        drop(lab.listen()?);
        let [old, new] = [calls(lab, 9)?, calls(lab, 12)?];
        // Some C libraries start a thread with clone, as all of them fork.
        let clones = |calls: &Vec<c_long>| {
            calls.iter().filter(|call| [libc::SYS_clone, libc::SYS_clone3].contains(call)).count()
        };
        let [threads, more] = [clones(&old), clones(&new)];
        // ANCHOR: core
        let [old, new] = [old, new].map(BTreeSet::from_iter);
        let additional: BTreeSet<c_long> = new.difference(&old).copied().collect();
        // ANCHOR_END: core
        // std reads a TcpStream with recv, and stage 9 reads each descriptor with read.
        let sockets = BTreeSet::from([libc::SYS_recvfrom, libc::SYS_sendto]);
        let others: Vec<_> = additional.difference(&sockets).copied().collect();
        lab.check(
            more == threads,
            "stage 12 starts as many threads as stage 9: the watchdog's and the lookup's",
        );
        lab.check(
            additional.is_subset(&sockets),
            "only recvfrom and sendto are new: read and write of a socket",
        );
        Ok(match others[..] {
            _ if more > threads => 0,
            [libc::SYS_timerfd_create, ..] => 1,
            [.., libc::SYS_io_uring_enter] => 2,
            [] => 3,
            ref other => return Err(format!("none of the choices: {other:?}").into()),
        })
    })
}

/// The system calls of a stage's main thread, while it serves a client and until it has exited, without those by chance.
fn calls(lab: &mut Lab, stage: usize) -> Result<Vec<c_long>> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    // In an Option, so that the client can close its copy: if the server fails before it prints its address, the client gets
    // end of file.
    let mut write_end = Some(writer);
    let client = lab.fork("client", |lab| {
        drop(write_end.take());
        client(lab, reader)
    })?;
    let writer = write_end.ok_or("the write end is the server's")?;
    let (status, calls) = lab.traced("server", |lab| {
        lab.note(format!("stage {stage}"));
        write(&writer, format!("{}\n", getpid()).as_bytes())?;
        dup2_stdout(&writer)?;
        dup2_stderr(File::options().write(true).open("/dev/null")?)?;
        lab.serve(stage, "/dev/null")
    })?;
    drop(writer);
    let served = client.status(lab)? == 0;
    lab.check(served && status == 0, format!("stage {stage} serves the client, and exits with 0"));
    Ok(calls.iter().map(|call| call.number).filter(|call| !BY_CHANCE.contains(call)).collect())
}

/// A client, which reads the server's pid and address from a pipe. Returns 0 if its answer is right.
fn client(lab: &mut Lab, reader: OwnedFd) -> Result<i32> {
    let mut lines = BufReader::new(File::from(reader)).lines();
    let pid = lines.next().ok_or("no pid")??;
    let line = lines.next().ok_or("no address")??;
    // listening on 127.0.0.1:7007; try: …
    let port = line.split([':', ';']).nth(1).and_then(|port| port.parse().ok()).ok_or("no port")?;
    let answer = ask_for_upper(lab, port);
    // After an error, too: nothing else ends the server.
    let ended = kill(Pid::from_raw(pid.parse()?), Signal::SIGTERM);
    let served = answer? == "HELLO";
    ended?;
    Ok(i32::from(!served))
}

fn ask_for_upper(lab: &Lab, port: u16) -> Result<String> {
    let mut stream = lab.connect(port)?;
    stream.write_all(b"upper\nhello")?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    lab.note(format!("asks for upper, and gets {answer:?}"));
    Ok(answer)
}
