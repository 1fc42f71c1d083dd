//! Exercise `ioloop/tasks`: when a task is polled, how often, and when it is dropped. With a fake clock no test waits:
//! the clock advances by the timeout that the loop chose, an hour at most.

mod support;

// The model of a loop needs these modules of the crate, which are private there.
#[allow(dead_code, reason = "the model uses a part of it")]
#[path = "../src/failure.rs"]
mod failure;

#[path = "support/model.rs"]
mod model;

#[path = "scenarios/tasks.rs"]
mod scenarios;

#[allow(dead_code, reason = "the model uses a part of it")]
#[path = "../src/task_cell.rs"]
mod task_cell;

use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

#[allow(unused_imports, reason = "for the model, unless the tests are compiled into the crate")]
use failure::{Cause, Failure, IntoOutcome, Origin, Outcome};
use ioloop::poller::Kind;
use ioloop::{Config, Current, Events, IoLoop, TaskId};
#[allow(unused_imports, reason = "for the model, unless the tests are compiled into the crate")]
use ioloop::{Error, Token};
use nix::sched::sched_getcpu;
use support::one_core::share_a_core;
use support::operation::{Operation, failures, on_each_for_weeks};
use support::{Bad, LONG, Log, a_pipe, helper_said, on_each, panics, turns};

testing::helper!(|args| testing::exit_code(match args {
    ["two-panics"] => scenarios::two_panics(),
    _ => support::unknown(args),
}));

#[test]
fn a_task_is_polled_once_for_each_wake() {
    on_each_for_weeks(|ioloop| {
        let operation = Operation::default();
        ioloop.spawn(operation.clone());
        for polls in 1..4 {
            turns(ioloop, 5);
            let seen = operation.polls();
            assert_eq!(
                seen,
                polls,
                "`spawn` woke the task once, and since then the test has woken it {} times. There must be as many polls as \
                 wakes",
                polls - 1
            );
            operation.waker().wake();
        }
    });
}

#[test]
fn a_wake_does_not_poll() {
    on_each_for_weeks(|ioloop| {
        let operation = Operation::default();
        ioloop.spawn(operation.clone());
        assert_eq!(
            operation.polls(),
            0,
            "the task was polled before the loop ran: a wake must only queue a callback"
        );
        turns(ioloop, 1);
        let log = Log::default();
        let (seen, woken) = (log.clone(), operation.clone());
        ioloop.add_callback(move |_| {
            woken.waker().wake();
            seen.add(woken.polls());
        });
        turns(ioloop, 2);
        assert_eq!(
            log.take(),
            [1],
            "the task was polled inside the wake: the code that wakes it is in the middle of its work, and may hold \
             what the task needs"
        );
        assert_eq!(operation.polls(), 2);
    });
}

#[test]
fn a_task_is_polled_in_the_iteration_after_its_wake() {
    on_each_for_weeks(|ioloop| {
        let operation = Operation::default();
        let spawned = operation.clone();
        ioloop.add_callback(move |ioloop| {
            ioloop.spawn(spawned);
        });
        let polls_after_a_turn = || {
            ioloop.turn(Duration::ZERO).unwrap();
            operation.polls()
        };
        assert_eq!(
            polls_after_a_turn(),
            0,
            "the first poll of a task belongs to the iteration after `spawn`"
        );
        assert_eq!(polls_after_a_turn(), 1, "a callback spawned a task, so the next iteration polls it");
        for by_reference in [false, true] {
            let (waker, polls) = (operation.waker(), operation.polls());
            ioloop.add_callback(move |_| if by_reference { waker.wake_by_ref() } else { waker.wake() });
            assert_eq!(polls_after_a_turn(), polls, "the poll belongs to the iteration after the wake");
            assert_eq!(
                polls_after_a_turn(),
                polls + 1,
                "a callback woke a task, so the next iteration polls it: does the wake queue a callback that queues another \
                 one?"
            );
        }
    });
}

/// For example, the second loop of a thread is not current.
#[test]
fn a_loop_that_is_not_current_polls_a_task_in_its_next_iteration() {
    for poller in Kind::ALL {
        let config = Config { poller, make_current: Current::No, ..Config::default() };
        let ioloop = IoLoop::with(config).unwrap();
        let operation = Operation::default();
        ioloop.spawn(operation.clone());
        assert!(
            IoLoop::current_only().is_none(),
            "on {poller}: a task was spawned on a loop that is not current, and now it is. Drop what `Entered::new` returned"
        );
        ioloop.turn(Duration::ZERO).unwrap();
        assert_eq!(
            operation.polls(),
            1,
            "on {poller}: a task was spawned on a loop that is not current, and this is how often the next iteration polled it. \
             To a loop that is not current, the handle sends a callback as from another thread, and the loop receives it after \
             its sleep"
        );
        let config = Config { poller, make_current: Current::Required, ..Config::default() };
        let _current = IoLoop::with(config).unwrap();
        let operation = Operation::default();
        ioloop.spawn(operation.clone());
        ioloop.turn(Duration::ZERO).unwrap();
        assert_eq!(
            operation.polls(),
            1,
            "on {poller}: another loop was current when a task was spawned, and this is how often the next iteration polled it. \
             `spawn` must make its own loop current, whichever loop was so before"
        );
    }
}

#[test]
fn a_wake_in_the_thread_of_the_loop_makes_no_system_call() {
    on_each_for_weeks(|ioloop| {
        let events = Rc::new(Cell::new(0));
        let counted = Rc::clone(&events);
        ioloop.subscribe(move |_, iteration| counted.set(counted.get() + iteration.events));
        let operation = Operation::default();
        let (spawned, woken) = (operation.clone(), operation.clone());
        ioloop.add_callback(move |ioloop| {
            ioloop.spawn(spawned);
        });
        turns(ioloop, 3);
        ioloop.add_callback(move |_| woken.waker().wake_by_ref());
        turns(ioloop, 3);
        assert_eq!(operation.polls(), 2, "a callback spawned the task, and another one woke it");
        assert_eq!(
            events.get(),
            0,
            "a callback spawned a task, and another one woke it, and the loop's own descriptor became ready: the loop is \
             awake, so a wake needs no write to its eventfd"
        );
    });
}

#[test]
fn many_wakes_are_one_poll() {
    on_each_for_weeks(|ioloop| {
        let operation = Operation::default();
        ioloop.spawn(operation.clone());
        turns(ioloop, 1);
        let waker = operation.waker();
        (0..100).for_each(|_| waker.wake_by_ref());
        turns(ioloop, 5);
        assert_eq!(
            operation.polls(),
            2,
            "a task was woken a hundred times within an iteration: it needs one poll"
        );
        thread::spawn(move || (0..100).for_each(|_| waker.wake_by_ref())).join().unwrap();
        turns(ioloop, 5);
        assert_eq!(operation.polls(), 3, "another thread woke a task a hundred times: it needs one poll");
    });
}

#[test]
fn all_wakers_of_a_task_share_one_flag() {
    on_each_for_weeks(|ioloop| {
        let operation = Operation::default();
        ioloop.spawn(operation.clone());
        turns(ioloop, 1);
        let older = operation.waker();
        for polls in [2, 3] {
            older.wake_by_ref();
            turns(ioloop, 5);
            assert_eq!(
                operation.polls(),
                polls,
                "a waker of the first poll woke the task: does a task have one waker, with one flag?"
            );
        }
        older.wake();
        operation.waker().wake();
        turns(ioloop, 5);
        assert_eq!(
            operation.polls(),
            4,
            "two wakers of a task, from two polls, each woke it once: does a task have one waker, with one flag?"
        );
    });
}

#[test]
fn a_wake_during_the_poll_causes_another_poll() {
    on_each_for_weeks(|ioloop| {
        for from_a_thread in [false, true] {
            let mut polled = false;
            let operation = poll_fn(move |context| {
                if polled {
                    return Poll::Ready(());
                }
                polled = true;
                let waker = context.waker().clone();
                if from_a_thread {
                    thread::spawn(|| waker.wake()).join().unwrap();
                } else {
                    waker.wake();
                }
                Poll::Pending
            });
            let result = ioloop.run_sync(operation, None);
            assert!(
                result.is_ok(),
                "a task was woken while it was polled, and not polled again: a flag that is cleared after the poll \
                 loses this wake ({result:?})"
            );
        }
    });
}

#[test]
fn a_wake_from_another_thread_polls_the_task() {
    for poller in Kind::ALL {
        let ioloop = IoLoop::with(Config { poller, ..Config::default() }).unwrap();
        let (sender, receiver) = mpsc::channel::<Waker>();
        let over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&over);
        let thread = thread::spawn(move || {
            // The task was polled once: now the loop has nothing to do and sleeps.
            let waker = receiver.recv().expect("the task is polled, and sends its waker");
            ends.store(true, Ordering::Release);
            waker.wake();
        });
        let operation = poll_fn(move |context| {
            if over.load(Ordering::Acquire) {
                return Poll::Ready(());
            }
            sender.send(context.waker().clone()).expect("the thread waits for the waker");
            Poll::Pending
        });
        let result = ioloop.run_sync(operation, Some(LONG));
        assert!(
            result.is_ok(),
            "on {poller}: another thread woke the task, and the loop did not poll it for {LONG:?}: {result:?}"
        );
        thread.join().unwrap();
    }
}

#[test]
fn a_wake_is_not_lost_when_the_loop_polls_during_it() {
    let ioloop = IoLoop::new().unwrap();
    let core = sched_getcpu().unwrap();
    share_a_core(core, false);
    let (sender, receiver) = mpsc::channel::<Waker>();
    let (sent, woken) = (Rc::new(Cell::new(0)), Arc::new(AtomicUsize::new(0)));
    let wakes = Arc::clone(&woken);
    let thread = thread::spawn(move || {
        share_a_core(core, true);
        for waker in receiver {
            // As soon as the loop has something to do, this thread is preempted, in the middle of the wake. It continues
            // when the task has been polled and the loop sleeps.
            waker.wake();
            wakes.fetch_add(1, Ordering::Release);
        }
    });
    let result = loop {
        let (sender, sends) = (sender.clone(), Rc::clone(&sent));
        let mut left = 5;
        let operation = poll_fn(move |context| {
            left -= 1;
            if left == 0 {
                return Poll::Ready(());
            }
            sender.send(context.waker().clone()).expect("the thread waits for the waker");
            sends.set(sends.get() + 1);
            Poll::Pending
        });
        match ioloop.run_sync(operation, Some(LONG)) {
            // On a busy core, the thread may not run for as long.
            Err(_) if woken.load(Ordering::Acquire) < sent.get() => {}
            result => break result,
        }
    };
    assert!(
        result.is_ok(),
        "a thread queued a poll, and the loop polled before the thread continued. Then the task was woken again, and \
         not polled for {LONG:?}. Set the flag that says `a poll is queued` before you queue the poll: {result:?}"
    );
    drop(sender);
    thread.join().unwrap();
}

#[test]
fn a_task_that_wakes_itself_does_not_starve_handlers() {
    on_each_for_weeks(|ioloop| {
        let (reader, mut writer) = a_pipe();
        writer.write_all(b"x").unwrap();
        let polls = Rc::new(Cell::new(0));
        let counted = Rc::clone(&polls);
        ioloop.spawn(poll_fn(move |context| {
            counted.set(counted.get() + 1);
            // Not forever, so that a loop that keeps polling comes to an end too.
            if counted.get() < 500 {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(())
        }));
        ioloop.add_handler(reader, Events::READ, |ioloop, _, _| ioloop.stop()).unwrap();
        ioloop.start().unwrap();
        assert!(
            polls.get() < 3,
            "a task that wakes itself was polled {} times, and the handler of a ready descriptor did not run \
             meanwhile. Poll a task once an iteration: a wake during the poll waits for the next iteration",
            polls.get()
        );
    });
}

#[test]
fn a_finished_task_is_dropped_and_its_waker_does_nothing() {
    on_each_for_weeks(|ioloop| {
        let failures = failures(ioloop);
        let operation = Operation::default();
        ioloop.spawn(operation.clone());
        turns(ioloop, 1);
        operation.end();
        turns(ioloop, 2);
        assert!(!operation.is_kept(), "the task is finished, and the loop still keeps it");
        // Perhaps in the slot that the finished task had.
        let other = Operation::default();
        ioloop.spawn(other.clone());
        turns(ioloop, 1);
        operation.waker().wake();
        turns(ioloop, 5);
        assert_eq!(failures.take(), [""; 0], "a finished task was woken, and polled again");
        assert_eq!(operation.polls(), 2, "polled again after its end");
        assert_eq!(other.polls(), 1, "the waker of a finished task woke another task");
    });
}

#[test]
fn a_task_that_panics_is_reported_once_and_dropped() {
    on_each_for_weeks(|ioloop| {
        let failures = failures(ioloop);
        let operation = Operation::default();
        let panics = operation.clone();
        ioloop.spawn(poll_fn(move |context| {
            let _ = Pin::new(&mut panics.clone()).poll(context);
            resume_unwind(Box::new("in the task")) as Poll<()>
        }));
        turns(ioloop, 1);
        assert_eq!(failures.take(), ["a task panicked: in the task"]);
        assert!(!operation.is_kept(), "the task panicked, and the loop still keeps it");
        operation.waker().wake();
        turns(ioloop, 5);
        let again =
            "a task that panicked was woken, and polled again: its values may be in an inconsistent state";
        assert_eq!(failures.take(), [""; 0], "{again}");
        assert_eq!(operation.polls(), 1, "{again}");
    });
}

#[test]
fn errors_of_tasks_are_reported() {
    on_each_for_weeks(|ioloop| {
        let failures = failures(ioloop);
        ioloop.spawn(async { Err::<(), _>("no task") });
        turns(ioloop, 2);
        assert_eq!(
            failures.take(),
            ["a task failed: no task"],
            "the result of a task must be the outcome of its poll"
        );
    });
}

#[test]
fn a_task_can_spawn_and_cancel_while_it_is_polled() {
    on_each_for_weeks(|ioloop| {
        let failures = failures(ioloop);
        let (spawned, canceled) = (Operation::default(), Operation::default());
        let (spawns, cancels) = (spawned.clone(), ioloop.spawn(canceled.clone()));
        turns(ioloop, 1);
        ioloop.spawn(async move {
            let ioloop = IoLoop::current().expect("it runs");
            ioloop.spawn(spawns);
            ioloop.cancel(cancels);
        });
        turns(ioloop, 3);
        assert_eq!(failures.take(), [""; 0], "is the slab of tasks borrowed while a task is polled?");
        assert_eq!(spawned.polls(), 1);
        assert!(!canceled.is_kept(), "the task was canceled, and the loop still keeps it");
    });
}

/// Cancels a task when it is dropped.
struct Cancels(TaskId);

impl Drop for Cancels {
    fn drop(&mut self) {
        IoLoop::current().expect("it runs").cancel(self.0);
    }
}

/// The same, on a loop that need not run.
struct CancelsOn(IoLoop, TaskId);

impl Drop for CancelsOn {
    fn drop(&mut self) {
        self.0.cancel(self.1);
    }
}

#[test]
fn a_task_that_cancels_itself_is_dropped_after_its_poll() {
    on_each_for_weeks(|ioloop| {
        let failures = failures(ioloop);
        let operation = Operation::default();
        let other = ioloop.spawn(pending::<()>());
        let itself: Rc<Cell<Option<TaskId>>> = Rc::default();
        let (known, held) = (Rc::clone(&itself), operation.clone());
        let task = ioloop.spawn(async move {
            let _cancels = Cancels(other);
            let held = held;
            IoLoop::current().expect("it runs").cancel(known.get().expect("the id is known by now"));
            held.await;
        });
        itself.set(Some(task));
        turns(ioloop, 2);
        assert_eq!(operation.polls(), 1);
        assert_eq!(
            failures.take(),
            [""; 0],
            "a task cancels another one when it is dropped: is the slab of tasks borrowed then?"
        );
        assert!(!operation.is_kept(), "a task canceled itself, and the loop still keeps it");
        operation.waker().wake();
        turns(ioloop, 5);
        assert_eq!(operation.polls(), 1, "polled again after it was canceled");
    });
}

#[test]
fn a_task_whose_values_panic_when_dropped_is_reported() {
    on_each_for_weeks(|ioloop| {
        let failures = failures(ioloop);
        let held = Bad;
        // Held until the future itself is dropped.
        ioloop.spawn(poll_fn(move |_| {
            let _ = &held;
            Poll::Ready(Err::<(), _>("it returned an error"))
        }));
        turns(ioloop, 2);
        assert_eq!(
            failures.take(),
            ["a task failed: it returned an error", "a task panicked: the drop panicked"],
            "first what the task returned, and then the panic of its drop, which is code of the task as its polls are"
        );
    });
}

/// Two panics at the same time abort the process, so this has a process of its own.
#[test]
fn a_task_that_panics_in_its_poll_and_in_its_drop_is_reported_twice() {
    let answer = helper_said(&["two-panics"]);
    let reported: Vec<&str> = answer.lines("reported").collect();
    assert_eq!(
        reported,
        ["a task panicked: the poll panicked", "a task panicked: the drop panicked"],
        "the poll of a task panicked, and when its future was dropped, one of its values did: what the loop reported. A future \
         that is dropped while the first panic unwinds would abort the process, so keep it outside of the closure that `guarded` \
         runs"
    );
    assert_eq!(answer.line("iterations"), "2", "the loop must go on");
}

/// What a poll may come to, besides `Pending`.
#[derive(Debug, Clone, Copy)]
enum Ending {
    Done,
    Failed,
    Panicked,
}

impl Ending {
    const ALL: [Self; 3] = [Self::Done, Self::Failed, Self::Panicked];

    fn poll(self) -> Poll<Result<(), &'static str>> {
        match self {
            Self::Done => Poll::Ready(Ok(())),
            Self::Failed => Poll::Ready(Err("as expected")),
            Self::Panicked => panics("as expected"),
        }
    }

    /// What the loop reports of it.
    fn reported(self) -> &'static [&'static str] {
        match self {
            Self::Done => &[],
            Self::Failed => &["a task failed: as expected"],
            Self::Panicked => &["a task panicked: as expected"],
        }
    }
}

#[test]
fn a_future_is_dropped_whatever_its_poll_returned() {
    on_each_for_weeks(|ioloop| {
        let _failures = failures(ioloop);
        for ending in Ending::ALL {
            let dropped = Rc::new(());
            let held = Rc::clone(&dropped);
            // Not an async block, which drops its variables in its last poll.
            ioloop.spawn(poll_fn(move |_| {
                let _held = &held;
                ending.poll()
            }));
            turns(ioloop, 2);
            assert_eq!(
                Rc::strong_count(&dropped),
                1,
                "the end of a task was {ending:?}, and its future still exists, with all that it holds"
            );
        }
    });
}

#[test]
fn a_value_of_a_task_can_cancel_another_task_when_the_task_ends() {
    on_each_for_weeks(|ioloop| {
        let failures = failures(ioloop);
        for ending in Ending::ALL {
            let canceled = Operation::default();
            let held = Cancels(ioloop.spawn(canceled.clone()));
            turns(ioloop, 2);
            ioloop.spawn(poll_fn(move |_| {
                let _held = &held;
                ending.poll()
            }));
            turns(ioloop, 2);
            assert_eq!(
                failures.take(),
                ending.reported(),
                "what was reported of a task whose end was {ending:?}. A value of its future cancels another task when it is \
                 dropped: is the slab of tasks borrowed then?"
            );
            assert!(!canceled.is_kept(), "that value canceled a task, and the loop still keeps it");
        }
    });
}

#[test]
fn the_hook_may_spawn_and_cancel() {
    on_each_for_weeks(|ioloop| {
        for ending in [Ending::Failed, Ending::Panicked] {
            let operation = Operation::default();
            let (spawned, canceled) = (operation.clone(), ioloop.spawn(pending::<()>()));
            let log = Log::default();
            let seen = log.clone();
            ioloop.handle_callback_exception(move |ioloop, failure| {
                // Caught, because a panic of the hook would end the test before it can say why.
                let done = catch_unwind(AssertUnwindSafe(|| {
                    ioloop.cancel(canceled);
                    ioloop.spawn(spawned.clone());
                }));
                seen.add(
                    done.map_or_else(|_| "the hook's calls panicked".to_owned(), |()| failure.to_string()),
                );
            });
            ioloop.spawn(poll_fn(move |_| ending.poll()));
            turns(ioloop, 3);
            assert_eq!(
                (log.take(), operation.polls()),
                (ending.reported().iter().map(|words| (*words).to_owned()).collect(), 1),
                "the end of a task was {ending:?}, and the hook for failures canceled a task and spawned one: what the hook got, \
                 and how often the new task was polled. Is the slab of tasks borrowed while the failure is reported?"
            );
        }
    });
}

#[test]
fn a_task_that_canceled_itself_is_reported_as_any_other() {
    on_each_for_weeks(|ioloop| {
        let failures = failures(ioloop);
        for ending in Ending::ALL {
            let itself: Rc<Cell<Option<TaskId>>> = Rc::default();
            let (known, dropped) = (Rc::clone(&itself), Rc::new(()));
            let held = Rc::clone(&dropped);
            itself.set(Some(ioloop.spawn(poll_fn(move |_| {
                let _held = &held;
                IoLoop::current().expect("it runs").cancel(known.get().expect("the id is known by now"));
                ending.poll()
            }))));
            turns(ioloop, 2);
            assert_eq!(
                failures.take(),
                ending.reported(),
                "what was reported of a task that canceled itself, and whose end was {ending:?} in the same poll: its slot \
                 is gone, and an error or a panic is still reported once"
            );
            assert_eq!(Rc::strong_count(&dropped), 1, "the task has ended, and its future still exists");
        }
    });
}

#[test]
fn a_task_that_canceled_itself_and_panics_when_dropped_is_reported() {
    on_each_for_weeks(|ioloop| {
        let failures = failures(ioloop);
        let itself: Rc<Cell<Option<TaskId>>> = Rc::default();
        let (known, held) = (Rc::clone(&itself), Bad);
        itself.set(Some(ioloop.spawn(poll_fn(move |_| {
            let _held = &held;
            IoLoop::current().expect("it runs").cancel(known.get().expect("the id is known by now"));
            Poll::<()>::Pending
        }))));
        turns(ioloop, 2);
        assert_eq!(
            failures.take(),
            ["a task panicked: the drop panicked"],
            "a task canceled itself and returned `Pending`, and a value of its future panicked when the future was dropped after \
             the poll. The drop is code of the task, so its panic must be reported once, as a failure of the task. Do you drop \
             the future with `drop_caught` here, too?"
        );
    });
}

#[test]
fn a_task_that_closes_the_loop_and_fails_is_reported() {
    on_each_for_weeks(|ioloop| {
        let failures = failures(ioloop);
        let held = Bad;
        ioloop.spawn(poll_fn(move |_| {
            let _held = &held;
            IoLoop::current().expect("it runs").close();
            Poll::Ready(Err::<(), _>("as expected"))
        }));
        ioloop.start().unwrap();
        assert_eq!(
            failures.take(),
            ["a task failed: as expected", "a task panicked: the drop panicked"],
            "a task closed the loop, and then returned an error: its failure must be reported before the loop ends, and so must the \
             panic of a value that it held"
        );
    });
}

#[test]
fn a_panic_of_a_drop_reaches_the_caller_of_cancel() {
    on_each_for_weeks(|ioloop| {
        let failures = failures(ioloop);
        let held = Bad;
        let task = ioloop.spawn(poll_fn(move |_| {
            let _held = &held;
            Poll::<()>::Pending
        }));
        turns(ioloop, 1);
        let canceled = catch_unwind(AssertUnwindSafe(|| ioloop.cancel(task)));
        let words = canceled.err().and_then(|thrown| thrown.downcast_ref::<String>().cloned());
        assert_eq!(
            (words.as_deref(), failures.take()),
            (Some("the drop panicked"), vec![]),
            "a value of a future panicked when `cancel` dropped the future: the panic that the caller of `cancel` saw, and what the \
             loop reported. The caller decides what to do: `run_sync` catches this panic and reports it. Do not catch it in `cancel`"
        );
        ioloop.cancel(task);
    });
}

#[test]
fn finished_tasks_leave_no_memory_behind() {
    on_each_for_weeks(|ioloop| {
        ioloop.handle_callback_exception(|_, _| ());
        let round = || {
            for _ in 0..10 {
                for ending in Ending::ALL {
                    ioloop.spawn(poll_fn(move |_| ending.poll()));
                }
                let held = Bad;
                ioloop.spawn(poll_fn(move |_| {
                    let _held = &held;
                    Poll::Ready(())
                }));
                let never_polled = ioloop.spawn(pending::<()>());
                ioloop.cancel(never_polled);
            }
            let pending = [(); 10].map(|()| ioloop.spawn(pending::<()>()));
            turns(ioloop, 2);
            pending.into_iter().for_each(|task| ioloop.cancel(task));
            (support::counting::live(), support::counting::bytes())
        };
        round();
        let before = round();
        // Enough rounds for the slab to grow if one kind of task leaves its slot in use.
        let mut after = before;
        for _ in 0..20 {
            after = round();
        }
        assert_eq!(
            after, before,
            "allocations and bytes in use before and after 200 tasks of each kind: that finish, that fail, that panic, that \
             panic when they are dropped, that are canceled before their first poll, and after it. Does one of these leave a slot in use? Does anything keep \
             the waker of a finished task?"
        );
    });
}

#[test]
fn a_canceled_task_is_dropped() {
    on_each(|ioloop| {
        let dropped = Rc::new(());
        let held = Rc::clone(&dropped);
        let task = ioloop.spawn(async move {
            let _held = held;
            pending::<()>().await;
        });
        ioloop.run_sync(async {}, None).unwrap();
        ioloop.cancel(task);
        ioloop.cancel(task);
        assert_eq!(Rc::strong_count(&dropped), 1);
    });
}

#[test]
fn a_closed_loop_drops_what_is_spawned() {
    on_each(|ioloop| {
        ioloop.close();
        let dropped = Rc::new(());
        let (held, itself) = (Rc::clone(&dropped), ioloop.clone());
        let task = ioloop.spawn(async move {
            let _held = (held, itself);
            pending::<()>().await;
        });
        assert_eq!(Rc::strong_count(&dropped), 1, "a task that is never polled again keeps its loop forever");
        ioloop.cancel(task);
        let before = support::counting::bytes();
        for _ in 0..100 {
            ioloop.spawn(pending::<()>());
        }
        assert_eq!(
            support::counting::bytes(),
            before,
            "bytes in use before and after a hundred spawns on a closed loop: is a slot of its table still in use?"
        );
    });
}

#[test]
fn a_value_of_a_future_can_cancel_a_task_when_a_closed_loop_drops_it() {
    on_each(|ioloop| {
        let other = ioloop.spawn(pending::<()>());
        ioloop.close();
        let held = CancelsOn(ioloop.clone(), other);
        let future = poll_fn(move |_| {
            let _held = &held;
            Poll::<()>::Pending
        });
        let spawn = || ioloop.spawn(future);
        let spawned = catch_unwind(AssertUnwindSafe(spawn));
        assert!(
            spawned.is_ok(),
            "a closed loop dropped a future that was spawned, and a value of the future canceled a task: is the slab of tasks \
             borrowed then?"
        );
    });
}

#[test]
fn a_loop_that_is_closed_drops_its_tasks() {
    on_each(|ioloop| {
        let dropped = Rc::new(());
        let held = Rc::clone(&dropped);
        ioloop.spawn(async move {
            let _held = held;
            pending::<()>().await;
        });
        turns(ioloop, 1);
        ioloop.close();
        assert_eq!(
            Rc::strong_count(&dropped),
            1,
            "a task that is never polled again keeps what it holds forever"
        );
    });
}

#[test]
fn a_dropped_task_can_cancel_another() {
    on_each(|ioloop| {
        for close in [false, true] {
            let dropped = Rc::new(());
            let held = Rc::clone(&dropped);
            let other = ioloop.spawn(async move {
                let _held = held;
                pending::<()>().await;
            });
            let cancels = CancelsOn(ioloop.clone(), other);
            let task = ioloop.spawn(async move {
                let _cancels = cancels;
                pending::<()>().await;
            });
            turns(ioloop, 1);
            if close {
                ioloop.close();
            } else {
                ioloop.cancel(task);
            }
            assert_eq!(Rc::strong_count(&dropped), 1, "the other task is dropped too");
        }
    });
}

/// How often one thread may interrupt another. Without a limit the test takes minutes.
const PREEMPTIONS: usize = 3;

/// Runs a task in every order of the steps of the loop and of `threads` threads, of which each adds one to a sum `each`
/// times, and wakes the task after each.
#[track_caller]
fn in_every_order(threads: usize, each: usize) {
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    let run = move || {
        let ioloop = model::IoLoop::new();
        let (sum, seen) = (Arc::new(AtomicUsize::new(0)), Rc::new(Cell::new(0)));
        let given: Rc<Cell<Option<Waker>>> = Rc::default();
        let (its_sum, its_seen, gives) = (sum.clone(), Rc::clone(&seen), Rc::clone(&given));
        ioloop.spawn(poll_fn(move |context| {
            // Relaxed: only the wake can make the poll see it.
            its_seen.set(its_sum.load(Relaxed));
            gives.set(Some(context.waker().clone()));
            Poll::<()>::Pending
        }));
        ioloop.iterate();
        let waker = given.take().expect("the iteration after `spawn` polls the task");
        let threads: Vec<_> = (0..threads)
            .map(|n| {
                let (sum, waker) = (sum.clone(), waker.clone());
                loom::thread::spawn(move || {
                    for _ in 0..each {
                        sum.fetch_add(1, Relaxed);
                        if n == 0 {
                            waker.wake_by_ref();
                        } else {
                            let owned = waker.clone();
                            owned.wake();
                        }
                    }
                })
            })
            .collect();
        let total = threads.len() * each;
        ioloop.iterate();
        ioloop.iterate();
        threads.into_iter().for_each(|thread| thread.join().expect("a wake does not panic"));
        ioloop.iterate();
        assert!(seen.get() == total, "the last poll saw {} of {total}", seen.get());
    };
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(PREEMPTIONS);
    let every = catch_unwind(AssertUnwindSafe(|| model.check(run)));
    assert!(
        every.is_ok(),
        "in one order of the steps, the last poll did not see all that the threads had done before their wakes, and no other \
         poll is queued. A thread that finds the flag set queues nothing, so only the flag can make the poll see what this \
         thread did: each wake must write the flag, even if it is set already, with Release, and the callback must read it \
         with Acquire when it clears it. A load, a store and a `compare_exchange` that fails do only one of the two, a swap \
         does both. And the flag is set before the poll is queued. (If your answer does so: the test knows only the atomics and the lock of `super::sync`, not those of std)"
    );
}

#[test]
fn a_wake_whose_callback_is_queued_with_an_error_queues_one_poll() {
    loom::model(|| {
        let ioloop = model::IoLoop::whose_handle_fails();
        let polls = Rc::new(Cell::new(0));
        let counted = Rc::clone(&polls);
        let run = || {
            let given: Rc<Cell<Option<Waker>>> = Rc::default();
            let gives = Rc::clone(&given);
            ioloop.spawn(poll_fn(move |context| {
                counted.set(counted.get() + 1);
                gives.set(Some(context.waker().clone()));
                Poll::<()>::Pending
            }));
            ioloop.iterate();
            let waker = given.take().expect("the iteration after `spawn` polls the task");
            waker.wake_by_ref();
            waker.wake();
            ioloop.iterate();
        };
        let ended = catch_unwind(AssertUnwindSafe(run));
        assert!(
            ended.is_ok() && polls.get() == 2,
            "`add_callback` queued each callback and returned an error, as it does if the eventfd of the loop is gone. `spawn` woke a \
             task, and after that poll, it was woken twice. A wake must not panic then, and the two wakes need one poll, because \
             the callback is in the queue: ignore the error. Did a wake panic: {}. Polls, of 2: {}",
            ended.is_err(),
            polls.get()
        );
    });
}

#[test]
fn no_order_of_two_threads_loses_a_wake() {
    in_every_order(2, 1);
}

#[test]
fn no_order_of_two_wakes_of_one_thread_loses_a_wake() {
    in_every_order(1, 2);
}
