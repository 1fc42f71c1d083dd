//! Stage 1 of the book's server, and two clients, of which the first takes its time.

use std::process::ExitCode;

use experiments::{Choice, Question, STAGES, ask};

const QUESTION: Question = Question {
    question: "When does a server that serves one client at a time answer the second one?",
    setup: "Stage 1 of the server accepts a client, reads its request to the end, runs the program that the \
            request names, and sends back what the program prints. Then it accepts the next client. Client 1 \
            sends half of its request. Then client 2 connects and sends a whole request. What does client 2 \
            get?",
    choices: &[
        Choice::new("Nothing: its connection is refused, because the server is not in accept.")
            .because("The kernel completes each connection to a listener, and queues it for accept."),
        Choice::new("Its answer, at once: its request is complete, and client 1's is not.")
            .because("The server sleeps in a read of client 1's connection, and does not know of client 2."),
        Choice::new("A connection at once, and its answer only after the server has answered client 1."),
        Choice::new("A connection that is closed again, because the server does not accept it.")
            .because("A connection stays in the listener's queue for as long as the listener is open."),
    ],
    book: 2,
    shows: "The kernel completes a connection without the server, and queues it for accept. So client 2 is \
            connected although the server sleeps in a read of client 1's connection. The server accepts \
            client 2 only after it has answered client 1: one slow client stops the server for all others.",
    lane: "clients",
    roles: &STAGES,
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let server = lab.server(1, "/dev/null")?;
        let first = lab.client("client 1", &server)?;
        first.send("upper\nhel")?;
        let Ok(second) = lab.client("client 2", &server) else {
            return Ok(0);
        };
        second.send_last("count\nhello")?;
        let waits = second.gets_nothing()?;
        first.send_last("lo")?;
        let of_first = first.rest(lab)?;
        let of_second = second.rest(lab)?;
        server.kill(lab)?;
        lab.check(of_first.as_deref() == Some("HELLO"), "client 1 gets what its program prints");
        lab.check(waits, "client 2 is connected, and gets nothing while the server reads client 1's request");
        Ok(match of_second.as_deref() {
            None => 3,
            Some("5\n") if waits => 2,
            Some("5\n") => 1,
            other => return Err(format!("client 2 got {other:?}").into()),
        })
    })
}
