//! Descriptors and their handlers: which events are reported, and which handler gets them. slab.rs tests the slab.

mod support;

#[path = "scenarios/broken.rs"]
mod broken;

#[path = "scenarios/registration.rs"]
mod scenarios;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, ErrorKind, PipeReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use ioloop::poller::Kind;
use ioloop::{Config, Current, Event, Events, IoLoop, Origin, Outcome, Token};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl, open};
use nix::libc;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{MsgFlags, send};
use nix::sys::stat::Mode;
use nix::unistd::dup3;
use support::operation::failures;
use support::{Kept, LONG, Log, a_byte, a_pipe, alone, helper_said, on_each, panics, turns};

testing::helper!(|args| testing::exit_code(match args {
    ["broken"] => broken::run(),
    ["registration", "full", poller] => poller.parse().map_err(Into::into).and_then(scenarios::full),
    ["registration", "limited", poller] => poller.parse().map_err(Into::into).and_then(scenarios::limited),
    ["registration", "unheard", poller] => poller.parse().map_err(Into::into).and_then(scenarios::unheard),
    ["registration", "many", poller] => poller.parse().map_err(Into::into).and_then(scenarios::many),
    _ => support::unknown(args),
}));

#[test]
fn only_registered_events_are_reported() {
    on_each(|ioloop| {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(b"x").unwrap();
        let log = Log::default();
        let seen = log.clone();
        let other = ours.try_clone().unwrap();
        ioloop.add_handler(other, Events::READ, move |_, _, event| seen.add(event.events)).unwrap();
        turns(ioloop, 3);
        let seen = log.take();
        assert!(seen.iter().all(|events| *events == Events::READ) && !seen.is_empty(), "{seen:?}");
        ours.read_exact(&mut [0]).unwrap();
    });
}

#[test]
fn a_hang_up_is_reported_unasked() {
    let _alone = alone();
    // A helper between fork and exec has a copy of the end that is dropped.
    let _nobody_has_a_copy = testing::no_child_is_born();
    for poller in [Kind::Epoll, Kind::Poll] {
        let ioloop = IoLoop::with(Config { poller, ..Config::default() }).unwrap();
        let (reader, writer) = a_pipe();
        let log = Log::default();
        let seen = log.clone();
        ioloop.add_handler(reader, Events::empty(), move |_, _, event| seen.add(event.events)).unwrap();
        drop(writer);
        turns(&ioloop, 2);
        assert!(log.take().iter().any(|events| events.contains(Events::HANGUP)), "the writer is gone");
    }
}

/// The bytes that came can be read, and bytes that are written will never be read.
#[test]
fn a_peer_that_closes_is_ready_for_everything_and_hung_up() {
    on_each(|ioloop| {
        // As above.
        let _nobody_has_a_copy = testing::no_child_is_born();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let log = Log::default();
        let seen = log.clone();
        let interest = Events::READ | Events::WRITE;
        ioloop.add_handler(ours, interest, move |_, _, event| seen.add(event.events)).unwrap();
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
        assert_eq!(
            log.take()[0],
            "first",
            "the second handler was refused, and still replaced the first one"
        );
    });
}

#[test]
fn removing_an_old_token_is_silent_and_updating_it_an_error() {
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
fn a_handler_gets_its_own_token() {
    on_each(|ioloop| {
        let log = Log::default();
        let tokens = [(); 3].map(|()| {
            let (reader, writer) = a_byte();
            let seen = log.clone();
            let handler = move |ioloop: &IoLoop, _: &mut PipeReader, event: Event| {
                let _open = &writer;
                seen.add(event.token);
                ioloop.remove_handler(event.token);
            };
            ioloop.add_handler(reader, Events::READ, handler).unwrap()
        });
        turns(ioloop, 3);
        let mut seen = log.take();
        seen.sort_unstable();
        assert_eq!(seen, tokens, "each handler ran once, and removed itself by the token that it got");
    });
}

#[test]
fn a_handler_may_change_its_source() {
    on_each(|ioloop| {
        let (reader, mut writer) = a_pipe();
        let log = Log::default();
        let seen = log.clone();
        // The state of a connection is the source.
        struct Counted(PipeReader, usize);
        impl AsFd for Counted {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.0.as_fd()
            }
        }
        let handler = move |_: &IoLoop, source: &mut Counted, _| {
            source.1 += source.0.read(&mut [0; 8])?;
            seen.add(source.1);
            Ok::<_, io::Error>(())
        };
        ioloop.add_handler(Counted(reader, 0), Events::READ, handler).unwrap();
        for bytes in [&b"ab"[..], b"cde"] {
            writer.write_all(bytes).unwrap();
            turns(ioloop, 1);
        }
        assert_eq!(log.take(), [2, 5]);
    });
}

#[test]
fn a_paused_handler_gets_no_events_until_it_is_resumed() {
    on_each(|ioloop| {
        let (reader, writer) = a_byte();
        let log = Log::default();
        let seen = log.clone();
        let handler = move |_: &IoLoop, _: &mut PipeReader, event: Event| seen.add(event.events);
        let token = ioloop.add_handler(reader, Events::READ, handler).unwrap();
        ioloop.pause_handler(token).unwrap();
        ioloop.pause_handler(token).expect("paused twice is paused");
        // A hang-up too: an interest in nothing would still report it.
        drop(writer);
        turns(ioloop, 2);
        assert_eq!(log.take(), [], "the handler is paused");
        ioloop.update_handler(token, Events::empty()).unwrap();
        ioloop.update_handler(token, Events::READ).unwrap();
        turns(ioloop, 2);
        assert_eq!(log.take(), [], "changing a paused handler resumed it");
        ioloop.resume_handler(token).unwrap();
        ioloop.resume_handler(token).expect("resumed twice is resumed");
        turns(ioloop, 1);
        assert!(
            matches!(log.take()[..], [events] if events.contains(Events::READ)),
            "the handler is resumed"
        );
        ioloop.pause_handler(token).unwrap();
        ioloop.remove_handler(token);
        ioloop.pause_handler(token).expect("a token that leads nowhere is accepted");
        ioloop.resume_handler(token).expect("a token that leads nowhere is accepted");
        turns(ioloop, 1);
        assert_eq!(log.take(), []);
    });
}

#[test]
fn a_peer_that_shut_down_writing_is_reported_on_request() {
    on_each(|ioloop| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let other = ours.try_clone().unwrap();
        let asked = Events::READ | Events::READ_HANGUP;
        let (with, without) = (Log::default(), Log::default());
        let (seen, others) = (with.clone(), without.clone());
        let added = ioloop.add_handler(ours, asked, move |_, _, event| seen.add(event.events));
        ioloop.add_handler(other, Events::READ, move |_, _, event| others.add(event.events)).unwrap();
        if ioloop.kind() == Kind::Select {
            let error = added.expect_err("select has no bit for it");
            assert_eq!(error.errno, Errno::EINVAL, "{error}");
            return;
        }
        turns(ioloop, 1);
        assert_eq!(with.take(), [], "nothing was shut down");
        theirs.shutdown(Shutdown::Write).unwrap();
        turns(ioloop, 1);
        assert_eq!(
            with.take(),
            [asked],
            "the socket can be read up to end of file, after which no bytes come"
        );
        assert_eq!(without.take(), [Events::READ], "this interest does not include it");
    });
}

#[test]
fn a_regular_file_cannot_be_watched() {
    on_each(|ioloop| {
        let file = Rc::new(File::open("/proc/self/exe").unwrap());
        let added = ioloop.add_handler(Rc::clone(&file), Events::READ, |_, _, _| ());
        assert_eq!(added.map_err(|error| error.errno), Err(Errno::EPERM));
        assert_eq!(Rc::strong_count(&file), 1, "the handler was refused, and the loop still has it");
    });
}

/// A refused interest must not be remembered as the registered one.
#[test]
fn a_refused_update_is_refused_again() {
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
        assert_eq!(log.len(), 3, "it is registered as before");
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
            "a handler that was removed before its event was dispatched still got the event: {log:?}"
        );
    });
}

/// Both events were fetched before the first handler ran.
#[test]
fn of_two_that_pause_each_other_one_runs() {
    on_each(|ioloop| {
        let log = Log::default();
        let tokens: Rc<[Cell<Option<Token>>; 2]> = Rc::default();
        let mut writers = Vec::new();
        for me in 0..2 {
            let (reader, writer) = a_byte();
            writers.push(writer);
            let (log, all) = (log.clone(), Rc::clone(&tokens));
            let token = ioloop.add_handler(reader, Events::READ, move |ioloop, _, _| {
                log.add(me);
                ioloop.pause_handler(all[1 - me].get().unwrap())
            });
            tokens[me].set(token.ok());
        }
        turns(ioloop, 1);
        let ran = log.take();
        assert_eq!(
            ran.len(),
            1,
            "a handler ran although it was paused before its event was dispatched: {ran:?}"
        );
        let (paused, running) = (1 - ran[0], ran[0]);
        ioloop.remove_handler(tokens[running].get().unwrap());
        ioloop.resume_handler(tokens[paused].get().unwrap()).unwrap();
        tokens[running].set(tokens[paused].get());
        turns(ioloop, 1);
        assert_eq!(log.take(), [paused], "its byte is still there, so it runs once it is resumed");
    });
}

/// A handler removes its neighbor, and a new source gets the neighbor's number and slot. The event is for the neighbor.
#[test]
fn an_old_event_does_not_reach_a_new_handler() {
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
                    "the number was expected to be reused"
                );
                log.add("the number is reused");
                let seen = log.clone();
                let handler = move |_: &IoLoop, _: &mut PipeReader, _| seen.add("stale");
                ioloop.add_handler(reader, Events::READ, handler).unwrap();
                std::mem::forget(writer);
            });
            tokens[me].set(token.ok());
        }
        turns(ioloop, 2);
        assert_eq!(
            log.take(),
            ["the number is reused"],
            "the event of a source that was closed reached the source that has its number now"
        );
    });
}

#[test]
fn a_handler_may_remove_itself() {
    on_each(|ioloop| {
        let (reader, mut writer) = a_pipe();
        writer.write_all(b"x").unwrap();
        let number = reader.as_raw_fd();
        let log = Log::default();
        let seen = log.clone();
        let added = ioloop.add_handler(reader, Events::READ, move |ioloop, source, event| {
            ioloop.remove_handler(event.token);
            // Its source is open until it has returned.
            seen.add(source.as_raw_fd());
        });
        added.unwrap();
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
        assert_eq!(added.map_err(|error| error.errno), Err(Errno::EBADF), "a closed loop refuses a handler");
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
        let added = ioloop.add_handler(reader, Events::READ, |ioloop, _, event| -> () {
            ioloop.remove_handler(event.token);
            panics("in the handler");
        });
        added.unwrap();
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

/// Most descriptors are close-on-exec; F_GETFD of a descriptor that is not returns 0.
#[test]
fn a_descriptor_without_close_on_exec_counts_as_open() {
    on_each(|ioloop| {
        let log = failures(ioloop);
        let (reader, mut writer) = a_pipe();
        writer.write_all(b"x").unwrap();
        fcntl(&reader, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
        ioloop.add_handler(reader, Events::READ, |_, _, _| Err::<(), _>("each time")).unwrap();
        turns(ioloop, 3);
        assert_eq!(
            log.len(),
            3,
            "its handler failed once, and was removed as if its descriptor were closed: {log:?}"
        );
    });
}

#[test]
fn a_broken_pipe_in_a_handler_is_not_reported() {
    on_each(|ioloop| {
        let log = failures(ioloop);
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
        let handler = move |_: &IoLoop, _: &mut PipeReader, _| {
            events.set(events.get() + 1);
            broken(events.get())
        };
        ioloop.add_handler(reader, Events::READ, handler).unwrap();
        turns(ioloop, 3);
        assert_eq!(log.take(), [""; 0], "the EPIPE of a handler was reported");
        ioloop.add_callback(move |_| broken(0));
        turns(ioloop, 1);
        assert_eq!(log.len(), 1, "the EPIPE of a callback is a failure like any other");
    });
}

/// The file is still open under another number, so epoll keeps reporting it.
#[test]
fn a_number_closed_behind_its_back_does_not_make_it_spin() {
    on_each(|ioloop| {
        let log = failures(ioloop);
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
        // SAFETY: the test is about this. From here on the number has no owner, and it is not closed again.
        drop(std::mem::ManuallyDrop::into_inner(owner));
        turns(ioloop, 20);
        assert!(
            calls.len() <= 1 && log.len() == 1,
            "the handler of a closed descriptor ran {} times in 20 iterations, and {} failures were reported",
            calls.len(),
            log.len()
        );
        assert_eq!(calls.clones(), 1, "the handler cannot run any more, and is still registered");
        drop(other);
    });
}

/// A descriptor of O_PATH takes the place of a registered one. It is open, and no call on it works.
#[test]
fn a_descriptor_that_cannot_be_used_any_more_is_reported_once() {
    on_each(|ioloop| {
        let log = failures(ioloop);
        let (mut reader, _writer) = a_byte();
        let (number, held) = (reader.as_raw_fd(), Rc::new(()));
        let its = Rc::clone(&held);
        ioloop
            .add_handler(Kept(number), Events::READ, move |_, source, _| {
                let _its = &its;
                nix::unistd::read(source, &mut [0; 1]).map(drop)
            })
            .unwrap();
        let path = open("/dev/null", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).unwrap();
        // SAFETY: the number is `reader`'s, which closes whatever has it.
        let mut place = std::mem::ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(number) });
        dup3(&path, &mut place, OFlag::O_CLOEXEC).unwrap();
        turns(ioloop, 20);
        let wanted = usize::from(ioloop.kind() != Kind::Epoll);
        let failures = log.take();
        assert_eq!(
            failures.len(),
            wanted,
            "epoll forgets what was closed, the others report it: {failures:?}"
        );
        assert_eq!(Rc::strong_count(&held), 2 - wanted, "a reported handler is removed");
        reader.read(&mut [0]).expect_err("the test is about such a descriptor");
    });
}

/// The same, with a handler that is removed by the time that the kernel reports the event: an event without a handler,
/// again and again.
#[test]
fn an_event_without_a_handler_does_not_make_it_spin() {
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
            "one descriptor is writable, and the kernel also reports a file that is no longer registered. Events in \
             each iteration: {events:?}"
        );
        let heard = log.take();
        assert!(
            heard.len() == 20 && heard.iter().all(|what| *what == "can be written"),
            "descriptors and interests are registered as before: {heard:?}"
        );
        drop(other);
    });
}

#[test]
fn each_event_is_for_its_own_key() {
    testing::needs!(descriptors(256));
    on_each(|ioloop| {
        let log = Log::default();
        let mut writers = Vec::new();
        for key in 0..100 {
            let (reader, writer) = a_pipe();
            writers.push(writer);
            let log = log.clone();
            ioloop
                .add_handler(reader, Events::READ, move |_, source: &mut PipeReader, _| {
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
        assert_eq!(log.take().len(), 1, "after an update it must report again");
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
        assert_eq!(log.take().len(), 1, "no byte was read and no byte came: there is no edge");
    }
}

#[test]
fn two_loops_watch_one_descriptor() {
    on_each(|one| {
        let config = Config { poller: one.kind(), make_current: Current::No, ..Config::default() };
        let other = IoLoop::with(config).unwrap();
        let (reader, mut writer) = a_pipe();
        let reader = Rc::new(reader);
        let log = Log::default();
        let watch = |ioloop: &IoLoop, name: &'static str| {
            let seen = log.clone();
            ioloop.add_handler(Rc::clone(&reader), Events::READ, move |_, _, _| seen.add(name)).unwrap()
        };
        let token = watch(one, "one");
        watch(&other, "other");
        writer.write_all(b"x").unwrap();
        turns(one, 1);
        turns(&other, 1);
        assert_eq!(
            log.take(),
            ["one", "other"],
            "each loop has its own interest list, and the byte was not read"
        );
        one.remove_handler(token);
        turns(one, 1);
        turns(&other, 1);
        assert_eq!(
            log.take(),
            ["other"],
            "a descriptor that one loop forgets stays registered with the other"
        );
    });
}

/// An epoll instance is a descriptor itself: it is readable when a descriptor in its interest list is ready.
struct Inner(Epoll);

impl AsFd for Inner {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.0.as_fd()
    }
}

#[test]
fn an_epoll_can_be_watched() {
    on_each(|ioloop| {
        let inner = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
        let (reader, mut writer) = a_pipe();
        inner.add(&reader, EpollEvent::new(EpollFlags::EPOLLIN, 7)).unwrap();
        let log = Log::default();
        let seen = log.clone();
        let handler = move |_: &IoLoop, inner: &mut Inner, _| {
            let mut events = [EpollEvent::empty(); 2];
            let count = inner.0.wait(&mut events, EpollTimeout::ZERO)?;
            seen.add((count, events[0].data()));
            (&reader).read_exact(&mut [0])
        };
        ioloop.add_handler(Inner(inner), Events::READ, handler).unwrap();
        turns(ioloop, 2);
        assert_eq!(log.take(), [], "nothing is ready in the inner epoll");
        writer.write_all(b"x").unwrap();
        turns(ioloop, 3);
        assert_eq!(log.take(), [(1, 7)], "a byte came, and was read: one event of the inner epoll");
    });
}

#[test]
fn out_of_band_data_is_urgent() {
    testing::needs!(loopback);
    on_each(|ioloop| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let theirs = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (ours, _) = listener.accept().unwrap();
        let log = Log::default();
        let seen = log.clone();
        let handler = move |ioloop: &IoLoop, _: &mut TcpStream, event: Event| {
            seen.add(event.events);
            ioloop.stop();
        };
        ioloop.add_handler(ours, Events::URGENT, handler).unwrap();
        send(theirs.as_raw_fd(), b"!", MsgFlags::MSG_OOB).unwrap();
        ioloop.start().unwrap();
        assert_eq!(log.take(), [Events::URGENT]);
    });
}

/// Needs as many descriptors, so it has its own process, with the limit raised as far as permitted.
#[test]
fn one_handler_can_remove_thousands_of_its_batch() {
    let _alone = alone();
    for poller in Kind::ALL {
        let answer = helper_said(&["registration", "many", &poller.to_string()]);
        assert_eq!(
            answer.line("ran"),
            "1",
            "{poller}: all were ready, and the first handler removed the others"
        );
        assert_eq!(answer.line("left"), "0 descriptors", "{poller}: a source that was removed is closed");
    }
}

#[test]
fn another_thread_can_add_change_and_remove_a_source() {
    on_each(|ioloop| {
        let (reader, mut writer) = a_pipe();
        let handle = ioloop.handle();
        let thread = thread::spawn(move || {
            let (to_us, tokens) = channel();
            let (to_handler, bytes) = channel();
            handle.add_callback(move |ioloop| {
                let handler = move |_: &IoLoop, reader: &mut PipeReader, _| {
                    let mut byte = [0];
                    reader.read_exact(&mut byte)?;
                    to_handler.send(byte[0]).map_err(|_| io::Error::from(ErrorKind::BrokenPipe))
                };
                to_us.send(ioloop.add_handler(reader, Events::empty(), handler)).unwrap();
            })?;
            let token = tokens.recv().expect("the loop is woken")?;
            writer.write_all(b"x").expect("the loop owns the reader");
            handle.add_callback(move |ioloop| ioloop.update_handler(token, Events::READ))?;
            let came = bytes.recv();
            handle.add_callback(move |ioloop| ioloop.remove_handler(token))?;
            // The sender is dropped with the handler.
            let gone = bytes.recv().is_err();
            handle.stop()?;
            Ok::<_, ioloop::Error>((came, gone))
        });
        ioloop.start().unwrap();
        let seen = thread.join().unwrap().unwrap();
        assert_eq!(seen, (Ok(b'x'), true), "the byte came, and then the handler was gone");
    });
}

#[test]
fn an_edge_comes_again_once_it_was_drained() {
    let _alone = alone();
    let ioloop = IoLoop::with(Config { poller: Kind::Epoll, ..Config::default() }).unwrap();
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let log = Log::default();
    let seen = log.clone();
    let handler = move |_: &IoLoop, ours: &mut UnixStream, _| {
        let mut bytes = 0;
        let end = loop {
            match ours.read(&mut [0]) {
                Ok(count) => bytes += count,
                Err(error) => break error.kind(),
            }
        };
        seen.add((bytes, end));
    };
    ioloop.add_handler(ours, Events::READ | Events::EDGE, handler).unwrap();
    for _ in 0..3 {
        theirs.write_all(b"abc").unwrap();
        turns(&ioloop, 3);
        assert_eq!(
            log.take(),
            [(3, ErrorKind::WouldBlock)],
            "after it was drained, it reports the next byte"
        );
    }
}

/// With bytes left, after its one event, each of these makes the kernel look again. The interest is the same.
#[test]
fn an_update_or_a_resume_rearms_an_edge_and_a_oneshot() {
    type Rearm = fn(&IoLoop, Token, Events) -> ioloop::Result<()>;
    let rearms: [(&str, Rearm); 3] = [
        ("an update", |ioloop, token, interest| ioloop.update_handler(token, interest)),
        ("a pause and a resume", |ioloop, token, _| {
            ioloop.pause_handler(token).and_then(|()| ioloop.resume_handler(token))
        }),
        ("an update while it is paused", |ioloop, token, interest| {
            ioloop.pause_handler(token)?;
            ioloop.update_handler(token, interest)?;
            ioloop.resume_handler(token)
        }),
    ];
    on_each(|ioloop| {
        for mode in [Events::EDGE, Events::ONESHOT, Events::EDGE | Events::ONESHOT] {
            if mode.contains(Events::EDGE) && ioloop.kind() != Kind::Epoll {
                continue;
            }
            for (how, rearm) in rearms {
                let (reader, _writer) = a_byte();
                let (log, interest) = (Log::default(), Events::READ | mode);
                let seen = log.clone();
                let token = ioloop.add_handler(reader, interest, move |_, _, _| seen.add(())).unwrap();
                turns(ioloop, 3);
                assert_eq!(log.take().len(), 1, "the byte is there, for {interest:?}");
                for time in 1..=2 {
                    rearm(ioloop, token, interest).unwrap();
                    turns(ioloop, 3);
                    assert_eq!(log.take().len(), 1, "after {how}, time {time}, for {interest:?}");
                }
                ioloop.remove_handler(token);
            }
        }
    });
}

#[test]
fn closing_the_loop_closes_its_sources() {
    on_each(|ioloop| {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let dropped = Rc::new(Cell::new(0));
        let counted = Rc::clone(&dropped);
        ioloop.add_handler(ours, Events::READ, move |_, _, _| counted.set(1)).unwrap();
        ioloop.close();
        theirs.set_read_timeout(Some(LONG)).unwrap();
        let read = theirs.read(&mut [0]).map_err(|error| error.kind());
        assert_eq!(read, Ok(0), "the source of a loop that was closed is still open");
        assert_eq!(Rc::strong_count(&dropped), 1, "its handler is still there");
        ioloop.close();
    });
}

/// The number of each descriptor that is open.
fn open_now() -> BTreeSet<i32> {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

#[test]
fn a_loop_does_not_survive_exec() {
    on_each(|ioloop| {
        let before = open_now();
        let config = Config { poller: ioloop.kind(), make_current: Current::No, ..Config::default() };
        let _other = IoLoop::with(config).unwrap();
        for number in open_now().difference(&before) {
            // SAFETY: fcntl only takes the number, which may be closed by now.
            let flags = unsafe { libc::fcntl(*number, libc::F_GETFD) };
            assert!(flags == -1 || flags & libc::FD_CLOEXEC != 0, "descriptor {number} survives exec");
        }
    });
}

#[test]
fn start_returns_an_error_of_the_poller() {
    let _alone = alone();
    assert_eq!(helper_said(&["broken"]).line("start"), "EINVAL, and then Ok");
}

/// Standard error as a pipe whose reader is gone: `eprintln!` panics then.
#[test]
fn a_failure_that_cannot_be_printed_does_not_end_the_loop() {
    let _alone = alone();
    for poller in Kind::ALL {
        let answer = helper_said(&["registration", "unheard", &poller.to_string()]);
        assert_eq!(answer.line("start"), "Ok(())", "{poller}");
    }
}

/// poll(2) refuses a list that is longer than the soft limit on open files, which a process may lower after it opened them.
#[test]
fn a_limit_that_only_poll_has_is_named_in_the_error() {
    let _alone = alone();
    for poller in Kind::ALL {
        let answer = helper_said(&["registration", "limited", &poller.to_string()]);
        let (added, started) = (answer.line("added"), answer.line("start"));
        if poller == Kind::Poll {
            assert!(added.contains("RLIMIT_NOFILE") && added.contains("EINVAL"), "{added}");
            assert!(started.contains("RLIMIT_NOFILE") && started.contains("EINVAL"), "{started}");
        } else {
            assert_eq!((added, started), ("Ok", "Ok"), "{poller} has no such limit");
        }
        assert_eq!(answer.line("again"), "Ok", "{poller}: the limit is as before");
    }
}

/// There is no descriptor left for the epoll that poll and select ask.
#[test]
fn without_a_descriptor_left_a_handler_can_be_added() {
    let _alone = alone();
    for poller in Kind::ALL {
        let answer = helper_said(&["registration", "full", &poller.to_string()]);
        assert_eq!(answer.line("pipe"), "Ok", "{poller}");
        assert_eq!(answer.line("file"), "EPERM", "{poller}");
        assert_eq!(answer.line("ran"), "1", "{poller}");
    }
}
