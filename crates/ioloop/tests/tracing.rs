//! What tracers see of each dispatch.

mod support;

use std::cell::Cell;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::time::Duration;

use ioloop::{Dispatch, Events, IoLoop, Origin};
use support::{Log, a_pipe, on_each, on_each_with_a_fake_clock, panics, turns};

/// The dispatches from now on.
fn traced(ioloop: &IoLoop) -> Log<Dispatch> {
    let log = Log::default();
    let seen = log.clone();
    ioloop.trace(move |_, dispatch| seen.add(*dispatch));
    log
}

fn named_callback(_: &IoLoop) {}

fn named_timer(ioloop: &IoLoop) {
    ioloop.stop();
}

async fn named_task() {}

#[test]
fn each_dispatch_is_named() {
    on_each(|ioloop| {
        let log = traced(ioloop);
        let (reader, mut writer) = a_pipe();
        let fd = reader.as_raw_fd();
        let named_handler = |_: &IoLoop, reader: &mut std::io::PipeReader, _| reader.read_exact(&mut [0]);
        let token = ioloop.add_handler(reader, Events::READ, named_handler).unwrap();
        writer.write_all(b"x").unwrap();
        ioloop.add_callback(named_callback);
        ioloop.spawn(named_task());
        let handle = ioloop.handle();
        std::thread::spawn(move || handle.add_callback(named_callback)).join().unwrap().unwrap();
        turns(ioloop, 2);
        ioloop.call_later(Duration::ZERO, named_timer);
        ioloop.start().unwrap();
        let seen = log.take();
        let seen = |origin: Origin, name: &str| {
            seen.iter().filter(|dispatch| dispatch.origin == origin && dispatch.label.contains(name)).count()
        };
        assert_eq!(seen(Origin::Callback, "named_callback"), 2, "one callback is from another thread");
        assert_eq!(seen(Origin::Timer, "named_timer"), 1);
        assert_eq!(seen(Origin::Task, "named_task"), 1);
        // A closure is named for the function in which it is written.
        assert_eq!(seen(Origin::Handler(fd), "each_dispatch_is_named"), 1);
        ioloop.remove_handler(token);
    });
}

fn named_periodic(ioloop: &IoLoop) {
    ioloop.stop();
}

#[test]
fn a_run_of_a_periodic_callback_is_named() {
    on_each_with_a_fake_clock(|ioloop, _| {
        let log = traced(ioloop);
        let every = ioloop.call_every(Duration::from_secs(1), named_periodic);
        for time in ["first", "second"] {
            ioloop.start().unwrap();
            let seen = log.take();
            assert!(
                matches!(&seen[..], [Dispatch { origin: Origin::Timer, label, .. }] if label.contains("named_periodic")),
                "the {time} run of the callback `named_periodic`: {seen:?}"
            );
        }
        every.stop(ioloop);
    });
}

#[test]
fn the_dispatch_of_a_handler_has_its_token() {
    on_each(|ioloop| {
        let log = traced(ioloop);
        let pipes = [(); 2].map(|()| support::a_byte());
        let handler = |_: &IoLoop, reader: &mut std::io::PipeReader, _| reader.read_exact(&mut [0]);
        let tokens = pipes.map(|(reader, _)| ioloop.add_handler(reader, Events::READ, handler).unwrap());
        turns(ioloop, 1);
        let mut seen: Vec<_> = log.take().iter().filter_map(|dispatch| dispatch.token).collect();
        seen.sort_unstable();
        assert_eq!(seen, tokens);
    });
}

#[test]
fn a_dispatch_says_when_it_began_and_ended() {
    on_each_with_a_fake_clock(|ioloop, clock| {
        let log = traced(ioloop);
        let clock = clock.clone();
        ioloop.call_later(Duration::from_secs(2), move |ioloop| {
            clock.advance(Duration::from_secs(3));
            ioloop.stop();
        });
        ioloop.start().unwrap();
        let [Dispatch { start, end, .. }] = log.take()[..] else { panic!("one timer ran") };
        assert_eq!((start, end), (Duration::from_secs(2), Duration::from_secs(5)));
    });
}

#[test]
fn code_that_panics_is_traced_and_reported() {
    on_each_with_a_fake_clock(|ioloop, _| {
        let failures = support::operation::failures(ioloop);
        let log = traced(ioloop);
        ioloop.add_callback(|_| -> () { panics("in the callback") });
        turns(ioloop, 1);
        assert_eq!(failures.take(), ["a callback panicked: in the callback"]);
        assert_eq!(log.take().len(), 3, "the callback, and two of `turns`");
    });
}

#[test]
fn any_number_of_tracers_can_be_added_and_remove_themselves() {
    on_each_with_a_fake_clock(|ioloop, _| {
        let (log, second) = (Log::default(), Rc::new(Cell::new(None)));
        let (first, last) = (log.clone(), log.clone());
        ioloop.trace(move |_, _| first.add("first"));
        let (seen, own) = (log.clone(), Rc::clone(&second));
        second.set(Some(ioloop.trace(move |ioloop, _| {
            seen.add("second");
            own.take().into_iter().for_each(|own| ioloop.unsubscribe(own));
        })));
        ioloop.trace(move |_, _| last.add("last"));
        turns(ioloop, 1);
        assert_eq!(log.take(), ["first", "second", "last", "first", "last"], "two callbacks of `turns`");
    });
}

#[test]
fn a_removed_tracer_sees_nothing_and_is_dropped() {
    on_each_with_a_fake_clock(|ioloop, _| {
        let log = Log::default();
        let seen = log.clone();
        let tracer = ioloop.trace(move |_, dispatch| seen.add(dispatch.origin));
        ioloop.unsubscribe(tracer);
        ioloop.unsubscribe(tracer);
        turns(ioloop, 3);
        assert_eq!(log.len(), 0, "a tracer that was removed still gets dispatches");
        assert_eq!(log.clones(), 1, "and the loop keeps it");
    });
}
