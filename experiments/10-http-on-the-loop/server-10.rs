//! An HTTP client of stage 9 of the book's server, and of stage 10.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use experiments::{Choice, Lab, Question, Result, STAGES, Server, ask};

const QUESTION: Question = Question {
    question: "What does an HTTP client get from stage 9 of our server?",
    setup: "A client connects to stage 9. It sends a POST with Content-Length: 5 and a body of 5 bytes, leaves the \
            connection open, and waits for the response, as HTTP clients do. Stage 9 knows nothing of HTTP. What does the \
            client get?",
    choices: &[
        Choice::new("A line at once: no program has the name \"POST /run/upper HTTP/1.1\".").because(
            "Stage 9 looks a name up when the request is complete, and for stage 9 only end of file completes it. The client \
             that shuts down its sending side gets this line.",
        ),
        Choice::new("HELLO: stage 9 finds the name of the program in the first line.")
            .because("For stage 9 the whole first line is the name, with the method, the path and the version."),
        Choice::new("Nothing, and end of file after 5 s."),
        Choice::new("Nothing, and the connection stays open until the client gives up.")
            .because("A timer of stage 9 closes a connection whose request is not complete after 5 s."),
    ],
    book: 2,
    shows: "Stage 9 waits for the end of file, and the client waits for the response, so both wait until a timer of stage 9 \
            closes the connection. An HTTP client says in the head how long the body is. Stage 10 reads that, so it answers \
            although the client's sending side is still open.",
    lane: "clients",
    roles: &STAGES,
};

/// A request as an HTTP client sends it. It asks for the end of the connection after the response, so that end of file
/// shows where that ends.
const REQUEST: &str =
    "POST /run/upper HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let old = lab.server(9, "/dev/null")?;
        // ANCHOR: core
        let start = Instant::now();
        let seen = post(lab, &old)?;
        let waited = start.elapsed();
        let shuts_down = lab.client("shuts down", &old)?;
        shuts_down.send_last(REQUEST)?;
        let line = shuts_down.rest(lab)?.unwrap_or_default();
        old.kill(lab)?;

        let new = lab.server(10, "/dev/null")?;
        let response = post(lab, &new)?;
        // ANCHOR_END: core
        new.kill(lab)?;
        lab.check(
            seen.is_empty() && waited >= Duration::from_secs(4),
            "stage 9, while the client waits: no byte, and end of file after 5 s",
        );
        lab.check(
            line.starts_with("no program is called \"POST /run/upper HTTP/1.1"),
            "stage 9, after end of file: no program has the name of the first line",
        );
        lab.check(
            response.starts_with("HTTP/1.1 200 OK\r\n") && response.ends_with("\r\n5\r\nHELLO\r\n0\r\n\r\n"),
            "stage 10: 200, and HELLO in a chunk of 5 bytes",
        );
        Ok(match &*seen {
            line if line.starts_with("no program") => 0,
            "HELLO" => 1,
            "" if waited >= Duration::from_secs(4) => 2,
            other => return Err(format!("none of the choices: {other:?} after {waited:?}").into()),
        })
    })
}

/// What an HTTP client gets up to the end of the connection.
fn post(lab: &Lab, server: &Server) -> Result<String> {
    let client = lab.client("HTTP client", server)?;
    client.send(REQUEST)?;
    Ok(client.rest(lab)?.unwrap_or_default())
}
