//! The small executor: first polls, wakes from any thread, one poll for many wakes, tasks that spawn, and sleeps.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use stages::from_thread::in_thread;
use stages::small_executor::{Executor, sleep_until};
use stages::small_loop::{Handle, Loop};

/// No sleep of these tests lasts this long, unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(20);

/// What happened, in order.
type Log = Rc<RefCell<Vec<&'static str>>>;

/// Runs what `start` spawns until the loop is stopped, and fails if the loop sleeps forever.
fn run(start: impl FnOnce(&Executor, &Handle)) {
    let mut event_loop = Loop::new().expect("a descriptor for the waker");
    event_loop.call_at(Instant::now() + PATIENCE, |_| panic!("the loop still sleeps after {PATIENCE:?}"));
    let executor = Executor::new(&mut event_loop).expect("a descriptor for the executor");
    start(&executor, &event_loop.handle());
    event_loop.run().expect("poll works");
}

fn stop(event_loop: &Handle) {
    event_loop.call_soon(Loop::stop).expect("the wake is written");
}

/// Pending once: wakes its task, so it is ready in the next iteration.
fn next_iteration() -> impl Future<Output = ()> {
    let mut polled = false;
    poll_fn(move |context| {
        if std::mem::replace(&mut polled, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
}

#[test]
fn the_printed_executor_is_short() {
    let source = include_str!("../src/small_executor.rs");
    let executor =
        source.split("// ANCHOR").find(|part| part.starts_with(": executor\n")).expect("the printed part");
    let code = executor.lines().filter(|line| {
        let line = line.trim();
        !(line.is_empty() || line.starts_with("//") || line.chars().all(|c| "{}();".contains(c)))
    });
    let lines = code.count();
    assert!(lines <= 45, "the executor has {lines} lines of code. The book promises some 40");
}

#[test]
fn tasks_take_turns_and_run_to_their_ends() {
    let log = Log::default();
    let in_tasks = Rc::clone(&log);
    run(|executor, handle| {
        for [first, second] in [["a1", "a2"], ["b1", "b2"]] {
            let (log, handle) = (Rc::clone(&in_tasks), handle.clone());
            executor.spawn(async move {
                log.borrow_mut().push(first);
                next_iteration().await;
                log.borrow_mut().push(second);
                if log.borrow().len() == 4 {
                    stop(&handle);
                }
            });
        }
        assert!(in_tasks.borrow().is_empty(), "`spawn` must not poll: the loop does");
    });
    assert_eq!(*log.borrow(), ["a1", "b1", "a2", "b2"]);
}

#[test]
fn a_task_may_spawn_another_task() {
    let log = Log::default();
    let in_tasks = Rc::clone(&log);
    run(move |executor, handle| {
        let (inner, handle) = (executor.clone(), handle.clone());
        executor.spawn(async move {
            let log = Rc::clone(&in_tasks);
            inner.spawn(async move {
                in_tasks.borrow_mut().push("inner");
                stop(&handle);
            });
            log.borrow_mut().push("outer");
        });
    });
    assert_eq!(*log.borrow(), ["outer", "inner"]);
}

#[test]
fn many_wakes_are_one_poll_and_a_wake_after_the_end_is_harmless() {
    let polls = Rc::new(Cell::new(0));
    let seen = Rc::clone(&polls);
    run(move |executor, handle| {
        let (handle, first_waker) = (handle.clone(), Rc::new(RefCell::new(None::<Waker>)));
        let kept = Rc::clone(&first_waker);
        executor.spawn(poll_fn(move |context| {
            seen.set(seen.get() + 1);
            if seen.get() == 2 {
                return Poll::Ready(());
            }
            (0..1000).for_each(|_| context.waker().wake_by_ref());
            kept.replace(Some(context.waker().clone()));
            Poll::Pending
        }));
        executor.spawn(async move {
            next_iteration().await;
            next_iteration().await;
            first_waker.take().expect("the first task has left its waker").wake();
            next_iteration().await;
            stop(&handle);
        });
    });
    assert_eq!(polls.get(), 2, "the first poll, and one for a thousand wakes");
}

#[test]
fn a_wake_from_another_thread_ends_the_loops_sleep() {
    let (sender, receiver) = mpsc::channel::<Waker>();
    let thread = thread::spawn(move || {
        // Sent in the only poll so far, so the loop sleeps now, or is about to.
        receiver.recv().expect("the task is polled").wake();
    });
    run(move |executor, handle| {
        let (handle, mut sender) = (handle.clone(), Some(sender));
        executor.spawn(async move {
            poll_fn(|context| match sender.take() {
                Some(sender) => {
                    sender.send(context.waker().clone()).expect("the thread waits");
                    Poll::Pending
                }
                None => Poll::Ready(()),
            })
            .await;
            stop(&handle);
        });
    });
    thread.join().expect("no panic");
}

#[test]
fn a_result_of_a_thread_reaches_the_task_that_awaits_it() {
    let results = Rc::new(RefCell::new(Vec::new()));
    let in_task = Rc::clone(&results);
    run(move |executor, handle| {
        let handle = handle.clone();
        let (sender, receiver) = mpsc::channel();
        executor.spawn(async move {
            // The first thread waits until the task was polled and is pending, the second one has no reason to wait.
            let first = in_thread(move || receiver.recv()).expect("a thread");
            let second = in_thread(|| 2).expect("a thread");
            let mut first = pin!(first);
            let pending = poll_fn(|context| Poll::Ready(first.as_mut().poll(context).is_pending())).await;
            assert!(pending, "the thread waits for the task, so it has no result yet");
            sender.send(1).expect("the thread waits");
            let both = [first.await.expect("the task has sent it"), second.await];
            in_task.borrow_mut().extend(both);
            stop(&handle);
        });
    });
    assert_eq!(*results.borrow(), [1, 2]);
}

/// On a busy machine the loop may wake late, and then sleeps end in the same iteration, in any order. So the test compares
/// iterations.
#[test]
fn sleeps_end_in_the_order_of_their_deadlines_and_never_early() {
    let ended: Rc<RefCell<Vec<(u64, usize, bool)>>> = Rc::default();
    let in_tasks = Rc::clone(&ended);
    run(move |executor, handle| {
        let (start, iteration) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
        for delay in [30, 10, 20] {
            let (ended, handle, iteration) = (Rc::clone(&in_tasks), handle.clone(), Arc::clone(&iteration));
            executor.spawn(async move {
                let deadline = start + Duration::from_millis(delay);
                sleep_until(&handle, deadline).await;
                let is_over = Instant::now() >= deadline;
                ended.borrow_mut().push((delay, iteration.load(Ordering::Relaxed), is_over));
                // Runs in a later iteration, so the sleeps that end in this one have the same number.
                let counts = move |_: &mut Loop| {
                    iteration.fetch_add(1, Ordering::Relaxed);
                };
                handle.call_soon(counts).expect("the wake is written");
                if ended.borrow().len() == 3 {
                    stop(&handle);
                }
            });
        }
    });
    let mut ended = ended.take();
    ended.sort_unstable();
    assert!(
        ended.iter().all(|(_, _, is_over)| *is_over),
        "(delay in ms, iteration, was it over?): {ended:?}"
    );
    assert!(
        ended.is_sorted_by_key(|(_, iteration, _)| *iteration),
        "a sleep ended in an earlier iteration than one with an earlier deadline; (delay in ms, iteration, was it over?): \
         {ended:?}"
    );
}

#[test]
fn a_task_is_dropped_when_it_is_done() {
    let owned = Rc::new(());
    let in_task = Rc::clone(&owned);
    let mut event_loop = Loop::new().expect("a descriptor for the waker");
    let executor = Executor::new(&mut event_loop).expect("a descriptor for the executor");
    let handle = event_loop.handle();
    executor.spawn(async move {
        let _in_task = in_task;
        next_iteration().await;
        stop(&handle);
    });
    event_loop.run().expect("poll works");
    assert_eq!(Rc::strong_count(&owned), 1, "the task is done, and its future still exists");
}
