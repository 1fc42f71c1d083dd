//! Exercise `ioloop/iteration`: the order of everything in one turn of the loop, how long it sleeps, and where a stop is
//! obeyed. With a fake clock nobody sleeps: the clock is moved by the time that the loop wanted to sleep.

mod support;

use std::cell::Cell;
use std::io::Write;
use std::os::fd::{FromRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use ioloop::poller::Kind;
use ioloop::{Events, IoLoop, Iteration, Origin};
use nix::fcntl::{FcntlArg, fcntl};
use support::counting::allocations;
use support::{Kept, Log, a_pipe, helper_said, on_each, on_each_with_a_fake_clock, panics, turns, zygote};

const S: Duration = Duration::from_secs(1);

/// Something that is ready, and stays so: nobody reads the byte.
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
            "a timer added a callback, and a descriptor was ready: the callback is of the next turn, and the descriptor \
             of this one"
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
            "both were there when the turn began: callbacks come first"
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
            "both were ready, and the first one stopped the loop: the other has its turn, and what they queued too, and \
             what is due by then"
        );
    });
}

#[test]
fn a_stop_before_the_start_makes_it_come_back_at_once() {
    on_each(|ioloop| {
        let log = Log::default();
        let seen = log.clone();
        ioloop.add_callback(move |ioloop| {
            seen.add("callback");
            // What makes the two ways to be wrong differ: one is stopped after a turn, the other runs on.
            ioloop.add_callback(move |ioloop| {
                seen.add("next turn");
                ioloop.stop();
            });
        });
        ioloop.stop();
        ioloop.stop();
        ioloop.start().unwrap();
        let ran = log.take();
        assert_ne!(ran, ["callback"], "a stop that came before the start was obeyed a turn later");
        assert_eq!(ran, [""; 0], "a stop that came before the start was forgotten");
        ioloop.start().unwrap();
        assert_eq!(
            log.take(),
            ["callback", "next turn"],
            "a stop is a flag and no counter: two of them are one, and the second start runs"
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
            "it was stopped from another thread, and the loop ran a turn all the same"
        );
        ioloop.start().unwrap();
        assert_eq!(log.take(), ["callback"], "the second start runs what was queued");
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
            "another thread stopped it while a callback ran, and it went on: `is_running` asks for that stop too"
        );
    });
}

#[test]
fn one_that_is_closed_comes_back() {
    on_each_with_a_fake_clock(|ioloop, _| {
        let told = told(ioloop, 3);
        ioloop.add_callback(IoLoop::close);
        ioloop.start().unwrap();
        assert_eq!(
            told.take(),
            [],
            "a callback closed the loop, which has nothing left to wait for, and it slept: `is_running` says so"
        );
    });
}

/// For the time of a start, another file has the number of its epoll.
#[test]
fn an_error_of_the_poller_ends_it() {
    assert_eq!(
        helper_said(&["registration", "broken"]).line("start"),
        "EINVAL, and then Ok",
        "the wait failed, and what `wait` answers is to come out of `run`. The next start waits as ever"
    );
}

/// The one from inside, and at the same time one from outside.
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
            "one of them is left, and has stopped the next run before it began"
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
            "a timer that a callback added ran in the same turn: who is due is settled when a turn begins"
        );
    });
}

#[test]
fn whoever_runs_before_a_timer_may_cancel_it() {
    on_each_with_a_fake_clock(|ioloop, _| {
        for by_a_callback in [true, false] {
            let log = Log::default();
            let victim = Rc::new(Cell::new(None));
            let cancelled = Rc::clone(&victim);
            let cancel = move |ioloop: &IoLoop| {
                ioloop.remove_timeout(cancelled.take().unwrap());
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
                "a timer ran that was cancelled a moment before: it was taken before it was its turn"
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
        assert_eq!(log.take(), [0, 1, 2], "three were due, and each stopped the loop: all have their turn");
    });
}

#[test]
fn a_stop_is_obeyed_before_the_sleep() {
    on_each_with_a_fake_clock(|ioloop, _| {
        ioloop.call_at(5 * S, |_| ());
        ioloop.add_callback(IoLoop::stop);
        ioloop.start().unwrap();
        assert_eq!(ioloop.time(), Duration::ZERO, "it was stopped, and went to sleep first");
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
            "a descriptor that is always ready is served once a turn, and whatever it queues has its turn then"
        );
    });
}

#[test]
fn whoever_is_removed_in_the_same_turn_does_not_run() {
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
        assert_eq!(log.len(), 1, "two were ready, and the first removed the other, which ran all the same");
        made.into_iter().flatten().for_each(|token| ioloop.remove_handler(token));
    });
}

/// epoll forgets it; poll and select report it at each wait.
#[test]
fn what_is_not_open_any_more_is_reported_and_its_handler_does_not_run() {
    on_each(|ioloop| {
        let (log, reported) = (Log::default(), Log::default());
        let seen = reported.clone();
        ioloop.handle_callback_exception(move |_, failure| seen.add(failure.origin));
        let (reader, _writer) = a_pipe();
        let number = fcntl(&reader, FcntlArg::F_DUPFD_CLOEXEC(200)).unwrap();
        // SAFETY: it was made a line above, and nobody else has it.
        let owner = unsafe { OwnedFd::from_raw_fd(number) };
        let seen = log.clone();
        ioloop.add_handler(Kept(number), Events::READ, move |_, _, event| seen.add(event.events)).unwrap();
        drop(owner);
        turns(ioloop, 5);
        assert_eq!(
            log.take(),
            [],
            "a descriptor was closed elsewhere, and its handler was run in five turns. The function `dispatch` of \
             src/dispatch.rs does that; `ioloop.dispatch` looks what the poller says first"
        );
        if ioloop.kind() != Kind::Epoll {
            assert_eq!(reported.take(), [Origin::Handler(number)], "of one that is not open, in five turns");
        }
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

/// The first of what the loop told of its turns; it is stopped after so many.
fn told(ioloop: &IoLoop, most: usize) -> Log<Iteration> {
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
fn until_a_deadline_it_sleeps_once() {
    for nanos in [1, 999_999, 1_500_000, 5_000_000_000] {
        on_each_with_a_fake_clock(|ioloop, _| {
            let told = told(ioloop, 50);
            let deadline = Duration::from_nanos(nanos);
            ioloop.call_at(deadline, IoLoop::stop);
            ioloop.start().unwrap();
            let asked: Vec<_> = told.take().iter().map(|iteration| iteration.timeout).collect();
            assert_eq!(
                asked.len(),
                1,
                "until a deadline in {deadline:?} it told of so many sleeps, {asked:?}: rounded down, the rest is no time, \
                 again and again; and a turn that was stopped has not slept"
            );
            assert_eq!(asked[0], deadline, "how long it wanted to sleep");
            assert_eq!(ioloop.time(), deadline, "the time when the timer ran");
        });
    }
}

#[test]
fn the_sleep_is_what_is_left_until_the_deadline() {
    on_each_with_a_fake_clock(|ioloop, clock| {
        let clock = clock.clone();
        ioloop.call_at(5 * S, IoLoop::stop);
        ioloop.add_callback(move |_| clock.advance(2 * S));
        ioloop.start().unwrap();
        assert_eq!(
            ioloop.time(),
            5 * S,
            "a callback took 2 s, and the timer in 5 s was late by as much: what is left is worked out last"
        );
    });
}

#[test]
fn what_a_callback_does_to_the_timers_is_in_the_sleep() {
    on_each_with_a_fake_clock(|ioloop, _| {
        let told = told(ioloop, 50);
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
        let asked: Vec<_> = told.take().iter().map(|iteration| iteration.timeout).collect();
        assert_eq!(
            asked,
            [S, S, 3 * S],
            "timers were due in 0.5, 1 and 10 s. Callbacks cancelled the first, and set one for 2 s, which set one for 5: \
             whoever looks up the nearest deadline before all of that has run sleeps for another"
        );
    });
}

#[test]
fn what_goes_wrong_in_one_is_reported_and_the_next_one_runs() {
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
            .expect("a callback or a timer panicked, and has taken the loop along: `run_all` catches that")
            .unwrap();
        assert_eq!(
            log.take(),
            ["callback", "timer"],
            "two of each went wrong before these, which run all the same"
        );
        assert_eq!(
            reported.take(),
            [Origin::Callback, Origin::Callback, Origin::Timer, Origin::Timer],
            "of two callbacks and two timers one failed and one panicked, and this is what was reported. `run_all` does \
             it, if it is told whose they are"
        );
    });
}

/// Nobody but the loop wants memory here: what holds nothing needs no box.
#[test]
fn a_turn_like_the_last_one_allocates_nothing() {
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
            "allocations in 100 turns, each with a callback, a timer and a handler: `due` and `ready` are lent. Are they \
             put back, with their room?"
        );
    });
}

#[test]
fn a_deadline_that_passes_meanwhile_is_no_sleep() {
    on_each_with_a_fake_clock(|ioloop, clock| {
        let clock = clock.clone();
        ioloop.call_at(5 * S, IoLoop::stop);
        ioloop.add_callback(move |_| clock.advance(20 * S));
        let ended = catch_unwind(AssertUnwindSafe(|| ioloop.start()));
        ended.expect("a callback took 20 s, and the timer in 5 s is past: that is no panic").unwrap();
        assert_eq!(ioloop.time(), 20 * S, "a timer was past, and the loop slept");
    });
}

#[test]
fn it_sleeps_an_hour_at_most() {
    on_each_with_a_fake_clock(|ioloop, _| {
        let without = told(ioloop, 3);
        ioloop.start().unwrap();
        let asked: Vec<_> = without.take().iter().map(|iteration| iteration.timeout).collect();
        assert_eq!(asked, [3600 * S; 3], "nothing is there to wake it, and it sleeps an hour at a time");
        let with = told(ioloop, 50);
        ioloop.call_at(ioloop.time() + 10_000 * S, IoLoop::stop);
        ioloop.start().unwrap();
        let asked: Vec<_> = with.take().iter().map(|iteration| iteration.timeout).collect();
        assert_eq!(asked, [3600 * S, 3600 * S, 2800 * S], "until a deadline in 10,000 s");
    });
}

#[test]
fn what_it_tells_is_what_it_did() {
    on_each_with_a_fake_clock(|ioloop, clock| {
        let told = told(ioloop, 1);
        for _ in 0..2 {
            a_handler(ioloop, |_| ());
        }
        let cancelled = ioloop.call_at(Duration::ZERO, |_| ());
        ioloop.call_at(Duration::ZERO, |_| ());
        ioloop.call_at(6 * S, |_| ());
        let clock = clock.clone();
        ioloop.add_callback(move |_| clock.advance(S));
        ioloop.add_callback(move |ioloop| ioloop.remove_timeout(cancelled));
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
        let told = told.take();
        assert_eq!(
            told.first(),
            Some(&did),
            "two callbacks of which one took 1 s, two timers of which one was cancelled, two that were ready"
        );
        ioloop.close();
    });
}

/// Whoever sums up what lies between `awake` and the next `asleep` has how long the loop was busy.
#[test]
fn it_tells_when_the_handlers_have_run_and_counts_them_as_work() {
    on_each_with_a_fake_clock(|ioloop, clock| {
        let log = Log::default();
        let (seen, clock) = (log.clone(), clock.clone());
        a_handler(ioloop, move |_| {
            clock.advance(3 * S);
            seen.add(("handler", 3 * S));
        });
        let seen = log.clone();
        ioloop.subscribe(move |ioloop, iteration| {
            seen.add(("told", iteration.sleep_end));
            ioloop.stop();
        });
        ioloop.start().unwrap();
        let told = log.take();
        assert_eq!(
            told.iter().map(|(who, _)| *who).collect::<Vec<_>>(),
            ["handler", "told"],
            "a turn is told of when it is over"
        );
        assert_eq!(
            told[1].1,
            Duration::ZERO,
            "nothing was to be waited for, and a handler took 3 s: when it woke is looked up before the handlers run"
        );
        ioloop.close();
    });
}

/// A process has one watch.
#[test]
fn what_it_runs_is_watched_and_the_sleep_is_not() {
    // A watch that goes on ends the sleep with its signal, whether it comes to a report or not. It does so each time; a
    // machine that is busy, and does not let the loop run for as long as the threshold, does not.
    let asleep = || {
        let said = helper_said(&["blocked", "asleep"]);
        (said.line("sleeps").to_owned(), said.line("reports").to_owned())
    };
    let right = ("1".to_owned(), "0".to_owned());
    let retried = || (0..3).map(|_| asleep()).find(|seen| *seen == right).unwrap_or_else(asleep);
    std::thread::scope(|scope| {
        // Side by side with the others, since a sleep takes its time.
        let sleep = scope.spawn(retried);
        let reported = |what| zygote::ask(&["blocked", what]).line("reported").to_owned();
        assert_eq!(reported("callback"), "yes", "a callback blocks");
        assert_eq!(reported("timer"), "yes", "a timer blocks");
        assert_eq!(reported("handler"), "yes", "a handler blocks");
        assert_eq!(reported("subscriber"), "yes", "a subscriber blocks");
        let seen = sleep.join().expect("it was asked");
        assert_eq!(seen, right, "sleeps, and reports: a loop that sleeps is not blocked");
    });
}
