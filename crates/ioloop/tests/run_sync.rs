//! Exercise `ioloop/run_sync`: who polls a task, when, and how often; and with what `run_sync` comes back. With a fake
//! clock nobody waits: the clock is moved by the time that the loop wanted to sleep, an hour at most.

mod support;

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use ioloop::poller::Kind;
use ioloop::{Config, Events, IoLoop, NoResult};
use nix::errno::Errno;
use nix::libc;
use nix::sched::{CpuSet, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;
use support::{LONG, Log, a_pipe, on_each_with_a_fake_clock, turns};

const S: Duration = Duration::from_secs(1);

/// On each poller, with a fake clock. A thousand turns are weeks by it: what has not come by then does not come, and the
/// loop is stopped.
#[track_caller]
fn on_each_for_weeks(test: impl Fn(&IoLoop)) {
    on_each_with_a_fake_clock(|ioloop, _| {
        let count = Cell::new(0);
        ioloop.subscribe(move |ioloop, _| {
            count.set(count.get() + 1);
            if count.get() == 1000 {
                ioloop.stop();
            }
        });
        test(ioloop);
    });
}

/// A future that counts its polls and keeps its waker, and is over when it is told so. Clones are one.
#[derive(Clone, Default)]
struct Operation(Rc<State>);

#[derive(Default)]
struct State {
    polls: Cell<usize>,
    waker: RefCell<Option<Waker>>,
    over: Cell<bool>,
}

impl Future for Operation {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.0.polls.set(self.polls() + 1);
        self.0.waker.replace(Some(context.waker().clone()));
        if self.0.over.get() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Operation {
    fn polls(&self) -> usize {
        self.0.polls.get()
    }

    fn waker(&self) -> Waker {
        self.0.waker.borrow().clone().expect("it has been polled, so it has a waker")
    }

    fn end(&self) {
        self.0.over.set(true);
        self.waker().wake();
    }

    /// Does anybody but the test still have it?
    fn is_kept(&self) -> bool {
        Rc::strong_count(&self.0) > 1
    }
}

/// What the loop reports from now on.
fn failures(ioloop: &IoLoop) -> Log<String> {
    let log = Log::default();
    let seen = log.clone();
    ioloop.handle_callback_exception(move |_, failure| seen.add(failure.to_string()));
    log
}

#[test]
fn a_task_is_polled_once_a_wake_and_never_else() {
    on_each_for_weeks(|ioloop| {
        let operation = Operation::default();
        ioloop.spawn(operation.clone());
        for polls in 1..4 {
            turns(ioloop, 5);
            let seen = operation.polls();
            assert_eq!(
                seen,
                polls,
                "spawn wakes it once, and since then it was woken {} times: so many polls too many, or too few, in \
                 five turns",
                polls - 1
            );
            operation.waker().wake();
        }
    });
}

#[test]
fn a_wake_polls_nobody_itself() {
    on_each_for_weeks(|ioloop| {
        let operation = Operation::default();
        ioloop.spawn(operation.clone());
        assert_eq!(
            operation.polls(),
            0,
            "polled before the loop runs: a wake puts a callback into the queue"
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
            "polled inside of the wake: whoever wakes is in the middle of something, and may hold what the task needs"
        );
        assert_eq!(operation.polls(), 2);
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
            "woken a hundred times before the loop came round: one poll would do"
        );
        thread::spawn(move || (0..100).for_each(|_| waker.wake_by_ref())).join().unwrap();
        turns(ioloop, 5);
        assert_eq!(operation.polls(), 3, "woken a hundred times by another thread: one poll would do");
    });
}

#[test]
fn an_older_waker_is_as_good_as_a_newer_one() {
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
                "woken by a waker of its first poll: does a task have one waker, with one flag?"
            );
        }
        older.wake();
        operation.waker().wake();
        turns(ioloop, 5);
        assert_eq!(
            operation.polls(),
            4,
            "two wakers of one task, from two polls, and a wake by each: does a task have one waker, with one flag?"
        );
    });
}

#[test]
fn a_wake_during_the_poll_is_for_another_poll() {
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
                "woken while it was polled, and not polled again: what a flag says that is cleared after the poll is \
                 lost, and this wake with it ({result:?})"
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
            // It was polled once: now the loop has nothing to do but to sleep.
            let waker = receiver.recv().expect("it is polled, and sends its waker");
            ends.store(true, Ordering::Release);
            waker.wake();
        });
        let operation = poll_fn(move |context| {
            if over.load(Ordering::Acquire) {
                return Poll::Ready(());
            }
            sender.send(context.waker().clone()).expect("the thread waits for it");
            Poll::Pending
        });
        let result = ioloop.run_sync(operation, Some(LONG));
        assert!(
            result.is_ok(),
            "on {poller}: woken by another thread, and not polled for {LONG:?}: {result:?}"
        );
        thread.join().unwrap();
    }
}

/// From now on this thread has this core and no other; and it runs only when nobody else wants that, if it `gives_way`.
/// See sched(7), SCHED_IDLE.
fn share_a_core(core: usize, gives_way: bool) {
    let mut cores = CpuSet::new();
    cores.set(core).unwrap();
    sched_setaffinity(Pid::from_raw(0), &cores).expect("a thread may have fewer cores than it had");
    if gives_way {
        let priority = libc::sched_param { sched_priority: 0 };
        // SAFETY: it is read during the call, and by nobody afterwards.
        let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const priority) };
        Errno::result(result).expect("a thread may give way to all others");
    }
}

#[test]
fn a_wake_is_not_lost_when_the_loop_is_faster_than_whoever_wakes_it() {
    let ioloop = IoLoop::new().unwrap();
    let core = sched_getcpu().unwrap();
    share_a_core(core, false);
    let (sender, receiver) = mpsc::channel::<Waker>();
    let thread = thread::spawn(move || {
        share_a_core(core, true);
        // As soon as the loop has something to do, this thread stands still, in the middle of the wake; and goes on
        // when the task has been polled, and the loop sleeps.
        receiver.into_iter().for_each(Waker::wake);
    });
    let mut left = 5;
    let operation = poll_fn(move |context| {
        left -= 1;
        if left == 0 {
            return Poll::Ready(());
        }
        sender.send(context.waker().clone()).expect("the thread waits for it");
        Poll::Pending
    });
    let result = ioloop.run_sync(operation, Some(LONG));
    assert!(
        result.is_ok(),
        "a thread has put a poll into the queue, and before it went on the loop had polled. Woken once more after that, \
         it polled nobody for {LONG:?}. Whatever says that a poll is queued is to be said first: {result:?}"
    );
    thread.join().unwrap();
}

#[test]
fn a_task_that_wakes_itself_starves_nobody() {
    on_each_for_weeks(|ioloop| {
        let (reader, mut writer) = a_pipe();
        writer.write_all(b"x").unwrap();
        let polls = Rc::new(Cell::new(0));
        let counted = Rc::clone(&polls);
        ioloop.spawn(poll_fn(move |context| {
            counted.set(counted.get() + 1);
            // Not for ever, so that whoever polls on and on comes to an end too.
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
            "a task that wakes itself was polled {} times before a descriptor that was ready all the time had its \
             turn: one poll a turn, and the next wake waits for the next turn",
            polls.get()
        );
    });
}

#[test]
fn a_task_that_is_over_is_dropped_and_its_waker_wakes_nobody() {
    on_each_for_weeks(|ioloop| {
        let failures = failures(ioloop);
        let operation = Operation::default();
        ioloop.spawn(operation.clone());
        turns(ioloop, 1);
        operation.end();
        turns(ioloop, 2);
        assert!(!operation.is_kept(), "it has come to its end, and the loop still keeps it");
        // Perhaps in the place that the other one had.
        let other = Operation::default();
        ioloop.spawn(other.clone());
        turns(ioloop, 1);
        operation.waker().wake();
        turns(ioloop, 5);
        assert_eq!(failures.take(), [""; 0], "it was woken after its end, and polled once more");
        assert_eq!(operation.polls(), 2, "polled once more after its end");
        assert_eq!(other.polls(), 1, "the waker of a task that is over has woken another one");
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
        assert_eq!(failures.take(), ["a callback panicked: in the task"]);
        assert!(!operation.is_kept(), "it has panicked, and the loop still keeps it");
        operation.waker().wake();
        turns(ioloop, 5);
        let again = "it was woken after its panic, and polled once more: what it left half done is still so";
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
            ["a callback failed: no task"],
            "what a task comes to is its poll's outcome"
        );
    });
}

#[test]
fn a_task_may_spawn_and_cancel_while_it_is_polled() {
    on_each_for_weeks(|ioloop| {
        let failures = failures(ioloop);
        let (spawned, cancelled) = (Operation::default(), Operation::default());
        let (spawns, cancels) = (spawned.clone(), ioloop.spawn(cancelled.clone()));
        turns(ioloop, 1);
        ioloop.spawn(async move {
            let ioloop = IoLoop::current().expect("it runs");
            ioloop.spawn(spawns);
            ioloop.cancel(cancels);
        });
        turns(ioloop, 3);
        assert_eq!(failures.take(), [""; 0], "is the table of tasks borrowed while one of them is polled?");
        assert_eq!(spawned.polls(), 1);
        assert!(!cancelled.is_kept(), "it was cancelled, and the loop still keeps it");
    });
}

/// Cancels a task when it is dropped.
struct Cancels(ioloop::TaskId);

impl Drop for Cancels {
    fn drop(&mut self) {
        IoLoop::current().expect("it runs").cancel(self.0);
    }
}

#[test]
fn a_task_that_cancels_itself_is_dropped_when_its_poll_is_over() {
    on_each_for_weeks(|ioloop| {
        let failures = failures(ioloop);
        let operation = Operation::default();
        let other = ioloop.spawn(pending::<()>());
        let itself: Rc<Cell<Option<ioloop::TaskId>>> = Rc::default();
        let (known, held) = (Rc::clone(&itself), operation.clone());
        let task = ioloop.spawn(async move {
            let _cancels = Cancels(other);
            let held = held;
            IoLoop::current().expect("it runs").cancel(known.get().expect("it is known by now"));
            held.await;
        });
        itself.set(Some(task));
        turns(ioloop, 2);
        assert_eq!(operation.polls(), 1);
        assert_eq!(
            failures.take(),
            [""; 0],
            "it cancels another one when it is dropped: is the table of tasks borrowed then?"
        );
        assert!(!operation.is_kept(), "it has cancelled itself, and the loop still keeps it");
        operation.waker().wake();
        turns(ioloop, 5);
        assert_eq!(operation.polls(), 1, "polled once more after it was cancelled");
    });
}

#[test]
fn what_is_over_leaves_no_memory_behind() {
    on_each_for_weeks(|ioloop| {
        failures(ioloop).take();
        ioloop.handle_callback_exception(|_, _| ());
        let round = || {
            for _ in 0..10 {
                ioloop.spawn(async {});
                ioloop.spawn(poll_fn(|_| resume_unwind(Box::new(())) as Poll<()>));
            }
            turns(ioloop, 2);
            support::counting::live()
        };
        round();
        let (before, after) = (round(), round());
        assert_eq!(
            after, before,
            "pieces of memory that are in use before and after ten tasks that end and ten that panic: does a panic \
             leave a place in the table? Does anything keep the waker of a task that is over?"
        );
    });
}

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
    let ioloop = IoLoop::with(Config { make_current: Some(false), ..Config::default() }).unwrap();
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
            ["a callback panicked: in the operation"],
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
    ioloop.subscribe(move |_, iteration| seen.add(iteration.asked));
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
