//! Stages 1 and 2 of the book's server, and a client whose program leaves a process running in the background.

use std::net::{Ipv4Addr, TcpListener};
use std::process::ExitCode;

use experiments::{Choice, Client, Lab, Question, Result, STAGES, Server, ask, vary};
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const QUESTION: Question = Question {
    question: "When does a client get end of file, and when is the port free, if a background process runs on?",
    setup: "Client 1 asks stage 1 of the server for the program `agent`, which leaves a process running in the \
            background, prints its pid and exits. The server sends the pid and closes the connection. Later the \
            server is killed, and the background process still runs. When does client 1 get end of file, and when is \
            the server's port free?",
    choices: &[
        Choice::new("End of file when the server closes the connection; the port is free when the server is dead.")
            .because(
                "That is what stage 2 does. In stage 1 the background process has inherited the connection and the \
                 listener.",
            ),
        Choice::new("End of file when the server closes the connection; the port when the background process exits.")
            .because("The background process has inherited the connection as well as the listener."),
        Choice::new("Both when the server is killed, because the kernel closes its descriptors.").because(
            "The kernel closes the descriptors of the server, and not those of the background process.",
        ),
        Choice::new("Both when the background process exits."),
    ],
    book: 3,
    shows: "Stage 1 opens its sockets without close-on-exec, so each program that it starts inherits the listener and \
            the connection, and the background process inherits both from the program. A connection ends, and a port \
            is free, when the last descriptor of the socket is closed. In stage 2 both sockets are close-on-exec, so \
            exec closes the program's descriptors of them.",
    lane: "clients",
    roles: &STAGES,
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        // The background process outlives the program that started it. As a subreaper, this process becomes its parent.
        prctl::set_child_subreaper(true)?;
        let old = clients(lab, 1)?;
        let new = clients(lab, 2)?;
        lab.check(old.second_is_served, "stage 1 is done with client 1, because it serves client 2");
        lab.check(
            new == Seen {
                second_is_served: true,
                ends_at_close: true,
                ends_at_kill: false,
                port_is_free: true,
            },
            "stage 2: client 1 gets end of file, and the port is free, while the background process runs",
        );
        Ok(match (old.ends_at_close, old.ends_at_kill, old.port_is_free) {
            (true, _, true) => 0,
            (true, _, false) => 1,
            (false, true, true) => 2,
            (false, false, false) => 3,
            _ => return Err(format!("none of the choices: {old:?}").into()),
        })
    })
}

#[derive(Debug, PartialEq, Eq)]
struct Seen {
    second_is_served: bool,
    /// Whether client 1 gets end of file when the server has closed its connection, and else when it is killed.
    ends_at_close: bool,
    ends_at_kill: bool,
    /// Whether the port is free when the server is dead, and the background process runs.
    port_is_free: bool,
}

/// The clients of one stage: what they see.
fn clients(lab: &mut Lab, stage: usize) -> Result<Seen> {
    let server = lab.server(stage, "/dev/null")?;
    let port = server.port();
    // ANCHOR: core
    let (mut first, agent) = client_of_agent(lab, &server)?;
    // When client 2 is served, the server has closed client 1's connection.
    let second = lab.client("client 2", &server)?;
    second.send_last("upper\nhello")?;
    let second_is_served = second.rest(lab)?.as_deref() == Some("HELLO");
    let ends_at_close = ends(lab, &mut first)?;
    server.kill(lab)?;
    let ends_at_kill = ends(lab, &mut first)?;
    let port_is_free = bind(lab, port);
    // ANCHOR_END: core
    // Still running, or this fails.
    kill(agent, Signal::SIGKILL)?;
    lab.adopt(agent, "agent").wait(lab)?;
    first.map(|client| client.rest(lab)).transpose()?;
    Ok(Seen { second_is_served, ends_at_close, ends_at_kill, port_is_free })
}

/// Client 1, which asks for the agent. Returns it with the agent's pid, which the server sent.
fn client_of_agent(lab: &mut Lab, server: &Server) -> Result<(Option<Client>, Pid)> {
    let client = lab.client("client 1", server)?;
    client.send_last_with_pid("agent")?;
    let agent = client.pid()?;
    lab.thread("agent", format!("process {} in the background", vary("pid", agent)));
    Ok((Some(client), agent))
}

/// Whether a client gets end of file now. Then its connection is closed.
fn ends(lab: &Lab, client: &mut Option<Client>) -> Result<bool> {
    match client.take() {
        Some(waiting) if waiting.gets_nothing()? => *client = Some(waiting),
        Some(ended) => return Ok(ended.rest(lab)?.as_deref() == Some("")),
        None => {}
    }
    Ok(false)
}

/// Bind the port, as the server's replacement would. std sets SO_REUSEADDR. Returns whether that works.
fn bind(lab: &Lab, port: u16) -> bool {
    let outcome = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|error| error.raw_os_error());
    let said = match &outcome {
        Ok(_) => "it works".to_owned(),
        Err(number) => format!("{:?}", Errno::from_raw(number.unwrap_or_default())),
    };
    lab.note(format!("bind to port {}: {said}", vary("port", port)));
    outcome.is_ok()
}
