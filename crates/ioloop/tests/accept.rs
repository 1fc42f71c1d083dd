//! Accepting on a loop: removal while clients are in the backlog, and running out of descriptors.

mod support;

#[path = "scenarios/accept.rs"]
mod scenarios;

use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;

use ioloop::poller::Kind;
use ioloop::{AcceptHandle, IoLoop};
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use support::operation::failures;
use support::{LONG, Log, a_pipe, helper_said, on_each, panics, said_on_each, turns};
use testing::no_child_is_born;

testing::helper!(|args| support::answer(args, |args| match args {
    ["accept", "no-descriptor", poller] =>
        poller.parse().map_err(Into::into).and_then(scenarios::no_descriptor),
    ["accept", "full-batches"] => scenarios::full_batches(),
    ["accept", "fails-and-sheds"] => scenarios::fails_and_sheds(),
    ["accept", "stuck"] => scenarios::stuck(),
    ["accept", "paused"] => scenarios::paused(),
    ["accept", "refused", poller] => poller.parse().map_err(Into::into).and_then(scenarios::refused),
    _ => support::unknown(args),
}));

fn listener() -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    listener
}

fn clients(of: &TcpListener, count: usize) -> Vec<TcpStream> {
    (0..count).map(|_| TcpStream::connect(of.local_addr().unwrap()).unwrap()).collect()
}

#[test]
fn accepted_connections_are_close_on_exec_and_nonblocking() {
    testing::needs!(loopback);
    on_each(|ioloop| {
        let listener = listener();
        let _clients = clients(&listener, 3);
        let flags = Log::default();
        let seen = flags.clone();
        let accepting = ioloop.add_accept_handler(listener, move |_, socket| {
            let descriptor = FdFlag::from_bits_retain(fcntl(&socket, FcntlArg::F_GETFD).unwrap());
            let status = OFlag::from_bits_retain(fcntl(&socket, FcntlArg::F_GETFL).unwrap());
            seen.add(descriptor.contains(FdFlag::FD_CLOEXEC) && status.contains(OFlag::O_NONBLOCK));
        });
        turns(ioloop, 2);
        assert_eq!(flags.take(), [true; 3]);
        accepting.unwrap().remove(ioloop);
    });
}

/// A close, and a removal by the token, end the batch that is under way, as the removal by the handle does.
#[test]
fn closed_with_forty_in_the_backlog_it_accepts_no_more() {
    testing::needs!(loopback);
    // Otherwise the child would inherit the listener.
    let _alone = no_child_is_born();
    for closes in [true, false] {
        on_each(|ioloop| {
            let listener = listener();
            let _queued = clients(&listener, 40);
            let accepted = Log::default();
            let seen = accepted.clone();
            let own: Rc<RefCell<Option<AcceptHandle>>> = Rc::default();
            let its = Rc::clone(&own);
            let connected = move |ioloop: &IoLoop, _| {
                seen.add(());
                match its.borrow().as_ref() {
                    _ if closes => ioloop.close(),
                    Some(accepting) => ioloop.remove_handler(accepting.token()),
                    None => {}
                }
                ioloop.stop();
            };
            own.replace(Some(ioloop.add_accept_handler(listener, connected).unwrap()));
            ioloop.start().unwrap();
            let how = if closes { "closed the loop" } else { "removed the handler" };
            assert_eq!(
                accepted.len(),
                1,
                "the first of 40 clients {how}, and `connected` was called for others after that"
            );
        });
    }
}

#[test]
fn removed_with_forty_in_the_backlog_it_accepts_no_more() {
    testing::needs!(loopback);
    // Otherwise the child would inherit the listener.
    let _alone = no_child_is_born();
    on_each(|ioloop| {
        let listener = listener();
        let queued = clients(&listener, 40);
        let failures = failures(ioloop);
        let accepted = Log::default();
        let seen = accepted.clone();
        let own: Rc<RefCell<Option<AcceptHandle>>> = Rc::default();
        let removed = Rc::clone(&own);
        let accepting = ioloop.add_accept_handler(listener, move |ioloop: &IoLoop, socket| {
            seen.add(Rc::new(socket));
            if seen.len() == 7 {
                // A second removal does nothing.
                (0..2).for_each(|_| removed.borrow().as_ref().unwrap().remove(ioloop));
            }
        });
        *own.borrow_mut() = accepting.ok();
        turns(ioloop, 3);
        assert_eq!(accepted.len(), 7, "it was removed after it had accepted seven clients");
        assert_eq!(failures.take(), [""; 0], "a closed descriptor was used (EBADF?)");
        for (place, mut client) in queued.into_iter().enumerate().skip(7) {
            client.set_read_timeout(Some(LONG)).unwrap();
            let read = client.read(&mut [0]).map_err(|error| error.kind());
            let ended = matches!(read, Ok(0) | Err(ErrorKind::ConnectionReset));
            assert!(ended, "client {place} was in the backlog of a listener that is closed: {read:?}");
        }
    });
}

#[test]
fn a_callback_that_fails_does_not_end_the_accepting() {
    testing::needs!(loopback);
    on_each(|ioloop| {
        let listener = listener();
        let _clients = clients(&listener, 3);
        let (failures, accepted) = (Log::default(), Log::default());
        let seen = failures.clone();
        ioloop.handle_callback_exception(move |_, failure| seen.add(failure.to_string()));
        let seen = accepted.clone();
        let accepting = ioloop.add_accept_handler(listener, move |_, _| {
            seen.add(());
            if seen.len() == 1 {
                panics("the first");
            }
        });
        turns(ioloop, 4);
        assert_eq!((accepted.len(), failures.take().len()), (3, 1));
        accepting.unwrap().remove(ioloop);
    });
}

/// A pipe is ready although it is not a listener.
#[test]
fn an_error_of_a_client_is_reported_and_the_others_are_accepted() {
    testing::needs!(loopback);
    on_each(|ioloop| {
        let listener = listener();
        let _clients = clients(&listener, 3);
        let (failures, accepted) = (Log::default(), Log::default());
        let seen = failures.clone();
        ioloop.handle_callback_exception(move |_, failure| seen.add(failure.to_string()));
        let seen = accepted.clone();
        let accepting = ioloop.add_accept_handler(listener, move |_, socket| {
            drop(socket);
            seen.add(());
            if seen.len() < 3 { Err(format!("client {}", seen.len())) } else { Ok(()) }
        });
        turns(ioloop, 2);
        assert_eq!(accepted.len(), 3, "an error of the first client ends the accepting");
        let failures = failures.take();
        assert!(
            matches!(&failures[..], [first] if first.ends_with(" failed: client 1")),
            "the first error of the batch is reported: {failures:?}"
        );
        accepting.unwrap().remove(ioloop);
    });
}

#[test]
fn an_error_of_a_client_before_a_panic_for_another_is_reported_too() {
    testing::needs!(loopback);
    on_each(|ioloop| {
        let listener = listener();
        let _clients = clients(&listener, 2);
        let failures = failures(ioloop);
        let count = Cell::new(0);
        let accepting = ioloop.add_accept_handler(listener, move |_, _| {
            count.set(count.get() + 1);
            if count.get() == 2 {
                panics("client 2");
            }
            Err::<(), _>("client 1")
        });
        turns(ioloop, 2);
        let failures = failures.take();
        assert!(
            matches!(&failures[..], [first, second] if first.ends_with(" failed: client 1")
                && second.ends_with(" panicked: client 2")),
            "in one iteration, the callback returned an error for the first client, and panicked for the second. The hook got \
             {failures:?}"
        );
        accepting.unwrap().remove(ioloop);
    });
}

#[test]
fn an_error_of_accept_is_reported_and_the_loop_goes_on() {
    on_each(|ioloop| {
        let failures = failures(ioloop);
        let (reader, mut writer) = a_pipe();
        writer.write_all(b"x").unwrap();
        let accepting =
            ioloop.add_accept_handler(reader, |_, _| -> () { panics("a pipe accepts no client") });
        turns(ioloop, 1);
        let said = failures.take();
        assert!(
            said.len() == 1 && said[0].contains("accept") && said[0].contains("ENOTSOCK"),
            "accept4 failed, once an iteration, and the hook got: {said:?}. If the error is not reported, it keeps the \
             loop awake for no visible reason"
        );
        accepting.unwrap().remove(ioloop);
    });
}

/// Clients that stay in the backlog would keep the listener ready.
#[test]
fn without_a_descriptor_clients_are_turned_away_and_the_loop_sleeps() {
    testing::needs!(loopback);
    for poller in Kind::ALL {
        let answer = helper_said(&["accept", "no-descriptor", &poller.to_string()]);
        assert_eq!(answer.line("accepted"), "0", "{poller}");
        assert_eq!(answer.line("sent-away"), "5", "{poller}: of five clients");
        let reported = answer.line("reported");
        assert!(
            reported.ends_with("no descriptor is left: 5 clients were turned away"),
            "{poller}: the report must say why clients are gone. The hook got «{reported}»"
        );
        let turns: usize = answer.line("turns").parse().unwrap();
        assert!(turns <= 10, "{poller}: {turns} iterations in 50 ms, for five clients: the loop spins");
        assert_eq!(answer.line("afterwards"), "accepted", "{poller}: there are descriptors again");
    }
}

/// Their number is reported once a second at most, so the report of the second batch has to do without it.
#[test]
fn a_batch_in_which_each_client_is_turned_away_is_not_blamed_on_a_firewall_alone() {
    testing::needs!(loopback, descriptors(256));
    said_on_each(&["accept", "full-batches"], |answer| {
        let reported: Vec<&str> = answer.lines("reported").collect();
        assert!(
            reported.len() >= 2
                && reported.iter().all(|report| report.contains("no descriptor is left")
                    || report.contains("is no descriptor left?")),
            "two batches turned away 128 clients each, because no descriptor was left. A report that does not name this \
             cause sends the reader to a firewall that is not there. The hook got {reported:?}"
        );
    });
}

#[test]
fn an_error_of_a_client_does_not_hide_that_others_are_turned_away() {
    testing::needs!(loopback);
    said_on_each(&["accept", "fails-and-sheds"], |answer| {
        let reported: Vec<&str> = answer.lines("reported").collect();
        assert!(
            matches!(&reported[..], [first, second] if first.ends_with(" failed: connected failed")
                && second.ends_with(" failed: no descriptor is left: 5 clients were turned away")),
            "the callback failed for the first of six clients, and no descriptor was left for the other five. The batch \
             hands out their number once, so it must be reported beside the error. The hook got {reported:?}"
        );
    });
}

/// No client can be taken from the backlog, so the listener stays ready.
#[test]
fn without_even_a_reserve_the_listener_is_paused_for_a_while() {
    testing::needs!(loopback);
    said_on_each(&["accept", "stuck"], |answer| {
        let turns: usize = answer.line("turns").parse().unwrap();
        assert!(
            turns <= 10,
            "{turns} iterations in 50 ms, none of which could accept a client: the loop spins"
        );
        assert!(
            !answer.0.contains("no client was accepted"),
            "descriptors have been free for five seconds, and two clients are in the backlog: the loop must try again"
        );
        let reported: Vec<&str> = answer.lines("reported").collect();
        assert!(
            reported.iter().any(|report| report.contains("accept4") && report.contains("EMFILE")),
            "no client was accepted and none turned away, and accept4 failed with EMFILE. If the error is not reported, the \
             server seems to hang for no reason. The hook got {reported:?}"
        );
        assert!(
            reported.iter().all(|report| report.contains("EMFILE")),
            "it was removed while it was paused, which is not a failure: {reported:?}"
        );
    });
}

/// The loop pauses a listener that is stuck, and resumes it. What the program pauses, only the program resumes.
#[test]
fn a_listener_that_the_program_pauses_while_it_is_stuck_stays_paused() {
    testing::needs!(loopback);
    said_on_each(&["accept", "paused"], |answer| {
        assert_eq!(answer.line("paused"), "0 accepted", "250 ms later, when a descriptor was free again");
        assert_eq!(answer.line("resumed"), "1 accepted", "by the program");
    });
}

/// The client stays in the backlog, and accept4 fails at once, each time.
#[test]
fn a_listener_whose_clients_are_all_refused_is_paused_for_a_while() {
    testing::needs!(loopback);
    for poller in Kind::ALL {
        let answer = helper_said(&["accept", "refused", &poller.to_string()]);
        let turns: usize = answer.line("turns").parse().unwrap();
        assert!(
            turns <= 12,
            "{poller}: accept4 returns EPERM each time, as a firewall may let it, and there were {turns} iterations in \
             250 ms: the loop spins"
        );
        let reported = answer.lines("reported").count();
        assert!(
            (1..=4).contains(&reported),
            "{poller}: no client can be accepted, which should be reported, at most ten times a second. In 250 ms the hook \
             got {reported} reports"
        );
        assert_eq!(answer.line("other"), "ran", "{poller}: a timer was due meanwhile");
    }
}
