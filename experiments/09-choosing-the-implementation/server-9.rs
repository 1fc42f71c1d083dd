//! Stages 8 and 9 of the book's server, in a sandbox that refuses epoll.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::AsFd;
use std::process::ExitCode;

use experiments::{Choice, Lab, Question, Result, STAGES, Server, ask, cannot_ask, pidfd};
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;

const QUESTION: Question = Question {
    question: "What does a client get from a server on epoll where a sandbox refuses epoll?",
    setup: "A container has a seccomp filter: epoll_create1 fails with EPERM. Stage 8 of the server starts there. It binds \
            its port and listens, and then it makes its loop, with epoll. A client connects. What does the client get?",
    choices: &[
        Choice::new("Its answer, because the loop sleeps in poll where it cannot have an epoll.")
            .because("IoLoop::with returned the error of epoll_create1: a loop chooses no other poller by itself."),
        Choice::new("ECONNREFUSED, because the kernel has killed the server at the forbidden call.").because(
            "A filter can do that too (SECCOMP_RET_KILL_PROCESS). This one answers with an errno, and the server exited by \
             itself.",
        ),
        Choice::new("ECONNREFUSED, because the server has exited with an error."),
        Choice::new("A connection, and no answer: the server listens, and no handler is ever called.")
            .because("Without an epoll there is no loop. The server noticed that before it could serve a client."),
    ],
    book: 2,
    shows: "Stage 8 asks for epoll and gets an error, so it cannot start. Stage 9 asks for an epoll before it makes the loop. \
            If epoll is refused (EPERM) or missing (ENOSYS), it makes a loop on poll, which needs no descriptor and which \
            the filter of this container allows. Each handler and each timer is the same.",
    lane: "clients",
    roles: &STAGES,
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let before = lab.server(8, "/dev/null")?;
        let served = upper(lab, &before)?.as_deref() == Some("HELLO");
        lab.check(
            served && epolls(&before)? == 1,
            "stage 8 on this kernel: a client is served, through an epoll",
        );
        before.kill(lab)?;

        // ANCHOR: core
        let sandbox = lab.refuse(libc::SYS_epoll_create1, Errno::EPERM);
        sandbox.map_err(|_| cannot_ask("seccomp(2) filters are refused here"))?;
        lab.note("sets an inherited filter: no epoll_create1");
        let old = lab.server(8, "/dev/null")?;
        let port = old.port();
        let seen = if exits(&old)? { Seen::Exit(old.wait(lab)?) } else { Seen::Answer(upper(lab, &old)?) };
        let refused = is_refused(lab, port);
        let new = lab.server(9, "/dev/null")?;
        let answer = upper(lab, &new)?;
        // ANCHOR_END: core
        lab.check(
            answer.as_deref() == Some("HELLO") && epolls(&new)? == 0,
            "stage 9 in the sandbox: a client is served, without an epoll",
        );
        new.kill(lab)?;
        Ok(match (seen, refused) {
            (Seen::Answer(Some(answer)), _) if answer == "HELLO" => 0,
            (Seen::Exit(WaitStatus::Signaled(_, Signal::SIGSYS, _)), true) => 1,
            (Seen::Exit(WaitStatus::Exited(_, 1)), true) => 2,
            (Seen::Answer(_), false) => 3,
            other => return Err(format!("none of the choices: {other:?}").into()),
        })
    })
}

#[derive(Debug)]
enum Seen {
    /// The server exits.
    Exit(WaitStatus),
    /// It runs, and a client gets this.
    Answer(Option<String>),
}

/// Whether a server exits by itself, soon.
fn exits(server: &Server) -> Result<bool> {
    let pidfd = pidfd(server.pid())?;
    Ok(poll(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], 10_000_u16)? == 1)
}

/// A client's answer.
fn upper(lab: &Lab, server: &Server) -> Result<Option<String>> {
    let client = lab.client("client", server)?;
    client.send_last("upper\nhello")?;
    client.rest(lab)
}

/// Whether a new client is refused.
fn is_refused(lab: &Lab, port: u16) -> bool {
    let outcome = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map_err(|error| error.raw_os_error());
    let said = match &outcome {
        Ok(_) => "connects".to_owned(),
        Err(number) => format!("connect: {:?}", Errno::from_raw(number.unwrap_or_default())),
    };
    lab.note(said);
    outcome.is_err_and(|number| number == Some(Errno::ECONNREFUSED as i32))
}

/// How many epolls a server has.
fn epolls(server: &Server) -> Result<usize> {
    let mut epolls = 0;
    for entry in fs::read_dir(format!("/proc/{}/fd", server.pid()))? {
        let target = fs::read_link(entry?.path()).unwrap_or_default();
        epolls += usize::from(target.to_string_lossy() == "anon_inode:[eventpoll]");
    }
    Ok(epolls)
}
