//! A client that sends a request byte by byte, one that sends nothing, and fast ones beside them.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use experiments::{Choice, Http, Lab, PATIENCE, Question, Result, ask};
use httpserver::{Limits, Reply, Request, Response};
use ioloop::IoLoop;

const QUESTION: Question = Question {
    question: "What happens to an HTTP client that sends a byte at a time, and to the others meanwhile?",
    setup: "A server waits one second for the first byte of a request, and one second for the rest of the head. A slow \
            client sends a head that does not end, a byte every 20 ms. A silent client connects and sends nothing. A fast \
            client sends a whole request meanwhile. What do the three clients get?",
    choices: &[
        Choice::new("The fast one waits until the slow one has sent its request, because the loop has one thread.")
            .because("The loop waits for all its clients at once. It does not wait in a read for one of them."),
        Choice::new(
            "The fast one gets its response. The slow one is never cut off, because each byte restarts its time.",
        )
        .because(
            "The server counts the time from the first byte of the head. If each byte restarted it, a client could stay \
             for hours.",
        ),
        Choice::new(
            "The fast one gets its response. The slow one gets the status 408, and the silent one gets end of file.",
        ),
        Choice::new("The fast one gets its response. The slow one and the silent one get the status 408.").because(
            "The silent client has not asked for anything. It could take the 408 for the response to the request that it \
             sends \
             next.",
        ),
    ],
    book: 2,
    shows: "A slow client costs the server a descriptor and a buffer, but no thread. It must still have a limit, because a \
            process has few descriptors.",
    lane: "clients",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        // ANCHOR: limits
        let time = Duration::from_secs(1);
        let limits = Limits { head_time: time, idle_time: time, ..Limits::default() };
        // ANCHOR_END: limits
        let server = lab.http(limits, || {
            |_: &IoLoop, _: &Request, reply: Reply| reply.send(Response::text(200, "fast"))
        })?;
        let silent = lab.connect(server.port())?;
        let start = Instant::now();
        let (fast, slow) = slow(lab, &server)?;
        let lasted = start.elapsed();
        let silent = rest(silent)?;
        let counters = server.until(|counters| counters.open == 0)?;
        lab.note(format!(
            "fast client: {}",
            if fast {
                "200, while the slow one still sends"
            } else {
                "nothing, while the slow one still sends"
            }
        ));
        lab.note(format!("slow client: {}", slow.as_deref().unwrap_or("still there after 20 s")));
        lab.note(format!(
            "silent client: {}",
            if silent.is_empty() { "end of file, without a byte" } else { &silent }
        ));
        lab.check(
            counters.timeouts == 1 && counters.idled == 1,
            "the server counts one client that was too slow, and one that was idle for too long",
        );
        lab.check(counters.responses[4] == 1, "the server counts one response with a status from 400 to 499");
        // The lower limit leaves room for the clocks.
        lab.check(
            lasted > Duration::from_millis(900) && lasted < PATIENCE,
            "the slow client gets its 408 after about a second",
        );
        match (fast, slow.as_deref(), &*silent) {
            (false, ..) => Ok(0),
            (true, None, _) => Ok(1),
            (true, Some("HTTP/1.1 408 Request Timeout"), "") => Ok(2),
            (true, Some("HTTP/1.1 408 Request Timeout"), "HTTP/1.1 408 Request Timeout") => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

/// Send a head byte by byte until the server answers. Gives whether a fast client was answered before, and the answer's first
/// line.
fn slow(lab: &Lab, server: &Http) -> Result<(bool, Option<String>)> {
    let mut slow = lab.connect(server.port())?;
    slow.set_nodelay(true)?;
    slow.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")?;
    server.until(|counters| counters.received > 0)?;
    let fast = get(lab, server)?.starts_with("HTTP/1.1 200") && server.counters()?.timeouts == 0;
    // ANCHOR: core
    let start = Instant::now();
    while start.elapsed() < PATIENCE && !has_answer(&slow)? {
        slow.write_all(b"x")?;
        thread::sleep(Duration::from_millis(20));
    }
    // ANCHOR_END: core
    let answer = if has_answer(&slow)? { Some(rest(slow)?) } else { None };
    Ok((fast, answer))
}

/// The first line of what a fast client gets.
fn get(lab: &Lab, server: &Http) -> Result<String> {
    let mut client = lab.connect(server.port())?;
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")?;
    client.shutdown(Shutdown::Write)?;
    rest(client)
}

/// Is there something to read, or end of file?
fn has_answer(client: &TcpStream) -> Result<bool> {
    client.set_nonblocking(true)?;
    let peeked = client.peek(&mut [0]);
    client.set_nonblocking(false)?;
    match peeked {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The first line of all that comes until end of file.
fn rest(mut client: TcpStream) -> Result<String> {
    let mut bytes = [0; 4096];
    let mut text = Vec::new();
    while !text.windows(2).any(|end| end == b"\r\n") {
        match client.read(&mut bytes)? {
            0 => break,
            count => text.extend_from_slice(&bytes[..count]),
        }
    }
    Ok(String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned())
}
