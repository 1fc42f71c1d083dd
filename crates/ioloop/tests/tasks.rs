//! Exercise `ioloop/tasks`: when a task is polled, how often, and what becomes of it. With a fake clock nothing waits:
//! the clock is moved by the time that the loop wanted to sleep, an hour at most.

mod support;

use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::io::Write;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Poll, Waker};
use std::thread;

use ioloop::poller::Kind;
use ioloop::{Config, Events, IoLoop, TaskId};
use nix::errno::Errno;
use nix::libc;
use nix::sched::{CpuSet, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;
use support::operation::{Operation, failures, on_each_for_weeks};
use support::{LONG, Log, a_pipe, on_each, turns};

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
        "a thread has put a poll into the queue, and before it went on the loop had polled. Woken once more after \
         that, it polled nobody for {LONG:?}. Whatever says that a poll is queued is to be said first: {result:?}"
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
        assert_eq!(failures.take(), ["a task panicked: in the task"]);
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
        assert_eq!(failures.take(), ["a task failed: no task"], "what a task comes to is its poll's outcome");
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
fn a_cancelled_task_is_dropped() {
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
fn a_closed_loop_forgets_what_is_spawned() {
    on_each(|ioloop| {
        ioloop.close();
        let dropped = Rc::new(());
        let (held, itself) = (Rc::clone(&dropped), ioloop.clone());
        let task = ioloop.spawn(async move {
            let _held = (held, itself);
            pending::<()>().await;
        });
        assert_eq!(
            Rc::strong_count(&dropped),
            1,
            "a task that nobody will ever poll keeps its loop for ever"
        );
        ioloop.cancel(task);
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
            "nobody will ever poll it, and what it holds is never given back"
        );
    });
}

#[test]
fn a_task_that_is_dropped_may_cancel_another() {
    struct Cancels(IoLoop, TaskId);

    impl Drop for Cancels {
        fn drop(&mut self) {
            self.0.cancel(self.1);
        }
    }

    on_each(|ioloop| {
        for close in [false, true] {
            let dropped = Rc::new(());
            let held = Rc::clone(&dropped);
            let other = ioloop.spawn(async move {
                let _held = held;
                pending::<()>().await;
            });
            let cancels = Cancels(ioloop.clone(), other);
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
            assert_eq!(Rc::strong_count(&dropped), 1, "the other one is gone too");
        }
    });
}
