//! Exercise `ioloop/dispatch`: what a handler may do while it runs, and where it is afterwards.

mod support;

use std::cell::Cell;
use std::io::{PipeReader, Write};
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use ioloop::{Events, IoLoop, Origin, Token};
use nix::errno::Errno;
use support::{Log, a_pipe, on_each, panics, turns};

/// What a handler holds: says when it is dropped, and does something then.
struct Held<F: FnMut()>(F);

impl<F: FnMut()> Drop for Held<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Something that is ready, and stays so: nobody reads the byte.
fn ready(ioloop: &IoLoop, mut handler: impl FnMut(&IoLoop, &PipeReader) + 'static) -> Token {
    let (reader, mut writer) = a_pipe();
    writer.write_all(b"x").unwrap();
    let handler = move |ioloop: &IoLoop, reader: &mut PipeReader, _| {
        let _open = &writer;
        handler(ioloop, reader);
    };
    ioloop.add_handler(reader, Events::READ, handler).unwrap()
}

/// Turns of a loop that must not panic.
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
            "it was ready in three turns, and runs once in each: is a handler that ran back in its place?"
        );
    });
}

#[test]
fn it_is_told_what_its_source_is_ready_for() {
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
            "one end of a pipe can be read, and the other written: a handler is told what came, as the poller said it"
        );
    });
}

#[test]
fn its_token_is_the_same_after_it_ran() {
    on_each(|ioloop| {
        let log = Log::default();
        let seen = log.clone();
        let token = ready(ioloop, move |_, _| seen.add("ran"));
        turns(ioloop, 1);
        let updated = ioloop.update_handler(token, Events::empty());
        assert!(
            updated.is_ok(),
            "a handler ran, and has lost its place: whoever registered it cannot change it any more"
        );
        turns(ioloop, 2);
        assert_eq!(log.take(), ["ran"], "it is watched for nothing by now");
        ioloop.remove_handler(token);
    });
}

#[test]
fn it_may_add_change_and_remove_others() {
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
            "a handler adds another one, changes a third and removes that, and it did not get so far: is the table \
             borrowed while the handler runs? What ran is {seen:?}"
        );
    });
}

#[test]
fn it_may_be_changed_from_inside() {
    on_each(|ioloop| {
        let (own, log): (Rc<Cell<Option<Token>>>, _) = (Rc::default(), Log::default());
        let (token, seen) = (Rc::clone(&own), log.clone());
        own.set(Some(ready(ioloop, move |ioloop, _| {
            let updated = ioloop.update_handler(token.get().unwrap(), Events::empty());
            seen.add(updated.map_err(|error| error.errno));
        })));
        turns(ioloop, 3);
        assert_eq!(log.take(), [Ok(())], "while it runs, its place is its own: it is changed as any other");
    });
}

#[test]
fn one_that_removes_itself_is_dropped_when_it_has_come_back() {
    on_each(|ioloop| {
        let (own, log): (Rc<Cell<Option<Token>>>, _) = (Rc::default(), Log::default());
        let (token, seen) = (Rc::clone(&own), log.clone());
        let dropped = log.clone();
        let held = Held(move || dropped.add("dropped"));
        own.set(Some(ready(ioloop, move |ioloop, source| {
            let _held = &held;
            // All that is needed behind the removal, where nothing of this handler may be left.
            let (seen, number) = (seen.clone(), source.as_raw_fd());
            ioloop.remove_handler(token.get().unwrap());
            // SAFETY: it takes a number.
            let open = unsafe { nix::libc::fcntl(number, nix::libc::F_GETFD) } >= 0;
            seen.add(if open { "came back" } else { "came back, and its source is closed" });
        })));
        turns_without_a_panic(
            ioloop,
            3,
            "a handler that has removed itself comes back to no place: that is no panic",
        );
        assert_eq!(
            log.take(),
            ["came back", "dropped"],
            "a handler has removed itself. It is dropped when it has come back: a box that is dropped while the code \
             in it runs is gone under its feet, and one that is not dropped keeps its source open"
        );
    });
}

#[test]
fn what_it_holds_may_call_the_loop_when_it_is_dropped() {
    on_each(|ioloop| {
        let (own, log): (Rc<Cell<Option<Token>>>, _) = (Rc::default(), Log::default());
        let (token, seen, here) = (Rc::clone(&own), log.clone(), ioloop.clone());
        let neighbour = ready(ioloop, |_, _| ());
        let held = Held(move || {
            here.remove_handler(neighbour);
            seen.add("dropped");
        });
        own.set(Some(ready(ioloop, move |ioloop, _| {
            let _held = &held;
            ioloop.remove_handler(token.get().unwrap());
        })));
        turns_without_a_panic(
            ioloop,
            2,
            "what a handler held removed another one when it was dropped, and the loop panics: it is dropped while the \
             table is borrowed",
        );
        assert_eq!(log.take(), ["dropped"]);
    });
}

/// A handler removes itself and adds another, which has its place from then on.
#[test]
fn whoever_has_its_place_by_then_keeps_it() {
    on_each(|ioloop| {
        let (own, log): (Rc<Cell<Option<Token>>>, _) = (Rc::default(), Log::default());
        let (token, seen) = (Rc::clone(&own), log.clone());
        own.set(Some(ready(ioloop, move |ioloop, _| {
            seen.add("old");
            let old = token.get().unwrap();
            ioloop.remove_handler(old);
            let seen = seen.clone();
            let new = ready(ioloop, move |_, _| seen.add("new"));
            assert_eq!(new.index, old.index, "its place was to be used again");
        })));
        turns(ioloop, 3);
        assert_eq!(
            log.take(),
            ["old", "new", "new"],
            "the first one has removed itself, and its place is another's: who came back to it?"
        );
    });
}

#[test]
fn one_that_fails_runs_again_and_is_reported_each_time() {
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
            "a panic in a handler has come out of the loop: it is caught, reported, and the loop goes on",
        );
        let seen = log.take();
        assert_eq!(
            seen.len(),
            2,
            "a handler panicked at its first event and failed at its second: two reports, and it stays where it is. \
             Reported was {seen:?}. (`handler_failed` is for those whose origin is a handler, and says nothing of \
             others)"
        );
        assert!(seen.iter().all(|(origin, _)| *origin == Origin::Handler(number)), "whose failure? {seen:?}");
        assert!(seen[0].1.contains("panicked") && seen[1].1.ends_with("failed: no luck"), "{seen:?}");
    });
}

#[test]
fn one_that_removes_itself_and_fails_is_reported() {
    on_each(|ioloop| {
        let log = Log::default();
        let seen = log.clone();
        ioloop.handle_callback_exception(move |_, failure| seen.add(failure.to_string()));
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
            "a handler has removed itself, and then failed. Its place is gone, and what went wrong is no less wrong"
        );
    });
}

#[test]
fn one_whose_peer_is_gone_stays_and_nobody_hears_of_it() {
    on_each(|ioloop| {
        let log = Log::default();
        let seen = log.clone();
        ioloop.handle_callback_exception(move |_, failure| seen.add(failure.to_string()));
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
            "a handler wrote to a peer that was gone, which is no news: a failure of a handler's goes to \
             `handler_failed`, which knows"
        );
        assert_eq!(calls.get(), 2, "it failed, and stays where it is");
    });
}

#[test]
fn one_that_closes_the_loop_comes_back_to_nothing() {
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
        assert_eq!(
            log.take(),
            ["came back", "dropped"],
            "a handler has closed the loop, and was still running"
        );
    });
}

/// Who is gone when it is their turn: nobody is run, and nothing else is touched.
#[test]
fn an_event_for_nobody_reaches_nobody() {
    on_each(|ioloop| {
        let log = Log::default();
        let tokens: Rc<Cell<[Option<Token>; 2]>> = Rc::default();
        let made = [0, 1].map(|me: usize| {
            let (seen, tokens) = (log.clone(), Rc::clone(&tokens));
            Some(ready(ioloop, move |ioloop, _| {
                seen.add(me);
                ioloop.remove_handler(tokens.get()[1 - me].unwrap());
            }))
        });
        tokens.set(made);
        turns_without_a_panic(ioloop, 1, "an event came for a handler that was removed: that is no panic");
        assert_eq!(log.len(), 1, "two were ready, and the first one removed the other");
        made.into_iter().flatten().for_each(|token| ioloop.remove_handler(token));
    });
}
