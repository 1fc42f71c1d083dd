//! Exercise `ioloop/run_sync`: what it returns, and what it leaves behind. With a fake clock nothing waits: the clock
//! is moved by the time that the loop wanted to sleep, an hour at most.

mod support;

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::time::Duration;

use ioloop::{Config, Current, IoLoop, NoResult};
use nix::errno::Errno;
use support::operation::{Operation, failures, on_each_for_weeks};
use support::{Log, on_each_with_a_fake_clock};

const S: Duration = Duration::from_secs(1);

#[test]
fn run_sync_gives_the_result() {
    on_each_for_weeks(|ioloop| {
        assert_eq!(ioloop.run_sync(async { 42 }, Some(5 * S)).unwrap(), 42);
        assert_eq!(ioloop.time(), Duration::ZERO, "the loop ran on after the result was there");
        let error: Result<(), &str> = ioloop.run_sync(async { Err("no") }, None).unwrap();
        assert_eq!(error, Err("no"), "the operation's own error is its result");
    });
}

#[test]
fn the_loop_is_current_inside() {
    let ioloop = IoLoop::with(Config { make_current: Current::No, ..Config::default() }).unwrap();
    let inside = ioloop.run_sync(async { IoLoop::current().is_some() }, None).unwrap();
    assert!(inside);
    assert!(IoLoop::current_only().is_none(), "it is current only while it runs");
}

#[test]
fn run_sync_gives_up_after_its_time_and_leaves_other_timers() {
    on_each_for_weeks(|ioloop| {
        let log = Log::default();
        let seen = log.clone();
        let operation = async move {
            IoLoop::current().unwrap().call_later(5 * S, move |ioloop| {
                seen.add("the operation's timer");
                ioloop.stop();
            });
            pending::<()>().await;
        };
        let result = ioloop.run_sync(operation, Some(2 * S));
        assert!(matches!(result, Err(NoResult::Timeout(time)) if time == 2 * S), "{result:?}");
        assert_eq!(ioloop.time(), 2 * S);
        let result = ioloop.run_sync(pending::<()>(), Some(S));
        assert_eq!(
            ioloop.time(),
            3 * S,
            "it was given one second, when the loop's clock stood at two, and here that stands when it was given up"
        );
        assert!(
            matches!(result, Err(NoResult::Timeout(time)) if time == S),
            "it was given one second, from the second on, and is to say so: {result:?}"
        );
        ioloop.start().unwrap();
        assert_eq!(log.take(), ["the operation's timer"]);
    });
}

#[test]
fn a_time_without_end_is_no_timeout() {
    on_each_with_a_fake_clock(|ioloop, clock| {
        clock.advance(S);
        let run = || ioloop.run_sync(async { 42 }, Some(Duration::MAX));
        let Ok(result) = catch_unwind(AssertUnwindSafe(run)) else {
            panic!(
                "a timeout of {:?}, after one second: a deadline that is longer than any clock can show",
                Duration::MAX
            )
        };
        assert!(matches!(result, Ok(42)), "{result:?}");
    });
}

#[test]
fn a_stop_from_outside_is_an_error_of_its_own() {
    on_each_for_weeks(|ioloop| {
        for timeout in [None, Some(20 * S)] {
            ioloop.call_later(S, IoLoop::stop);
            let result = ioloop.run_sync(pending::<()>(), timeout);
            assert!(
                matches!(result, Err(NoResult::Stopped)),
                "stopped after one second, with a timeout of {timeout:?}: no result is not yet a timeout ({result:?})"
            );
        }
    });
}

#[test]
fn a_loop_that_is_closed_inside_is_no_panic_of_the_operation() {
    on_each_for_weeks(|ioloop| {
        ioloop.call_later(S, IoLoop::close);
        let result = ioloop.run_sync(pending::<()>(), Some(5 * S));
        assert!(
            matches!(result, Err(NoResult::Stopped)),
            "the loop was closed, and the operation did not panic, though it was dropped: {result:?}"
        );
    });
}

#[test]
fn a_panic_of_the_operation_ends_it() {
    on_each_for_weeks(|ioloop| {
        let failures = failures(ioloop);
        let result = ioloop.run_sync(async { panic_any("in the operation") }, Some(5 * S)).map(|(): ()| ());
        assert!(
            matches!(result, Err(NoResult::Panicked)),
            "the operation has panicked, and nobody will ever give a result: {result:?}, at {:?}",
            ioloop.time()
        );
        assert_eq!(ioloop.time(), Duration::ZERO, "waited for what cannot come");
        assert_eq!(
            failures.take(),
            ["a task panicked: in the operation"],
            "the loop's owner hears of it too"
        );
    });
}

#[test]
fn who_ends_it_first_says_why() {
    on_each_for_weeks(|ioloop| {
        failures(ioloop).take();
        let result = ioloop.run_sync(async { 42 }, Some(Duration::ZERO));
        assert!(
            matches!(result, Ok(42)),
            "callbacks run before the timers that are due: the operation had a result when its time was up ({result:?})"
        );
        let result = ioloop.run_sync(async { panic_any("first") }, Some(Duration::ZERO)).map(|(): ()| ());
        assert!(
            matches!(result, Err(NoResult::Panicked)),
            "the operation had panicked when its time was up ({result:?})"
        );
    });
}

#[test]
fn what_is_given_up_is_dropped() {
    on_each_for_weeks(|ioloop| {
        for (how, timeout) in [("a timeout", Some(S)), ("a stop", None)] {
            ioloop.call_later(5 * S, IoLoop::stop);
            let operation = Operation::default();
            ioloop.run_sync(operation.clone(), timeout).expect_err("it has no end");
            assert!(
                !operation.is_kept(),
                "after {how} the operation is still on the loop: what it holds stays open, and it goes on behind the \
                 back of whoever was told that it has failed"
            );
        }
    });
}

/// Run the loop for ten seconds, and say how often it slept, and where the clock stands then.
fn ten_seconds(ioloop: &IoLoop) -> (usize, Duration) {
    let sleeps = Log::default();
    let seen = sleeps.clone();
    let from = ioloop.time();
    ioloop.subscribe(move |_, iteration| seen.add(iteration.timeout));
    ioloop.call_later(10 * S, IoLoop::stop);
    ioloop.start().unwrap();
    (sleeps.len(), ioloop.time() - from)
}

#[test]
fn its_timer_goes_with_it() {
    on_each_for_weeks(|ioloop| {
        ioloop.run_sync(async {}, Some(2 * S)).unwrap();
        assert_eq!(
            ten_seconds(ioloop),
            (1, 10 * S),
            "sleeps, and seconds, of a run of ten: a timeout that nobody needs any more has cut it short"
        );
    });
}

#[test]
fn it_leaves_no_stop_behind() {
    on_each_for_weeks(|ioloop| {
        failures(ioloop).take();
        let _ = ioloop.run_sync(async { 42 }, Some(S));
        assert_eq!(ten_seconds(ioloop).1, 10 * S, "the next run was stopped by one that has come to its end");
        let _ = ioloop.run_sync(pending::<()>(), Some(S));
        assert_eq!(ten_seconds(ioloop).1, 10 * S, "the next run was stopped by one that was given up");
        let _ = ioloop.run_sync(async { panic_any("here") }, Some(S)).map(|(): ()| ());
        assert_eq!(ten_seconds(ioloop).1, 10 * S, "the next run was stopped by one that panicked");
    });
}

#[test]
fn a_stop_before_it_is_for_it_and_for_no_other() {
    on_each_for_weeks(|ioloop| {
        ioloop.stop();
        let operation = Operation::default();
        let result = ioloop.run_sync(operation.clone(), None);
        assert!(matches!(result, Err(NoResult::Stopped)), "{result:?}");
        assert!(!operation.is_kept());
        assert!(matches!(ioloop.run_sync(async { 42 }, None), Ok(42)), "a stop is for one run");
        assert_eq!(operation.polls(), 0, "it was given up before the loop ran");
    });
}

#[test]
fn inside_of_a_loop_that_runs_it_is_an_error_and_nothing_else() {
    on_each_for_weeks(|ioloop| {
        let operation = Operation::default();
        let (inner, log) = (operation.clone(), Log::default());
        let seen = log.clone();
        ioloop.add_callback(move |ioloop| {
            let Err(NoResult::Loop(error)) = ioloop.run_sync(inner.clone(), Some(2 * S)) else { return };
            seen.add(error.errno);
        });
        assert_eq!(
            ten_seconds(ioloop).1,
            10 * S,
            "the loop that runs was stopped by a run_sync inside of it"
        );
        assert_eq!(log.take(), [Errno::EBUSY]);
        assert!(!operation.is_kept(), "it cannot be waited for, and the loop still keeps it");
        assert_eq!(operation.polls(), 0);
    });
}

#[test]
fn when_the_loop_unwinds_nothing_stays_either() {
    on_each_for_weeks(|ioloop| {
        ioloop.handle_callback_exception(|_, _| resume_unwind(Box::new("in the hook")));
        ioloop.add_callback(|_| Err::<(), _>("a callback's"));
        let operation = Operation::default();
        let run = || ioloop.run_sync(operation.clone(), Some(2 * S));
        catch_unwind(AssertUnwindSafe(run)).expect_err("a hook that panics ends the loop");
        assert!(!operation.is_kept(), "start has unwound, and the operation is still on the loop");
        assert_eq!(ten_seconds(ioloop), (1, 10 * S), "start has unwound, and the timer is still on the loop");
    });
}

#[test]
fn run_sync_waits_for_time() {
    on_each_with_a_fake_clock(|ioloop, _| {
        for (n, outcome) in (1..).zip([Ok(42), Err("no")]) {
            let sleep = ioloop.sleep(3 * S);
            let operation = async move {
                sleep.await;
                outcome
            };
            assert_eq!(ioloop.run_sync(operation, None).unwrap(), outcome, "what it came to, later");
            assert_eq!(ioloop.time(), n * 3 * S);
        }
    });
}
