//! Stages 6 and 7 of the book's server, and clients that do not end their requests.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use experiments::{Choice, Client, Lab, Question, Result, STAGES, Server, ask};

const QUESTION: Question = Question {
    question: "When does a server without timers close a client that never ends its request?",
    setup: "A client connects to stage 6 of the server and sends nothing: it is idle. Another client sends half a request. \
            Then both do nothing more, and stay connected. Two such clients connect to stage 7 as well, which closes a \
            client after five seconds if its request is not complete. When stage 7 has closed both of its clients, what has \
            stage 6 done with its own?",
    choices: &[
        Choice::new("It has closed both, because the kernel reports a connection on which nothing arrives.").because(
            "Nothing arrives, so there is nothing to report, and epoll_wait does not return. The kernel does not test an idle \
             connection either, unless the program sets SO_KEEPALIVE. Even then, the client's machine answers the test.",
        ),
        Choice::new("It has closed the idle client, and the one with half a request is still connected.")
            .because("Stage 6 acts when a client is reported, and an idle client is never reported."),
        Choice::new("It has closed the client with half a request, and the idle one is still connected.").because(
            "The server has read the half, and waits for the rest. Until more bytes come, no event is reported.",
        ),
        Choice::new("Neither: it still has both clients, and will have them as long as they stay connected."),
    ],
    book: 3,
    shows: "A client that does nothing causes no event, so only a clock can end the wait. Stage 7 starts a timer when a \
            client connects, and the nearest deadline gives the timeout of poll. In a server without timers, clients \
            that never leave use up the descriptors.",
    lane: "clients",
    roles: &STAGES,
};

/// How long stage 7 waits for a request.
const DEADLINE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        // ANCHOR: core
        let old = lab.server_on("old", 6, "/dev/null")?;
        let [idle, half] = stop_halfway(lab, &old, ["idle 1", "half 1"])?;
        let new = lab.server_on("new", 7, "/dev/null")?;
        let start = Instant::now();
        let [idle_2, half_2] = stop_halfway(lab, &new, ["idle 2", "half 2"])?;
        let closed = [idle_2.rest(lab)?, half_2.rest(lab)?];
        let after = start.elapsed();
        let kept = [idle.gets_nothing()?, half.gets_nothing()?];
        // ANCHOR_END: core
        lab.check(
            closed.iter().all(|rest| rest.as_deref() == Some("")),
            "stage 7 closes both of its clients, and sends nothing",
        );
        lab.check(after >= DEADLINE, "not before five seconds have passed");
        old.kill(lab)?;
        new.kill(lab)?;
        for client in [idle, half] {
            client.rest(lab)?;
        }
        Ok(match kept {
            [false, false] => 0,
            [false, true] => 1,
            [true, false] => 2,
            [true, true] => 3,
        })
    })
}

/// Two clients of a server. The first sends nothing, and the second a part of its request.
fn stop_halfway(lab: &Lab, server: &Server, names: [&str; 2]) -> Result<[Client; 2]> {
    let [nothing, half] = [lab.client(names[0], server)?, lab.client(names[1], server)?];
    half.send("upper\nhel")?;
    Ok([nothing, half])
}
