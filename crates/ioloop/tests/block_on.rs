//! Tests of the exercise `ioloop/block_on`. They count polls, look at the sleeping thread through /proc, and run the code
//! in every order of the threads' steps, with loom.

use std::cell::RefCell;
use std::fs;
use std::future::{Future, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use ioloop::block_on;
use nix::libc;
use nix::unistd::gettid;
use testing::proc;

/// The module under test once more, with loom's atomics and threads.
#[cfg_attr(not(feature = "mine-block_on"), path = "../src/futures/block_on.rs")]
#[cfg_attr(feature = "mine-block_on", path = "../exercises/block_on.rs")]
mod modelled;

mod sync {
    #[allow(unused_imports, reason = "an answer may use some of them only")]
    pub use loom::sync::atomic::{AtomicBool, Ordering};

    /// In loom, `unpark` itself publishes what its thread did, and no other thread runs between the write of the flag and the
    /// `unpark`. So loom alone would accept a flag that publishes nothing. This `unpark` has a step of its own before it, so
    /// another thread can run in between.
    #[allow(unused_imports, reason = "an answer may use some of them only")]
    #[allow(dead_code, reason = "an exercise that is not written yet uses none of them")]
    pub mod thread {
        use std::cell::RefCell;
        use std::ops::Deref;
        use std::sync::Arc;

        use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};
        pub use loom::thread::{spawn, yield_now};

        thread_local! {
            // loom runs all threads of a model in turns, on one real thread.
            static STEPS: RefCell<Option<Arc<AtomicUsize>>> = const { RefCell::new(None) };
        }

        /// Call this at the beginning of each run.
        pub fn begin() {
            STEPS.set(Some(Arc::new(AtomicUsize::new(0))));
        }

        #[derive(Debug, Clone)]
        pub struct Thread(loom::thread::Thread, Arc<AtomicUsize>);

        impl Thread {
            pub fn unpark(&self) {
                self.1.fetch_add(1, Relaxed);
                self.0.unpark();
            }
        }

        impl Deref for Thread {
            type Target = loom::thread::Thread;

            fn deref(&self) -> &Self::Target {
                &self.0
            }
        }

        pub fn current() -> Thread {
            let steps = STEPS.with_borrow(Clone::clone).expect("the run has begun");
            Thread(loom::thread::current(), steps)
        }

        pub fn park() {
            current().1.fetch_add(1, Relaxed);
            loom::thread::park();
        }
    }
}

/// No step takes that long, so an event that has not come by then does not come.
const LONG: Duration = Duration::from_secs(5);

/// Runs `work` in another thread, and fails with `meaning` if `work` does not return.
#[track_caller]
fn returns<T: Send + 'static>(meaning: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    let thread = thread::spawn(move || sender.send(work()));
    match receiver.recv_timeout(LONG) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => {
            panic!("`block_on` had not returned after {LONG:?}. {meaning}")
        }
        Err(mpsc::RecvTimeoutError::Disconnected) => match thread.join() {
            Err(thrown) => resume_unwind(thrown),
            Ok(_) => unreachable!("the thread sends before it ends"),
        },
    }
}

/// Wakes its own task in its first poll, then calls `after` in the same poll, and is ready in its second.
fn once_more(mut after: impl FnMut()) -> impl Future<Output = ()> {
    let mut polled = false;
    poll_fn(move |context| {
        if std::mem::replace(&mut polled, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        after();
        Poll::Pending
    })
}

/// A thread that runs `block_on`, as another thread sees it.
struct Blocked {
    thread: Thread,
    id: libc::pid_t,
    waker: Waker,
}

impl Blocked {
    /// A future that sends this at its first poll, wakes its task `wakes` times during that poll, and is ready when it was
    /// polled `ready_after` times before. Its output is the number of polls.
    fn future(
        to: mpsc::Sender<Self>,
        polls: Arc<AtomicU32>,
        wakes: u32,
        ready_after: u32,
    ) -> impl Future<Output = u32> {
        poll_fn(move |context| {
            let before = polls.fetch_add(1, Ordering::SeqCst);
            if before == 0 {
                let (thread, waker) = (thread::current(), context.waker().clone());
                (0..wakes).for_each(|_| waker.wake_by_ref());
                to.send(Self { thread, id: gettid().as_raw(), waker }).expect("the test waits for it");
            }
            if before >= ready_after { Poll::Ready(before + 1) } else { Poll::Pending }
        })
    }

    /// Waits until the thread has slept more often than `times`, and sleeps. Returns how often it has slept.
    #[track_caller]
    fn sleeps(&self, times: u64) -> u64 {
        let end = Instant::now() + LONG;
        loop {
            if let Some(slept) = proc::sleeps_if_asleep(self.id).filter(|slept| *slept > times) {
                return slept;
            }
            assert!(
                Instant::now() < end,
                "the future is pending, and after {LONG:?} the thread does not sleep. Its state: {:?}. A thread that \
                 checks again and again uses a whole core: `park` it",
                proc::status(self.id, "State").unwrap_or_default()
            );
            thread::yield_now();
        }
    }

    /// The sleep's timeout, as the kernel has it: `None` if there is none, or if the kernel does not tell.
    fn timeout(&self) -> Option<String> {
        let call = fs::read_to_string(format!("/proc/self/task/{}/syscall", self.id)).ok()?;
        let words: Vec<&str> = call.split_whitespace().collect();
        match words[..] {
            [number, _, _, _, "0x0", ..] if number == libc::SYS_futex.to_string() => None,
            [number, ..] if number.parse::<i64>().is_ok_and(|number| number >= 0) => Some(call),
            _ => None,
        }
    }
}

#[test]
fn a_ready_future_is_polled_once() {
    let polls = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&polls);
    let output = returns("The future was ready at its first poll", move || {
        block_on(poll_fn(move |_| {
            let polls = seen.fetch_add(1, Ordering::SeqCst) + 1;
            assert!(
                polls == 1,
                "the future was polled again after it had returned `Ready`. Return at the first `Ready`"
            );
            Poll::Ready(7)
        }))
    });
    assert_eq!(output, 7, "the future was ready with 7");
    // Not only in the future, whose panic an answer may catch.
    assert_eq!(
        polls.load(Ordering::SeqCst),
        1,
        "the future was ready at its first poll, and was polled again before `block_on` returned. A future may panic then, \
         and an async block does: return at the first `Ready`"
    );
}

#[test]
fn the_future_may_borrow_and_need_not_be_send() {
    let words = Rc::new(RefCell::new(String::from("a")));
    let word = String::from("b");
    let length = block_on(async {
        words.borrow_mut().push_str(&word);
        ready(()).await;
        words.borrow().len()
    });
    assert_eq!(length, 2, "the string had one letter, and the async block has added a second");
    assert_eq!(Rc::strong_count(&words), 1, "the future must be dropped by now, and it still owns an `Rc`");
}

#[test]
fn a_wake_during_the_poll_causes_another_poll() {
    returns(
        "The future woke its task during its first poll. Did you clear the flag after that poll? Then the wake was \
         cleared, too",
        || block_on(once_more(|| ())),
    );
}

#[test]
fn a_wake_is_not_lost_when_the_future_uses_up_its_unpark() {
    returns(
        "The future woke its task during its first poll, and then parked, as a channel of std does, so the token of \
         `unpark` was gone. The token alone cannot say that there was a wake: a flag of your own can",
        || {
            block_on(once_more(|| {
                // With the token it returns at once.
                thread::park_timeout(LONG / 10);
            }));
        },
    );
}

#[test]
fn an_inner_block_on_takes_no_wake_of_the_outer_one() {
    returns(
        "The future woke its task, and then ran another `block_on` during the same poll. Do both share one flag? Each \
         call of `block_on` needs its own",
        || {
            block_on(once_more(|| {
                block_on(once_more(|| ()));
            }));
        },
    );
}

/// Starts a `block_on` with the future of [`Blocked::future`], calls `look` in another thread when the future was polled,
/// and returns the number of polls.
#[track_caller]
fn watched(
    (wakes, ready_after): (u32, u32),
    meaning: &str,
    look: impl FnOnce(&Blocked, &AtomicU32) + Send + 'static,
) -> u32 {
    let (sender, receiver) = mpsc::channel();
    let polls = Arc::new(AtomicU32::new(0));
    let future = Blocked::future(sender, Arc::clone(&polls), wakes, ready_after);
    let looking = thread::spawn(move || {
        let blocked = receiver.recv_timeout(LONG).expect("`block_on` polls the future");
        let looked = catch_unwind(AssertUnwindSafe(|| look(&blocked, &polls)));
        if looked.is_err() {
            // What this test has found is enough, so let the future end.
            polls.store(ready_after, Ordering::SeqCst);
            blocked.waker.wake();
            blocked.thread.unpark();
        }
        looked
    });
    returns_while(meaning, looking, move || block_on(future))
}

/// As [`returns`], and what the other thread has found comes first.
#[track_caller]
fn returns_while<T: Send + 'static>(
    meaning: &str,
    looking: thread::JoinHandle<thread::Result<()>>,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    let returned = catch_unwind(AssertUnwindSafe(|| returns(meaning, work)));
    if let Ok(Err(thrown)) | Err(thrown) = looking.join() {
        resume_unwind(thrown);
    }
    returned.unwrap_or_else(|thrown| resume_unwind(thrown))
}

#[test]
fn a_wake_from_another_thread_ends_the_sleep() {
    testing::needs!(proc);
    let meaning = "Another thread called `wake` while this one slept. The waker must set the flag, and then unpark the \
                   thread that runs `block_on`, which is not the thread that calls `wake`";
    let polls = watched((0, 1), meaning, |blocked, _| {
        blocked.sleeps(0);
        blocked.waker.wake_by_ref();
    });
    assert_eq!(polls, 2, "there was one wake, so after the first poll there must be one more");
}

#[test]
fn a_waker_that_is_used_up_ends_the_sleep_too() {
    testing::needs!(proc);
    let meaning = "Another thread called `wake`, which uses the waker up, while this one slept. `wake` and `wake_by_ref` must \
                   do the same: set the flag, and then unpark the thread";
    let polls = watched((0, 1), meaning, |blocked, _| {
        blocked.sleeps(0);
        let owned = blocked.waker.clone();
        owned.wake();
    });
    assert_eq!(polls, 2, "there was one wake, so after the first poll there must be one more");
}

#[test]
fn the_thread_sleeps_without_a_timeout() {
    testing::needs!(proc);
    watched((0, 1), "The future was woken", |blocked, _| {
        blocked.sleeps(0);
        let timeout = blocked.timeout();
        blocked.waker.wake_by_ref();
        assert_eq!(
            timeout, None,
            "the thread sleeps in a system call with a timeout (the line of /proc/self/task/TID/syscall is shown), so \
             it wakes up although nothing has happened. `park` sleeps until there is an unpark"
        );
    });
}

/// Unparks the thread while it sleeps, and returns how often the future was polled by then. Wakes it twice afterwards.
fn polls_after_an_unpark(blocked: &Blocked, polls: &AtomicU32, before: impl FnOnce()) -> u32 {
    let slept = blocked.sleeps(0);
    before();
    blocked.thread.unpark();
    let slept = blocked.sleeps(slept);
    let polls = polls.load(Ordering::SeqCst);
    blocked.waker.wake_by_ref();
    if polls == 1 {
        blocked.sleeps(slept);
        blocked.waker.wake_by_ref();
    }
    polls
}

#[test]
fn an_unpark_without_a_wake_causes_no_poll() {
    testing::needs!(proc);
    watched((0, 2), "The future was woken", |blocked, polls| {
        let polls = polls_after_an_unpark(blocked, polls, || ());
        assert_eq!(
            polls, 1,
            "the thread was unparked without a wake, and the future was polled. `park` may return without a wake, so \
             check the flag again, and park again if it is clear"
        );
    });
}

#[test]
fn a_waker_of_an_earlier_block_on_causes_no_poll() {
    testing::needs!(proc);
    let earlier = returns("The future was ready at its first poll", || {
        block_on(poll_fn(|context| Poll::Ready(context.waker().clone())))
    });
    watched((0, 2), "The future was woken", move |blocked, polls| {
        let polls = polls_after_an_unpark(blocked, polls, || earlier.wake());
        assert_eq!(
            polls, 1,
            "the waker of a `block_on` that has returned was woken, and the future of another one was polled. Do both \
             share one flag? Each call of `block_on` needs its own"
        );
    });
}

#[test]
fn many_wakes_before_a_poll_are_one_poll() {
    testing::needs!(proc);
    const END: u32 = 10_000;
    watched((1000, END), "The future was woken", |blocked, polls| {
        blocked.sleeps(0);
        let seen = polls.swap(END, Ordering::SeqCst);
        blocked.waker.wake_by_ref();
        assert_eq!(
            seen, 2,
            "the future woke its task 1000 times during its first poll, so there must be one more poll. Did you count \
             the wakes? A flag is enough"
        );
    });
}

#[test]
fn wakes_of_four_threads_are_not_lost() {
    const THREADS: usize = 4;
    const EACH: usize = 500;
    let done = Arc::new(AtomicUsize::new(0));
    let waker: Arc<Mutex<Option<Waker>>> = Arc::default();
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let (done, waker) = (Arc::clone(&done), Arc::clone(&waker));
            thread::spawn(move || {
                for _ in 0..EACH {
                    done.fetch_add(1, Ordering::Relaxed);
                    if let Some(waker) = &*waker.lock().expect("no thread panics with the lock") {
                        waker.wake_by_ref();
                    }
                }
            })
        })
        .collect();
    returns(
        "Four threads wake it 500 times each, and it is ready after the last wake: one was lost",
        move || {
            block_on(poll_fn(|context| {
                *waker.lock().expect("no thread panics with the lock") = Some(context.waker().clone());
                if done.load(Ordering::Relaxed) == THREADS * EACH { Poll::Ready(()) } else { Poll::Pending }
            }));
        },
    );
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
}

/// Not an async block, which drops its variables in its last poll.
#[test]
fn the_future_is_dropped_when_block_on_returns_or_panics() {
    for panics in [false, true] {
        let owned = Rc::new(());
        let held = Rc::clone(&owned);
        let future = poll_fn(move |_| {
            let _held = &held;
            if panics { resume_unwind(Box::new("in the future")) } else { Poll::Ready(()) }
        });
        let ended = catch_unwind(AssertUnwindSafe(|| block_on(future)));
        assert_eq!(ended.is_err(), panics, "`block_on` panics if the future panicked, and only then");
        let how = if panics { "panicked" } else { "returned" };
        assert_eq!(
            Rc::strong_count(&owned),
            1,
            "`block_on` has {how}, and the future still exists, with all that it holds"
        );
    }
}

/// How often one thread may interrupt another. Without a limit the test takes seconds.
const PREEMPTIONS: usize = 3;

/// The model that loom runs: `threads` that each add to a counter and wake the task `each` times, in every order of their
/// steps, and with every value that a load may return. The future is ready when it sees the sum.
fn model(threads: usize, each: usize) {
    use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    // Shown only if the test fails, before what loom says.
    println!(
        "loom runs your code in every order of the threads' steps. If it says `deadlock` below, it has found an order in which a wake \
         is lost: the future is not ready, and all threads that are left sleep"
    );
    let run = move || {
        sync::thread::begin();
        let sum = Arc::new(AtomicUsize::new(0));
        let mut started = false;
        modelled::block_on(poll_fn(|context: &mut Context<'_>| {
            if !std::mem::replace(&mut started, true) {
                for _ in 0..threads {
                    let (sum, waker) = (sum.clone(), context.waker().clone());
                    loom::thread::spawn(move || {
                        for _ in 0..each {
                            // Relaxed: only the wake can make the poll see it.
                            sum.fetch_add(1, Relaxed);
                            waker.wake_by_ref();
                        }
                    });
                }
            }
            if sum.load(Relaxed) == threads * each { Poll::Ready(()) } else { Poll::Pending }
        }));
        // Not joined: an unpark that comes late would end loom's `join`. Loom runs each thread to its end anyway.
    };
    let every = returns(
        "This test runs your code with loom's threads in place of std's. Do you use `std::thread` or an atomic of std? \
         Import them from `super::sync`",
        move || {
            let mut model = loom::model::Builder::new();
            model.preemption_bound = Some(PREEMPTIONS);
            catch_unwind(AssertUnwindSafe(|| model.check(run))).is_ok()
        },
    );
    assert!(
        every,
        "in one order of the steps, the last poll did not see all that the threads had done before their wakes, and no \
         other poll follows: the thread sleeps on, which loom calls a deadlock. There are three usual causes. The \
         waker unparks before it sets the flag. The flag is cleared when a wake may have set it since the last poll. \
         Or `wake` stores the flag: the store of a second thread replaces that of the first, and the poll then sees \
         only what the second one has published. So a wake must publish (Release) even if the flag is set already, \
         and keep what the flag had (Acquire), as a swap with AcqRel does"
    );
}

#[test]
fn no_order_of_two_threads_loses_a_wake() {
    model(2, 1);
}

#[test]
fn no_order_of_two_wakes_of_one_thread_loses_a_wake() {
    model(1, 2);
}
