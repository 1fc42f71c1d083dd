//! Handlers as a loop runs them: what is reported, to whom, and to whom no more. The table of them is tested in
//! handlers.rs.

mod support;

use std::cell::Cell;
use std::fs::File;
use std::io::{PipeReader, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use ioloop::poller::Kind;
use ioloop::{Config, Events, IoLoop, Origin, Outcome, Token};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use support::{Kept, Log, a_byte, a_pipe, alone, on_each, panics, turns};

#[test]
fn only_what_was_asked_for_is_reported() {
    on_each(|ioloop| {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(b"x").unwrap();
        let log = Log::default();
        let seen = log.clone();
        let other = ours.try_clone().unwrap();
        ioloop.add_handler(other, Events::READ, move |_, _, events| seen.add(events)).unwrap();
        turns(ioloop, 3);
        let seen = log.take();
        assert!(seen.iter().all(|events| *events == Events::READ) && !seen.is_empty(), "{seen:?}");
        ours.read_exact(&mut [0]).unwrap();
    });
}

#[test]
fn a_hang_up_is_reported_unasked() {
    let _alone = alone();
    for poller in [Kind::Epoll, Kind::Poll] {
        let ioloop = IoLoop::with(Config { poller, ..Config::default() }).unwrap();
        let (reader, writer) = a_pipe();
        let log = Log::default();
        let seen = log.clone();
        ioloop.add_handler(reader, Events::empty(), move |_, _, events| seen.add(events)).unwrap();
        drop(writer);
        turns(&ioloop, 2);
        assert!(log.take().iter().any(|events| events.contains(Events::HANGUP)), "the writer is gone");
    }
}

/// What came is to be read, and nobody will ever read what is written.
#[test]
fn a_peer_that_closes_is_ready_for_everything_and_hung_up() {
    on_each(|ioloop| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let log = Log::default();
        let seen = log.clone();
        let interest = Events::READ | Events::WRITE;
        ioloop.add_handler(ours, interest, move |_, _, events| seen.add(events)).unwrap();
        drop(theirs);
        turns(ioloop, 1);
        // select has no word for a hang-up.
        let wanted = if ioloop.kind() == Kind::Select { interest } else { interest | Events::HANGUP };
        assert_eq!(log.take(), [wanted], "reported on {}", ioloop.kind());
    });
}

#[test]
fn adding_a_number_twice_is_an_error_and_changes_nothing() {
    on_each(|ioloop| {
        let (reader, mut writer) = a_pipe();
        let reader = Rc::new(reader);
        writer.write_all(b"x").unwrap();
        let log = Log::default();
        let seen = log.clone();
        ioloop.add_handler(Rc::clone(&reader), Events::READ, move |_, _, _| seen.add("first")).unwrap();
        let seen = log.clone();
        let again = ioloop.add_handler(reader, Events::READ, move |_, _, _| seen.add("second"));
        assert_eq!(again.map_err(|error| error.errno), Err(Errno::EEXIST));
        turns(ioloop, 2);
        assert_eq!(log.take()[0], "first", "the second was refused, and has taken the place of the first");
    });
}

#[test]
fn removing_what_is_gone_is_silent_and_updating_it_an_error() {
    on_each(|ioloop| {
        let (reader, _writer) = a_pipe();
        let token = ioloop.add_handler(reader, Events::READ, |_, _, _| ()).unwrap();
        ioloop.remove_handler(token);
        ioloop.remove_handler(token);
        let updated = ioloop.update_handler(token, Events::WRITE);
        assert_eq!(updated.map_err(|error| error.errno), Err(Errno::ENOENT));
    });
}

#[test]
fn a_regular_file_cannot_be_watched() {
    on_each(|ioloop| {
        let file = Rc::new(File::open("/proc/self/exe").unwrap());
        let added = ioloop.add_handler(Rc::clone(&file), Events::READ, |_, _, _| ());
        assert_eq!(added.map_err(|error| error.errno), Err(Errno::EPERM));
        assert_eq!(Rc::strong_count(&file), 1, "it was refused, and the loop has it all the same");
    });
}

/// And not taken for what it is watched for by now.
#[test]
fn an_update_that_was_refused_is_refused_again() {
    on_each(|ioloop| {
        if ioloop.kind() == Kind::Epoll {
            return;
        }
        let (reader, mut writer) = a_pipe();
        writer.write_all(b"x").unwrap();
        let log = Log::default();
        let seen = log.clone();
        let token = ioloop.add_handler(reader, Events::READ, move |_, _, _| seen.add(())).unwrap();
        for time in ["first", "second"] {
            let updated = ioloop.update_handler(token, Events::READ | Events::EDGE);
            let refused = updated.map_err(|error| error.errno);
            assert_eq!(refused, Err(Errno::EINVAL), "only epoll reports edges, the {time} time");
        }
        turns(ioloop, 3);
        assert_eq!(log.len(), 3, "it is watched as before");
    });
}

#[test]
fn of_two_that_remove_each_other_one_runs() {
    on_each(|ioloop| {
        let log = Log::default();
        let tokens: Rc<[Cell<Option<Token>>; 2]> = Rc::default();
        let mut writers = Vec::new();
        for me in 0..2 {
            let (reader, mut writer) = a_pipe();
            writer.write_all(b"x").unwrap();
            writers.push(writer);
            let (log, all) = (log.clone(), Rc::clone(&tokens));
            let token = ioloop.add_handler(reader, Events::READ, move |ioloop, _, _| {
                log.add(me);
                ioloop.remove_handler(all[1 - me].get().unwrap());
            });
            tokens[me].set(token.ok());
        }
        turns(ioloop, 1);
        assert_eq!(
            log.len(),
            1,
            "the event of a handler that was removed before its turn reached it: {log:?}"
        );
    });
}

/// A handler removes its neighbour, and a new source gets the neighbour's number and place. Its event is old.
#[test]
fn an_event_on_its_way_reaches_nobody_new() {
    on_each(|ioloop| {
        let log = Log::default();
        let tokens: Rc<[Cell<Option<Token>>; 2]> = Rc::default();
        let numbers: Rc<[Cell<i32>; 2]> = Rc::default();
        let mut writers = Vec::new();
        for me in 0..2 {
            let (reader, mut writer) = a_pipe();
            writer.write_all(b"x").unwrap();
            writers.push(writer);
            numbers[me].set(reader.as_raw_fd());
            let (log, all, numbers) = (log.clone(), Rc::clone(&tokens), Rc::clone(&numbers));
            let token = ioloop.add_handler(reader, Events::READ, move |ioloop, _, _| {
                let Some(other) = all[1 - me].take() else { return };
                ioloop.remove_handler(other);
                let (reader, writer) = a_pipe();
                assert!(
                    [reader.as_raw_fd(), writer.as_raw_fd()].contains(&numbers[1 - me].get()),
                    "the number was to be used again"
                );
                log.add("the number is used again");
                let seen = log.clone();
                let handler = move |_: &IoLoop, _: &PipeReader, _| seen.add("stale");
                ioloop.add_handler(reader, Events::READ, handler).unwrap();
                std::mem::forget(writer);
            });
            tokens[me].set(token.ok());
        }
        turns(ioloop, 2);
        assert_eq!(
            log.take(),
            ["the number is used again"],
            "the event of a source that was closed reached the one with its number"
        );
    });
}

#[test]
fn a_handler_may_remove_itself() {
    on_each(|ioloop| {
        let (reader, mut writer) = a_pipe();
        writer.write_all(b"x").unwrap();
        let number = reader.as_raw_fd();
        let own: Rc<Cell<Option<Token>>> = Rc::default();
        let log = Log::default();
        let (seen, token) = (log.clone(), Rc::clone(&own));
        let added = ioloop.add_handler(reader, Events::READ, move |ioloop, source, _| {
            ioloop.remove_handler(token.get().unwrap());
            // Its source is there until it has come back.
            seen.add(source.as_raw_fd());
        });
        own.set(added.ok());
        turns(ioloop, 3);
        assert_eq!(log.take(), [number]);
        let (again, _writer) = a_pipe();
        assert_eq!(again.as_raw_fd(), number, "the source of a handler that was removed is still open");
    });
}

#[test]
fn a_handler_may_close_the_loop() {
    on_each(|ioloop| {
        let (reader, mut writer) = a_pipe();
        writer.write_all(b"x").unwrap();
        ioloop.add_handler(reader, Events::READ, |ioloop, _, _| ioloop.close()).unwrap();
        ioloop.start().unwrap();
        let (reader, _writer) = a_pipe();
        let added = ioloop.add_handler(reader, Events::READ, |_, _, _| ());
        assert_eq!(added.map_err(|error| error.errno), Err(Errno::EBADF), "a closed loop takes nothing more");
    });
}

#[test]
fn failures_are_reported_and_the_loop_goes_on() {
    on_each(|ioloop| {
        let log = Log::default();
        let seen = log.clone();
        ioloop.handle_callback_exception(move |_, failure| seen.add((failure.origin, failure.to_string())));
        let (reader, mut writer) = a_pipe();
        writer.write_all(b"x").unwrap();
        let fd = reader.as_raw_fd();
        let own: Rc<Cell<Option<Token>>> = Rc::default();
        let token = Rc::clone(&own);
        let added = ioloop.add_handler(reader, Events::READ, move |ioloop, _, _| -> () {
            ioloop.remove_handler(token.get().unwrap());
            panics("in the handler");
        });
        own.set(added.ok());
        ioloop.add_callback(|_| Err::<(), _>("no callback"));
        ioloop.call_later(Duration::ZERO, |_| -> () { panics("in the timer") });
        ioloop.add_callback(|_| Ok::<_, Errno>(42));
        turns(ioloop, 3);
        let seen = log.take();
        let origins: Vec<Origin> = seen.iter().map(|(origin, _)| *origin).collect();
        assert_eq!(origins, [Origin::Callback, Origin::Timer, Origin::Handler(fd)], "{seen:?}");
        assert!(seen[0].1.ends_with("failed: no callback"), "{}", seen[0].1);
        assert!(seen[1].1.ends_with("panicked: in the timer"), "{}", seen[1].1);
        assert!(seen[2].1.ends_with("panicked: in the handler"), "{}", seen[2].1);
    });
}

/// Most descriptors are close-on-exec, and F_GETFD of one that is not is 0.
#[test]
fn one_that_survives_exec_is_open_too() {
    on_each(|ioloop| {
        let log = Log::default();
        let seen = log.clone();
        ioloop.handle_callback_exception(move |_, failure| seen.add(failure.to_string()));
        let (reader, mut writer) = a_pipe();
        writer.write_all(b"x").unwrap();
        fcntl(&reader, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
        ioloop.add_handler(reader, Events::READ, |_, _, _| Err::<(), _>("each time")).unwrap();
        turns(ioloop, 3);
        assert_eq!(
            log.len(),
            3,
            "its handler failed once, and was taken off as if its number were closed: {log:?}"
        );
    });
}

#[test]
fn a_broken_pipe_in_a_handler_is_silence() {
    on_each(|ioloop| {
        let log = Log::default();
        let seen = log.clone();
        ioloop.handle_callback_exception(move |_, failure| seen.add(failure.to_string()));
        let (reader, mut writer) = a_pipe();
        writer.write_all(b"x").unwrap();
        let broken = |ways: usize| -> Outcome {
            match ways % 3 {
                0 => Err(std::io::Error::from(std::io::ErrorKind::BrokenPipe).into()),
                1 => Err(Errno::EPIPE.into()),
                _ => Err(ioloop::Error::on("write", "a socket")(Errno::EPIPE).into()),
            }
        };
        let events = Cell::new(0);
        let handler = move |_: &IoLoop, _: &PipeReader, _| {
            events.set(events.get() + 1);
            broken(events.get())
        };
        ioloop.add_handler(reader, Events::READ, handler).unwrap();
        turns(ioloop, 3);
        assert_eq!(log.take(), [""; 0], "a handler's EPIPE was reported");
        ioloop.add_callback(move |_| broken(0));
        turns(ioloop, 1);
        assert_eq!(log.len(), 1, "a callback's EPIPE is a failure like any other");
    });
}

/// The file lives on under another number, so epoll goes on reporting it.
#[test]
fn a_number_closed_behind_its_back_does_not_make_it_spin() {
    on_each(|ioloop| {
        let log = Log::default();
        let seen = log.clone();
        ioloop.handle_callback_exception(move |_, failure| seen.add(failure.to_string()));
        let (reader, mut writer) = a_pipe();
        writer.write_all(b"x").unwrap();
        let other = reader.try_clone().unwrap();
        let number = reader.as_raw_fd();
        let owner = std::mem::ManuallyDrop::new(OwnedFd::from(reader));
        let calls = Log::default();
        let called = calls.clone();
        ioloop
            .add_handler(Kept(number), Events::READ, move |_, _, _| {
                called.add(());
                nix::unistd::read(Kept(number), &mut [0; 1]).map(drop)
            })
            .unwrap();
        // SAFETY: it is what the test is about: the number is nobody's from here on, and is not closed again.
        drop(std::mem::ManuallyDrop::into_inner(owner));
        turns(ioloop, 20);
        assert!(
            calls.len() <= 1 && log.len() == 1,
            "the handler of a number that was closed ran {} times in 20 iterations, and {} failures were reported",
            calls.len(),
            log.len()
        );
        assert_eq!(calls.clones(), 1, "the handler is of no use any more, and is still there");
        drop(other);
    });
}

/// The same, and by the time that the kernel reports it the handler is gone: an event for nobody, again and again.
#[test]
fn what_is_reported_for_nobody_does_not_make_it_spin() {
    on_each(|ioloop| {
        let log = Log::default();
        let ((silent, _writer), (_reader, writer)) = (a_byte(), a_pipe());
        let seen = log.clone();
        ioloop.add_handler(silent, Events::empty(), move |_, _, _| seen.add("not asked for")).unwrap();
        let seen = log.clone();
        ioloop.add_handler(writer, Events::WRITE, move |_, _, _| seen.add("can be written")).unwrap();

        let (reader, _its_writer) = a_byte();
        let other = reader.try_clone().unwrap();
        let number = reader.as_raw_fd();
        let token = ioloop.add_handler(Kept(number), Events::READ, |_, _, _| ()).unwrap();
        drop(reader);
        ioloop.remove_handler(token);
        let events = Log::default();
        let seen = events.clone();
        ioloop.subscribe(move |_, turn| seen.add(turn.events));
        turns(ioloop, 20);
        let events = events.take();
        assert!(
            events.iter().skip(5).all(|events| *events == 1),
            "one can be written, and a file that the loop has nothing to do with any more is reported as well: in each \
             turn there were so many events: {events:?}"
        );
        let heard = log.take();
        assert!(
            heard.len() == 20 && heard.iter().all(|what| *what == "can be written"),
            "what is watched, and for what, is as it was before: {heard:?}"
        );
        drop(other);
    });
}

#[test]
fn each_event_is_for_its_own_key() {
    on_each(|ioloop| {
        let log = Log::default();
        let mut writers = Vec::new();
        for key in 0..100 {
            let (reader, writer) = a_pipe();
            writers.push(writer);
            let log = log.clone();
            ioloop
                .add_handler(reader, Events::READ, move |_, mut source: &PipeReader, _| {
                    let mut byte = [0];
                    source.read_exact(&mut byte)?;
                    log.add((key, byte[0]));
                    Ok::<_, std::io::Error>(())
                })
                .unwrap();
        }
        for key in [7, 99, 0, 42, 7] {
            writers[key].write_all(&[key as u8]).unwrap();
            turns(ioloop, 2);
            assert_eq!(log.take(), [(key, key as u8)]);
        }
    });
}

#[test]
fn a_oneshot_is_silent_until_it_is_updated() {
    on_each(|ioloop| {
        let (reader, mut writer) = a_pipe();
        writer.write_all(b"x").unwrap();
        let log = Log::default();
        let seen = log.clone();
        let token =
            ioloop.add_handler(reader, Events::READ | Events::ONESHOT, move |_, _, _| seen.add(())).unwrap();
        turns(ioloop, 3);
        assert_eq!(log.take().len(), 1);
        ioloop.update_handler(token, Events::READ | Events::ONESHOT).unwrap();
        turns(ioloop, 3);
        assert_eq!(log.take().len(), 1, "it was updated, and is to report once more");
    });
}

#[test]
fn an_edge_is_reported_once_and_only_epoll_can() {
    let _alone = alone();
    for poller in Kind::ALL {
        let ioloop = IoLoop::with(Config { poller, ..Config::default() }).unwrap();
        let (reader, mut writer) = a_pipe();
        writer.write_all(b"x").unwrap();
        let log = Log::default();
        let seen = log.clone();
        let added = ioloop.add_handler(reader, Events::READ | Events::EDGE, move |_, _, _| seen.add(()));
        if poller != Kind::Epoll {
            let error = added.expect_err("there is no edge here");
            assert_eq!(error.errno, Errno::EINVAL);
            assert!(error.to_string().contains("only epoll reports edges"), "{error}");
            continue;
        }
        added.unwrap();
        turns(&ioloop, 5);
        assert_eq!(log.take().len(), 1, "nothing was read and nothing came: there is no edge");
    }
}
