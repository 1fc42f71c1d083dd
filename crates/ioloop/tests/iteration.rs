//! The order of one iteration, and what stops it: see tornado-behaviour in the appendix.

mod support;

use std::io::Write;
use std::time::Duration;

use ioloop::{Events, IoLoop};
use support::{Log, a_pipe, on_each, on_each_with_a_fake_clock};

#[test]
fn callbacks_run_in_their_order() {
    on_each(|ioloop| {
        let log = Log::default();
        for n in 0..5 {
            let log = log.clone();
            ioloop.add_callback(move |_| log.add(n));
        }
        ioloop.add_callback(IoLoop::stop);
        ioloop.start().unwrap();
        assert_eq!(log.take(), [0, 1, 2, 3, 4], "callbacks are run first come, first served");
    });
}

#[test]
fn a_callback_added_by_a_callback_waits_for_the_next_iteration() {
    on_each(|ioloop| {
        let (reader, mut writer) = a_pipe();
        writer.write_all(b"x").unwrap();
        let log = Log::default();
        let seen = log.clone();
        ioloop
            .add_handler(reader, Events::READ, move |ioloop, _, _| {
                seen.add("handler");
                ioloop.stop();
            })
            .unwrap();
        chain(ioloop, &log, 3);
        ioloop.start().unwrap();
        let order = log.take();
        assert_eq!(
            order[..2],
            ["callback", "handler"],
            "a callback added another one, and a descriptor that was ready all the time came after all of them: \
             whoever drains the queue until it is empty lets callbacks starve the descriptors. The order was {order:?}"
        );
    });
}

/// A callback that adds the next one.
fn chain(ioloop: &ioloop::IoLoop, log: &Log<&'static str>, left: usize) {
    let log = log.clone();
    ioloop.add_callback(move |ioloop| {
        log.add("callback");
        if left > 0 {
            chain(ioloop, &log, left - 1);
        }
    });
}

#[test]
fn a_timer_added_by_a_timer_waits_for_the_next_iteration() {
    on_each(|ioloop| {
        let log = Log::default();
        let seen = log.clone();
        ioloop.call_later(Duration::ZERO, move |ioloop| {
            seen.add("timer");
            let inner = seen.clone();
            ioloop.call_later(Duration::ZERO, move |ioloop| {
                inner.add("timer of the timer");
                ioloop.stop();
            });
            let inner = seen.clone();
            ioloop.add_callback(move |_| inner.add("callback"));
        });
        ioloop.start().unwrap();
        assert_eq!(
            log.take(),
            ["timer", "callback", "timer of the timer"],
            "what is due is collected before it is run: a timer that starts itself again would run for ever"
        );
    });
}

#[test]
fn callbacks_come_before_the_timers_that_are_due() {
    on_each(|ioloop| {
        let log = Log::default();
        let seen = log.clone();
        ioloop.call_at(Duration::ZERO, move |ioloop| {
            seen.add("timer");
            ioloop.stop();
        });
        let seen = log.clone();
        ioloop.add_callback(move |_| seen.add("callback"));
        ioloop.start().unwrap();
        assert_eq!(log.take(), ["callback", "timer"]);
    });
}

#[test]
fn a_stop_in_a_callback_lets_the_rest_of_the_iteration_run_and_skips_the_sleep() {
    on_each(|ioloop| {
        let log = Log::default();
        let (reader, mut writer) = a_pipe();
        writer.write_all(b"x").unwrap();
        let seen = log.clone();
        ioloop.add_handler(reader, Events::READ, move |_, _, _| seen.add("handler")).unwrap();
        let seen = log.clone();
        ioloop.call_at(Duration::ZERO, move |_| seen.add("timer"));
        let seen = log.clone();
        ioloop.add_callback(move |ioloop| {
            ioloop.stop();
            let later = seen.clone();
            ioloop.add_callback(move |ioloop| {
                later.add("after the next start");
                ioloop.stop();
            });
        });
        let seen = log.clone();
        ioloop.add_callback(move |_| seen.add("callback"));
        ioloop.start().unwrap();
        assert_eq!(
            log.take(),
            ["callback", "timer"],
            "what was queued and due runs, and nobody looks for events"
        );
        ioloop.start().unwrap();
        assert_eq!(
            log.take()[0],
            "after the next start",
            "what was queued meanwhile is there at the next start"
        );
    });
}

#[test]
fn a_stop_in_a_handler_lets_the_other_handlers_run_and_one_pass_more() {
    on_each(|ioloop| {
        let log = Log::default();
        let (one, other) = (a_pipe(), a_pipe());
        for (reader, mut writer) in [one, other] {
            writer.write_all(b"x").unwrap();
            let seen = log.clone();
            let handler = move |ioloop: &ioloop::IoLoop, _: &_, _| {
                seen.add("handler");
                ioloop.stop();
                let seen = seen.clone();
                ioloop.add_callback(move |_| seen.add("callback"));
                let _open = &writer;
            };
            ioloop.add_handler(reader, Events::READ, handler).unwrap();
        }
        ioloop.start().unwrap();
        assert_eq!(log.take(), ["handler", "handler", "callback", "callback"]);
    });
}

#[test]
fn a_stop_before_the_start_makes_it_come_back_at_once() {
    on_each(|ioloop| {
        let log = Log::default();
        let seen = log.clone();
        ioloop.add_callback(move |ioloop| {
            seen.add("callback");
            ioloop.stop();
        });
        ioloop.stop();
        ioloop.stop();
        ioloop.start().unwrap();
        assert_eq!(log.take(), [""; 0], "a start after a stop runs nothing");
        ioloop.start().unwrap();
        assert_eq!(log.take(), ["callback"], "a stop is a flag and no counter: the second start runs");
    });
}

#[test]
fn a_start_while_it_runs_is_an_error() {
    on_each(|ioloop| {
        let log = Log::default();
        let seen = log.clone();
        ioloop.add_callback(move |ioloop| {
            seen.add(ioloop.start().map_err(|error| error.errno));
            ioloop.stop();
        });
        ioloop.start().unwrap();
        assert_eq!(log.take(), [Err(nix::errno::Errno::EBUSY)]);
    });
}

#[test]
fn an_empty_loop_with_a_timer_sleeps_once() {
    on_each_with_a_fake_clock(|ioloop, _| {
        ioloop.call_at(Duration::from_secs(5), IoLoop::stop);
        ioloop.start().unwrap();
        assert_eq!(ioloop.time(), Duration::from_secs(5), "the time is the timer's deadline when it runs");
    });
}

#[test]
fn without_anything_it_sleeps_an_hour_at_a_time() {
    on_each_with_a_fake_clock(|ioloop, _| {
        ioloop.call_at(Duration::from_secs(10_000), IoLoop::stop);
        ioloop.start().unwrap();
        assert_eq!(ioloop.time(), Duration::from_secs(10_000));
    });
}
