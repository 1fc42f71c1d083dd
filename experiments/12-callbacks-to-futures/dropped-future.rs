//! An operation that is canceled halfway: what is left of it on the loop, in the kernel, and in the connection.

use std::cell::Cell;
use std::fs;
use std::future::{Future, pending, poll_fn};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::process::ExitCode;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use experiments::{Choice, Lab, Question, Result, ask};
use ioloop::timers::TimerId;
use ioloop::{AsyncFd, Events, IoLoop, NoResult, Sleep, TaskId};

const MINUTE: Duration = Duration::from_secs(60);
/// The timeout of a loop that has no timer.
const HOUR: Duration = Duration::from_secs(3600);

const QUESTION: Question = Question {
    question: "What is left of an operation whose future is dropped?",
    setup: "An async operation owns a connection and reads a message from it, for a minute at most. It has \
            read the first half and waits for the second when it is canceled. What is left of it on the loop \
            and in the kernel?",
    choices: &[
        Choice::new(
            "All of it, until the loop is closed: the connection is open and watched, and the timer \
                     is set.",
        )
        .because("Canceling drops the future, and the future owns the connection: it was closed."),
        Choice::new("The timer: the connection is closed, and in a minute the loop wakes up for nothing.")
            .because("The future owns its timer as well, and dropping it canceled the timer."),
        Choice::new("Nothing: the connection is closed and not watched anymore, and the timer is canceled."),
    ],
    book: 2,
    shows: "Canceling an operation drops its future, and everything that the future owns is dropped with it. \
            The loop stops waiting for it. What the operation has handed to the loop stays on the loop, and the \
            bytes that it has read are lost.",
    lane: "loop",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let left = cancelled(lab)?;
        timed_out(lab)?;
        half_a_message(lab)?;
        match left {
            Left { open: true, watched: true, timer: true } => Ok(0),
            Left { open: false, watched: false, timer: true } => Ok(1),
            Left { open: false, watched: false, timer: false } => Ok(2),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

/// Read a message of `length` bytes, until `limit` at most.
// ANCHOR: message
async fn message(connection: Rc<AsyncFd<UnixStream>>, length: usize, limit: Sleep) -> Result<Vec<u8>> {
    let (mut bytes, mut limit) = (Vec::new(), pin!(limit));
    while bytes.len() < length {
        let mut readable = pin!(connection.readable());
        // Whichever comes first.
        poll_fn(|context| match limit.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err("it took too long".into())),
            Poll::Pending => readable.as_mut().poll(context).map_err(Box::<dyn std::error::Error>::from),
        })
        .await?;
        let mut buffer = [0; 64];
        match connection.source().read(&mut buffer) {
            Ok(0) => return Err("the connection ended".into()),
            Ok(taken) => bytes.extend(&buffer[..taken]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(bytes)
}
// ANCHOR_END: message

#[derive(Debug, Clone, Copy, PartialEq)]
struct Left {
    open: bool,
    watched: bool,
    timer: bool,
}

impl Left {
    /// What exists of the operation, whose peer has the other end of its connection?
    fn now(lab: &Lab, ioloop: &IoLoop, mut peer: &UnixStream) -> Result<Self> {
        let open = match peer.read(&mut [0]) {
            Ok(0) => false,
            Err(error) if error.kind() == ErrorKind::WouldBlock => true,
            other => return Err(format!("the peer got {other:?}").into()),
        };
        // The loop's own waker is watched as well.
        Ok(Self { open, watched: watched(lab)? > 1, timer: would_sleep(ioloop)? < HOUR })
    }

    fn words(self) -> String {
        let Self { open, watched, timer } = self;
        format!("open {}, watched {}, timer {}", yes(open), yes(watched), yes(timer))
    }
}

fn yes(it_is: bool) -> &'static str {
    if it_is { "yes" } else { "no" }
}

/// Both ends of a connection, nonblocking.
fn connected() -> Result<(UnixStream, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    theirs.set_nonblocking(true)?;
    Ok((ours, theirs))
}

/// Half of a message comes, and the task is canceled. Gives what existed before, and what is left.
fn cancelled(lab: &Lab) -> Result<Left> {
    let ioloop = IoLoop::new()?;
    let (ours, mut peer) = connected()?;
    peer.write_all(b"half of ")?;
    let task = ioloop.spawn(message(Rc::new(ioloop.watch(ours)?), 16, ioloop.sleep(MINUTE)));
    turns(&ioloop, 4)?;
    let before = Left::now(lab, &ioloop, &peer)?;
    lab.note(format!("a task that waits for the second half: {}", before.words()));
    ioloop.cancel(task);
    let after = Left::now(lab, &ioloop, &peer)?;
    lab.note(format!("canceled: {}", after.words()));
    lab.check(
        before == Left { open: true, watched: true, timer: true },
        "while the task waits, it has a connection, an entry in epoll, and a timer",
    );
    Ok(after)
}

/// An operation that takes too long, and has handed a timer and a task to the loop: without a guard, and with one.
fn timed_out(lab: &Lab) -> Result {
    for guarded in [false, true] {
        let ioloop = IoLoop::new()?;
        let (of_operation, of_task) = (Rc::new(()), Rc::new(()));
        let operation = starts_two(guarded, Rc::clone(&of_operation), Rc::clone(&of_task));
        let result = ioloop.run_sync(operation, Some(Duration::from_millis(10)));
        let late = matches!(result, Err(NoResult::Timeout(_)));
        let (future, task) = (Rc::strong_count(&of_operation) == 2, Rc::strong_count(&of_task) == 2);
        let timer = would_sleep(&ioloop)? <= MINUTE;
        let (guard, [f, set, t]) = (if guarded { "with" } else { "without" }, [future, timer, task].map(yes));
        lab.note(format!("after a timeout, {guard} a guard: future {f}, timer {set}, task {t}"));
        if guarded {
            lab.check(!timer && !task, "a guard that the future owns cancels both when it is dropped");
        } else {
            lab.check(late && !future, "run_sync drops a future that takes too long");
            lab.check(
                timer && task,
                "a timer that the future set and a task that it spawned stay on the loop",
            );
        }
    }
    Ok(())
}

/// Set a timer, spawn a task, and wait longer than the caller does. Own one value, and give one to the task.
async fn starts_two(guarded: bool, _owned: Rc<()>, of_task: Rc<()>) -> Result {
    // ANCHOR: leaves
    let ioloop = IoLoop::current().ok_or("no loop is current")?;
    let timer = ioloop.call_later(MINUTE, |_| ());
    let task = ioloop.spawn(async move {
        let _of_task = of_task;
        pending::<()>().await;
    });
    let _guard = guarded.then(|| Guard { ioloop: ioloop.clone(), timer, task });
    ioloop.sleep(2 * MINUTE).await;
    // ANCHOR_END: leaves
    Ok(())
}

/// Cancels a timer and a task when it is dropped.
// ANCHOR: guard
struct Guard {
    ioloop: IoLoop,
    timer: TimerId,
    task: TaskId,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.ioloop.remove_timeout(self.timer);
        self.ioloop.cancel(self.task);
    }
}
// ANCHOR_END: guard

/// A connection that another future shares and goes on reading.
fn half_a_message(lab: &Lab) -> Result {
    let ioloop = IoLoop::new()?;
    let (ours, mut peer) = connected()?;
    let shared = Rc::new(ioloop.watch(ours)?);
    peer.write_all(b"half of ")?;
    let task = ioloop.spawn(message(Rc::clone(&shared), 16, ioloop.sleep(MINUTE)));
    turns(&ioloop, 4)?;
    ioloop.cancel(task);
    peer.write_all(b"a letter")?;
    let bytes = ioloop.run_sync(message(shared, 8, ioloop.sleep(MINUTE)), Some(MINUTE))??;
    let next = String::from_utf8_lossy(&bytes).into_owned();
    lab.note(format!("half a message read, then canceled: the next future reads \"{next}\""));
    lab.check(next == "a letter", "the half that the dropped future had read is lost to the next future");
    Ok(())
}

/// How many descriptors the loop's epoll watches, as the kernel lists them.
fn watched(lab: &Lab) -> Result<usize> {
    let mut entries = 0;
    for fd in lab.descriptors()? {
        let listed = fs::read_to_string(format!("/proc/self/fdinfo/{fd}"))?;
        entries += listed.lines().filter(|line| line.starts_with("tfd:")).count();
    }
    Ok(entries)
}

/// The loop's next timeout. A descriptor is ready, so it does not sleep.
fn would_sleep(ioloop: &IoLoop) -> Result<Duration> {
    let asked = Rc::<Cell<Duration>>::default();
    let (ready, mut other) = connected()?;
    other.write_all(b"x")?;
    let token = ioloop.add_handler(ready, Events::READ, |ioloop, _, _| ioloop.stop())?;
    let seen = Rc::clone(&asked);
    ioloop.subscribe(move |_, turn| seen.set(turn.timeout));
    ioloop.start()?;
    ioloop.remove_handler(token);
    Ok(asked.get())
}

/// Run this many iterations of the loop.
fn turns(ioloop: &IoLoop, left: usize) -> Result {
    fn next(ioloop: &IoLoop, left: usize) {
        match left {
            0 => ioloop.stop(),
            _ => ioloop.add_callback(move |ioloop| next(ioloop, left - 1)),
        }
    }
    next(ioloop, left);
    Ok(ioloop.start()?)
}
