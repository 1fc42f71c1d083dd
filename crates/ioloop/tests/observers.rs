//! Observers: who gets a failure, an iteration, and the stack of code that blocks the loop. A process has one watchdog,
//! so each test of the watchdog has its own process.

mod support;

#[path = "scenarios/blocked.rs"]
mod blocked;

#[path = "scenarios/observers.rs"]
mod observers;

use std::any::Any;
use std::cell::Cell;
use std::future::poll_fn;
use std::io::{PipeReader, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use ioloop::poller::Kind;
use ioloop::{Events, IoLoop, NoResult};
use support::operation::failures;
use support::{Kept, Log, a_pipe, alone, helper_said, on_each, on_each_with_a_fake_clock, panics, turns};
use testing::{Helper, no_child_is_born};

testing::helper!(|args| match args {
    ["observers", "no-memory", poller] => observers::no_memory(poller),
    _ => support::answer(args, |args| match args {
        ["blocked", what] => blocked::run(what),
        ["observers", which, poller] => observers::twice(which, poller),
        _ => support::unknown(args),
    }),
});

/// The panic that leaves a loop.
#[track_caller]
fn thrown_by(ioloop: &IoLoop) -> Box<dyn Any + Send> {
    catch_unwind(AssertUnwindSafe(|| ioloop.start())).expect_err("the loop must end with a panic")
}

fn words(thrown: &(dyn Any + Send)) -> &str {
    let words = thrown.downcast_ref::<String>().map(String::as_str);
    words.or_else(|| thrown.downcast_ref::<&str>().copied()).expect("words")
}

#[test]
fn a_hook_that_failed_gets_the_next_failure() {
    on_each(|ioloop| {
        let log = Log::default();
        let seen = log.clone();
        ioloop.handle_callback_exception(move |_, failure| {
            seen.add(failure.to_string());
            if seen.len() == 1 {
                panics("in the hook");
            }
        });
        ioloop.add_callback(|_| -> () { panics("in the first callback") });
        assert!(words(&*thrown_by(ioloop)).contains("in the hook"));
        ioloop.add_callback(|_| -> () { panics("in the second callback") });
        turns(ioloop, 2);
        let seen = log.take();
        assert!(
            seen.len() == 2 && seen[1].contains("in the second callback"),
            "the hook panicked once, and must still get later failures: it got {seen:?}"
        );
    });
}

#[test]
fn a_hook_that_fails_again_and_again_ends_the_loop_each_time() {
    on_each(|ioloop| {
        ioloop.handle_callback_exception(|_, failure| panics(format!("in the hook, for {failure}")));
        for n in 0..3 {
            ioloop.call_later(Duration::ZERO, move |_| Err::<(), _>(format!("timer {n}")));
            let thrown = thrown_by(ioloop);
            let words = words(&*thrown);
            assert!(words.starts_with("in the hook") && words.ends_with(&format!("timer {n}")), "{words}");
        }
    });
}

/// Adds a last hook and a last subscriber when it is dropped.
struct SetsTheLast(IoLoop, Log<&'static str>);

impl Drop for SetsTheLast {
    fn drop(&mut self) {
        let (hook, subscriber) = (self.1.clone(), self.1.clone());
        self.0.handle_callback_exception(move |_, _| hook.add("the last hook"));
        self.0.subscribe(move |_, _| subscriber.add("the last subscriber"));
    }
}

#[test]
fn a_replaced_observer_can_set_another_one_when_dropped() {
    on_each(|ioloop| {
        let log = Log::default();
        let last = SetsTheLast(ioloop.clone(), log.clone());
        ioloop.handle_callback_exception(move |ioloop, _| {
            let _ = &last;
            ioloop.handle_callback_exception(|_, _| ());
        });
        let last = SetsTheLast(ioloop.clone(), log.clone());
        let own = Rc::new(Cell::new(None));
        let subscription = Rc::clone(&own);
        own.set(Some(ioloop.subscribe(move |ioloop, _| {
            let _ = &last;
            subscription.take().into_iter().for_each(|own| ioloop.unsubscribe(own));
        })));
        ioloop.add_callback(|_| -> () { panics("in the first callback") });
        turns(ioloop, 2);
        ioloop.add_callback(|_| -> () { panics("in the second callback") });
        turns(ioloop, 1);
        let seen = log.take();
        assert!(
            seen.contains(&"the last hook") && seen.contains(&"the last subscriber"),
            "a hook replaced itself, a subscriber unsubscribed itself, and each added another one when it was dropped: \
             {seen:?}"
        );
    });
}

#[test]
fn any_number_of_subscribers_see_each_iteration_until_they_unsubscribe() {
    on_each(|ioloop| {
        let log = Log::default();
        let subscriptions = ["first", "second", "third"].map(|name| {
            let seen = log.clone();
            ioloop.subscribe(move |_, _| seen.add(name))
        });
        turns(ioloop, 1);
        assert_eq!(log.take(), ["first", "second", "third"], "in the order in which they were added");
        ioloop.unsubscribe(subscriptions[1]);
        ioloop.unsubscribe(subscriptions[1]);
        turns(ioloop, 1);
        assert_eq!(log.take(), ["first", "third"], "the second has unsubscribed");
        assert_eq!(log.clones(), 3, "it is dropped as well");
    });
}

#[test]
fn a_subscriber_that_is_added_meanwhile_sees_the_next_iteration() {
    on_each(|ioloop| {
        let log = Log::default();
        let (seen, once) = (log.clone(), Cell::new(true));
        ioloop.subscribe(move |ioloop, _| {
            seen.add("first");
            let added = seen.clone();
            if once.take() {
                ioloop.subscribe(move |_, _| added.add("added"));
            }
        });
        turns(ioloop, 2);
        assert_eq!(log.take(), ["first", "first", "added"]);
    });
}

/// The times of a record are read only if there is a subscriber, so the record of this iteration has no beginning.
#[test]
fn a_subscriber_that_a_callback_adds_gets_no_record_without_a_beginning() {
    on_each_with_a_fake_clock(|ioloop, clock| {
        let (log, long) = (Log::default(), Duration::from_secs(7));
        clock.advance(long);
        let seen = log.clone();
        ioloop.add_callback(move |ioloop| {
            ioloop.subscribe(move |_, iteration| seen.add(iteration.start));
        });
        turns(ioloop, 2);
        let log = log.take();
        assert!(
            !log.is_empty() && log.iter().all(|start| *start >= long),
            "the clock shows 7 s. When the iterations began, by the records: {log:?}"
        );
    });
}

#[test]
fn a_subscriber_that_fails_ends_the_loop_and_sees_the_next_iteration() {
    on_each(|ioloop| {
        let log = Log::default();
        let seen = log.clone();
        ioloop.subscribe(move |_, iteration| {
            seen.add(iteration.callbacks);
            if seen.len() == 1 {
                panics("in the subscriber");
            }
        });
        ioloop.add_callback(|_| ());
        ioloop.add_callback(|ioloop| ioloop.add_callback(|_| ()));
        assert_eq!(words(&*thrown_by(ioloop)), "in the subscriber");
        turns(ioloop, 2);
        assert_eq!(
            log.take().get(..2),
            Some(&[2, 2][..]),
            "the subscriber panicked in the first iteration, which ran two callbacks, and the loop was started again. \
             The second iteration ran the callback that was left and one of the test. The subscriber must get both"
        );
    });
}

#[test]
fn a_hook_and_a_subscriber_can_replace_themselves() {
    on_each(|ioloop| {
        let log = Log::default();
        let (first, second) = (log.clone(), log.clone());
        ioloop.handle_callback_exception(move |ioloop, failure| {
            first.add(format!("the first got: {failure}"));
            let second = second.clone();
            ioloop.handle_callback_exception(move |_, failure| {
                second.add(format!("the second got: {failure}"));
            });
        });
        let (first, second) = (log.clone(), log.clone());
        let own = Rc::new(Cell::new(None));
        let subscription = Rc::clone(&own);
        own.set(Some(ioloop.subscribe(move |ioloop, _| {
            first.add("the first saw an iteration".into());
            subscription.take().into_iter().for_each(|own| ioloop.unsubscribe(own));
            let second = second.clone();
            ioloop.subscribe(move |_, _| second.add("the second saw an iteration".into()));
        })));
        for n in [1, 2] {
            ioloop.add_callback(move |_| Err::<(), _>(format!("{n}")));
            turns(ioloop, 1);
        }
        assert_eq!(
            log.take(),
            [
                "the first got: a callback failed: 1",
                "the first saw an iteration",
                "the second got: a callback failed: 2",
                "the second saw an iteration"
            ],
            "a hook and a subscriber each replaced themselves when they were called first"
        );
    });
}

/// The poll of a task runs in a callback, and `run_sync` in any code, but the panic of the hook is no failure of theirs.
#[test]
fn a_panic_of_the_hook_for_a_task_leaves_the_loop_at_once() {
    type Fails = fn(&IoLoop);
    let fails: [(&str, Fails); 2] = [
        ("a task failed: it", |ioloop| {
            ioloop.spawn(async { Err::<(), _>("it") });
        }),
        ("a task panicked: in the drop", |ioloop| ioloop.add_callback(|ioloop| drop(refused(ioloop)))),
    ];
    on_each(|ioloop| {
        for (failure, fails) in fails {
            let log = Log::default();
            let seen = log.clone();
            ioloop.handle_callback_exception(move |_, failure| {
                seen.add(failure.to_string());
                panics("in the hook");
            });
            fails(ioloop);
            assert_eq!(words(&*thrown_by(ioloop)), "in the hook", "{failure}");
            assert_eq!(
                log.take(),
                [failure],
                "the hook panicked when it got the first of these. That must leave `start`, and not come back to the hook as a \
                 failure of a callback"
            );
        }
    });
}

/// Panics when it is dropped.
struct Bad;

impl Drop for Bad {
    fn drop(&mut self) {
        panics("in the drop");
    }
}

/// A loop that runs refuses the future, whose value panics in its drop: the loop reports that in the middle of the caller's
/// code.
fn refused(ioloop: &IoLoop) -> Result<(), NoResult> {
    let held = Bad;
    let operation = poll_fn(move |_| {
        let _held = &held;
        Poll::<()>::Pending
    });
    ioloop.run_sync(operation, None)
}

#[test]
fn a_failure_in_the_hooks_own_code_does_not_end_the_loop() {
    on_each(|ioloop| {
        let log = Log::default();
        let seen = log.clone();
        ioloop.handle_callback_exception(move |ioloop, failure| {
            seen.add(failure.to_string());
            seen.add(refused(ioloop).map_or_else(|why| why.to_string(), |()| "done".into()));
        });
        ioloop.add_callback(|_| Err::<(), _>("it"));
        let ended = catch_unwind(AssertUnwindSafe(|| turns(ioloop, 2)));
        let log = log.take();
        assert!(
            ended.is_ok() && log.len() == 2 && log[0].ends_with("it") && log[1].contains("EBUSY"),
            "the hook called `run_sync`, and a value of the future panicked in its drop. The loop cannot call the hook for that \
             while the hook runs. It panicked: {}. The hook's log: {log:?}",
            ended.is_err()
        );
    });
}

/// The callbacks next to the failed one in its batch must still run: a task whose poll is dropped there would wait
/// forever.
#[test]
fn a_hook_that_fails_does_not_skip_other_callbacks() {
    on_each(|ioloop| {
        for fails in ["callback", "timer", "handler"] {
            let log = Log::default();
            let ran = log.clone();
            ioloop.handle_callback_exception(|_, _| panics("in the hook"));
            let run = move |who: &'static str| {
                ran.add(who);
                // One of them fails, and others of its kind come after it.
                let first = ran.count(|ran| *ran == who) == 1;
                if who == fails && first { Err(who) } else { Ok(()) }
            };
            for _ in 0..2 {
                let (callback, timer, handler) = (run.clone(), run.clone(), run.clone());
                ioloop.add_callback(move |_| callback("callback"));
                ioloop.call_later(Duration::ZERO, move |_| timer("timer"));
                let (reader, mut writer) = a_pipe();
                writer.write_all(b"x").unwrap();
                let once = Events::READ | Events::ONESHOT;
                ioloop.add_handler(reader, once, move |_, _: &mut PipeReader, _| handler("handler")).unwrap();
            }
            let task = run.clone();
            ioloop.spawn(async move { task("task") });
            assert_eq!(words(&*thrown_by(ioloop)), "in the hook");
            turns(ioloop, 2);
            let mut ran = log.take();
            ran.sort_unstable();
            assert_eq!(
                ran,
                ["callback", "callback", "handler", "handler", "task", "timer", "timer"],
                "a {fails} failed, the hook panicked, and the loop was started again. These ran. What was queued, due \
                 or reported when the loop unwound must not be lost"
            );
        }
    });
}

/// The language ends the process there, which a loop cannot prevent; but the message says why.
#[test]
fn a_panic_inside_of_a_panic_ends_the_process_with_words() {
    let _alone = alone();
    for poller in Kind::ALL.map(|poller| poller.to_string()) {
        for (which, why) in [
            ("in-a-destructor", "panic in a destructor during cleanup"),
            ("in-the-programs-hook", "thread panicked while processing panic"),
        ] {
            let mut helper = Helper::new(&["observers", which, &poller]);
            // Finding the names for a backtrace takes seconds on a busy machine.
            helper.command().env("RUST_BACKTRACE", "0");
            let ended = helper.answer();
            let said = ended.expect_err("one panic inside of another was survived");
            assert!(said.contains("SIGABRT") && said.contains(why), "{poller}, {which}: {said}");
            assert!(
                said.contains("the first panic"),
                "{poller}, {which}: the first panic is not in the message: {said}"
            );
        }
    }
}

/// The file is closed with its last number. epoll forgets it silently; poll and select are asked about a number that is
/// not open.
#[test]
fn a_file_closed_behind_its_back_is_reported_once_or_forgotten() {
    on_each(|ioloop| {
        let _nobody_has_a_copy = no_child_is_born();
        let log = failures(ioloop);
        let (reader, mut writer) = a_pipe();
        writer.write_all(b"x").unwrap();
        let owner = OwnedFd::from(reader);
        let number = owner.as_raw_fd();
        ioloop
            .add_handler(Kept(number), Events::READ, |_, _, _| -> () {
                panic!("the pipe has no byte to read")
            })
            .unwrap();
        drop(owner);
        turns(ioloop, 20);
        match (ioloop.kind(), log.take().as_slice()) {
            (Kind::Epoll, []) => {}
            (Kind::Poll | Kind::Select, [once]) => {
                assert!(once.contains(&format!("descriptor {number}, which is not open")), "{once}");
            }
            (kind, reported) => {
                panic!("in 20 iterations on {kind} it was reported {} times: {reported:?}", reported.len())
            }
        }
        // The other handlers keep running.
        let (reader, mut writer) = a_pipe();
        let seen = log.clone();
        let handler = move |ioloop: &IoLoop, reader: &mut PipeReader, _| {
            reader.read_exact(&mut [0])?;
            seen.add("another".to_owned());
            ioloop.stop();
            Ok::<_, std::io::Error>(())
        };
        ioloop.add_handler(reader, Events::READ, handler).unwrap();
        writer.write_all(b"x").unwrap();
        ioloop.start().unwrap();
        assert_eq!(
            log.take(),
            ["another"],
            "a neighbor of a descriptor that was closed behind the loop's back"
        );
    });
}

/// The tracer plays a kernel that is short of memory once.
#[test]
fn start_returns_the_named_error_of_any_poller() {
    let _alone = alone();
    for (poller, call) in [(Kind::Epoll, "epoll_wait"), (Kind::Poll, "poll"), (Kind::Select, "select")] {
        let scenario = ["observers", "no-memory", &poller.to_string()];
        let Some(answer) = Helper::new(&scenario).if_permitted() else { return };
        let error = answer.line("start");
        assert!(
            error.starts_with(&format!("{call} on "))
                && error.contains("the loop's")
                && error.contains("ENOMEM"),
            "{poller}: the error must name the call, the object and the cause: {error}"
        );
        assert_eq!(answer.line("again"), "ran", "{poller}: the loop can be started again after the error");
    }
}

#[test]
fn blocking_code_is_named_while_it_blocks() {
    let _alone = alone();
    let mut stack = Vec::new();
    // A busy machine may not let the loop run for as long as the threshold before the callback blocks; but not each time.
    let is_named = (0..3).any(|_| {
        let answer = helper_said(&["blocked", "caught"]);
        assert_eq!(answer.line("reported"), "while it blocks");
        stack = answer.lines("frame").map(str::to_owned).collect();
        stack.iter().any(|frame| frame.contains("the_one_that_blocks"))
    });
    assert!(is_named, "the callback that blocks is not in the stack that was reported: {stack:#?}");
}

#[test]
fn code_that_blocks_an_unwinding_is_reported_without_its_stack() {
    let _alone = alone();
    let mut stack = Vec::new();
    // As above.
    let is_left_out = (0..3).any(|_| {
        let answer = helper_said(&["blocked", "unwinding"]);
        assert_eq!(
            answer.line("reported"),
            "yes",
            "a callback panicked, and a value that was dropped during the unwinding blocks"
        );
        assert_eq!(answer.line("then"), "caught", "the interrupted panic continues");
        stack = answer.lines("frame").map(str::to_owned).collect();
        stack == ["ioloop::call_stack::a_panic_unwinds"]
    });
    assert!(
        is_left_out,
        "a signal handler walked the stack while a panic unwound it. If the signal interrupts a step of the unwinder, \
         the stack cannot be walked, and SIGSEGV kills the process: {stack:#?}"
    );
}

#[test]
fn a_sleeping_loop_is_not_reported() {
    let _alone = alone();
    // A busy machine may not let a loop run for as long as the threshold; but not each time.
    let reports = |poller: Kind| {
        helper_said(&["on", &poller.to_string(), "blocked", "asleep"]).line("reports").to_owned()
    };
    for poller in Kind::ALL {
        assert!(
            (0..3).any(|_| reports(poller) == "0"),
            "{poller}: a loop was reported while it slept, which is not blocking"
        );
    }
}

#[test]
fn the_caller_of_a_loop_that_panics_is_not_reported() {
    let _alone = alone();
    let reports = || {
        let answer = helper_said(&["blocked", "thrown"]);
        assert_eq!(answer.line("thrown"), "true", "the panic must leave the loop");
        answer.line("reports").to_owned()
    };
    // As above.
    assert!(
        (0..3).any(|_| reports() == "0"),
        "a loop ended with a panic, and code that ran afterwards was reported"
    );
}

#[test]
fn the_threshold_can_be_set_and_removed_from_inside() {
    let _alone = alone();
    let answer = helper_said(&["blocked", "inside"]);
    assert_eq!(answer.line("set"), "1 report", "the callback that set the threshold blocks since then");
    assert_eq!(answer.line("taken-back"), "0 reports");
    assert_eq!(answer.line("signal"), "as before");
}

#[test]
fn a_second_watchdog_is_refused() {
    let _alone = alone();
    assert_eq!(helper_said(&["blocked", "twice"]).line("second"), "EBUSY");
}
