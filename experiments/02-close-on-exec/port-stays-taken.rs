//! A server that was killed, and its listening socket, which a program that it started has inherited.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use experiments::{Child, Choice, Lab, Question, Result, ask, cannot_ask, vary};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, listen, setsockopt, socket, sockopt,
};
use nix::unistd::{Pid, dup2_stdin, pause, read};

const QUESTION: Question = Question {
    question: "Can a replacement bind the port of a server that was killed while its helper runs?",
    setup: "A server is killed, but a helper program that it had started has inherited the listening socket. \
            What happens when the server's replacement binds the same port, and when a client connects?",
    choices: &[
        Choice::new(
            "bind works: the server that had the port is dead. A client that connects before the bind is refused.",
        )
        .because("The helper's descriptor keeps the socket listening: bind failed with EADDRINUSE."),
        Choice::new("bind fails with EADDRINUSE, unless the replacement sets SO_REUSEADDR.")
            .because("SO_REUSEADDR did not help, because another socket still listens on the port."),
        Choice::new("bind fails with EADDRINUSE, SO_REUSEADDR or not; the client is refused.")
            .because("The socket still listens, so the kernel completed the client's connection."),
        Choice::new(
            "bind fails with EADDRINUSE, SO_REUSEADDR or not; the client is connected, and no \
                     process answers it.",
        ),
    ],
    book: 3,
    shows: "A socket listens until its last descriptor is closed. The helper's descriptor keeps the port \
            in use. The kernel still completes connections and puts them into the socket's queue, from which \
            no process accepts them. SO_REUSEADDR is for a port on which only old connections are left; it \
            does not help while another socket listens.",
    lane: "parent",
    roles: &[("helper", helper)],
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        loopback()?;
        // The helper is the server's child and outlives it. As a subreaper, this process becomes its parent and reaps it.
        prctl::set_child_subreaper(true)?;
        let choice = leaked(lab)?;
        cloexec(lab)?;
        Ok(choice)
    })
}

fn loopback() -> Result {
    let connected =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|l| TcpStream::connect(l.local_addr()?));
    connected.map(drop).map_err(|error| cannot_ask(format!("127.0.0.1 cannot be used: {error}")))
}

/// The helper has the listening socket. Gives the choice that the kernel made.
fn leaked(lab: &mut Lab) -> Result<usize> {
    let (helper, line, port) = start_and_kill(lab, FdFlag::empty())?;
    let plain = replace(lab, port, false)?;
    let reuse = replace(lab, port, true)?;
    let client = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
    let outcome = client.as_ref().map_or_else(|error| error.kind().to_string(), |_| "connected".into());
    lab.note(format!("a client connects to port {}: {outcome}", vary("port", port)));
    if let Ok(mut client) = client.as_ref() {
        client.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut watched = [PollFd::new(client.as_fd(), PollFlags::POLLIN)];
        let ready = poll(&mut watched, 100_u8)?;
        let came = if ready == 0 { "nothing" } else { "something" };
        lab.note(format!("the client sends a request; poll for 100 ms: {came}"));
        lab.check(ready == 0, "the client is connected, and gets no answer and no end of file");
    }
    // This ends the helper's standard input, so the helper exits.
    drop(line);
    helper.wait(lab)?;
    if let Ok(client) = client {
        let outcome = read(&client, &mut [0; 1]);
        let said = outcome.map_or_else(|error| format!("{error:?}"), |length| format!("{length} bytes"));
        lab.note(format!("the client reads: {said}"));
        lab.check(
            outcome == Err(Errno::ECONNRESET),
            "when the helper exits, the kernel resets the client's connection",
        );
    }
    lab.check(replace(lab, port, false)?, "when the helper exits, the port is free");
    match (plain, reuse, outcome == "connected") {
        (true, _, false) => Ok(0),
        (false, true, _) => Ok(1),
        (false, false, false) => Ok(2),
        (false, false, true) => Ok(3),
        _ => Err("none of the choices: bind works, and the client is connected".into()),
    }
}

/// The helper does not have the listening socket.
fn cloexec(lab: &mut Lab) -> Result {
    let (helper, line, port) = start_and_kill(lab, FdFlag::FD_CLOEXEC)?;
    lab.check(replace(lab, port, false)?, "with close-on-exec the port is free while the helper runs");
    drop(line);
    helper.wait(lab)?;
    Ok(())
}

/// Start a server that starts a helper, then kill and reap the server. Gives what is left: the helper, the line that
/// keeps the helper running, and the port.
fn start_and_kill(lab: &mut Lab, flag: FdFlag) -> Result<(Child, UnixStream, u16)> {
    // The laboratory's children die with their parent, so the helper would die with the server. The helper undoes that,
    // and depends on its standard input instead: it runs until it reads end of file, which comes when this process
    // closes the other end or dies. No other process keeps that end: the server's copy dies with the server, and exec
    // closes the helper's.
    let (ours, theirs) = UnixStream::pair()?;
    let server = lab.fork("server", move |lab| serve(lab, flag, theirs))?;
    let mut said = String::new();
    BufReader::new(&ours).read_line(&mut said)?;
    let (pid, port) = said.trim().split_once(' ').ok_or("the helper did not start")?;
    let helper = lab.adopt(Pid::from_raw(pid.parse()?), "helper");
    kill(server.pid(), Signal::SIGKILL)?;
    server.wait(lab)?;
    Ok((helper, ours, port.parse()?))
}

fn serve(lab: &mut Lab, flag: FdFlag, line: UnixStream) -> Result<i32> {
    // std sets SO_REUSEADDR on every listener.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    fcntl(&listener, FcntlArg::F_SETFD(flag))?;
    let port = listener.local_addr()?.port();
    let shown = if flag.is_empty() { "no flag" } else { "close-on-exec" };
    lab.note(format!("listen on port {}: descriptor {}, {shown}", vary("port", port), listener.as_raw_fd()));
    let _helper = lab.fork("helper", move |lab| {
        prctl::set_pdeathsig(None)?;
        dup2_stdin(&line)?;
        lab.exec("helper", &[&port.to_string()], "exec: the helper's program uses 0, 1 and 2")?;
        Ok(1)
    })?;
    loop {
        pause();
    }
}

/// Says which descriptors it has, and runs until its standard input ends.
fn helper(lab: &mut Lab) -> Result<i32> {
    let open = lab.descriptors()?;
    lab.note(format!("the other descriptors that it has: {open:?}"));
    let port = lab.args().first().ok_or("no port was given")?;
    nix::unistd::write(io::stdin(), format!("{} {port}\n", std::process::id()).as_bytes())?;
    while read(io::stdin(), &mut [0; 1])? != 0 {}
    Ok(0)
}

/// Bind the port, as the server's replacement would. Gives whether that works.
// ANCHOR: core
fn replace(lab: &Lab, port: u16, reuse: bool) -> Result<bool> {
    let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&socket, sockopt::ReuseAddr, &reuse)?;
    let bound = bind(socket.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, port));
    let outcome = bound.and_then(|()| listen(&socket, Backlog::new(1)?));
    note_outcome(lab, port, reuse, outcome);
    Ok(outcome.is_ok())
}
// ANCHOR_END: core

fn note_outcome(lab: &Lab, port: u16, reuse: bool, outcome: nix::Result<()>) {
    let option = if reuse { ", SO_REUSEADDR" } else { "" };
    let said = outcome.map_or_else(|error| format!("{error:?}"), |()| "it works".into());
    lab.note(format!("bind to port {}{option}: {said}", vary("port", port)));
}
