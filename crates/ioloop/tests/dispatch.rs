//! Exercise `ioloop/dispatch`: what a handler may do while it runs, and where it is stored afterwards.

mod support;

#[path = "scenarios/dispatch.rs"]
mod scenarios;

use std::cell::Cell;
use std::io::{PipeReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use ioloop::poller::Kind;
use ioloop::{Events, IoLoop, Origin, Token};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, send};
use support::operation::failures;
use support::{Kept, Log, a_pipe, alone, helper_said, on_each, panics, turns};

testing::helper!(|args| testing::exit_code(match args {
    ["two-panics"] => scenarios::two_panics(),
    _ => support::unknown(args),
}));

/// A value that a handler holds: it logs its drop, and calls the loop then.
struct Held<F: FnMut()>(F);

impl<F: FnMut()> Drop for Held<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// A reader that stays ready, because its byte is never read.
fn ready(ioloop: &IoLoop, mut handler: impl FnMut(&IoLoop, &PipeReader) + 'static) -> Token {
    let (reader, mut writer) = a_pipe();
    writer.write_all(b"x").unwrap();
    let handler = move |ioloop: &IoLoop, reader: &mut PipeReader, _| {
        let _open = &writer;
        handler(ioloop, reader);
    };
    ioloop.add_handler(reader, Events::READ, handler).unwrap()
}

/// Iterations of a loop that must not panic.
#[track_caller]
fn turns_without_a_panic(ioloop: &IoLoop, count: usize, otherwise: &str) {
    let ended = catch_unwind(AssertUnwindSafe(|| turns(ioloop, count)));
    assert!(ended.is_ok(), "{otherwise}");
}

#[test]
fn a_handler_runs_at_each_event() {
    on_each(|ioloop| {
        let log = Log::default();
        let seen = log.clone();
        ready(ioloop, move |_, _| seen.add("ran"));
        turns(ioloop, 3);
        assert_eq!(
            log.take(),
            ["ran"; 3],
            "its descriptor was ready in three iterations, so it runs once in each: does a handler that ran return to \
             its slot?"
        );
    });
}

#[test]
fn a_handler_gets_the_events_of_its_source() {
    on_each(|ioloop| {
        let log = Log::default();
        let (reader, mut writer) = a_pipe();
        writer.write_all(b"x").unwrap();
        let seen = log.clone();
        ioloop
            .add_handler(reader, Events::READ, move |_, _, event| seen.add(("reader", event.events)))
            .unwrap();
        let seen = log.clone();
        ioloop
            .add_handler(writer, Events::WRITE, move |_, _, event| seen.add(("writer", event.events)))
            .unwrap();
        turns(ioloop, 1);
        let mut seen = log.take();
        seen.sort_by_key(|(who, _)| *who);
        assert_eq!(
            seen,
            [("reader", Events::READ), ("writer", Events::WRITE)],
            "one end of a pipe is readable, and the other writable: a handler gets the events that the poller reported"
        );
    });
}

#[test]
fn a_handler_gets_a_hang_up_too() {
    on_each(|ioloop| {
        let (reader, mut writer) = a_pipe();
        writer.write_all(b"x").unwrap();
        drop(writer);
        let log = Log::default();
        let seen = log.clone();
        ioloop.add_handler(reader, Events::READ, move |_, _, event| seen.add(event.events)).unwrap();
        turns(ioloop, 1);
        // select(2) reports no hang-up.
        let hung_up = if ioloop.kind() == Kind::Select { Events::empty() } else { Events::HANGUP };
        assert_eq!(
            log.take(),
            [Events::READ | hung_up],
            "a pipe has a byte, and its writer is closed: the handler gets all the events that the poller reported, and not \
             only those that it was registered for"
        );
    });
}

/// What another poller of the same kind reports for the source. A pipe without a reader has an error, and one without a writer
/// a hang-up. A socket whose peer has shut down its side has a hang-up of that side, and one with out-of-band data is urgent.
#[test]
fn a_handler_gets_every_event_of_its_source() {
    on_each(|ioloop| {
        let ((reader, without_a_reader), (without_a_writer, writer)) = (a_pipe(), a_pipe());
        drop((reader, writer));
        let (shut_down, peer) = UnixStream::pair().unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        let (urgent, _peer) = urgent_socket().unzip();
        let pipes: [OwnedFd; 2] = [without_a_reader.into(), without_a_writer.into()];
        let sources = pipes.into_iter().chain([shut_down.into()]).chain(urgent);
        // select(2) cannot report the hang-up of one side, and refuses it.
        let one_side = if ioloop.kind() == Kind::Select { Events::empty() } else { Events::READ_HANGUP };
        let all = Events::READ | Events::WRITE | Events::URGENT | one_side;
        for source in sources {
            let (mut poller, mut reported) = (ioloop.kind().make().unwrap(), Vec::new());
            poller.add(source.as_raw_fd(), Token { index: 0, generation: 0 }, all).unwrap();
            poller.wait(&mut reported, Some(Duration::ZERO)).unwrap();
            let wanted: Vec<Events> = reported.into_iter().map(|event| event.events).collect();
            let log = Log::default();
            let seen = log.clone();
            let token = ioloop.add_handler(source, all, move |_, _, event| seen.add(event.events)).unwrap();
            turns(ioloop, 2);
            ioloop.remove_handler(token);
            assert_eq!(
                log.take(),
                [wanted.clone(), wanted].concat(),
                "in two iterations, the handler got the events on the left, and the poller reported those on the right: pass on all \
                 of them, an error, a hang-up and urgent data, too, and add none. A handler stays registered after them"
            );
        }
    });
}

/// A socket with out-of-band data, and its peer. None on a machine without a loopback interface.
fn urgent_socket() -> Option<(OwnedFd, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0").ok()?;
    let peer = TcpStream::connect(listener.local_addr().ok()?).ok()?;
    let (socket, _) = listener.accept().ok()?;
    send(peer.as_raw_fd(), b"!", MsgFlags::MSG_OOB).ok()?;
    let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLPRI)];
    poll(&mut fds, PollTimeout::from(1000_u16)).ok()?;
    Some((socket.into(), peer))
}

#[test]
fn a_handler_keeps_its_token_after_it_ran() {
    on_each(|ioloop| {
        let log = Log::default();
        let seen = log.clone();
        let token = ready(ioloop, move |_, _| seen.add("ran"));
        turns(ioloop, 1);
        let updated = ioloop.update_handler(token, Events::empty());
        assert!(updated.is_ok(), "a handler ran, and lost its slot: its token cannot change it any more");
        turns(ioloop, 2);
        assert_eq!(log.take(), ["ran"], "it is registered for no events now");
        ioloop.remove_handler(token);
    });
}

#[test]
fn a_handler_can_add_change_and_remove_others() {
    on_each(|ioloop| {
        let log = Log::default();
        let (_kept, writer) = a_pipe();
        let other = ioloop.add_handler(writer, Events::empty(), |_, _, _| ()).unwrap();
        let (seen, added, once) = (log.clone(), log.clone(), Cell::new(true));
        ready(ioloop, move |ioloop, _| {
            if once.take() {
                let added = added.clone();
                ready(ioloop, move |_, _| added.add("added"));
                ioloop.update_handler(other, Events::WRITE).unwrap();
                ioloop.remove_handler(other);
                seen.add("ran");
            }
        });
        turns(ioloop, 2);
        let seen = log.take();
        assert!(
            seen.contains(&"ran") && seen.contains(&"added"),
            "a handler adds another one, changes a third one and removes it, and did not get that far: is the registry \
             borrowed while the handler runs? These ran: {seen:?}"
        );
    });
}

#[test]
fn a_handler_can_change_its_own_registration() {
    on_each(|ioloop| {
        let (own, log): (Rc<Cell<Option<Token>>>, _) = (Rc::default(), Log::default());
        let (token, seen) = (Rc::clone(&own), log.clone());
        own.set(Some(ready(ioloop, move |ioloop, _| {
            let updated = ioloop.update_handler(token.get().unwrap(), Events::empty());
            seen.add(updated.map_err(|error| error.errno));
        })));
        turns(ioloop, 3);
        assert_eq!(
            log.take(),
            [Ok(())],
            "while a handler runs, it keeps its slot: it can be changed like any other"
        );
    });
}

#[test]
fn a_handler_that_removes_itself_is_dropped_after_it_returned() {
    on_each(|ioloop| {
        let (own, log): (Rc<Cell<Option<Token>>>, _) = (Rc::default(), Log::default());
        let (token, seen) = (Rc::clone(&own), log.clone());
        let dropped = log.clone();
        let held = Held(move || dropped.add("dropped"));
        own.set(Some(ready(ioloop, move |ioloop, source| {
            let _held = &held;
            // A copy of what is used after the removal: a wrong answer has dropped the handler by then.
            let (seen, number) = (seen.clone(), source.as_raw_fd());
            ioloop.remove_handler(token.get().unwrap());
            // SAFETY: fcntl only takes the number.
            let open = unsafe { nix::libc::fcntl(number, nix::libc::F_GETFD) } >= 0;
            seen.add(if open { "came back" } else { "came back, and its source is closed" });
        })));
        turns_without_a_panic(
            ioloop,
            3,
            "a handler removed itself and returned: its slot is gone, and the loop must not panic",
        );
        assert_eq!(
            log.take(),
            ["came back", "dropped"],
            "a handler removed itself. The loop must drop it after it has returned: a handler that is dropped while \
             its code runs frees what that code uses, and one that is never dropped keeps its source open"
        );
    });
}

#[test]
fn a_value_that_a_handler_holds_can_call_the_loop_when_dropped() {
    on_each(|ioloop| {
        let (own, log): (Rc<Cell<Option<Token>>>, _) = (Rc::default(), Log::default());
        let (token, seen, here) = (Rc::clone(&own), log.clone(), ioloop.clone());
        let neighbor = ready(ioloop, |_, _| ());
        let held = Held(move || {
            here.remove_handler(neighbor);
            seen.add("dropped");
        });
        own.set(Some(ready(ioloop, move |ioloop, _| {
            let _held = &held;
            ioloop.remove_handler(token.get().unwrap());
        })));
        let why = "a value that a handler held removed another handler when it was dropped, and that panicked: the loop \
                   drops it while the registry is borrowed";
        turns_without_a_panic(ioloop, 2, why);
        assert_eq!(log.take(), ["dropped"], "{why}");
    });
}

/// What a handler holds is dropped with it, and may panic then.
#[test]
fn a_handler_whose_values_panic_when_dropped_is_reported() {
    on_each(|ioloop| {
        let log = failures(ioloop);
        let seen = log.clone();
        let held = Held(move || {
            seen.add("dropped".to_owned());
            panics("the drop panicked");
        });
        let token: Rc<Cell<Option<Token>>> = Rc::default();
        let own = Rc::clone(&token);
        let (reader, mut writer) = a_pipe();
        writer.write_all(b"x").unwrap();
        let number = reader.as_raw_fd();
        let handler = move |ioloop: &IoLoop, _: &mut PipeReader, _| {
            let _ = &held;
            ioloop.remove_handler(own.take().expect("it runs once"));
            Err::<(), _>("it returned an error")
        };
        token.set(Some(ioloop.add_handler(reader, Events::READ, handler).unwrap()));
        turns_without_a_panic(
            ioloop,
            1,
            "a handler removed itself, and a value that it held panicked when it was dropped. The drop of a handler is code of \
             the program as the handler is, and a panic must not leave the loop",
        );
        let mut said = log.take();
        assert_eq!(
            said.iter().filter(|said| *said == "dropped").count(),
            1,
            "what the handler held: {said:?}"
        );
        // Before the report of the handler's own failure, or after it.
        said.retain(|said| said != "dropped");
        let of = |what| format!("the handler of descriptor {number} {what}");
        assert!(
            said.contains(&of("panicked: the drop panicked"))
                || !said.contains(&of("failed: it returned an error")),
            "a panic of its drop is reported as the handler's failure: {said:?}"
        );
        assert_eq!(
            said,
            [of("failed: it returned an error"), of("panicked: the drop panicked")],
            "first the failure of the handler, and then the panic of its drop"
        );
    });
}

/// Two panics at the same time abort the process, so this has a process of its own.
#[test]
fn a_handler_that_panics_and_panics_again_when_dropped_is_reported_twice() {
    let _alone = alone();
    let answer = helper_said(&["two-panics"]);
    let reported: Vec<&str> = answer.lines("reported").collect();
    assert!(
        matches!(&reported[..], [first, second] if first.ends_with("panicked: the handler panicked")
            && second.ends_with("panicked: the drop panicked")),
        "a handler removed itself and panicked, and a value that it held panicked when it was dropped. Both must be reported, and \
         these were: {reported:?}. If a handler is dropped while its panic unwinds, the panic of that drop is lost, so keep your \
         clone outside of the closure that `guarded` runs"
    );
    assert_eq!(answer.line("iterations"), "2", "the loop must go on");
}

/// A handler removes itself and adds another one, which gets its slot.
#[test]
fn a_handler_that_got_the_slot_meanwhile_keeps_it() {
    on_each(|ioloop| {
        let (own, log): (Rc<Cell<Option<Token>>>, _) = (Rc::default(), Log::default());
        let (token, seen) = (Rc::clone(&own), log.clone());
        own.set(Some(ready(ioloop, move |ioloop, _| {
            seen.add("old");
            let old = token.get().unwrap();
            ioloop.remove_handler(old);
            let seen = seen.clone();
            let new = ready(ioloop, move |_, _| seen.add("new"));
            assert_eq!(new.index, old.index, "the slot was expected to be reused");
        })));
        turns(ioloop, 3);
        assert_eq!(
            log.take(),
            ["old", "new", "new"],
            "the first handler removed itself, and another one got its slot: which handler does the loop put back \
             there?"
        );
    });
}

#[test]
fn a_handler_that_fails_is_reported_each_time_and_runs_again() {
    on_each(|ioloop| {
        let log = Log::default();
        let seen = log.clone();
        ioloop.handle_callback_exception(move |_, failure| seen.add((failure.origin, failure.to_string())));
        let (reader, mut writer) = a_pipe();
        writer.write_all(b"x").unwrap();
        let (number, calls) = (reader.as_raw_fd(), Cell::new(0));
        let handler = move |_: &IoLoop, _: &mut PipeReader, _| {
            calls.set(calls.get() + 1);
            if calls.get() == 1 {
                panics("in the handler");
            }
            Err::<(), _>("no luck")
        };
        ioloop.add_handler(reader, Events::READ, handler).unwrap();
        turns_without_a_panic(
            ioloop,
            2,
            "a panic in a handler left the loop: the loop must catch it, report it, and go on",
        );
        let seen = log.take();
        assert_eq!(
            seen.len(),
            2,
            "a handler panicked at its first event and failed at its second one: that makes two reports, and the \
             handler stays registered. These were reported: {seen:?}. (`handler_failed` is only for failures whose \
             origin is a handler)"
        );
        assert!(
            seen.iter().all(|(origin, _)| *origin == Origin::Handler(number)),
            "the origin of both is the handler: {seen:?}"
        );
        assert!(seen[0].1.contains("panicked") && seen[1].1.ends_with("failed: no luck"), "{seen:?}");
    });
}

#[test]
fn a_handler_that_removes_itself_and_fails_is_reported() {
    on_each(|ioloop| {
        let log = failures(ioloop);
        let (reader, mut writer) = a_pipe();
        writer.write_all(b"x").unwrap();
        let (own, number): (Rc<Cell<Option<Token>>>, _) = (Rc::default(), reader.as_raw_fd());
        let token = Rc::clone(&own);
        let handler = move |ioloop: &IoLoop, _: &mut PipeReader, _| {
            ioloop.remove_handler(token.get().unwrap());
            Err::<(), _>("no luck")
        };
        own.set(Some(ioloop.add_handler(reader, Events::READ, handler).unwrap()));
        turns(ioloop, 2);
        assert_eq!(
            log.take(),
            [format!("the handler of descriptor {number} failed: no luck")],
            "a handler removed itself, and then failed. Its slot is gone, and its failure must still be reported"
        );
    });
}

#[test]
fn a_handler_that_removes_itself_and_fails_is_dropped_in_the_same_iteration() {
    on_each(|ioloop| {
        for fails in [false, true] {
            let log = Log::default();
            let own: Rc<Cell<Option<Token>>> = Rc::default();
            let (token, seen) = (Rc::clone(&own), log.clone());
            ioloop.handle_callback_exception(|_, _| ());
            let held = Held(move || seen.add("dropped"));
            own.set(Some(ready(ioloop, move |ioloop, _| {
                let _held = &held;
                ioloop.remove_handler(token.get().unwrap());
                if fails {
                    panics("in the handler");
                }
            })));
            ioloop.turn(Duration::ZERO).unwrap();
            let failed = if fails { ", and failed" } else { "" };
            assert_eq!(
                log.take(),
                ["dropped"],
                "a handler removed itself{failed}. When `dispatch` returns, nothing needs the handler any more: it must be \
                 dropped, and its source closed"
            );
        }
    });
}

#[test]
fn a_handler_that_closes_the_loop_and_fails_is_reported() {
    on_each(|ioloop| {
        let log = failures(ioloop);
        let (reader, mut writer) = a_pipe();
        writer.write_all(b"x").unwrap();
        let number = reader.as_raw_fd();
        let held = Held(|| panics("the drop panicked"));
        let handler = move |ioloop: &IoLoop, _: &mut PipeReader, _| {
            let _ = &held;
            ioloop.close();
            Err::<(), _>("no luck")
        };
        ioloop.add_handler(reader, Events::READ, handler).unwrap();
        ioloop.start().unwrap();
        let of = |what| format!("the handler of descriptor {number} {what}");
        assert_eq!(
            log.take(),
            [of("failed: no luck"), of("panicked: the drop panicked")],
            "a handler closed the loop, and then failed: its failure must be reported before the loop ends, and so must the \
             panic of a value that it held"
        );
    });
}

/// `report` runs the hook, which is code of the program.
#[test]
fn the_hook_may_add_and_remove_handlers() {
    on_each(|ioloop| {
        let log = Log::default();
        let seen = log.clone();
        ioloop.handle_callback_exception(move |ioloop, _| {
            let token = ready(ioloop, |_, _| ());
            ioloop.remove_handler(token);
            seen.add("hook");
        });
        ready(ioloop, |_, _| panics("in the handler"));
        let why = "a handler failed, and the hook added a handler and removed it, which panicked: `dispatch` borrows the \
                   registry while it reports the failure";
        turns_without_a_panic(ioloop, 1, why);
        assert_eq!(log.take(), ["hook"], "{why}");
    });
}

#[test]
fn a_panic_of_the_hook_leaves_the_loop() {
    on_each(|ioloop| {
        ioloop.handle_callback_exception(|_, _| panics("in the hook"));
        let own: Rc<Cell<Option<Token>>> = Rc::default();
        own.set(Some(ready(ioloop, |_, _| panics("in the handler"))));
        let leaves = |what| {
            let ended = catch_unwind(AssertUnwindSafe(|| ioloop.turn(Duration::ZERO)));
            let thrown = ended.err().unwrap_or_else(|| {
                panic!(
                    "{what}, and the hook panicked. No code is left that could report this, so the panic must leave `start`"
                )
            });
            assert_eq!(thrown.downcast_ref::<String>().map(String::as_str), Some("in the hook"));
        };
        leaves("a handler failed");
        ioloop.remove_handler(own.take().unwrap());
        let (token, held) = (Rc::clone(&own), Held(|| panics("the drop panicked")));
        own.set(Some(ready(ioloop, move |ioloop, _| {
            let _held = &held;
            ioloop.remove_handler(token.get().unwrap());
        })));
        leaves("a handler removed itself, its drop panicked");
        ioloop.handle_callback_exception(|_, _| ());
    });
}

#[test]
fn a_handler_whose_peer_is_gone_is_not_reported_and_stays() {
    on_each(|ioloop| {
        let log = failures(ioloop);
        let (reader, mut writer) = a_pipe();
        writer.write_all(b"x").unwrap();
        let calls = Rc::new(Cell::new(0));
        let counted = Rc::clone(&calls);
        let handler = move |_: &IoLoop, _: &mut PipeReader, _| {
            counted.set(counted.get() + 1);
            Err::<(), _>(Errno::EPIPE)
        };
        ioloop.add_handler(reader, Events::READ, handler).unwrap();
        turns(ioloop, 2);
        assert_eq!(
            log.take(),
            [""; 0],
            "a handler wrote to a peer that was gone, and that was reported: hand the failure of a handler to \
             `handler_failed`, which leaves such errors out"
        );
        assert_eq!(calls.get(), 2, "a handler that failed stays registered");
    });
}

/// epoll forgets a closed descriptor; poll and select report it at each wait.
#[test]
fn a_closed_descriptor_is_reported_and_its_handler_does_not_run() {
    testing::needs!(descriptors(256));
    on_each(|ioloop| {
        let (log, reported) = (Log::default(), Log::default());
        let seen = reported.clone();
        ioloop.handle_callback_exception(move |_, failure| seen.add(failure.origin));
        let (reader, _writer) = a_pipe();
        let number = fcntl(&reader, FcntlArg::F_DUPFD_CLOEXEC(200)).unwrap();
        // SAFETY: the descriptor was made a line above, and has no other owner.
        let owner = unsafe { OwnedFd::from_raw_fd(number) };
        let seen = log.clone();
        // `Kept` names a descriptor and does not close it.
        ioloop.add_handler(Kept(number), Events::READ, move |_, _, event| seen.add(event.events)).unwrap();
        drop(owner);
        turns(ioloop, 5);
        assert_eq!(
            log.take(),
            [],
            "a descriptor was closed behind the loop's back, and its handler ran, within five iterations"
        );
        if ioloop.kind() != Kind::Epoll {
            assert_eq!(
                reported.take(),
                [Origin::Handler(number)],
                "what was reported of a closed descriptor in five iterations"
            );
        }
    });
}

/// poll and select report the closed descriptor, and `not_open` removes its handler.
#[test]
fn a_closed_descriptor_whose_handler_panics_when_dropped_is_reported() {
    testing::needs!(descriptors(256));
    on_each(|ioloop| {
        let log = failures(ioloop);
        let (reader, _writer) = a_pipe();
        let number = fcntl(&reader, FcntlArg::F_DUPFD_CLOEXEC(200)).unwrap();
        // SAFETY: the descriptor was made a line above, and has no other owner.
        let owner = unsafe { OwnedFd::from_raw_fd(number) };
        let held = Held(|| panics("the drop panicked"));
        let token = ioloop
            .add_handler(Kept(number), Events::READ, move |_, _, _| {
                let _ = &held;
            })
            .unwrap();
        drop(owner);
        let why = "a descriptor was closed behind the loop's back, so its handler was removed, and a value that the handler \
                   held panicked when it was dropped";
        if ioloop.kind() == Kind::Epoll {
            // epoll forgets a closed descriptor.
            let removed = catch_unwind(AssertUnwindSafe(|| ioloop.remove_handler(token)));
            return assert!(removed.is_err(), "the caller of `remove_handler` gets the panic of the drop");
        }
        turns_without_a_panic(
            ioloop,
            2,
            &format!("{why}: the panic must not leave the loop. Drop your clone with `drop_caught`"),
        );
        let said = log.take();
        assert!(
            said.iter().any(|said| said.ends_with("panicked: the drop panicked")) && said.len() == 2,
            "{why}: both must be reported, and this was: {said:?}"
        );
    });
}

#[test]
fn a_handler_can_close_the_loop() {
    on_each(|ioloop| {
        let log = Log::default();
        let (seen, dropped) = (log.clone(), log.clone());
        let held = Held(move || dropped.add("dropped"));
        ready(ioloop, move |ioloop, _| {
            let (_held, seen) = (&held, seen.clone());
            ioloop.close();
            seen.add("came back");
        });
        ioloop.start().unwrap();
        assert_eq!(log.take(), ["came back", "dropped"], "a handler closed the loop, and was still running");
    });
}

/// A handler that was removed before its event is dispatched: no handler runs, and the other registrations stay.
#[test]
fn an_event_for_a_removed_handler_runs_no_handler() {
    on_each(|ioloop| {
        let (log, reported) = (Log::default(), Log::default());
        let seen = reported.clone();
        ioloop.handle_callback_exception(move |_, failure| seen.add(failure.to_string()));
        let tokens: Rc<Cell<[Option<Token>; 2]>> = Rc::default();
        let made = [0, 1].map(|me: usize| {
            let (seen, tokens) = (log.clone(), Rc::clone(&tokens));
            Some(ready(ioloop, move |ioloop, _| {
                seen.add(me);
                ioloop.remove_handler(tokens.get()[1 - me].unwrap());
            }))
        });
        tokens.set(made);
        turns_without_a_panic(
            ioloop,
            1,
            "an event came for a handler that was removed: the loop must not panic",
        );
        assert_eq!(log.len(), 1, "two descriptors were ready, and the first handler removed the other one");
        assert_eq!(
            reported.take(),
            [""; 0],
            "an event came for a handler that was removed. That happens in every loop, and is not a failure"
        );
        made.into_iter().flatten().for_each(|token| ioloop.remove_handler(token));
    });
}
