//! Exercise `ioloop/run_sync`: what it returns, and what it leaves on the loop. With a fake clock no test waits: the
//! clock advances by the timeout that the loop chose, an hour at most.

mod support;

#[path = "scenarios/unwinding.rs"]
mod unwinding;

use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::task::Poll;
use std::time::Duration;

use ioloop::{Config, Current, IoLoop, NoResult};
use nix::errno::Errno;
use support::operation::{Operation, failures, on_each_for_weeks};
use support::{Bad, Log, helper_said, on_each_with_a_fake_clock, panics};

testing::helper!(answer);

fn answer(args: &[&str]) -> i32 {
    testing::exit_code(match args {
        ["unwinding", what] => unwinding::run(what),
        _ => support::unknown(args),
    })
}

const S: Duration = Duration::from_secs(1);

#[test]
fn run_sync_returns_the_result() {
    on_each_for_weeks(|ioloop| {
        assert_eq!(ioloop.run_sync(async { 42 }, Some(5 * S)).unwrap(), 42);
        assert_eq!(ioloop.time(), Duration::ZERO, "the loop kept running after the result was there");
        let error: Result<(), &str> = ioloop.run_sync(async { Err("no") }, None).unwrap();
        assert_eq!(error, Err("no"), "an error of the operation is its result");
    });
}

#[test]
fn the_loop_is_current_inside() {
    let ioloop = IoLoop::with(Config { make_current: Current::No, ..Config::default() }).unwrap();
    let inside = ioloop.run_sync(async { IoLoop::current().is_some() }, None).unwrap();
    assert!(inside);
    assert!(IoLoop::current_only().is_none(), "the loop is current only while it runs");
}

#[test]
fn run_sync_times_out_and_leaves_other_timers() {
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
            "run_sync was called at 2 s on the loop's clock, with a timeout of 1 s. This is when it gave up"
        );
        assert!(
            matches!(result, Err(NoResult::Timeout(time)) if time == S),
            "run_sync had a timeout of 1 s, from 2 s on, and must return a timeout: {result:?}"
        );
        ioloop.start().unwrap();
        assert_eq!(log.take(), ["the operation's timer"]);
    });
}

#[test]
fn a_timeout_is_neither_rounded_nor_limited() {
    let ten_days = 10 * 24 * 3600 * S;
    for timeout in [Duration::ZERO, Duration::from_nanos(1), Duration::from_micros(2500), ten_days] {
        on_each_for_weeks(|ioloop| {
            let result = ioloop.run_sync(pending::<()>(), Some(timeout));
            assert!(
                matches!(result, Err(NoResult::Timeout(time)) if time == timeout),
                "run_sync had a timeout of {timeout:?}: {result:?}"
            );
            assert_eq!(ioloop.time(), timeout, "the time that run_sync took by the loop's clock");
        });
    }
}

#[test]
fn the_timeout_in_the_error_is_the_one_that_was_given() {
    on_each_with_a_fake_clock(|ioloop, clock| {
        let clock = clock.clone();
        ioloop.call_later(S, move |_| clock.advance(5 * S));
        let result = ioloop.run_sync(pending::<()>(), Some(2 * S));
        assert!(
            matches!(result, Err(NoResult::Timeout(time)) if time == 2 * S),
            "run_sync had a timeout of 2 s, and another timer blocked the loop until 6 s had passed. The error has the \
             timeout that run_sync was given, and not the time that it took: {result:?}"
        );
    });
}

#[test]
fn the_longest_timeout_never_expires() {
    on_each_with_a_fake_clock(|ioloop, clock| {
        clock.advance(S);
        let run = || ioloop.run_sync(async { 42 }, Some(Duration::MAX));
        let Ok(result) = catch_unwind(AssertUnwindSafe(run)) else {
            panic!(
                "a timeout of {:?}, after one second: a deadline beyond what the clock can show",
                Duration::MAX
            )
        };
        assert!(matches!(result, Ok(42)), "{result:?}");
    });
}

#[test]
fn a_stop_from_outside_has_its_own_error() {
    on_each_for_weeks(|ioloop| {
        for timeout in [None, Some(20 * S)] {
            ioloop.call_later(S, IoLoop::stop);
            let result = ioloop.run_sync(pending::<()>(), timeout);
            assert!(
                matches!(result, Err(NoResult::Stopped)),
                "the loop was stopped after one second, with a timeout of {timeout:?}: a missing result is not always \
                 a timeout ({result:?})"
            );
        }
    });
}

#[test]
fn closing_the_loop_inside_is_not_reported_as_a_panic() {
    on_each_for_weeks(|ioloop| {
        ioloop.call_later(S, IoLoop::close);
        let result = ioloop.run_sync(pending::<()>(), Some(5 * S));
        assert!(
            matches!(result, Err(NoResult::Stopped)),
            "the loop was closed, which dropped the operation. The operation did not panic: {result:?}"
        );
    });
}

#[test]
fn an_operation_that_closes_the_loop_has_its_result() {
    on_each_for_weeks(|ioloop| {
        let operation = async {
            IoLoop::current().expect("it runs").close();
            42
        };
        let result = ioloop.run_sync(operation, None);
        assert!(
            matches!(result, Ok(42)),
            "the operation closed the loop and was done in the same poll. A close ends the run only if there is no result: {result:?}"
        );
    });
}

#[test]
fn a_panic_of_the_operation_ends_run_sync() {
    on_each_for_weeks(|ioloop| {
        let failures = failures(ioloop);
        let result = ioloop.run_sync(async { panic_any("in the operation") }, Some(5 * S)).map(|(): ()| ());
        assert!(
            matches!(result, Err(NoResult::Panicked)),
            "the operation panicked, so no result will ever come: {result:?}, at {:?}",
            ioloop.time()
        );
        assert_eq!(ioloop.time(), Duration::ZERO, "run_sync waited for a result that cannot come");
        assert_eq!(
            failures.take(),
            ["a task panicked: in the operation"],
            "the panic is reported to the loop's owner too"
        );
    });
}

#[test]
fn the_first_end_decides_the_result() {
    on_each_for_weeks(|ioloop| {
        failures(ioloop).take();
        let result = ioloop.run_sync(async { 42 }, Some(Duration::ZERO));
        assert!(
            matches!(result, Ok(42)),
            "callbacks run before the timers that are due: the operation had a result when its timeout expired \
             ({result:?})"
        );
        let result = ioloop.run_sync(async { panic_any("first") }, Some(Duration::ZERO)).map(|(): ()| ());
        assert!(
            matches!(result, Err(NoResult::Panicked)),
            "the operation had panicked when its timeout expired ({result:?})"
        );
    });
}

#[test]
fn an_operation_that_is_given_up_is_dropped() {
    on_each_for_weeks(|ioloop| {
        for (how, timeout) in [("a timeout", Some(S)), ("a stop", None)] {
            ioloop.call_later(5 * S, IoLoop::stop);
            let operation = Operation::default();
            ioloop.run_sync(operation.clone(), timeout).expect_err("it never finishes");
            assert!(
                !operation.is_kept(),
                "after {how} the operation is still on the loop: what it holds stays open, and it continues although \
                 the caller got an error"
            );
        }
    });
}

#[test]
fn an_operation_that_is_done_is_dropped() {
    on_each_for_weeks(|ioloop| {
        let operation = Operation::default();
        let ends = operation.clone();
        ioloop.call_later(S, move |_| ends.end());
        ioloop.run_sync(operation.clone(), None).unwrap();
        assert!(
            !operation.is_kept(),
            "run_sync returned the result, and the operation still exists: what it holds stays open"
        );
    });
}

#[test]
fn an_operation_whose_values_panic_when_it_is_given_up_is_reported() {
    on_each_for_weeks(|ioloop| {
        let failures = failures(ioloop);
        let held = Bad;
        let operation = poll_fn(move |_| {
            let _held = &held;
            Poll::<()>::Pending
        });
        let run = || ioloop.run_sync(operation, Some(2 * S));
        let result = catch_unwind(AssertUnwindSafe(run));
        assert!(
            matches!(result, Ok(Err(NoResult::Timeout(_)))),
            "the time was over, and a value of the operation panicked when `run_sync` dropped the operation. The drop \
             is code of the task, so its panic must not leave `run_sync`: {result:?}"
        );
        assert_eq!(
            failures.take(),
            ["a task panicked: the drop panicked"],
            "a value of the operation panicked when it was dropped, which is reported as the task's failure"
        );
        assert_eq!(ten_seconds(ioloop), (1, 10 * S), "run_sync left its timer, or a stop");
    });
}

#[test]
fn an_operation_whose_values_panic_when_a_running_loop_refuses_it_is_reported() {
    on_each_for_weeks(|ioloop| {
        let (failures, log) = (failures(ioloop), Log::default());
        let seen = log.clone();
        ioloop.add_callback(move |ioloop| {
            let held = Bad;
            let operation = poll_fn(move |_| {
                let _held = &held;
                Poll::<()>::Pending
            });
            let refused = ioloop.run_sync(operation, None);
            seen.add(matches!(refused, Err(NoResult::Loop(error)) if error.errno == Errno::EBUSY));
        });
        assert_eq!(
            ten_seconds(ioloop).1,
            10 * S,
            "the loop that runs was stopped by a run_sync inside of it"
        );
        assert_eq!(
            (log.take(), failures.take()),
            (vec![true], vec!["a task panicked: the drop panicked".to_owned()]),
            "`run_sync` was called in a running loop, and a value of the future panicked when `run_sync` dropped the future: whether \
             the result was `NoResult::Loop` with EBUSY, and what was reported. The panic must be reported here, too"
        );
    });
}

/// Two panics at the same time abort the process, so this has a process of its own.
#[test]
fn an_operation_that_panics_in_its_poll_and_in_its_drop_is_reported_twice() {
    let answer = helper_said(&["unwinding", "poll"]);
    let reported: Vec<&str> = answer.lines("reported").collect();
    assert_eq!(
        (answer.line("result"), &reported[..]),
        ("Err(Panicked)", &["a task panicked: the poll panicked", "a task panicked: the drop panicked"][..]),
        "the poll of a future panicked, and when the future was dropped, one of its values did: the result of `run_sync`, and what \
         the loop reported. A future that is dropped while the first panic unwinds would abort the process"
    );
}

/// Two panics at the same time abort the process, so each case has a process of its own.
#[test]
fn a_value_that_panics_while_start_unwinds_aborts_nothing() {
    for what in ["operation", "result"] {
        let answer = helper_said(&["unwinding", what]);
        assert_eq!(answer.line("dropped"), "yes", "`start` unwound, so the {what} must be dropped");
        assert_eq!(
            answer.line("thrown"),
            "the hook panicked",
            "the hook panicked, and then the {what} panicked when `run_sync` dropped it: the first panic goes on"
        );
    }
}

/// Runs the loop when it is dropped, as a value that has something to send first.
struct Sends<'a> {
    ioloop: &'a IoLoop,
    results: Log<String>,
}

impl Drop for Sends<'_> {
    fn drop(&mut self) {
        self.results.add(format!("{:?}", self.ioloop.run_sync(async { 42 }, Some(S))));
        self.results.add(format!("{:?}", self.ioloop.run_sync(pending::<()>(), Some(2 * S))));
    }
}

#[test]
fn run_sync_in_a_drop_returns_its_result_while_a_panic_unwinds() {
    on_each_for_weeks(|ioloop| {
        let results = Log::default();
        let sends = Sends { ioloop, results: results.clone() };
        let unwinds = catch_unwind(AssertUnwindSafe(move || {
            let _sends = sends;
            panics("before the drop");
        }));
        assert!(unwinds.is_err());
        assert_eq!(
            results.take(),
            ["Ok(42)", "Err(Timeout(2s))"],
            "a panic unwound, and the drop of a value called run_sync twice. `start` did not unwind, so both must return what they \
             came to. `thread::panicking` says that some panic unwinds in this thread, and not that it comes out of `start`: note \
             that `start` has returned"
        );
        assert_eq!(ten_seconds(ioloop), (1, 10 * S), "run_sync left its timer, or a stop");
    });
}

/// Run the loop for ten seconds, and return how often it slept, and what its clock shows then.
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
fn its_timer_is_removed_with_the_operation() {
    on_each_for_weeks(|ioloop| {
        ioloop.run_sync(async {}, Some(2 * S)).unwrap();
        assert_eq!(
            ten_seconds(ioloop),
            (1, 10 * S),
            "how often the loop slept in a run of ten seconds, and how long the run took. A timer that is no longer needed has \
             cut a sleep short, or a wake has: `stop` of a handle also wakes the loop, and `stop` of the loop does not"
        );
    });
}

#[test]
fn its_timer_is_removed_after_a_stop_and_after_a_panic() {
    on_each_for_weeks(|ioloop| {
        failures(ioloop).take();
        ioloop.call_later(S, IoLoop::stop);
        let stopped = ioloop.run_sync(pending::<()>(), Some(5 * S));
        assert_eq!(
            ten_seconds(ioloop),
            (1, 10 * S),
            "how often the loop slept in a run of ten seconds, and how long the run took, after a run_sync that came to \
             {stopped:?}: is its timer still there?"
        );
        let panicked = ioloop.run_sync(async { panic_any("here") }, Some(5 * S)).map(|(): ()| ());
        assert_eq!(
            ten_seconds(ioloop),
            (1, 10 * S),
            "how often the loop slept in a run of ten seconds, and how long the run took, after a run_sync that came to \
             {panicked:?}: is its timer still there?"
        );
    });
}

#[test]
fn it_leaves_no_stop_behind() {
    on_each_for_weeks(|ioloop| {
        failures(ioloop).take();
        let _ = ioloop.run_sync(async { 42 }, Some(S));
        assert_eq!(ten_seconds(ioloop).1, 10 * S, "the next run was stopped by a run_sync that had finished");
        let _ = ioloop.run_sync(pending::<()>(), Some(S));
        assert_eq!(
            ten_seconds(ioloop).1,
            10 * S,
            "the next run was stopped by a run_sync that had timed out"
        );
        let _ = ioloop.run_sync(async { panic_any("here") }, Some(S)).map(|(): ()| ());
        assert_eq!(ten_seconds(ioloop).1, 10 * S, "the next run was stopped by a run_sync that had panicked");
    });
}

#[test]
fn it_ends_in_the_iteration_in_which_the_operation_is_done() {
    on_each_for_weeks(|ioloop| {
        for stops in [false, true] {
            let operation = Operation::default();
            let (ends, log) = (operation.clone(), Log::default());
            let seen = log.clone();
            ioloop.call_later(S, move |ioloop| {
                ends.end();
                // Behind the poll that was queued a line above.
                ioloop.add_callback(move |ioloop| {
                    if stops {
                        ioloop.stop();
                    }
                    ioloop.add_callback(move |_| seen.add("the next iteration"));
                });
            });
            let result = ioloop.run_sync(operation, None);
            assert!(
                result.is_ok(),
                "the operation was done, and then a callback may have stopped the loop: {result:?}"
            );
            assert_eq!(
                log.take(),
                [""; 0],
                "the operation was done in one iteration, and another one began: stop the loop at once, and not in a callback"
            );
            assert_eq!(
                ten_seconds(ioloop).1,
                10 * S,
                "the operation was done, and a callback of the same iteration stopped the loop, too ({stops}). This ended the \
                 next run: did run_sync leave its own stop behind?"
            );
        }
    });
}

#[test]
fn a_stop_before_it_ends_only_that_run_sync() {
    on_each_for_weeks(|ioloop| {
        ioloop.stop();
        let operation = Operation::default();
        let result = ioloop.run_sync(operation.clone(), None);
        assert!(matches!(result, Err(NoResult::Stopped)), "{result:?}");
        assert!(!operation.is_kept());
        assert!(matches!(ioloop.run_sync(async { 42 }, None), Ok(42)), "a stop ends one run");
        assert_eq!(operation.polls(), 0, "run_sync gave up before the loop ran");
    });
}

#[test]
fn inside_a_running_loop_it_is_an_error_without_side_effects() {
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
        assert!(!operation.is_kept(), "run_sync refused the operation, and the loop still keeps it");
        assert_eq!(operation.polls(), 0);
    });
}

#[test]
fn an_unwinding_loop_keeps_neither_operation_nor_timer() {
    on_each_for_weeks(|ioloop| {
        for polls in [0, 1] {
            ioloop.handle_callback_exception(|_, _| resume_unwind(Box::new("in the hook")));
            if polls == 0 {
                ioloop.add_callback(|_| Err::<(), _>("the result of a callback"));
            } else {
                ioloop.call_later(S, |_| Err::<(), _>("the result of a timer"));
            }
            let operation = Operation::default();
            let run = || ioloop.run_sync(operation.clone(), Some(2 * S));
            catch_unwind(AssertUnwindSafe(run)).expect_err("a hook that panics ends the loop");
            assert!(!operation.is_kept(), "`start` unwound, and the operation is still on the loop");
            assert_eq!(operation.polls(), polls, "the operation was polled before `start` unwound");
            assert_eq!(
                ten_seconds(ioloop),
                (1, 10 * S),
                "`start` unwound, and the timer is still on the loop, or a stop: the operation was dropped, and did not panic"
            );
        }
    });
}

#[test]
fn run_sync_waits_for_timers() {
    on_each_with_a_fake_clock(|ioloop, _| {
        for (n, outcome) in (1..).zip([Ok(42), Err("no")]) {
            let sleep = ioloop.sleep(3 * S);
            let operation = async move {
                sleep.await;
                outcome
            };
            assert_eq!(ioloop.run_sync(operation, None).unwrap(), outcome, "the result, later");
            assert_eq!(ioloop.time(), n * 3 * S);
        }
    });
}
