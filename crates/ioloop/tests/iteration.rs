//! Exercise `ioloop/iteration`: the order of everything in one iteration of the loop, how long the loop sleeps, and
//! where it obeys a stop. With a fake clock the loop does not sleep: the clock advances by the timeout that the loop
//! chose.

mod support;

// A process that forks another one for each scenario that reads a stack, because it has read the symbol tables already.
// (`helper_said` starts a process for its scenario.)
#[path = "support/zygote.rs"]
mod zygote;

#[path = "scenarios/blocked.rs"]
mod blocked;

#[path = "scenarios/broken.rs"]
mod broken;

use std::cell::Cell;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use ioloop::{Events, IoLoop, Iteration, Origin};
use support::counting::allocations;
use support::operation::failures;
use support::{Log, a_pipe, helper_said, on_each, on_each_with_a_fake_clock, panics};

testing::helper!(answer);

fn answer(args: &[&str]) -> i32 {
    testing::exit_code(match args {
        ["blocked", what] => blocked::run(what),
        ["broken"] => broken::run(),
        ["zygote"] => return zygote::serve(answer),
        _ => support::unknown(args),
    })
}

const S: Duration = Duration::from_secs(1);

/// A handler whose descriptor stays ready, because the byte in its pipe is never read.
fn a_handler(ioloop: &IoLoop, mut handler: impl FnMut(&IoLoop) + 'static) -> ioloop::Token {
    let (reader, mut writer) = a_pipe();
    writer.write_all(b"x").unwrap();
    let handler = move |ioloop: &IoLoop, _: &mut _, _| {
        let _open = &writer;
        handler(ioloop);
    };
    ioloop.add_handler(reader, Events::READ, handler).unwrap()
}

#[test]
fn callbacks_run_in_the_order_they_were_added() {
    on_each(|ioloop| {
        let log = Log::default();
        for n in 0..5 {
            let log = log.clone();
            ioloop.add_callback(move |_| log.add(n));
        }
        ioloop.add_callback(IoLoop::stop);
        ioloop.start().unwrap();
        assert_eq!(log.take(), [0, 1, 2, 3, 4], "callbacks run in the order in which they were added");
    });
}

#[test]
fn an_iteration_runs_all_that_is_queued_due_and_ready() {
    // Other tests of this program need some at the same time.
    testing::needs!(descriptors(512));
    on_each_with_a_fake_clock(|ioloop, _| {
        const QUEUED: usize = 3_000;
        const READY: usize = 200;
        let log = Log::default();
        for _ in 0..QUEUED {
            let seen = log.clone();
            ioloop.add_callback(move |_| seen.add("callback"));
            let seen = log.clone();
            ioloop.call_at(Duration::ZERO, move |_| seen.add("timer"));
        }
        let ready: Vec<_> = (0..READY)
            .map(|_| {
                let seen = log.clone();
                a_handler(ioloop, move |_| seen.add("handler"))
            })
            .collect();
        ioloop.turn(Duration::ZERO).unwrap();
        let ran = ["callback", "timer", "handler"].map(|what| log.count(|ran| *ran == what));
        assert_eq!(
            ran,
            [QUEUED, QUEUED, READY],
            "the callbacks, timers and handlers that ran in one iteration: it runs all the callbacks that are queued, all \
             the timers that are due and all the handlers that are ready. What is left over is forgotten when the loop \
             computes its timeout: `nearest` does not see a timer that was collected"
        );
        ready.into_iter().for_each(|token| ioloop.remove_handler(token));
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
            "a callback added another one, and a descriptor that was ready all the time came after all of them: a loop \
             that runs callbacks until the queue is empty lets callbacks starve the descriptors. The order was \
             {order:?}"
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
            "a loop collects the timers that are due before it runs them: otherwise a timer that rearms itself runs \
             forever"
        );
    });
}

#[test]
fn a_callback_added_by_a_timer_waits_for_the_next_iteration() {
    on_each(|ioloop| {
        let log = Log::default();
        let seen = log.clone();
        a_handler(ioloop, move |_| seen.add("handler"));
        let seen = log.clone();
        ioloop.call_at(Duration::ZERO, move |ioloop| {
            seen.add("timer");
            ioloop.add_callback(move |ioloop| {
                seen.add("callback");
                ioloop.stop();
            });
        });
        ioloop.start().unwrap();
        assert_eq!(
            log.take(),
            ["timer", "handler", "callback"],
            "a timer added a callback, and a descriptor was ready: the callback belongs to the next iteration, and the \
             descriptor to this one"
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
        assert_eq!(
            log.take(),
            ["callback", "timer"],
            "both were there when the iteration began: callbacks come first"
        );
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
            "the callbacks that were queued and the timers that were due run, and the loop does not poll for events"
        );
        ioloop.start().unwrap();
        assert_eq!(
            log.take()[0],
            "after the next start",
            "a callback that was added meanwhile runs at the next start"
        );
    });
}

#[test]
fn a_stop_in_a_handler_is_obeyed_before_the_next_sleep() {
    on_each(|ioloop| {
        let log = Log::default();
        let (one, other) = (a_pipe(), a_pipe());
        for (reader, mut writer) in [one, other] {
            writer.write_all(b"x").unwrap();
            let seen = log.clone();
            let handler = move |ioloop: &ioloop::IoLoop, _: &mut _, _| {
                seen.add("handler");
                ioloop.stop();
                let (queued, due) = (seen.clone(), seen.clone());
                ioloop.add_callback(move |_| queued.add("callback"));
                ioloop.call_at(Duration::ZERO, move |_| due.add("timer"));
                let _open = &writer;
            };
            ioloop.add_handler(reader, Events::READ, handler).unwrap();
        }
        ioloop.start().unwrap();
        assert_eq!(
            log.take(),
            ["handler", "handler", "callback", "callback", "timer", "timer"],
            "both descriptors were ready, and the first handler stopped the loop: the other handler still runs, then \
             the callbacks that they added, and then the timers that are due"
        );
    });
}

#[test]
fn a_stop_before_the_start_makes_start_return_at_once() {
    on_each(|ioloop| {
        let log = Log::default();
        let seen = log.clone();
        ioloop.add_callback(move |ioloop| {
            seen.add("callback");
            // Tells the two wrong answers apart: one stops after an iteration, and the other one keeps running.
            ioloop.add_callback(move |ioloop| {
                seen.add("next iteration");
                ioloop.stop();
            });
        });
        ioloop.stop();
        ioloop.stop();
        ioloop.start().unwrap();
        let ran = log.take();
        assert_ne!(ran, ["callback"], "a stop that came before the start was obeyed an iteration late");
        assert_eq!(ran, [""; 0], "a stop that came before the start was forgotten");
        ioloop.start().unwrap();
        assert_eq!(
            log.take(),
            ["callback", "next iteration"],
            "a stop is a flag, not a counter: two of them are one, so the second start runs"
        );
    });
}

#[test]
fn a_stop_from_another_thread_before_the_start_counts_too() {
    on_each(|ioloop| {
        let log = Log::default();
        let seen = log.clone();
        ioloop.add_callback(move |_| seen.add("callback"));
        ioloop.add_callback(IoLoop::stop);
        let handle = ioloop.handle();
        std::thread::spawn(move || handle.stop()).join().unwrap().unwrap();
        ioloop.start().unwrap();
        assert_eq!(
            log.take(),
            [""; 0],
            "another thread stopped the loop before the start, and the loop still ran an iteration"
        );
        ioloop.start().unwrap();
        assert_eq!(log.take(), ["callback"], "the second start runs the queued callback");
    });
}

#[test]
fn a_stop_from_another_thread_is_obeyed_before_the_sleep() {
    on_each_with_a_fake_clock(|ioloop, _| {
        ioloop.call_at(5 * S, IoLoop::stop);
        ioloop.add_callback(|ioloop| {
            let handle = ioloop.handle();
            std::thread::spawn(move || handle.stop()).join().unwrap().unwrap();
        });
        ioloop.start().unwrap();
        assert_eq!(
            ioloop.time(),
            Duration::ZERO,
            "another thread stopped the loop while a callback ran, and the loop slept: `should_stop` reports that stop \
             too"
        );
    });
}

#[test]
fn a_closed_loop_returns_from_start() {
    on_each_with_a_fake_clock(|ioloop, _| {
        ioloop.add_callback(IoLoop::close);
        // A single iteration, because a closed loop keeps nothing that could end another one.
        let goes_on = ioloop.turn(S).unwrap();
        assert_eq!(
            (goes_on, ioloop.time()),
            (false, Duration::ZERO),
            "a callback closed the loop, which then has nothing to wait for, and the loop slept: `should_stop` reports \
             that too"
        );
        ioloop.start().unwrap();
    });
}

#[test]
fn a_callback_may_close_the_loop_before_the_next_one() {
    on_each(|ioloop| {
        let log = failures(ioloop);
        ioloop.add_callback(IoLoop::close);
        for _ in 0..2 {
            let seen = log.clone();
            ioloop.add_callback(move |_| seen.add("a callback ran".to_owned()));
        }
        ioloop.start().unwrap();
        assert_eq!(
            log.take(),
            [""; 0],
            "the first of three callbacks closed the loop, which dropped the two behind it. That is no failure: fewer \
             callbacks may be there than were counted when the iteration began"
        );
    });
}

/// While `start` runs, the number of the loop's epoll descriptor refers to another file.
#[test]
fn start_returns_the_error_of_the_poller() {
    let answer = helper_said(&["broken"]);
    assert_eq!(
        answer.line("start"),
        "EINVAL, and then Ok",
        "the wait failed, and `run` must return the error of `wait`. The next start waits as usual"
    );
    assert_eq!(
        answer.line("callbacks"),
        "1",
        "each callback added the next one, and the wait of the first iteration failed: `run` must return that error at once, \
         and not try another iteration"
    );
    assert_eq!(
        answer.line("records"),
        "0",
        "the wait of the first iteration failed, and the subscribers got its record: return the error at once. The record says that \
         the loop slept"
    );
}

/// One from a callback, and at the same time one from another thread.
#[test]
fn two_stops_of_one_run_are_one() {
    on_each(|ioloop| {
        let log = Log::default();
        ioloop.add_callback(|ioloop| {
            let handle = ioloop.handle();
            std::thread::spawn(move || handle.stop()).join().unwrap().unwrap();
            ioloop.stop();
        });
        ioloop.start().unwrap();
        let seen = log.clone();
        ioloop.add_callback(move |ioloop| {
            seen.add("callback");
            ioloop.stop();
        });
        ioloop.start().unwrap();
        assert_eq!(
            log.take(),
            ["callback"],
            "one of the two stops was left over, and stopped the next run before it began"
        );
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
fn a_timer_added_by_a_callback_waits_for_the_next_iteration() {
    on_each_with_a_fake_clock(|ioloop, _| {
        let log = Log::default();
        let seen = log.clone();
        a_handler(ioloop, move |_| seen.add("handler"));
        let seen = log.clone();
        ioloop.add_callback(move |ioloop| {
            ioloop.call_at(Duration::ZERO, move |ioloop| {
                seen.add("timer");
                ioloop.stop();
            });
        });
        ioloop.start().unwrap();
        assert_eq!(
            log.take(),
            ["handler", "timer"],
            "a timer that a callback added ran in the same iteration: the loop decides which timers are due when an \
             iteration begins"
        );
    });
}

#[test]
fn a_callback_or_a_timer_can_cancel_a_timer_that_is_due() {
    on_each_with_a_fake_clock(|ioloop, _| {
        for by_a_callback in [true, false] {
            let log = Log::default();
            let victim = Rc::new(Cell::new(None));
            let canceled = Rc::clone(&victim);
            let cancel = move |ioloop: &IoLoop| {
                ioloop.remove_timeout(canceled.take().unwrap());
                ioloop.stop();
            };
            if by_a_callback {
                ioloop.add_callback(cancel);
            } else {
                ioloop.call_at(Duration::ZERO, cancel);
            }
            let seen = log.clone();
            victim.set(Some(ioloop.call_at(Duration::ZERO, move |_| seen.add("timer"))));
            ioloop.start().unwrap();
            assert_eq!(
                log.take(),
                [""; 0],
                "a timer ran that was canceled a moment before: the loop took the timer out too early, before it ran the \
                 timers ahead of it"
            );
        }
    });
}

#[test]
fn a_stop_in_a_timer_lets_the_other_timers_run() {
    on_each_with_a_fake_clock(|ioloop, _| {
        let log = Log::default();
        for n in 0..3 {
            let seen = log.clone();
            ioloop.call_at(Duration::ZERO, move |ioloop| {
                seen.add(n);
                ioloop.stop();
            });
        }
        ioloop.start().unwrap();
        assert_eq!(
            log.take(),
            [0, 1, 2],
            "three timers were due, and each stopped the loop: all of them run"
        );
    });
}

#[test]
fn a_stop_is_obeyed_before_the_sleep() {
    on_each_with_a_fake_clock(|ioloop, _| {
        ioloop.call_at(5 * S, |_| ());
        ioloop.add_callback(IoLoop::stop);
        ioloop.start().unwrap();
        assert_eq!(ioloop.time(), Duration::ZERO, "a callback stopped the loop, and the loop slept first");
    });
}

#[test]
fn a_descriptor_that_stays_ready_does_not_starve_the_callbacks() {
    on_each_with_a_fake_clock(|ioloop, _| {
        let log = Log::default();
        let seen = log.clone();
        a_handler(ioloop, move |ioloop| {
            seen.add("handler");
            if seen.len() == 1 {
                let seen = seen.clone();
                ioloop.add_callback(move |_| seen.add("callback"));
            }
            if seen.len() == 10 {
                ioloop.stop();
                ioloop.close();
            }
        });
        ioloop.start().unwrap();
        assert_eq!(
            log.take()[..2],
            ["handler", "callback"],
            "the handler of a descriptor that is always ready runs once an iteration, so the callbacks that it adds \
             run too"
        );
    });
}

#[test]
fn a_handler_removed_in_the_same_iteration_does_not_run() {
    on_each_with_a_fake_clock(|ioloop, _| {
        let log = Log::default();
        let tokens: Rc<Cell<[Option<ioloop::Token>; 2]>> = Rc::default();
        let made = [0, 1].map(|n: usize| {
            let (seen, tokens) = (log.clone(), Rc::clone(&tokens));
            Some(a_handler(ioloop, move |ioloop| {
                seen.add(n);
                ioloop.remove_handler(tokens.get()[1 - n].unwrap());
                ioloop.stop();
            }))
        });
        tokens.set(made);
        ioloop.start().unwrap();
        assert_eq!(
            log.len(),
            1,
            "two descriptors were ready, and the handler of the first one removed the other handler, which still ran"
        );
        made.into_iter().flatten().for_each(|token| ioloop.remove_handler(token));
    });
}

#[test]
fn with_a_callback_queued_it_does_not_sleep() {
    on_each_with_a_fake_clock(|ioloop, _| {
        let log = Log::default();
        let seen = log.clone();
        ioloop.call_at(5 * S, |_| ());
        ioloop.add_callback(move |ioloop| {
            ioloop.add_callback(move |ioloop| {
                seen.add(ioloop.time());
                ioloop.stop();
            });
        });
        ioloop.start().unwrap();
        assert_eq!(
            log.take(),
            [Duration::ZERO],
            "a callback was queued, and the loop slept until the next timer"
        );
    });
}

#[test]
fn with_a_callback_queued_by_a_timer_it_does_not_sleep() {
    on_each_with_a_fake_clock(|ioloop, _| {
        let log = Log::default();
        let seen = log.clone();
        ioloop.call_at(5 * S, |_| ());
        ioloop.call_at(Duration::ZERO, move |ioloop| {
            ioloop.add_callback(move |ioloop| {
                seen.add(ioloop.time());
                ioloop.stop();
            });
        });
        ioloop.start().unwrap();
        assert_eq!(
            log.take(),
            [Duration::ZERO],
            "a timer queued a callback, and the loop slept until the next timer: check the queue after the timers \
             have run"
        );
    });
}

#[test]
fn a_timer_can_start_and_cancel_timers() {
    on_each_with_a_fake_clock(|ioloop, _| {
        let reported = Log::default();
        let seen = reported.clone();
        ioloop.handle_callback_exception(move |ioloop, failure| {
            seen.add(failure.to_string());
            ioloop.stop();
        });
        ioloop.call_at(Duration::ZERO, |ioloop| {
            let other = ioloop.call_at(S, |_| ());
            ioloop.remove_timeout(other);
            ioloop.stop();
        });
        ioloop.start().unwrap();
        assert_eq!(
            reported.take(),
            [""; 0],
            "a timer started another one and canceled it, and this was reported: are the timers borrowed while they \
             run?"
        );
    });
}

/// The records of the first iterations. The loop is stopped after this many.
fn records(ioloop: &IoLoop, most: usize) -> Log<Iteration> {
    let log = Log::default();
    let seen = log.clone();
    ioloop.subscribe(move |ioloop, iteration| {
        seen.add(iteration);
        if seen.len() == most {
            ioloop.stop();
        }
    });
    log
}

#[test]
fn it_sleeps_once_until_a_deadline() {
    for nanos in [1, 999_999, 1_500_000, 5_000_000_000] {
        on_each_with_a_fake_clock(|ioloop, _| {
            let records = records(ioloop, 50);
            let deadline = Duration::from_nanos(nanos);
            ioloop.call_at(deadline, IoLoop::stop);
            ioloop.start().unwrap();
            let asked: Vec<_> = records.take().iter().map(|iteration| iteration.timeout).collect();
            assert_eq!(
                asked.len(),
                1,
                "until a deadline in {deadline:?} the loop reported these sleeps: {asked:?}. A timeout that is rounded \
                 down ends the sleep before the deadline, again and again; and an iteration that was stopped has not slept"
            );
            assert_eq!(asked[0], deadline, "the timeout that the loop chose");
            assert_eq!(ioloop.time(), deadline, "the time at which the timer ran");
        });
    }
}

#[test]
fn the_sleep_is_what_is_left_until_the_deadline() {
    for slow in ["callback", "timer"] {
        on_each_with_a_fake_clock(|ioloop, clock| {
            let clock = clock.clone();
            ioloop.call_at(5 * S, IoLoop::stop);
            match slow {
                "callback" => ioloop.add_callback(move |_| clock.advance(2 * S)),
                _ => drop(ioloop.call_at(Duration::ZERO, move |_| clock.advance(2 * S))),
            }
            ioloop.start().unwrap();
            assert_eq!(
                ioloop.time(),
                5 * S,
                "a {slow} took 2 s, and the timer in 5 s was 2 s late: the loop must compute the timeout last"
            );
        });
    }
}

#[test]
fn the_sleep_respects_timers_that_callbacks_add_and_cancel() {
    on_each_with_a_fake_clock(|ioloop, _| {
        let records = records(ioloop, 50);
        let far = ioloop.call_at(10 * S, |_| ());
        ioloop.add_callback(move |ioloop| {
            ioloop.call_at(2 * S, move |ioloop| {
                ioloop.call_at(5 * S, IoLoop::stop);
                ioloop.remove_timeout(far);
            });
        });
        ioloop.call_at(S, |_| ());
        let soon = ioloop.call_at(S / 2, |_| ());
        ioloop.add_callback(move |ioloop| ioloop.remove_timeout(soon));
        ioloop.start().unwrap();
        let asked: Vec<_> = records.take().iter().map(|iteration| iteration.timeout).collect();
        assert_eq!(
            asked,
            [S, S, 3 * S],
            "timers were due in 0.5, 1 and 10 s. Callbacks canceled the first one, and added one in 2 s, which added \
             one in 5 s: a loop that looks up the nearest deadline before all of them have run sleeps for a wrong one"
        );
    });
}

#[test]
fn errors_and_panics_are_reported_and_the_rest_runs() {
    on_each_with_a_fake_clock(|ioloop, _| {
        let (log, reported) = (Log::default(), Log::default());
        let seen = reported.clone();
        ioloop.handle_callback_exception(move |_, failure| seen.add(failure.origin));
        ioloop.add_callback(|_| Err::<(), _>("it fails"));
        ioloop.add_callback(|_| -> () { panics("it panics") });
        let seen = log.clone();
        ioloop.add_callback(move |_| seen.add("callback"));
        ioloop.call_at(Duration::ZERO, |_| Err::<(), _>("it fails"));
        ioloop.call_at(Duration::ZERO, |_| -> () { panics("it panics") });
        let seen = log.clone();
        ioloop.call_at(Duration::ZERO, move |ioloop| {
            seen.add("timer");
            ioloop.stop();
        });
        let ended = catch_unwind(AssertUnwindSafe(|| ioloop.start()));
        ended
            .expect("a callback or a timer panicked, and the panic left `start`: `run_all` catches it")
            .unwrap();
        assert_eq!(
            log.take(),
            ["callback", "timer"],
            "two callbacks and two timers failed before these two, which must still run"
        );
        assert_eq!(
            reported.take(),
            [Origin::Callback, Origin::Callback, Origin::Timer, Origin::Timer],
            "of two callbacks and of two timers, one failed and one panicked, and these origins were reported. \
             `run_all` reports the origin that it is given"
        );
    });
}

#[test]
fn an_iteration_with_many_events_allocates_nothing() {
    testing::needs!(descriptors(256));
    on_each(|ioloop| {
        let ready: Vec<_> = (0..50).map(|_| a_handler(ioloop, |_| ())).collect();
        let ten_turns = || {
            let before = allocations();
            (0..10).for_each(|_| assert!(ioloop.turn(Duration::ZERO).unwrap()));
            allocations() - before
        };
        ten_turns();
        assert_eq!(
            ten_turns(),
            0,
            "allocations in ten iterations, each with 50 handlers that are ready: take one event at a time from \
             `next_event`, and make no list of them"
        );
        ready.into_iter().for_each(|token| ioloop.remove_handler(token));
    });
}

/// Only the loop could allocate here: a closure without captures needs no box.
#[test]
fn a_repeated_iteration_allocates_nothing() {
    on_each(|ioloop| {
        let (turns, before) = (Cell::new(0), Cell::new(0));
        let allocated = Rc::new(Cell::new(None));
        let seen = Rc::clone(&allocated);
        a_handler(ioloop, move |ioloop| {
            ioloop.add_callback(|_| ());
            ioloop.call_at(Duration::ZERO, |_| ());
            turns.set(turns.get() + 1);
            match turns.get() {
                100 => before.set(allocations()),
                200 => {
                    seen.set(Some(allocations() - before.get()));
                    ioloop.stop();
                }
                _ => {}
            }
        });
        ioloop.start().unwrap();
        assert_eq!(
            allocated.get(),
            Some(0),
            "allocations in 100 iterations, each with a callback, a timer and a handler: the loop must reuse the \
             memory of the iteration before"
        );
    });
}

#[test]
fn a_deadline_that_passed_meanwhile_means_no_sleep() {
    on_each_with_a_fake_clock(|ioloop, clock| {
        let clock = clock.clone();
        ioloop.call_at(5 * S, IoLoop::stop);
        ioloop.add_callback(move |_| clock.advance(20 * S));
        let ended = catch_unwind(AssertUnwindSafe(|| ioloop.start()));
        ended
            .expect("a callback took 20 s, and the deadline in 5 s has passed: the loop must not panic")
            .unwrap();
        assert_eq!(ioloop.time(), 20 * S, "a deadline had passed, and the loop slept");
    });
}

#[test]
fn it_sleeps_an_hour_at_most() {
    on_each_with_a_fake_clock(|ioloop, _| {
        let without = records(ioloop, 3);
        ioloop.start().unwrap();
        let asked: Vec<_> = without.take().iter().map(|iteration| iteration.timeout).collect();
        assert_eq!(asked, [3600 * S; 3], "nothing is there to wake the loop, so it sleeps an hour at a time");
        let with = records(ioloop, 50);
        ioloop.call_at(ioloop.time() + 10_000 * S, IoLoop::stop);
        ioloop.start().unwrap();
        let asked: Vec<_> = with.take().iter().map(|iteration| iteration.timeout).collect();
        assert_eq!(asked, [3600 * S, 3600 * S, 2800 * S], "timeouts until a deadline in 10,000 s");
    });
}

#[test]
fn a_single_turn_sleeps_for_longest_at_most() {
    on_each_with_a_fake_clock(|ioloop, _| {
        for deadline in [None, Some(10 * S)] {
            let timer = deadline.map(|deadline| ioloop.call_at(deadline, |_| ()));
            let start = ioloop.time();
            ioloop.turn(S).unwrap();
            assert_eq!(
                ioloop.time() - start,
                S,
                "with its nearest deadline at {deadline:?}, the loop slept for longer than the 1 s that the caller of \
                 `turn` allowed, or for less"
            );
            timer.into_iter().for_each(|timer| ioloop.remove_timeout(timer));
        }
    });
}

#[test]
fn a_turn_without_time_does_not_sleep() {
    on_each_with_a_fake_clock(|ioloop, _| {
        let start = ioloop.time();
        ioloop.turn(Duration::ZERO).unwrap();
        assert_eq!(
            ioloop.time() - start,
            Duration::ZERO,
            "the caller of `turn` allowed no sleep at all: the longest timeout is 0"
        );
    });
}

#[test]
fn a_turn_returns_false_if_the_loop_was_stopped_or_closed() {
    on_each(|ioloop| {
        let turn = |longest| ioloop.turn(longest).unwrap();
        assert!(turn(Duration::ZERO), "nothing has stopped the loop, so `turn` returns true");
        ioloop.add_callback(IoLoop::stop);
        assert!(!turn(S), "a callback stopped the loop, so this `turn` returns false");
        assert!(
            turn(Duration::ZERO),
            "a turn before this one has obeyed the stop, and this one was not stopped"
        );
        ioloop.close();
        assert!(!turn(S), "the loop is closed, so `turn` returns false");
    });
}

#[test]
fn the_record_of_an_iteration_is_complete() {
    on_each_with_a_fake_clock(|ioloop, clock| {
        let records = records(ioloop, 1);
        for _ in 0..2 {
            a_handler(ioloop, |_| ());
        }
        let canceled = ioloop.call_at(Duration::ZERO, |_| ());
        ioloop.call_at(Duration::ZERO, |_| ());
        ioloop.call_at(6 * S, |_| ());
        let clock = clock.clone();
        ioloop.add_callback(move |_| clock.advance(S));
        ioloop.add_callback(move |ioloop| ioloop.remove_timeout(canceled));
        ioloop.start().unwrap();
        let did = Iteration {
            start: Duration::ZERO,
            callbacks: 2,
            timers: 1,
            timeout: 5 * S,
            sleep_start: S,
            sleep_end: S,
            events: 2,
        };
        let records = records.take();
        assert_eq!(
            records.first(),
            Some(&did),
            "two callbacks ran, of which one took 1 s; two timers were due, of which one was canceled; two descriptors \
             were ready"
        );
        ioloop.close();
    });
}

/// The time from `sleep_end` to the next `sleep_start` is how long the loop was busy.
#[test]
fn the_record_comes_after_the_handlers_and_counts_them_as_work() {
    on_each_with_a_fake_clock(|ioloop, clock| {
        let log = Log::default();
        let (seen, clock) = (log.clone(), clock.clone());
        a_handler(ioloop, move |_| {
            clock.advance(3 * S);
            seen.add(("handler", 3 * S));
        });
        let seen = log.clone();
        ioloop.subscribe(move |ioloop, iteration| {
            seen.add(("record", iteration.sleep_end));
            ioloop.stop();
        });
        ioloop.start().unwrap();
        let records = log.take();
        assert_eq!(
            records.iter().map(|(who, _)| *who).collect::<Vec<_>>(),
            ["handler", "record"],
            "an iteration is reported when it has ended"
        );
        assert_eq!(
            records[1].1,
            Duration::ZERO,
            "the loop did not wait, and a handler took 3 s: the loop must note the end of its sleep before the \
             handlers run"
        );
        ioloop.close();
    });
}

/// A process has one watchdog, so each case has its own process.
#[test]
fn the_watchdog_is_armed_except_during_the_sleep() {
    // A watchdog that stays armed ends every sleep with its signal, whether or not it makes a report. A busy machine
    // that does not let the loop run for as long as the threshold can do so too, but not each time.
    let asleep = || {
        let said = helper_said(&["blocked", "asleep"]);
        (said.line("sleeps").to_owned(), said.line("reports").to_owned())
    };
    let right = ("1".to_owned(), "0".to_owned());
    let retried = || (0..3).map(|_| asleep()).find(|seen| *seen == right).unwrap_or_else(asleep);
    std::thread::scope(|scope| {
        // Beside the others, because the sleep takes long.
        let sleep = scope.spawn(retried);
        let reported = |what| zygote::ask(&["blocked", what]).line("reported").to_owned();
        assert_eq!(reported("callback"), "yes", "a callback blocks");
        assert_eq!(reported("timer"), "yes", "a timer blocks");
        assert_eq!(reported("handler"), "yes", "a handler blocks");
        assert_eq!(reported("subscriber"), "yes", "a subscriber blocks");
        let seen = sleep.join().expect("the helper answers");
        assert_eq!(seen, right, "sleeps, and reports: a loop that sleeps is not blocked");
    });
}
