//! When a loop sleeps, how long, and what must keep it neither awake nor asleep.

mod support;

use std::cell::Cell;
use std::io::Write;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ioloop::{Events, IoLoop};
use nix::errno::Errno;
use support::operation::failures;
use support::{LONG, Log, a_pipe, on_each, on_each_with_a_fake_clock, panics, turns};

const S: Duration = Duration::from_secs(1);

/// The timeouts of the iterations that sleep.
fn sleeps(ioloop: &IoLoop) -> Log<Duration> {
    let sleeps = Log::default();
    let seen = sleeps.clone();
    ioloop.subscribe(move |_, iteration| seen.add(iteration.timeout));
    sleeps
}

#[test]
fn what_a_callback_returns_does_not_keep_the_loop_awake() {
    on_each_with_a_fake_clock(|ioloop, _| {
        let sleeps = sleeps(ioloop);
        ioloop.add_callback(|_| Ok::<_, Errno>(42));
        ioloop.call_later(S, IoLoop::stop);
        ioloop.start().unwrap();
        assert_eq!(sleeps.take(), [S], "one sleep, until the timer");
    });
}

#[test]
fn a_callback_added_by_a_timer_does_not_wait_for_the_next_timer() {
    on_each_with_a_fake_clock(|ioloop, _| {
        let log = Log::default();
        let seen = log.clone();
        ioloop.call_later(S, move |ioloop| {
            ioloop.add_callback(move |ioloop| {
                seen.add(ioloop.time());
                ioloop.stop();
            });
        });
        ioloop.call_later(10 * S, |_| ());
        ioloop.start().unwrap();
        assert_eq!(log.take(), [S]);
    });
}

#[test]
fn idle_work_starves_neither_timers_nor_descriptors() {
    fn idle(ioloop: &IoLoop, waited_for: &Rc<Cell<usize>>) {
        if waited_for.get() == 0 {
            return ioloop.stop();
        }
        let waited_for = Rc::clone(waited_for);
        ioloop.add_callback(move |ioloop| idle(ioloop, &waited_for));
    }
    on_each(|ioloop| {
        let waited_for = Rc::new(Cell::new(2));
        idle(ioloop, &waited_for);
        let one_less = {
            let waited_for = Rc::clone(&waited_for);
            move || waited_for.set(waited_for.get() - 1)
        };
        let (reader, mut writer) = a_pipe();
        writer.write_all(b"x").unwrap();
        let (handled, fired) = (one_less.clone(), one_less);
        ioloop.add_handler(reader, Events::READ | Events::ONESHOT, move |_, _, _| handled()).unwrap();
        ioloop.call_later(Duration::from_millis(1), move |_| fired());
        ioloop.start().unwrap();
        assert_eq!(waited_for.get(), 0);
    });
}

#[test]
fn a_poll_without_a_timeout_reports_ready_descriptors() {
    on_each(|ioloop| {
        let (reader, mut writer) = a_pipe();
        writer.write_all(b"x").unwrap();
        ioloop.add_handler(reader, Events::READ, |_, _, _| ()).unwrap();
        let log = Log::default();
        let seen = log.clone();
        ioloop.subscribe(move |_, iteration| seen.add((iteration.timeout, iteration.events)));
        turns(ioloop, 1);
        assert_eq!(log.take(), [(Duration::ZERO, 1)]);
    });
}

/// A timeout that is rounded down would make many sleeps of zero.
#[test]
fn one_iteration_can_be_run_alone() {
    on_each(|ioloop| {
        let log = Log::default();
        let (callback, timer, handler, later) = (log.clone(), log.clone(), log.clone(), log.clone());
        ioloop.add_callback(move |ioloop| {
            callback.add("callback");
            ioloop.add_callback(move |_| later.add("added by the callback"));
        });
        ioloop.call_later(Duration::ZERO, move |_| timer.add("timer"));
        let (reader, _writer) = support::a_byte();
        let token = ioloop.add_handler(reader, Events::READ, move |_, _, _| handler.add("handler")).unwrap();
        assert!(ioloop.turn(LONG).unwrap(), "the loop was not stopped");
        assert_eq!(log.take(), ["callback", "timer", "handler"]);
        ioloop.remove_handler(token);
        assert!(ioloop.turn(Duration::ZERO).unwrap());
        assert_eq!(log.take(), ["added by the callback"]);
    });
}

#[test]
fn one_iteration_sleeps_for_as_long_as_it_is_told_and_no_longer() {
    on_each(|ioloop| {
        let sleeps = sleeps(ioloop);
        let (start, longest) = (Instant::now(), Duration::from_millis(10));
        assert!(ioloop.turn(longest).unwrap());
        assert!(start.elapsed() >= longest, "no event was ready, and the loop did not sleep");
        // So late that it is not due before the loop asks, even on a busy machine.
        let late = Duration::from_millis(200);
        ioloop.call_later(late, |_| ());
        assert!(ioloop.turn(LONG).unwrap());
        let sleeps = sleeps.take();
        assert_eq!(sleeps[0], longest);
        assert!(longest < sleeps[1] && sleeps[1] <= late, "until the nearest deadline: {sleeps:?}");
    });
}

#[test]
fn one_iteration_obeys_a_stop_and_is_an_error_in_a_loop_that_runs() {
    on_each(|ioloop| {
        ioloop.add_callback(IoLoop::stop);
        assert!(
            !ioloop.turn(LONG).unwrap(),
            "the loop was stopped, and the iteration returned that it was not"
        );
        assert!(ioloop.turn(Duration::ZERO).unwrap(), "the stop ended one iteration");
        let inside = Log::default();
        let seen = inside.clone();
        ioloop.add_callback(move |ioloop| {
            seen.add(ioloop.turn(Duration::ZERO).map_err(|error| error.errno));
            ioloop.stop();
        });
        ioloop.start().unwrap();
        assert_eq!(inside.take(), [Err(Errno::EBUSY)]);
    });
}

/// The check for a stop comes before the sleep, so both come too late for the iteration that is running.
#[test]
fn a_stop_after_the_check_of_one_iteration_is_obeyed_by_the_next() {
    on_each(|ioloop| {
        let (reader, _writer) = support::a_byte();
        let token = ioloop.add_handler(reader, Events::READ, |ioloop, _, _| ioloop.stop()).unwrap();
        assert!(ioloop.turn(LONG).unwrap(), "the iteration had checked for a stop before its handlers ran");
        assert!(
            !ioloop.turn(LONG).unwrap(),
            "a handler stopped the loop, and the next iteration knew nothing of it"
        );
        ioloop.remove_handler(token);

        let handle = ioloop.handle();
        // While it sleeps: no callback, timer or handler runs here.
        let stopped = std::thread::spawn(move || handle.stop());
        let mut iterations = 0;
        while ioloop.turn(LONG).unwrap() {
            iterations += 1;
            assert!(iterations < 3, "another thread stopped the loop, and no iteration obeyed");
        }
        stopped.join().unwrap().unwrap();
        assert!(ioloop.turn(Duration::ZERO).unwrap(), "the stop was obeyed twice");
    });
}

#[test]
fn a_fraction_of_a_millisecond_is_one_sleep() {
    on_each(|ioloop| {
        let mut slept = 0;
        for micros in [100, 300, 1900, 3100].repeat(5) {
            let sleeps = sleeps(ioloop);
            ioloop.call_later(Duration::from_micros(micros), IoLoop::stop);
            ioloop.start().unwrap();
            // None if the machine was so slow that the deadline had passed before.
            assert!(sleeps.len() <= 1, "sleeps until a timer in {micros} µs: {sleeps:?}");
            slept += sleeps.len();
        }
        assert!(slept > 0, "twenty timers ran at their deadlines, and the loop never slept");
    });
}

#[test]
fn a_removed_timer_does_not_wake_the_loop() {
    on_each_with_a_fake_clock(|ioloop, _| {
        let sleeps = sleeps(ioloop);
        let timer = ioloop.call_later(S, |_| ());
        ioloop.call_later(10 * S, IoLoop::stop);
        ioloop.remove_timeout(timer);
        ioloop.start().unwrap();
        assert_eq!(sleeps.take(), [10 * S]);
    });
}

#[test]
fn a_hook_that_fails_ends_the_loop_which_can_be_started_again() {
    on_each(|ioloop| {
        ioloop.handle_callback_exception(|_, failure| panics(format!("in the hook, for {failure}")));
        ioloop.add_callback(|_| Err::<(), _>("the error of the callback"));
        let started = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| ioloop.start()));
        let thrown = started.expect_err("the hook has panicked");
        let words = thrown.downcast_ref::<String>().expect("words");
        assert!(words.contains("in the hook") && words.contains("the error of the callback"), "{words}");
        ioloop.handle_callback_exception(|_, _| ());
        turns(ioloop, 2);
    });
}

#[test]
fn a_stop_ends_one_run_even_if_that_unwinds() {
    on_each(|ioloop| {
        ioloop.handle_callback_exception(|_, _| std::panic::resume_unwind(Box::new("in the hook")));
        ioloop.add_callback(IoLoop::stop);
        ioloop.add_callback(|_| Err::<(), _>("the error of a callback"));
        let started = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| ioloop.start()));
        started.expect_err("the hook has panicked");
        let log = Log::default();
        let seen = log.clone();
        ioloop.add_callback(move |ioloop| {
            seen.add("the next run");
            ioloop.stop();
        });
        ioloop.start().unwrap();
        assert_eq!(log.take(), ["the next run"], "it was stopped by a stop for the run before");
    });
}

#[test]
fn a_loop_that_is_closed_while_it_runs_keeps_its_failure_hook_until_it_returns() {
    type Step = fn(&IoLoop);
    let steps: [(&str, Step); 3] = [
        ("closed it again", IoLoop::close),
        ("called `start`", |ioloop| ioloop.start().unwrap()),
        ("called `turn`", |ioloop| assert_eq!(ioloop.turn(S), Ok(false))),
    ];
    for (what, step) in steps {
        on_each(|ioloop| {
            let reported = failures(ioloop);
            ioloop.add_callback(move |ioloop| {
                ioloop.close();
                step(ioloop);
                Err::<(), _>("the error after it")
            });
            ioloop.start().unwrap();
            assert_eq!(
                reported.take(),
                ["a callback failed: the error after it"],
                "a callback closed the loop, {what} and failed. The loop still ran, so its hook should get the error, and \
                 standard error should not"
            );
            assert_eq!(
                reported.clones(),
                1,
                "the loop is closed and does not run, and it still has the hook"
            );
        });
    }
}
