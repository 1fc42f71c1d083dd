//! A callback that another thread puts into the queue of a loop that sleeps in poll.

use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};
use std::{fs, io, mem};

use experiments::{Choice, Lab, Question, Result, ask, vary};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{Pid, gettid, write};

type Callback = Box<dyn FnOnce() -> Duration + Send>;

const QUESTION: Question = Question {
    question: "A loop has nothing to do and sleeps in poll, with a timeout of 300 ms. Another thread of the \
               same process puts a callback into the loop's queue. When does the loop notice?",
    choices: &[
        Choice::new("At once: the threads share their memory, and the queue is in it."),
        Choice::new("At once if the thread calls unpark too: that ends whatever a thread sleeps in."),
        Choice::new("When the 300 ms are over, unless something that poll watches becomes ready."),
        Choice::new("Not even then: a loop looks at its queue when poll has returned an event."),
    ],
    book: 2,
    shows: "poll sleeps until a descriptor is ready, a signal comes, or its time is over. Memory and unpark \
            are none of these. A waker is a descriptor that one thread can make ready for another: a pipe \
            whose read end is in the poll.",
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
        lab.check(bare.events == 0, "a callback alone: the poll lasts until its timeout");
        lab.check(unparked.events == 0, "with unpark: the same");
        lab.check(woken.events == 1, "with a waker: a poll without a timeout returns, one is ready");
        let all = [&bare, &unparked, &woken].iter().all(|seen| seen.callbacks == 1);
        lab.check(all, "whatever ended the poll, the callback is in the queue then");
        Ok(match (bare, unparked.events, woken.events) {
            (Seen { callbacks: 0, .. }, ..) => 3,
            (Seen { events: 0, .. }, 0, 1) => 2,
            (Seen { events: 0, .. }, ..) => 1,
            _ => 0,
        })
    })
}

struct Seen {
    /// What the poll returned with which the loop noticed.
    events: i32,
    callbacks: usize,
}

/// Let the loop sleep, with the waker's read end in its poll or with nothing there; meanwhile a thread puts a callback
/// into the queue, and does what else may wake the loop.
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
        let (mut watched, timeout, how) = match waker {
            Some(reader) => {
                let read_end = PollFd::new(reader.as_fd(), PollFlags::POLLIN);
                (vec![read_end], PollTimeout::NONE, "watch the pipe, no timeout")
            }
            None => (vec![], PollTimeout::from(300_u16), "watch nothing, for 300 ms"),
        };
        lab.note(format!("the queue is empty: poll, {how}"));
        about_to_sleep.store(true, Ordering::Release);
        let (events, callbacks) = loop {
            let events = poll(&mut watched, timeout)?;
            let has_put = thread.is_finished();
            let callbacks = take();
            // With every core busy the thread itself may be late; then the loop sleeps once more.
            if events > 0 || !callbacks.is_empty() || has_put {
                break (events, callbacks);
            }
        };
        thread.join().map_err(|_| "the thread panicked")??;
        lab.ended(&other, "ends");
        let why = if events == 0 { "its time is over" } else { "the pipe is ready" };
        let seen = Seen { events, callbacks: callbacks.len() };
        lab.note(format!("poll returns: {why}; callbacks in the queue: {}", seen.callbacks));
        for callback in callbacks {
            lab.note(format!("run it, {} ms after it came", vary("ms", callback().as_millis())));
        }
        Ok(seen)
    })
}

/// Does a thread of this process sleep? The kernel's letter for its state is S then.
fn sleeps(tid: Pid) -> io::Result<bool> {
    let stat = fs::read_to_string(format!("/proc/self/task/{tid}/stat"))?;
    Ok(stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('S')))
}
