//! A callback that another thread pushes while the loop sleeps in poll.

use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};
use std::{io, mem};

use experiments::{Choice, Lab, Question, Result, ask, sleeps, vary};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{gettid, write};

type Callback = Box<dyn FnOnce() -> Duration + Send>;

const QUESTION: Question = Question {
    question: "When does a loop in poll notice a callback from another thread?",
    setup: "A loop has nothing to do and sleeps in poll, with a timeout of 300 ms. Another thread of the \
            same process pushes a callback onto the loop's queue. When does the loop notice it?",
    choices: &[
        Choice::new("At once: the threads share their memory, and the queue is in it.")
            .because("poll does not look at memory: it slept until its timeout."),
        Choice::new("At once if the thread calls unpark too: that wakes a thread from any sleep.")
            .because("unpark only ends thread::park: poll slept until its timeout."),
        Choice::new("When the 300 ms are over, unless a descriptor that poll watches becomes ready."),
        Choice::new("Not even after 300 ms: a loop checks its queue only when poll returns an event.")
            .because("When the timeout was over, the loop checked its queue and found the callback."),
    ],
    book: 2,
    shows: "poll sleeps until a descriptor is ready, a signal comes, or its timeout is over. A write to memory causes \
            none of the three, and neither does unpark. A waker is a descriptor that one thread makes ready for \
            another, for example the read end of a pipe that poll watches.",
    lane: "loop",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let bare = run(lab, "", None, |_| Ok(()))?;
        let unparked = run(lab, ", and unpark the loop", None, |thread| {
            thread.unpark();
            Ok(())
        })?;
        let (reader, writer) = lab.nonblocking_pipe(65536)?;
        let woken = run(lab, ", and write a byte", Some(&reader), |_| write(&writer, &[0]).map(drop))?;
        lab.check(bare.events == 0, "a callback alone: poll sleeps until its timeout");
        lab.check(unparked.events == 0, "with unpark: poll sleeps until its timeout, too");
        lab.check(woken.events == 1, "with a waker: poll without a timeout returns, with one event");
        let all = [&bare, &unparked, &woken].iter().all(|seen| seen.callbacks == 1);
        lab.check(all, "whatever ended poll, the callback is in the queue by then");
        Ok(match (bare, unparked.events, woken.events) {
            (Seen { callbacks: 0, .. }, ..) => 3,
            (Seen { events: 0, .. }, 0, 1) => 2,
            (Seen { events: 0, .. }, ..) => 1,
            _ => 0,
        })
    })
}

struct Seen {
    /// What poll returned when the loop noticed the callback.
    events: i32,
    callbacks: usize,
}

/// Let the loop sleep in poll, with the waker's read end or with nothing. Meanwhile a thread pushes a callback onto the
/// queue and does what else may wake the loop.
fn run(
    lab: &Lab,
    what: &str,
    waker: Option<&OwnedFd>,
    wake: impl FnOnce(&Thread) -> nix::Result<()> + Send,
) -> Result<Seen> {
    let queue = Mutex::new(Vec::<Callback>::new());
    let take = || mem::take(&mut *queue.lock().expect("no thread panics with it"));
    let about_to_sleep = AtomicBool::new(false);
    let (sleeper, tid) = (thread::current(), gettid());
    let other = lab.thread("thread", "a thread");
    thread::scope(|scope| {
        let thread = scope.spawn(|| -> io::Result<()> {
            while !(about_to_sleep.load(Ordering::Acquire) && sleeps(tid)?) {
                thread::yield_now();
            }
            other.note(format!("the loop sleeps: push a callback{what}"));
            let put = Instant::now();
            queue.lock().expect("no thread panics with it").push(Box::new(move || put.elapsed()));
            Ok(wake(&sleeper)?)
        });
        // ANCHOR: core
        let (mut watched, timeout, how) = match waker {
            Some(reader) => {
                let read_end = PollFd::new(reader.as_fd(), PollFlags::POLLIN);
                (vec![read_end], PollTimeout::NONE, "watch the pipe, no timeout")
            }
            None => (vec![], PollTimeout::from(300_u16), "watch nothing, for 300 ms"),
        };
        // ANCHOR_END: core
        lab.note(format!("the queue is empty: poll, {how}"));
        about_to_sleep.store(true, Ordering::Release);
        let (events, callbacks) = loop {
            let events = poll(&mut watched, timeout)?;
            let has_put = thread.is_finished();
            let callbacks = take();
            // With every core busy the thread may be late; then the loop sleeps once more.
            if events > 0 || !callbacks.is_empty() || has_put {
                break (events, callbacks);
            }
        };
        thread.join().map_err(|_| "the thread panicked")??;
        lab.ended(&other, "ends");
        let why = if events == 0 { "its timeout is over" } else { "the pipe is ready" };
        let seen = Seen { events, callbacks: callbacks.len() };
        lab.note(format!("poll returns: {why}; callbacks in the queue: {}", seen.callbacks));
        for callback in callbacks {
            lab.note(format!("run it, {} ms after it was pushed", vary("ms", callback().as_millis())));
        }
        Ok(seen)
    })
}
