//! Exercise `prefork/accept`: what the kernel must show.
//!
//! Most of it is seen on Unix sockets: there a client is in the queue when its connect comes back.

mod support;

use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use cloexec::open::duplicate;
use nix::errno::Errno;
use nix::sys::socket::UnixAddr;
use prefork::accept::{Acceptor, BATCH, Batch, StopReason};
use support::net::{client, info, readable, unix, unix_listener};
use support::{Answer, ask, traced};

/// Every error that is about one connection: the list of accept(2), "Error handling", a firewall, and a signal.
const OF_ONE: [&str; 10] = [
    "ECONNABORTED",
    "EINTR",
    "EPROTO",
    "ENETDOWN",
    "ENOPROTOOPT",
    "EHOSTDOWN",
    "ENONET",
    "EHOSTUNREACH",
    "ENETUNREACH",
    "EPERM",
];

/// An acceptor, and clients that are queued.
#[track_caller]
fn queued(clients: usize) -> (Acceptor, UnixAddr, Vec<UnixStream>) {
    let (listener, address) = unix_listener(None, 64);
    let clients = (0..clients).map(|_| client(&address).into()).collect();
    (acceptor(listener), address, clients)
}

#[track_caller]
fn acceptor(listener: OwnedFd) -> Acceptor {
    Acceptor::new(listener).expect("there is a descriptor for the reserve")
}

#[track_caller]
fn turn(acceptor: &mut Acceptor, connected: impl FnMut(OwnedFd)) -> Batch {
    acceptor.accept(Instant::now(), connected).unwrap_or_else(|error| panic!("a turn failed: {error}"))
}

/// Each turn of a scenario, in words.
fn turns(answer: &Answer) -> Vec<&str> {
    answer.lines("turn").collect()
}

fn words(accepted: usize, ended: &str) -> String {
    format!("accepted={accepted} shed=None ended={ended}")
}

// A connection

#[test]
fn queued_connections_are_accepted_in_order() {
    let (mut acceptor, _, mut clients) = queued(3);
    for (number, client) in (0..).zip(&mut clients) {
        client.write_all(&[number]).expect("it is connected");
    }
    let mut seen = Vec::new();
    let done = turn(&mut acceptor, |socket| {
        let mut byte = [0];
        UnixStream::from(socket).read_exact(&mut byte).expect("the client has sent it already");
        seen.push(byte[0]);
    });
    assert_eq!(seen, [0, 1, 2], "three clients came, in this order");
    assert_eq!(done, Batch { accepted: 3, shed: None, reason: StopReason::Empty });
}

#[test]
fn an_empty_queue_is_not_an_error() {
    let (mut acceptor, ..) = queued(0);
    let done = turn(&mut acceptor, |_| panic!("nobody was there"));
    assert_eq!(done, Batch { accepted: 0, shed: None, reason: StopReason::Empty });
}

#[test]
fn an_accepted_socket_is_close_on_exec_and_nonblocking() {
    let (mut acceptor, _, _clients) = queued(1);
    turn(&mut acceptor, |socket| {
        let seen = info(&socket);
        assert!(
            seen.marked,
            "the accepted socket is not close-on-exec: every program started from now on holds this client's connection"
        );
        assert!(
            seen.nonblocking,
            "the accepted socket blocks: on Linux it has none of its listener's flags, and one slow client stops the \
             loop"
        );
    });
}

#[test]
fn accept4_itself_sets_both_flags() {
    let Some(answer) = traced("as-it-is", &["accept", "turns", "1", "2", "8"]) else { return };
    let calls: Vec<&str> = answer.lines("call").filter(|call| !call.ends_with("-> -11")).collect();
    let accepts: Vec<&&str> = calls.iter().filter(|call| call.starts_with("accept")).collect();
    assert_eq!(accepts.len(), 2, "two clients were queued. The calls were {calls:?}");
    assert!(
        accepts.iter().all(|call| call.starts_with("accept4 nonblocking marked")),
        "a flag that is set later is not there in between, when another thread may fork and exec: SOCK_CLOEXEC and \
         SOCK_NONBLOCK go into accept4. The calls were {calls:?}"
    );
    assert_eq!(calls.len(), 2, "accept4 sets both flags, and nothing is left to do: {calls:?}");
}

#[test]
fn as_fd_lends_the_listener() {
    let (listener, _) = unix_listener(None, 1);
    let number = listener.as_raw_fd();
    assert_eq!(acceptor(listener).as_fd().as_raw_fd(), number, "a poller is to watch the listener");
}

// A turn has an end

#[test]
fn a_batch_stops_at_its_limit() {
    let (acceptor, _, _clients) = queued(5);
    let mut acceptor = acceptor.with_batch(3);
    let first = turn(&mut acceptor, drop);
    assert_eq!(
        (first.accepted, first.reason),
        (3, StopReason::Full),
        "five clients were queued, and three is the bound. Without one, clients that come as fast as they are \
         accepted keep the loop from everything else"
    );
    let second = turn(&mut acceptor, drop);
    assert_eq!((second.accepted, second.reason), (2, StopReason::Empty), "two were left for the next turn");
}

#[test]
fn the_default_limit_is_128() {
    assert_eq!(BATCH, 128, "the usual bound, which is Tornado's");
    let (listener, address) = unix_listener(None, 200);
    // Who hangs up at once stays queued.
    (0..BATCH + 1).for_each(|_| drop(client(&address)));
    let done = turn(&mut acceptor(listener), drop);
    assert_eq!((done.accepted, done.reason), (BATCH, StopReason::Full), "the bound is BATCH, {BATCH}");
}

#[test]
fn a_limit_of_zero_counts_as_one() {
    let (acceptor, _, _clients) = queued(2);
    let done = turn(&mut acceptor.with_batch(0), drop);
    assert_eq!(
        (done.accepted, done.reason),
        (1, StopReason::Full),
        "a turn that takes nobody leaves the listener ready, and whoever polls it comes back at once, for ever"
    );
}

#[test]
fn a_full_batch_is_not_reported_as_an_empty_queue() {
    let (acceptor, _, _clients) = queued(2);
    let mut acceptor = acceptor.with_batch(2);
    assert_eq!(
        turn(&mut acceptor, drop).reason,
        StopReason::Full,
        "nobody has said yet that the queue is empty"
    );
    assert_eq!(turn(&mut acceptor, drop).reason, StopReason::Empty);
}

// What goes wrong with one connection

#[test]
fn a_failed_connection_does_not_end_the_batch() {
    for errno in OF_ONE {
        let kernel = format!("accept:1={errno}");
        let Some(answer) = traced(&kernel, &["accept", "turns", "1", "2", "8"]) else { return };
        assert_eq!(
            turns(&answer),
            [words(2, "Empty")],
            "the first accept4 said {errno}, which is about a connection that has gone, and behind it two clients \
             were queued"
        );
    }
}

#[test]
fn failed_connections_count_toward_the_limit() {
    let Some(answer) = traced("accept:*=ECONNABORTED", &["accept", "turns", "2", "1", "4"]) else { return };
    assert!(
        answer.lines("endless").next().is_none(),
        "every accept4 said ECONNABORTED, and the turn never ended: what went wrong counts for its bound"
    );
    assert_eq!(turns(&answer), [words(0, "Full"), words(0, "Full")]);
    assert_eq!(answer.lines("call").filter(|call| call.starts_with("accept4")).count(), 8, "{}", answer.0);
}

#[test]
fn a_descriptor_that_is_not_a_listener_is_an_error_that_names_it() {
    let (pipe, _end) = std::io::pipe().expect("a pipe can be made");
    let datagrams = UnixDatagram::unbound().expect("a socket can be made");
    datagrams.set_nonblocking(true).expect("a socket can be told");
    for (what, errno) in [
        (OwnedFd::from(pipe), Errno::ENOTSOCK),
        (unix(), Errno::EINVAL),
        (OwnedFd::from(datagrams), Errno::EOPNOTSUPP),
    ] {
        let number = what.as_raw_fd();
        let error = acceptor(what).accept(Instant::now(), drop).expect_err("it does not listen");
        assert_eq!(error.errno, errno, "{error}");
        assert!(
            error.to_string().contains(&format!("descriptor {number}")),
            "the message does not say which listener: {error}"
        );
    }
}

#[test]
fn a_panicking_callback_loses_only_its_own_connection() {
    let (mut acceptor, address, mut clients) = queued(3);
    let mut calls = 0;
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        turn(&mut acceptor, |_socket| {
            calls += 1;
            assert!(calls != 2, "this is meant to be seen");
        })
    }));
    assert!(outcome.is_err(), "a panic of the callback is not the acceptor's to swallow");
    let done = turn(&mut acceptor, drop);
    assert_eq!(
        done,
        Batch { accepted: 1, shed: None, reason: StopReason::Empty },
        "after the panic one client was still queued, and nobody has removed the acceptor"
    );
    clients.push(client(&address).into());
    assert_eq!(turn(&mut acceptor, drop).accepted, 1, "and one came later");
    for client in &mut clients {
        // Not at once: a helper that is just being born has copies.
        readable(&client, "a connection of the past is still open");
        assert_eq!(client.read(&mut [0]).expect("the end"), 0);
    }
}

// Removed

#[test]
fn a_removed_acceptor_accepts_nothing() {
    let (mut acceptor, _, _clients) = queued(1);
    let (remover, twin) = (acceptor.remover(), acceptor.remover());
    remover.remove();
    twin.clone().remove();
    let done = turn(&mut acceptor, |_| panic!("nobody was to be accepted any more"));
    assert_eq!(done, Batch { accepted: 0, shed: None, reason: StopReason::Removed });
}

#[test]
fn removal_in_the_callback_ends_the_batch() {
    let (listener, address) = unix_listener(None, 64);
    let clients: Vec<OwnedFd> = (0..4).map(|_| client(&address)).collect();
    let mut first = acceptor(duplicate(&listener).expect("there is a number"));
    let mut other = acceptor(listener);
    let remover = first.remover();
    let mut kept = Vec::new();
    let done = turn(&mut first, |socket| {
        kept.push(socket);
        if kept.len() == 2 {
            remover.remove();
        }
    });
    assert_eq!(
        (done.accepted, done.reason),
        (2, StopReason::Removed),
        "the callback removed the acceptor with the second of four clients: that is looked at before each accept"
    );
    assert_eq!(turn(&mut first, drop).reason, StopReason::Removed, "and it stays removed");
    // Who was queued is another's now: another process's, most of the time.
    let done = turn(&mut other, |socket| kept.push(socket));
    assert_eq!(
        (done.accepted, kept.len()),
        (2, clients.len()),
        "two clients were queued when the acceptor was removed: they stay, and another acceptor serves them"
    );
}

#[test]
fn removal_with_the_last_connection_is_reported_as_removed() {
    let (acceptor, _, _clients) = queued(2);
    let mut acceptor = acceptor.with_batch(1);
    let remover = acceptor.remover();
    let done = turn(&mut acceptor, |_| remover.remove());
    assert_eq!(done.reason, StopReason::Removed, "whoever hears that the batch is full comes back for more");
}

// No descriptor left

#[test]
fn without_descriptors_clients_are_shed() {
    let answer = ask(&["run", "accept", "shed", "unix", "0", "3", "0", "8"]);
    assert_eq!(
        turns(&answer),
        ["accepted=0 shed=Some(3) ended=Empty"],
        "three clients were queued, and no descriptor was left but the one in reserve: with that they can be taken \
         from the queue, one by one, and closed"
    );
    assert!(
        !answer.0.lines().any(|line| line == "ready"),
        "the clients are still queued, and the listener is ready: whoever polls it spins"
    );
    sent_away(&answer, 3);
}

#[test]
fn a_shed_client_sees_end_of_file_whatever_it_has_sent() {
    for (kind, sent) in [("unix", "5"), ("tcp", "0"), ("tcp", "5"), ("tcp", "300000")] {
        let answer = ask(&["run", "accept", "shed", kind, sent, "2", "0", "8"]);
        assert_eq!(turns(&answer), ["accepted=0 shed=Some(2) ended=Empty"], "{kind}, {sent} bytes");
        sent_away(&answer, 2);
    }
}

/// So many clients saw the end of the file, and nothing is open any more.
#[track_caller]
fn sent_away(answer: &Answer, clients: usize) {
    let seen: Vec<&str> = answer.lines("client").collect();
    assert_eq!(
        seen,
        vec!["the end"; clients],
        "a client that is sent away is to see a clean end of the file. ECONNRESET is what a close does to bytes that \
         nobody has read; nothing at all is a connection that is still open somewhere"
    );
    let left = answer.line("left");
    assert_eq!(left, "", "when all was over, these were still open: {left}");
}

#[test]
fn free_descriptors_are_used_before_clients_are_shed() {
    let answer = ask(&["run", "accept", "shed", "unix", "0", "5", "2", "8"]);
    assert_eq!(turns(&answer), ["accepted=2 shed=Some(3) ended=Empty"], "five clients, and two numbers free");
    sent_away(&answer, 3);
}

#[test]
fn shed_clients_count_toward_the_limit() {
    let answer = ask(&["run", "accept", "shed", "unix", "0", "5", "0", "2"]);
    assert_eq!(
        turns(&answer),
        ["accepted=0 shed=Some(2) ended=Full"],
        "five clients were queued, and two is the bound of a turn: to send somebody away takes time as well"
    );
}

#[test]
fn an_empty_queue_without_descriptors_is_empty() {
    // accept4 takes a number before it looks into the queue: EMFILE says nothing of the queue.
    let answer = ask(&["run", "accept", "shed", "unix", "0", "0", "0", "8"]);
    assert_eq!(turns(&answer), [words(0, "Empty")], "nobody was there, and nobody was sent away");
}

#[test]
fn the_spare_is_reopened_after_each_client() {
    let answer = ask(&["run", "accept", "again"]);
    let first = "accepted=0 shed=Some(1) ended=Empty";
    let seen = turns(&answer);
    assert_eq!(seen[0], first);
    for later in &seen[1..] {
        assert!(
            later.ends_with("ended=Empty"),
            "the reserve was given up for the first client, and is to be opened again for the next. Three turns: {seen:?}"
        );
    }
    let clients: Vec<&str> = answer.lines("client").collect();
    assert_eq!(clients, ["the end"; 3], "three clients came, one after the other");
}

#[test]
fn the_spare_is_close_on_exec() {
    let answer = ask(&["run", "accept", "reserve"]);
    let seen: Vec<&str> = answer.lines("reserve").collect();
    assert_eq!(seen, ["marked"; 2], "the descriptor in reserve, at first and opened again");
}

#[test]
fn enfile_sheds_clients_like_emfile() {
    let Some(answer) = traced("accept:1=ENFILE", &["accept", "turns", "1", "2", "8"]) else { return };
    assert_eq!(
        turns(&answer),
        ["accepted=1 shed=Some(1) ended=Empty"],
        "accept4 said ENFILE once, with two clients queued: closing the descriptor in reserve helps here too"
    );
}

#[test]
fn a_connection_that_fails_while_it_is_shed_does_not_end_the_batch() {
    for errno in OF_ONE {
        let kernel = format!("accept:1=EMFILE,accept:2={errno}");
        let Some(answer) = traced(&kernel, &["accept", "turns", "1", "2", "8"]) else { return };
        assert_eq!(
            turns(&answer),
            [words(2, "Empty")],
            "no number was left, and accept4 with that of the reserve said {errno}: the connection that was to be sent \
             away has gone, and behind it two clients were queued"
        );
    }
}

#[test]
fn without_even_a_spare_the_acceptor_is_stuck() {
    let answer = ask(&["run", "accept", "nothing-left"]);
    let seen = turns(&answer);
    assert_eq!(
        seen[..2],
        [words(0, "Stuck(EMFILE)"), words(0, "Stuck(EMFILE)")],
        "not even the number of the descriptor in reserve could be had. The listener stays ready, and its poller has \
         to know that it is of no use"
    );
    assert_eq!(seen[2], words(2, "Empty"), "then there were numbers again, for the two that were queued");
    assert_eq!(
        seen[3], "accepted=0 shed=Some(1) ended=Empty",
        "and there could have been a descriptor in reserve again, for the next time that none is left"
    );
    let Some(answer) = traced("accept:*=ENFILE", &["accept", "turns", "1", "1", "8"]) else { return };
    assert_eq!(
        turns(&answer),
        [words(0, "Stuck(ENFILE)")],
        "every accept4 said ENFILE, also with the descriptor in reserve closed: the table of the whole machine is full"
    );
}

#[test]
fn without_memory_the_acceptor_is_stuck() {
    for errno in ["ENOMEM", "ENOBUFS"] {
        let Some(answer) = traced(&format!("accept:*={errno}"), &["accept", "turns", "1", "1", "8"]) else {
            return;
        };
        assert_eq!(turns(&answer), [words(0, &format!("Stuck({errno})"))]);
    }
}

#[test]
fn shed_clients_are_reported_once_a_second() {
    let answer = ask(&["run", "accept", "said"]);
    let shed: Vec<&str> = turns(&answer).iter().filter_map(|turn| turn.split(' ').nth(1)).collect();
    // At 0, 500, 999, 1000, 1500, 2000 and 9000 milliseconds, with 2, 1, 2, 0, 1, 1 and 0 clients.
    let wanted = ["Some(2)", "None", "None", "Some(3)", "None", "Some(2)", "None"];
    assert_eq!(
        shed,
        wanted.map(|each| format!("shed={each}")),
        "at most once a second it is said how many were sent away since, and nobody's absence is not said. A server \
         that is full would fill its log as well"
    );
}
