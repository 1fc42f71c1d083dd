//! Exercise `prefork/accept`: batches, errors, removal, and accepting without free descriptors.
//!
//! Most tests use Unix sockets, where a client is in the queue as soon as its connect returns.

mod support;

#[path = "scenarios/accept.rs"]
mod scenarios;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use cloexec::open::duplicate;
use nix::errno::Errno;
use nix::sys::socket::{Shutdown, UnixAddr, shutdown};
use prefork::accept::{Acceptor, BATCH, Batch, StopReason};
use support::net::{client, info, readable, unix, unix_listener};
use support::{Answer, ask, traced};

testing::helper!(|args| support::helper::answer(args, scenarios::run));

/// Every error that concerns one connection: the list of accept(2), "Error handling", EPERM of a firewall, and EINTR.
const CONNECTION_ERRORS: [&str; 10] = [
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

/// An acceptor with this many clients in its queue.
#[track_caller]
fn queued(clients: usize) -> (Acceptor, UnixAddr, Vec<UnixStream>) {
    let (listener, address) = unix_listener(None, 64);
    let clients = (0..clients).map(|_| client(&address).into()).collect();
    (acceptor(listener), address, clients)
}

#[track_caller]
fn acceptor(listener: OwnedFd) -> Acceptor {
    Acceptor::new(listener).expect("there is a descriptor for the spare")
}

#[track_caller]
fn accept(acceptor: &mut Acceptor, connected: impl FnMut(OwnedFd)) -> Batch {
    acceptor.accept(Instant::now(), connected).unwrap_or_else(|error| panic!("accept failed: {error}"))
}

/// The line that a scenario printed for each batch.
fn batches(answer: &Answer) -> Vec<&str> {
    answer.lines("batch").collect()
}

fn words(accepted: usize, reason: &str) -> String {
    format!("accepted={accepted} shed=None reason={reason}")
}

// Accepted connections

#[test]
fn queued_connections_are_accepted_in_order() {
    let (mut acceptor, _, mut clients) = queued(3);
    for (number, client) in (0..).zip(&mut clients) {
        client.write_all(&[number]).expect("it is connected");
    }
    let mut seen = Vec::new();
    let done = accept(&mut acceptor, |socket| {
        let mut byte = [0];
        UnixStream::from(socket).read_exact(&mut byte).expect("the client has sent it already");
        seen.push(byte[0]);
    });
    assert_eq!(seen, [0, 1, 2], "three clients connected in this order");
    assert_eq!(done, Batch { accepted: 3, shed: None, reason: StopReason::Empty });
}

#[test]
fn an_empty_queue_is_not_an_error() {
    let (mut acceptor, ..) = queued(0);
    let done = accept(&mut acceptor, |_| panic!("no client was queued"));
    assert_eq!(done, Batch { accepted: 0, shed: None, reason: StopReason::Empty });
}

#[test]
fn an_accepted_socket_is_close_on_exec_and_nonblocking() {
    let (mut acceptor, _, _clients) = queued(1);
    accept(&mut acceptor, |socket| {
        let seen = info(&socket);
        assert!(
            seen.close_on_exec,
            "the accepted socket is not close-on-exec: every program started from now on holds this connection open. \
             Set SOCK_CLOEXEC in accept4"
        );
        assert!(
            seen.nonblocking,
            "the accepted socket blocks, and one slow client can stop the loop. On Linux it does not inherit its \
             listener's flags: set SOCK_NONBLOCK in accept4"
        );
    });
}

#[test]
fn accept4_itself_sets_both_flags() {
    let Some(answer) = traced("as-it-is", &["batches", "1", "2", "8"]) else { return };
    let calls: Vec<&str> = answer.lines("call").filter(|call| !call.ends_with("-> -11")).collect();
    let accepts: Vec<&&str> = calls.iter().filter(|call| call.starts_with("accept")).collect();
    assert_eq!(accepts.len(), 2, "two clients were queued. The calls were {calls:?}");
    assert!(
        accepts.iter().all(|call| call.starts_with("accept4 nonblocking close-on-exec")),
        "a flag that a later call sets is missing until then, and another thread may fork and exec meanwhile. \
         SOCK_CLOEXEC and SOCK_NONBLOCK go into accept4. The calls were {calls:?}"
    );
    assert_eq!(calls.len(), 2, "accept4 sets both flags, so no other call is needed: {calls:?}");
}

#[test]
fn as_fd_lends_the_listener() {
    let (listener, _) = unix_listener(None, 1);
    let number = listener.as_raw_fd();
    assert_eq!(
        acceptor(listener).as_fd().as_raw_fd(),
        number,
        "as_fd must return the listener, for a poller"
    );
}

// The limit of a batch

#[test]
fn a_batch_stops_at_its_limit() {
    let (acceptor, _, _clients) = queued(5);
    let mut acceptor = acceptor.with_batch(3);
    let first = accept(&mut acceptor, drop);
    assert_eq!(
        (first.accepted, first.reason),
        (3, StopReason::Full),
        "five clients were queued, and the limit is three. Without a limit, clients that connect as fast as they are \
         accepted keep the loop from all other work"
    );
    let second = accept(&mut acceptor, drop);
    assert_eq!((second.accepted, second.reason), (2, StopReason::Empty), "two were left for the next batch");
}

#[test]
fn the_default_limit_is_128() {
    assert_eq!(BATCH, 128, "the default limit, which is Tornado's");
    let (listener, address) = unix_listener(None, 200);
    // A client that disconnects at once stays in the queue.
    (0..BATCH + 1).for_each(|_| drop(client(&address)));
    let done = accept(&mut acceptor(listener), drop);
    assert_eq!((done.accepted, done.reason), (BATCH, StopReason::Full), "the limit is BATCH, {BATCH}");
}

#[test]
fn a_limit_of_zero_counts_as_one() {
    let (acceptor, _, _clients) = queued(2);
    let done = accept(&mut acceptor.with_batch(0), drop);
    assert_eq!(
        (done.accepted, done.reason),
        (1, StopReason::Full),
        "a batch of 0 accepts nothing, so the listener stays readable, and a poll loop spins on it"
    );
}

#[test]
fn a_full_batch_is_not_reported_as_an_empty_queue() {
    let (acceptor, _, _clients) = queued(2);
    let mut acceptor = acceptor.with_batch(2);
    assert_eq!(
        accept(&mut acceptor, drop).reason,
        StopReason::Full,
        "the limit was reached, and no accept4 has said yet that the queue is empty"
    );
    assert_eq!(accept(&mut acceptor, drop).reason, StopReason::Empty);
}

// Errors

#[test]
fn a_failed_connection_does_not_end_the_batch() {
    for errno in CONNECTION_ERRORS {
        let kernel = format!("accept:1={errno}");
        let Some(answer) = traced(&kernel, &["batches", "1", "2", "8"]) else { return };
        let meaning = match errno {
            "EINTR" => "which says that a signal interrupted the call",
            _ => "which concerns a connection that is gone",
        };
        assert_eq!(
            batches(&answer),
            [words(2, "Empty")],
            "the first accept4 returned {errno}, {meaning}. Two clients were still queued: go on with the next"
        );
    }
}

#[test]
fn failed_connections_count_toward_the_limit() {
    for errno in ["ECONNABORTED", "EINTR", "EPERM"] {
        let kernel = format!("accept:*={errno}");
        let Some(answer) = traced(&kernel, &["batches", "2", "1", "4"]) else { return };
        assert!(
            answer.lines("endless").next().is_none(),
            "every accept4 returned {errno}, and the batch never ended: each accept4 must count toward the limit, \
             whatever it returned"
        );
        assert_eq!(batches(&answer), [words(0, "Full"), words(0, "Full")]);
        assert_eq!(
            answer.lines("call").filter(|call| call.starts_with("accept4")).count(),
            8,
            "{}",
            answer.0
        );
    }
}

#[test]
fn a_descriptor_that_is_not_a_listener_is_an_error_that_names_it() {
    let (pipe, _end) = std::io::pipe().expect("there are descriptors");
    let datagrams = UnixDatagram::unbound().expect("there are descriptors");
    datagrams.set_nonblocking(true).expect("a socket can be nonblocking");
    for (what, errno) in [
        (OwnedFd::from(pipe), Errno::ENOTSOCK),
        (unix(), Errno::EINVAL),
        (OwnedFd::from(datagrams), Errno::EOPNOTSUPP),
    ] {
        let number = what.as_raw_fd();
        let error = acceptor(what).accept(Instant::now(), drop).expect_err("this does not listen");
        assert_eq!(error.errno, errno, "{error}");
        assert!(
            error.to_string().contains(&format!("descriptor {number}")),
            "the error does not name the listener's descriptor, {number}: {error}"
        );
    }
}

#[test]
fn a_listener_that_was_shut_down_is_an_error_each_time() {
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    tcp.set_nonblocking(true).expect("a socket can be nonblocking");
    for (what, listener, how) in [
        ("TCP", OwnedFd::from(tcp), Shutdown::Both),
        ("Unix", unix_listener(None, 8).0, Shutdown::Both),
        ("Unix, for reading only", unix_listener(None, 8).0, Shutdown::Read),
    ] {
        let number = listener.as_raw_fd();
        // Another process that shares the listener can do this too.
        shutdown(number, how).expect("a listener can be shut down");
        let mut acceptor = acceptor(listener);
        for _ in 0..3 {
            let error = acceptor.accept(Instant::now(), drop);
            let error = error.expect_err(
                "the listener was shut down, so it accepts no more. accept4 on a Unix socket then returns EAGAIN, but \
                 POLLRDHUP of poll(2) shows it. (POLLHUP is missing if it was shut down for reading only.) Reported as \
                 Empty, it makes a poll loop spin",
            );
            assert_eq!(error.errno, Errno::EINVAL, "{what}: {error}");
            assert!(error.to_string().contains(&format!("descriptor {number}")), "{what}: {error}");
        }
    }
}

#[test]
fn a_listener_that_is_shut_down_during_a_batch_ends_the_next_one() {
    let (mut acceptor, _, _clients) = queued(1);
    let number = acceptor.as_fd().as_raw_fd();
    let result = acceptor.accept(Instant::now(), |_socket| {
        shutdown(number, Shutdown::Both).expect("a listener can be shut down");
    });
    assert_eq!(
        result,
        Ok(Batch { accepted: 1, shed: None, reason: StopReason::Empty }),
        "the listener was shut down after the batch had accepted a client. An error would lose the count of accepted \
         clients, so ask for POLLRDHUP only if the first round of a batch finds the queue empty"
    );
    let next = acceptor.accept(Instant::now(), drop).map_err(|error| error.errno);
    assert_eq!(next, Err(Errno::EINVAL), "the first round of the next batch finds the queue empty");
}

#[test]
fn a_listener_that_was_shut_down_is_an_error_without_descriptors_too() {
    let answer = ask(&["run", "shut-down", "0"]);
    let seen = batches(&answer);
    assert!(
        seen.iter().all(|batch| batch.starts_with("Err EINVAL ")),
        "a Unix listener was shut down, and no descriptor was left. The first round of a batch found the queue empty, with \
         the second accept4, in place of the spare. Ask for POLLRDHUP then, too, or a poll loop spins on the listener. The \
         two batches: {seen:?}"
    );
    let answer = ask(&["run", "shut-down", "1"]);
    let seen = batches(&answer);
    assert!(
        seen[0] == "accepted=0 shed=Some(1) reason=Empty" && seen[1].starts_with("Err EINVAL "),
        "a client was queued when the Unix listener was shut down, and no descriptor was left. The first round shed the \
         client, and the second one found the queue empty. That is no error yet: each later batch is one, so the shed client \
         would never be reported. Ask for POLLRDHUP in the first round only. The two batches: {seen:?}"
    );
}

#[test]
fn a_client_that_comes_after_eagain_is_no_shutdown() {
    // As if both clients had come after the first accept4 and before poll(2).
    let Some(answer) = traced("accept:1=EAGAIN", &["batches", "2", "2", "8"]) else { return };
    assert_eq!(
        batches(&answer),
        [words(0, "Empty"), words(2, "Empty")],
        "accept4 returned EAGAIN, and then two clients connected, so poll(2) reports the listener as readable. That does not \
         mean that it was shut down: ask for POLLRDHUP alone"
    );
}

#[test]
fn every_other_error_is_returned() {
    for errno in ["EBADF", "EACCES", "EFAULT", "ENOSYS", "ETIMEDOUT"] {
        let Some(answer) = traced(&format!("accept:1={errno}"), &["batches", "2", "2", "8"]) else { return };
        let seen = batches(&answer);
        assert!(
            seen[0].starts_with(&format!("Err {errno} ")),
            "accept4 returned {errno}, which neither concerns one connection nor passes by itself. The caller must get \
             it, to stop polling the listener: {seen:?}"
        );
        assert_eq!(seen[1], words(2, "Empty"), "two clients were still queued");
    }
}

#[test]
fn an_error_does_not_lose_the_count_of_shed_clients() {
    for (errno, second) in [("EINVAL", 3), ("EBADF", 4)] {
        // One client is shed. The error comes from the next accept4, or from the one that would shed a second client.
        let more = if second == 4 { ",accept:3=EMFILE" } else { "" };
        let kernel = format!("accept:1=EMFILE{more},accept:{second}={errno}");
        let Some(answer) = traced(&kernel, &["batches", "2", "2", "8"]) else { return };
        let seen = batches(&answer);
        assert!(seen[0].starts_with(&format!("Err {errno} ")), "{kernel}: {seen:?}");
        assert_eq!(
            seen[1], "accepted=1 shed=Some(1) reason=Empty",
            "a client was shed before accept4 returned {errno}. The next batch must report it, and accept the other"
        );
    }
}

#[test]
fn a_panic_does_not_lose_the_count_of_shed_clients() {
    let Some(answer) = traced("accept:1=EMFILE,accept:4=EMFILE", &["panic-after-shedding"]) else { return };
    assert_eq!(answer.line("first"), "panics", "the acceptor must not catch a panic of the callback");
    assert_eq!(
        batches(&answer),
        ["accepted=1 shed=Some(2) reason=Empty"],
        "the first of four clients was shed, and the callback panicked with the second. In the next batch the third is \
         shed, for which the spare is needed, and the report must count the first one too"
    );
}

#[test]
fn removal_does_not_lose_the_count_of_shed_clients() {
    let Some(answer) = traced("accept:1=EMFILE", &["remove-after-shedding"]) else { return };
    assert_eq!(
        batches(&answer),
        ["accepted=1 shed=Some(1) reason=Removed"],
        "the first of two clients was shed, and the callback removed the acceptor with the second. No batch accepts \
         after this one, so it must report the shed client: a report depends on the time, and not on the reason"
    );
}

#[test]
fn a_panicking_callback_loses_only_its_own_connection() {
    let (mut acceptor, address, mut clients) = queued(3);
    let mut calls = 0;
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        accept(&mut acceptor, |_socket| {
            calls += 1;
            assert!(calls != 2, "a panic on purpose");
        })
    }));
    assert!(outcome.is_err(), "the acceptor must not catch a panic of the callback");
    let done = accept(&mut acceptor, drop);
    assert_eq!(
        done,
        Batch { accepted: 1, shed: None, reason: StopReason::Empty },
        "the callback panicked with the second of three clients, so the third must still be accepted"
    );
    clients.push(client(&address).into());
    assert_eq!(accept(&mut acceptor, drop).accepted, 1, "a fourth client connected after the panic");
    for client in &mut clients {
        // Wait: a helper that is between fork and exec still holds copies.
        readable(&client, "the end of file. Is an accepted connection still open?");
        assert_eq!(client.read(&mut [0]).expect("the end of file"), 0);
    }
}

// Removal

#[test]
fn a_removed_acceptor_accepts_nothing() {
    let (mut acceptor, _, _clients) = queued(1);
    {
        let (remover, twin) = (acceptor.remover(), acceptor.remover());
        remover.remove();
        twin.clone().remove();
        let done = accept(&mut acceptor, |_| panic!("the acceptor was removed, and accepted a client"));
        assert_eq!(done, Batch { accepted: 0, shed: None, reason: StopReason::Removed });
    }
    let done = accept(&mut acceptor, |_| panic!("the acceptor was removed, and accepted a client"));
    assert_eq!(done.reason, StopReason::Removed, "it stays removed when the last remover is dropped");
}

#[test]
fn with_batch_keeps_the_removers() {
    let (acceptor, _, _clients) = queued(1);
    let remover = acceptor.remover();
    let mut acceptor = acceptor.with_batch(3);
    remover.remove();
    assert_eq!(
        accept(&mut acceptor, drop).reason,
        StopReason::Removed,
        "the remover was made before `with_batch`, and must remove the acceptor that `with_batch` returned"
    );
}

#[test]
fn removal_in_the_callback_ends_the_batch() {
    let (listener, address) = unix_listener(None, 64);
    let clients: Vec<OwnedFd> = (0..4).map(|_| client(&address)).collect();
    let mut first = acceptor(duplicate(&listener).expect("there are descriptors"));
    let mut other = acceptor(listener);
    let remover = first.remover();
    let mut kept = Vec::new();
    let done = accept(&mut first, |socket| {
        kept.push(socket);
        if kept.len() == 2 {
            remover.remove();
        }
    });
    assert_eq!(
        (done.accepted, done.reason),
        (2, StopReason::Removed),
        "the callback removed the acceptor with the second of four clients: check for removal before each accept4"
    );
    assert_eq!(accept(&mut first, drop).reason, StopReason::Removed, "the acceptor must stay removed");
    // Another acceptor, usually in another process, serves the clients that are still queued.
    let done = accept(&mut other, |socket| kept.push(socket));
    assert_eq!(
        (done.accepted, kept.len()),
        (2, clients.len()),
        "two clients were queued when the acceptor was removed: they must stay queued for another acceptor"
    );
}

#[test]
fn removal_with_the_last_connection_is_reported_as_removed() {
    let (acceptor, _, _clients) = queued(2);
    let mut acceptor = acceptor.with_batch(1);
    let remover = acceptor.remover();
    let done = accept(&mut acceptor, |_| remover.remove());
    assert_eq!(done.reason, StopReason::Removed, "a loop that reads Full calls accept again, and must not");
}

// Without free descriptors

#[test]
fn without_descriptors_clients_are_shed() {
    let answer = ask(&["run", "shed", "unix", "0", "3", "0", "8"]);
    assert_eq!(
        batches(&answer),
        ["accepted=0 shed=Some(3) reason=Empty"],
        "three clients were queued, and only the spare descriptor was left. Close it, accept one client in its place, \
         close that, and open the spare again"
    );
    assert!(
        !answer.0.lines().any(|line| line == "ready"),
        "the clients are still queued, so the listener stays readable, and a poll loop spins on it"
    );
    were_shed(&answer, 3);
}

#[test]
fn a_shed_client_sees_end_of_file_whatever_it_has_sent() {
    testing::needs!(loopback);
    for (kind, sent) in [("unix", "5"), ("tcp", "0"), ("tcp", "5"), ("tcp", "300000"), ("tcp", "8000000")] {
        let answer = ask(&["run", "shed", kind, sent, "2", "0", "8"]);
        assert_eq!(batches(&answer), ["accepted=0 shed=Some(2) reason=Empty"], "{kind}, {sent} bytes");
        were_shed(&answer, 2);
    }
}

#[test]
fn a_shed_client_that_has_left_is_no_error() {
    testing::needs!(loopback);
    let answer = ask(&["run", "shed-reset"]);
    assert_eq!(
        batches(&answer),
        ["accepted=0 shed=Some(2) reason=Empty"],
        "two clients connected and reset their connections, and then no descriptor was left. accept4 returns such a connection, \
         and shutdown fails with ENOTCONN, and read with ECONNRESET. That says nothing about the listener: ignore the errors of \
         shutdown and of the read"
    );
}

/// This many clients saw an end of file, and no descriptor is left open.
#[track_caller]
fn were_shed(answer: &Answer, clients: usize) {
    let seen: Vec<&str> = answer.lines("client").collect();
    assert_eq!(
        seen,
        vec!["end of file"; clients],
        "a shed client must see a clean end of file. Closing a socket with unread bytes causes ECONNRESET, so shut it \
         down first, which sends the end of file, and read then. A client that sees nothing has a connection that is still open"
    );
    let left = answer.line("left");
    assert_eq!(left, "", "a shed connection leaked. These descriptors are still open: {left}");
}

#[test]
fn free_descriptors_are_used_before_clients_are_shed() {
    let answer = ask(&["run", "shed", "unix", "0", "5", "2", "8"]);
    assert_eq!(
        batches(&answer),
        ["accepted=2 shed=Some(3) reason=Empty"],
        "five clients, two free descriptors"
    );
    were_shed(&answer, 3);
}

#[test]
fn shed_clients_count_toward_the_limit() {
    let answer = ask(&["run", "shed", "unix", "0", "5", "0", "2"]);
    assert_eq!(
        batches(&answer),
        ["accepted=0 shed=Some(2) reason=Full"],
        "five clients were queued, and the limit is two: shedding a client takes time too, so it counts toward the \
         limit"
    );
}

#[test]
fn an_empty_queue_without_descriptors_is_empty() {
    // accept4 allocates a descriptor before it looks at the queue, so it returns EMFILE even if the queue is empty.
    let answer = ask(&["run", "shed", "unix", "0", "0", "0", "8"]);
    assert_eq!(batches(&answer), [words(0, "Empty")], "no client was queued, and none was shed");
}

#[test]
fn the_spare_is_reopened_after_each_client() {
    let answer = ask(&["run", "again"]);
    let first = "accepted=0 shed=Some(1) reason=Empty";
    let seen = batches(&answer);
    assert_eq!(seen[0], first);
    for later in &seen[1..] {
        assert!(
            later.ends_with("reason=Empty"),
            "the spare was closed for the first client, and must be reopened for the next. The three batches: {seen:?}"
        );
    }
    let clients: Vec<&str> = answer.lines("client").collect();
    assert_eq!(clients, ["end of file"; 3], "three clients connected, one after the other");
}

#[test]
fn the_spare_is_close_on_exec() {
    let answer = ask(&["run", "spare"]);
    let seen: Vec<&str> = answer.lines("spare").collect();
    assert_eq!(
        seen, ["close-on-exec"; 2],
        "the spare descriptor, first when it is new and then when it was reopened, must be close-on-exec"
    );
}

#[test]
fn enfile_sheds_clients_like_emfile() {
    let Some(answer) = traced("accept:1=ENFILE", &["batches", "1", "2", "8"]) else { return };
    assert_eq!(
        batches(&answer),
        ["accepted=1 shed=Some(1) reason=Empty"],
        "accept4 returned ENFILE once, with two clients queued: closing the spare makes room in the system's table too"
    );
}

#[test]
fn a_connection_that_fails_while_it_is_shed_does_not_end_the_batch() {
    for errno in CONNECTION_ERRORS {
        let kernel = format!("accept:1=EMFILE,accept:2={errno}");
        let Some(answer) = traced(&kernel, &["batches", "1", "2", "8"]) else { return };
        let meaning = match errno {
            "EINTR" => "a signal interrupted the call",
            _ => "the connection to be shed is gone",
        };
        assert_eq!(
            batches(&answer),
            [words(2, "Empty")],
            "no descriptor was left, and the accept4 in place of the spare returned {errno}: {meaning}. Two clients \
             were still queued: go on with the next"
        );
    }
}

#[test]
fn connections_that_fail_while_they_are_shed_count_toward_the_limit() {
    let kernel = "accept:1=EMFILE,accept:2=ECONNABORTED,accept:3=EMFILE,accept:4=ECONNABORTED";
    let Some(answer) = traced(kernel, &["batches", "2", "2", "2"]) else { return };
    assert_eq!(
        batches(&answer),
        [words(0, "Full"), words(2, "Full")],
        "no descriptor was left, and twice the connection to be shed was gone. That makes two rounds, which is the \
         limit, and after each of them the spare must be reopened"
    );
}

#[test]
fn a_shed_client_that_sends_without_end_is_closed() {
    let Some(answer) = traced("accept:1=EMFILE,read:*=FULL", &["batches", "1", "2", "8"]) else { return };
    assert!(
        answer.lines("endless").next().is_none(),
        "a client that is shed sends as fast as it is read from, so reading to the end never ends, and the loop serves \
         no other client: read only up to a bound"
    );
    assert_eq!(batches(&answer), ["accepted=1 shed=Some(1) reason=Empty"]);
}

#[test]
fn without_a_descriptor_for_the_spare_there_is_no_acceptor() {
    let answer = ask(&["run", "no-spare"]);
    assert_eq!(answer.line("new"), "EMFILE", "the acceptor could not shed a client later");
    let left = answer.line("left");
    assert_eq!(left, "", "`new` failed, and must close the listener that it was given. Still open: {left}");
}

#[test]
fn without_even_a_spare_the_acceptor_is_stuck() {
    let answer = ask(&["run", "nothing-left"]);
    let seen = batches(&answer);
    assert_eq!(
        seen[..2],
        [words(0, "Stuck(EMFILE)"), words(0, "Stuck(EMFILE)")],
        "not even the spare could be opened. The listener stays readable, so accept must return Stuck: then the loop \
         can stop polling it"
    );
    assert_eq!(seen[2], words(2, "Empty"), "descriptors were free again, and two clients were queued");
    assert_eq!(
        seen[3], "accepted=0 shed=Some(1) reason=Empty",
        "descriptors had been free, so the spare should have been reopened for the next time that none is left"
    );
    let Some(answer) = traced("accept:*=ENFILE", &["batches", "1", "1", "8"]) else { return };
    assert_eq!(
        batches(&answer),
        [words(0, "Stuck(ENFILE)")],
        "every accept4 returned ENFILE, even with the spare closed: the system's table is full, so accept must return \
         Stuck"
    );
}

#[test]
fn without_memory_the_acceptor_is_stuck() {
    for errno in ["ENOMEM", "ENOBUFS"] {
        for kernel in [format!("accept:*={errno}"), format!("accept:1=EMFILE,accept:2={errno}")] {
            let Some(answer) = traced(&kernel, &["batches", "1", "1", "8"]) else { return };
            assert_eq!(
                batches(&answer),
                [words(0, &format!("Stuck({errno})"))],
                "{kernel}: the kernel has no memory for the connection, which stays in the queue. So the listener \
                 stays readable, and accept must return Stuck: then the loop can stop polling it"
            );
        }
    }
}

#[test]
fn a_stuck_batch_reports_shed_clients_too() {
    let Some(answer) = traced("accept:1=EMFILE,accept:3=ENOMEM", &["batches", "1", "2", "8"]) else { return };
    assert_eq!(
        batches(&answer),
        ["accepted=0 shed=Some(1) reason=Stuck(ENOMEM)"],
        "the first of two clients was shed, and then no memory was left. A report depends on the time, and not on the reason \
         for which the batch ended"
    );
}

#[test]
fn shed_clients_are_reported_once_a_second() {
    let answer = ask(&["run", "reports"]);
    let shed: Vec<&str> = batches(&answer).iter().filter_map(|batch| batch.split(' ').nth(1)).collect();
    // At 0, 500, 999, 1000, 1500, 2000, 9000, 9500 and again 1000 milliseconds, with 2, 1, 2, 0, 1, 1, 0, 1 and 1 clients.
    let wanted = ["Some(2)", "None", "None", "Some(3)", "None", "Some(2)", "None", "Some(1)", "None"];
    assert_eq!(
        shed,
        wanted.map(|each| format!("shed={each}")),
        "each report must count the clients shed since the last one, at most once a second, and there is none for 0 \
         clients. Otherwise an overloaded server fills its log. A batch that has nothing to report, as at 9000 milliseconds, \
         makes no report, so it delays none"
    );
}
