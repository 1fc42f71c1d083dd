//! The whole: values of the program that panic when they are dropped: the loop reports each like any other failure, and goes on.

mod support;

#[path = "scenarios/drops.rs"]
mod scenarios;

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use std::{error, fmt, future, thread};

use ioloop::{Events, IoLoop, LoopHandle, Origin, TaskId, Token};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use support::{Kept, Log, a_byte, a_pipe, helper_said, on_each, panics, turns};

testing::helper!(|args| testing::exit_code(match args {
    ["drops", what] => scenarios::run(what),
    _ => support::unknown(args),
}));

const S: Duration = Duration::from_secs(1);

/// Logs its drop, and panics then.
#[derive(Debug)]
struct Bad(Log<&'static str>, &'static str);

impl Drop for Bad {
    fn drop(&mut self) {
        self.0.add(self.1);
        panics(self.1);
    }
}

/// A source that panics when it is dropped, after its descriptor.
struct BadSource<S>(S, #[allow(dead_code, reason = "dropped")] Bad);

impl<S: AsFd> AsFd for BadSource<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Logs what the loop reports.
fn reports(ioloop: &IoLoop) -> Log<(Origin, String)> {
    let log = Log::default();
    let seen = log.clone();
    ioloop.handle_callback_exception(move |_, failure| {
        seen.add((failure.origin, failure.to_string()));
        // Its cause may have a value that panics, which is the hook's affair.
        std::mem::forget(failure);
    });
    log
}

#[test]
fn a_handler_that_removed_itself_and_whose_source_panics_is_reported() {
    on_each(|ioloop| {
        let (reports, drops, ran) = (reports(ioloop), Log::default(), Log::default());
        let own: Rc<Cell<Option<Token>>> = Rc::default();
        let ((first, w1), (second, w2)) = (a_byte(), a_byte());
        let number = first.as_raw_fd();
        let (its, seen) = (Rc::clone(&own), ran.clone());
        let handler = move |ioloop: &IoLoop, _: &mut BadSource<_>, _| {
            seen.add("first");
            its.take().into_iter().for_each(|token| ioloop.remove_handler(token));
        };
        let source = BadSource(first, Bad(drops.clone(), "in the drop of a source"));
        own.set(Some(ioloop.add_handler(source, Events::READ, handler).unwrap()));
        let seen = ran.clone();
        ioloop.add_handler(second, Events::READ, move |_, _, _| seen.add("second")).unwrap();
        let ended = catch_unwind(AssertUnwindSafe(|| turns(ioloop, 1)));
        assert!(ended.is_ok(), "the drop of a handler's source panicked, and the panic left `start`");
        let words = format!("the handler of descriptor {number} panicked: in the drop of a source");
        assert_eq!(
            reports.take(),
            [(Origin::Handler(number), words)],
            "a value of the handler panicked when it was dropped, which is reported as the handler's failure"
        );
        let mut ran = ran.take();
        ran.sort_unstable();
        assert_eq!(ran, ["first", "second"], "the other event of this iteration was lost");
        drop((w1, w2));
    });
}

#[test]
fn a_handler_that_fails_and_whose_source_panics_is_reported_twice() {
    on_each(|ioloop| {
        let (reports, drops) = (reports(ioloop), Log::default());
        let (reader, _writer) = a_byte();
        let own: Rc<Cell<Option<Token>>> = Rc::default();
        let its = Rc::clone(&own);
        let source = BadSource(reader, Bad(drops, "in the drop"));
        let handler = move |ioloop: &IoLoop, _: &mut BadSource<_>, _| {
            its.take().into_iter().for_each(|token| ioloop.remove_handler(token));
            Err::<(), _>("it failed")
        };
        own.set(Some(ioloop.add_handler(source, Events::READ, handler).unwrap()));
        turns(ioloop, 1);
        let said: Vec<String> = reports.take().into_iter().map(|(_, words)| words).collect();
        assert!(
            said.len() == 2 && said[0].ends_with("it failed") && said[1].ends_with("in the drop"),
            "first what the handler returned, and then what its drop threw: {said:?}"
        );
    });
}

/// Only poll and select report it: with epoll a closed descriptor is silent.
#[test]
fn a_source_that_was_closed_and_panics_is_reported() {
    on_each(|ioloop| {
        let (reports, drops) = (reports(ioloop), Log::default());
        let file = a_pipe();
        let source = BadSource(Kept(file.0.as_raw_fd()), Bad(drops, "in the drop"));
        ioloop.add_handler(source, Events::READ, |_, _, _| {}).unwrap();
        drop(file);
        let ended = catch_unwind(AssertUnwindSafe(|| turns(ioloop, 1)));
        assert!(
            ended.is_ok(),
            "the loop removed a handler whose descriptor was closed, and a panic left `start`"
        );
        let said = reports.take().len();
        let wanted = if ioloop.kind() == ioloop::poller::Kind::Epoll { 0 } else { 2 };
        assert_eq!(said, wanted, "a report of the closed descriptor, and one of the panic");
        // On epoll it is still registered.
        let _ = catch_unwind(AssertUnwindSafe(|| ioloop.close()));
    });
}

#[test]
fn a_task_whose_future_panics_when_it_is_dropped_is_reported() {
    on_each(|ioloop| {
        let (reports, drops) = (reports(ioloop), Log::default());
        let bad = || Bad(drops.clone(), "in the drop");
        // Kept until the future itself is dropped.
        let (done, failed, canceled) = (bad(), bad(), bad());
        ioloop.spawn(future::poll_fn(move |_| {
            let _ = &done;
            Poll::Ready(())
        }));
        ioloop.spawn(future::poll_fn(move |_| {
            let _ = &failed;
            Poll::Ready(Err::<(), _>("it failed"))
        }));
        let own: Rc<Cell<Option<TaskId>>> = Rc::default();
        let (its, of) = (Rc::clone(&own), ioloop.clone());
        own.set(Some(ioloop.spawn(future::poll_fn(move |_| {
            let _ = &canceled;
            its.take().into_iter().for_each(|task| of.cancel(task));
            Poll::<()>::Pending
        }))));
        let other = Log::default();
        let seen = other.clone();
        ioloop.spawn(async move { seen.add("ran") });
        turns(ioloop, 2);
        let said: Vec<_> = reports.take();
        let words: Vec<&str> = said.iter().map(|(_, words)| words.as_str()).collect();
        assert_eq!(
            words,
            [
                "a task panicked: in the drop",
                "a task failed: it failed",
                "a task panicked: in the drop",
                "a task panicked: in the drop"
            ],
            "a task that is done, one that failed, and one that canceled itself: each is dropped, and its panic is a \
             failure of the task"
        );
        assert_eq!(other.take(), ["ran"], "the tasks after them run");
    });
}

/// Panics with its drop, whenever it is printed or dropped as the cause of a failure.
#[derive(Debug)]
struct BadError(#[allow(dead_code, reason = "dropped")] Bad);

impl fmt::Display for BadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an error whose drop panics")
    }
}

impl error::Error for BadError {}

// SAFETY: the tests have one thread each.
unsafe impl Send for BadError {}
// SAFETY: as above.
unsafe impl Sync for BadError {}

#[test]
fn what_is_returned_or_thrown_may_panic_when_it_is_dropped() {
    on_each(|ioloop| {
        let drops = Log::default();
        let bad = || BadError(Bad(drops.clone(), "dropped"));
        let (returned, thrown, broken) = (bad(), bad(), bad());
        ioloop.add_callback(move |_| Err::<(), _>(returned));
        ioloop.add_callback(move |_| -> () { std::panic::resume_unwind(Box::new(thrown)) });
        let (reader, _writer) = a_byte();
        let broken = RefCell::new(Some(io::Error::new(ErrorKind::BrokenPipe, broken)));
        ioloop.add_handler(reader, Events::READ, move |_, _, _| broken.take().map_or(Ok(()), Err)).unwrap();
        let ended = catch_unwind(AssertUnwindSafe(|| turns(ioloop, 2)));
        assert!(
            ended.is_ok(),
            "an error or a panic's payload panicked when it was dropped, and it left `start`"
        );
        assert_eq!(drops.take(), ["dropped"; 3], "each is dropped once it is reported");
    });
}

/// Panics when it is printed.
#[derive(Debug)]
struct Unprintable;

impl fmt::Display for Unprintable {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panics("an error was printed")
    }
}

impl error::Error for Unprintable {}

/// Without a failure hook, the loop itself prints the error.
#[test]
fn an_error_that_panics_when_it_is_printed_does_not_end_the_loop() {
    on_each(|ioloop| {
        let ran = Log::default();
        let seen = ran.clone();
        ioloop.add_callback(|_| Err::<(), _>(Unprintable));
        ioloop.add_callback(move |_| seen.add("the next callback"));
        let ended = catch_unwind(AssertUnwindSafe(|| turns(ioloop, 2)));
        assert!(
            ended.is_ok(),
            "the loop printed the error of a callback, which panicked, and it left `start`"
        );
        assert_eq!(ran.take(), ["the next callback"], "the loop goes on after a failure");
    });
}

/// What was reported, and the panic that left `start`, where code of the program panics and a value of it panics in its drop.
const BESIDE_A_PANIC: [(&str, &[&str], &str); 9] = [
    ("joined", &["a task panicked: in the poll", "a task panicked: in the drop"], "nothing"),
    ("signal", &["a callback panicked: in the handler", "a callback panicked: in the drop"], "nothing"),
    ("periodic", &["a timer panicked: in the callback", "a timer panicked: in the drop"], "nothing"),
    ("tracer", &["a callback panicked: in the tracer"], "nothing"),
    ("traced", &["a callback panicked: in the tracer"], "nothing"),
    ("subscriber", &[], "in the subscriber"),
    ("handler", &["it failed"], "in the hook"),
    ("hook", &["it failed"], "in the hook"),
    ("watchdog", &[], "nothing"),
];

/// Two panics at the same time abort the process, so each case has a process of its own.
#[test]
fn a_value_that_panics_in_its_drop_beside_another_panic_aborts_nothing() {
    for (what, reported, thrown) in BESIDE_A_PANIC {
        let answer = helper_said(&["drops", what]);
        assert_eq!(answer.line("dropped"), "yes", "{what}: the value must be dropped");
        assert_eq!(answer.lines("reported").collect::<Vec<_>>(), reported, "{what}: what the hook got");
        assert_eq!(answer.line("thrown"), thrown, "{what}: the panic that left `start`");
    }
}

/// One value in each place of a loop, in the order in which a close drops them.
const PLACES: [&str; 9] =
    ["sent", "callback", "timer", "due", "task", "signal", "handler", "subscriber", "tracer"];

fn fill(ioloop: &IoLoop, drops: &Log<&'static str>) -> (i32, io::PipeWriter) {
    let bad = |place| Bad(drops.clone(), place);
    struct Sent(Bad);
    // SAFETY: the test has one thread; only the type of the queue demands it.
    unsafe impl Send for Sent {}
    impl Sent {
        fn here(&self) {
            let _ = &self.0;
        }
    }
    let sent = Sent(bad("sent"));
    // Through the inbox, as from another thread: this loop is not the current one.
    IoLoop::clear_current();
    ioloop.handle().add_callback(move |_| sent.here()).unwrap();
    let [callback, timer, due, task] = ["callback", "timer", "due", "task"].map(bad);
    ioloop.add_callback(move |_| drop(callback));
    ioloop.call_later(S, move |_| drop(timer));
    ioloop.call_at(Duration::ZERO, move |_| drop(due));
    ioloop.spawn(async move {
        future::pending::<()>().await;
        drop(task);
    });
    let signal = bad("signal");
    ioloop
        .add_signal_handler(&[Signal::SIGUSR1], move |_, _| {
            let _ = &signal;
        })
        .unwrap();
    let (reader, writer) = a_pipe();
    let number = reader.as_raw_fd();
    ioloop.add_handler(BadSource(reader, bad("handler")), Events::READ, |_, _, _| {}).unwrap();
    let (subscriber, tracer) = (bad("subscriber"), bad("tracer"));
    ioloop.subscribe(move |_, _| {
        let _ = &subscriber;
    });
    ioloop.trace(move |_, _| {
        let _ = &tracer;
    });
    (number, writer)
}

#[test]
fn a_close_drops_everything_whatever_one_drop_does() {
    on_each(|ioloop| {
        let drops = Log::default();
        let (number, mut writer) = fill(ioloop, &drops);
        let thrown = catch_unwind(AssertUnwindSafe(|| ioloop.close()));
        let mut dropped = drops.take();
        let mut wanted = PLACES;
        dropped.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(
            dropped, wanted,
            "each value panics when it is dropped, and the close must reach all of them"
        );
        let thrown = thrown.expect_err("the first panic goes on when everything is closed");
        assert_eq!(
            thrown.downcast_ref::<String>().map(String::as_str),
            Some("sent"),
            "the first of the panics"
        );
        let broken = writer.write(b"x").expect_err("nothing reads the pipe");
        assert_eq!(broken.kind(), ErrorKind::BrokenPipe, "the source of the handler, {number}, is open");
        let other = IoLoop::new().unwrap();
        let free = other.add_signal_handler(&[Signal::SIGUSR1], |_, _| {});
        assert_eq!(free.map(drop), Ok(()), "the closed loop still has the signal");
    });
}

#[test]
fn a_loop_that_is_dropped_drops_everything_too() {
    let _alone = support::alone();
    let (ioloop, drops) = (IoLoop::new().unwrap(), Log::default());
    let (_, mut writer) = fill(&ioloop, &drops);
    let thrown = catch_unwind(AssertUnwindSafe(|| drop(ioloop)));
    assert!(thrown.is_err(), "the first panic goes on");
    assert_eq!(drops.len(), PLACES.len(), "{:?}", drops.take());
    assert!(writer.write(b"x").is_err(), "the source of the handler is open");
}

/// A closed loop runs nothing and keeps nothing, whatever it is given.
#[test]
fn a_closed_loop_keeps_nothing_that_it_is_given() {
    on_each(|ioloop| {
        ioloop.close();
        let (held, ran) = (Rc::new(()), Log::default());
        let keep = |name: &'static str| {
            let (held, ran) = (Rc::clone(&held), ran.clone());
            move || {
                let _ = &held;
                ran.add(name);
            }
        };
        let none =
            |name: &str| assert_eq!(Rc::strong_count(&held), 1, "{name} is kept by a loop that is closed");
        let f = keep("a callback");
        ioloop.add_callback(move |_| f());
        none("a callback");
        let f = keep("a timer");
        ioloop.call_at(Duration::ZERO, move |_| f());
        none("a timer");
        let f = keep("a timer");
        ioloop.call_later(Duration::MAX, move |_| f());
        none("a timer");
        let f = keep("a periodic callback");
        drop(ioloop.call_every(S, move |_| f()));
        none("a periodic callback");
        let f = keep("a task");
        ioloop.spawn(async move { f() });
        none("a task");
        let f = keep("a task with a handle");
        drop(ioloop.spawn_joined(async move { f() }));
        none("a task with a handle");
        let f = keep("a future of run_sync");
        ioloop.run_sync(async move { f() }, Some(S)).unwrap_err();
        none("a future of run_sync");
        let f = keep("a subscriber");
        ioloop.subscribe(move |_, _| f());
        none("a subscriber");
        let f = keep("a tracer");
        ioloop.trace(move |_, _| f());
        none("a tracer");
        let f = keep("a failure hook");
        ioloop.handle_callback_exception(move |_, _| f());
        none("a failure hook");
        let (f, (reader, _writer)) = (keep("a handler"), a_byte());
        let refused = ioloop.add_handler(reader, Events::READ, move |_, _, _| f());
        assert_eq!(refused.map(drop).map_err(|error| error.errno), Err(Errno::EBADF), "a handler");
        none("a handler");
        let f = keep("a signal handler");
        let refused = ioloop.add_signal_handler(&[Signal::SIGUSR1], move |_, _| f());
        assert_eq!(refused.map(drop).map_err(|error| error.errno), Err(Errno::EBADF), "a signal handler");
        none("a signal handler");
        let refused = ioloop.watch(a_byte().0);
        assert_eq!(refused.map(drop).map_err(|error| error.errno), Err(Errno::EBADF), "a watched descriptor");
        let refused = ioloop.offload(|| ());
        assert_eq!(refused.map(drop).map_err(|error| error.errno), Err(Errno::EBADF), "work for a thread");
        let refused = ioloop.set_blocking_threshold(Some(S), |_| {});
        assert_eq!(refused.map_err(|error| error.errno), Err(Errno::EBADF), "a watchdog");
        ioloop.start().unwrap();
        assert_eq!(ioloop.turn(S), Ok(false), "an iteration of a closed loop");
        assert!(ran.take().is_empty(), "a closed loop runs nothing");
    });
}

/// Uses loops when it is dropped.
struct AtTheEnd(RefCell<Option<(IoLoop, LoopHandle, std::sync::mpsc::Sender<bool>)>>);

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        let Some((ioloop, handle, said)) = self.0.take() else { return };
        let current = IoLoop::current().is_some();
        ioloop.make_current();
        let sent = handle.add_callback(IoLoop::stop).is_ok();
        let ran = ioloop.start().is_ok();
        let _ = said.send(!current && sent && ran);
    }
}

thread_local! {
    static AT_THE_END: AtTheEnd = const { AtTheEnd(RefCell::new(None)) };
}

#[test]
fn a_thread_that_ends_may_still_use_a_loop() {
    let _alone = support::alone();
    let (said, told) = std::sync::mpsc::channel();
    let ended = thread::spawn(move || {
        // Made first, so it is dropped after the library's own thread-local values, if those are dropped at all.
        AT_THE_END.with(|_| {});
        let ioloop = IoLoop::new().unwrap();
        ioloop.make_current();
        AT_THE_END.with(|place| place.0.replace(Some((ioloop.clone(), ioloop.handle(), said))));
    });
    assert!(ended.join().is_ok(), "a loop that is used while its thread ends must not panic");
    assert_eq!(
        told.recv(),
        Ok(true),
        "the thread has no current loop anymore, and a loop can be used all the same"
    );
}
