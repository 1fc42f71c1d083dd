//! A future on the loop, from its spawn to its end: what polls it, when, and what has its waker in between.

use std::cell::RefCell;
use std::fs;
use std::future::Future;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use experiments::{Choice, Lab, Lane, Question, Result, ask, events};
use ioloop::{AsyncFd, IoLoop, Iteration};
use nix::errno::Errno;
use nix::sys::epoll::EpollFlags;
use nix::unistd::{read, write};

/// The iteration in which the byte is written.
const WRITTEN: usize = 4;

const QUESTION: Question = Question {
    question: "In which iterations of the loop is a task polled?",
    setup: "A task waits until a pipe is readable, while the loop goes on running other callbacks. In its \
            fourth iteration a callback writes a byte into the pipe, and the wait of that iteration reports \
            it. In which iterations is the task polled?",
    choices: &[
        Choice::new("In the first: the poll lasts until the byte is there.")
            .because("A poll does not wait: the first one returned Pending at once."),
        Choice::new("In the first and in the fourth: the pipe's handler polls the task.")
            .because("The handler only woke the task, which queued a callback for the fifth iteration."),
        Choice::new(
            "In the first and in the fifth: the pipe's handler wakes the task, which queues a \
                     callback for the next iteration.",
        ),
        Choice::new("In all five: a loop polls each of its tasks once an iteration.")
            .because("The task was woken once, in the fourth, so iterations 2 to 4 did not poll it."),
    ],
    book: 2,
    shows: "A task is polled when it is spawned, and once after it was woken. Meanwhile only what it waits \
            for has its waker. Waking a task queues a callback, and the callback polls it.",
    lane: "loop",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let polled = run_task(lab)?;
        match polled[..] {
            [1] => Ok(0),
            [1, WRITTEN] => Ok(1),
            [1, 5] => Ok(2),
            [1, 2, 3, WRITTEN, 5] => Ok(3),
            ref other => Err(format!("none of the choices: polled in the iterations {other:?}").into()),
        }
    })
}

/// What is waited for: a byte.
// ANCHOR: a_byte
async fn a_byte(pipe: AsyncFd<OwnedFd>) -> Result {
    loop {
        pipe.readable().await?;
        match read(pipe.source(), &mut [0]) {
            Err(Errno::EAGAIN) => {}
            taken => return Ok(taken.map(drop)?),
        }
    }
}
// ANCHOR_END: a_byte

/// The iterations that the loop has reported. The current one is one more.
#[derive(Clone, Default)]
struct Turns(Rc<RefCell<Vec<Iteration>>>);

impl Turns {
    fn of(ioloop: &IoLoop, mut also: impl FnMut(usize, &Iteration) + 'static) -> Self {
        let turns = Self::default();
        let seen = turns.clone();
        ioloop.subscribe(move |_, turn| {
            seen.0.borrow_mut().push(turn);
            also(seen.0.borrow().len(), &turn);
        });
        turns
    }

    fn now(&self) -> usize {
        self.0.borrow().len() + 1
    }
}

/// A future that writes down when it is polled, and has a waker that writes down when it is used.
struct Noted<F> {
    future: Pin<Box<F>>,
    task: Lane,
    ioloop: Lane,
    turns: Turns,
    /// The iterations in which it was polled.
    polled: Rc<RefCell<Vec<usize>>>,
    /// How many copies of its waker there were after each of them.
    kept: Rc<RefCell<Vec<usize>>>,
}

struct NotedWaker(Waker, Lane);

impl Wake for NotedWaker {
    fn wake(self: Arc<Self>) {
        self.1.note("the pipe's handler calls wake, which queues a callback");
        self.0.wake_by_ref();
    }
}

impl<F: Future<Output = Result>> Future for Noted<F> {
    type Output = Result;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result> {
        let turn = self.turns.now();
        self.polled.borrow_mut().push(turn);
        self.task.note(format!("polled, in iteration {turn}"));
        let waker = Arc::new(NotedWaker(context.waker().clone(), self.ioloop.clone()));
        let polled = self.future.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::clone(&waker))));
        let others = Arc::strong_count(&waker) - 1;
        self.kept.borrow_mut().push(others);
        let kept = if others == 0 { "nothing has" } else { "the pipe's watch has" };
        let what = if polled.is_ready() { "Ready" } else { "Pending" };
        self.task.note(format!("{what}: {kept} its waker"));
        polled
    }
}

/// Run all of it. Gives the iterations in which the task was polled.
fn run_task(lab: &Lab) -> Result<Vec<usize>> {
    let ioloop = IoLoop::new()?;
    let (reader, writer) = lab.nonblocking_pipe(4096)?;
    let watched = (epoll(lab)?, reader.as_raw_fd());
    let pipe = ioloop.watch(reader)?;
    let kernel = lab.thread("kernel", format!("watches the pipe for {}", interest(watched)?));
    let task = lab.thread("task", "spawn: a callback is queued");
    let lane = (**lab).clone();
    let asked = Rc::<RefCell<Vec<String>>>::default();
    let seen = Rc::clone(&asked);
    let turns = Turns::of(&ioloop, move |number, turn| {
        let Iteration { callbacks, events, .. } = turn;
        lane.note(format!("end of iteration {number}: callbacks {callbacks}, ready {events}"));
        let now = interest(watched).unwrap_or_else(|error| error.to_string());
        if seen.borrow().last() != Some(&now) {
            kernel.note(format!("watches the pipe for {now}"));
            seen.borrow_mut().push(now);
        }
    });
    let (polled, kept) = (Rc::default(), Rc::<RefCell<Vec<usize>>>::default());
    let life = Noted {
        future: Box::pin(a_byte(pipe)),
        task: task.clone(),
        ioloop: (**lab).clone(),
        turns,
        polled: Rc::clone(&polled),
        kept: Rc::clone(&kept),
    };
    ioloop.spawn(async move {
        let came = life.await;
        IoLoop::current().ok_or("no loop is current")?.stop();
        came
    });
    others(&ioloop, (**lab).clone(), writer, 1);
    ioloop.start()?;
    lab.ended(&task, "its future is dropped");
    lab.check(
        asked.take() == ["IN|ERR|HUP"],
        "the first poll registers the pipe for IN; it stays registered after the event",
    );
    lab.check(
        kept.take() == [1, 0],
        "while it is Pending, one copy of its waker is kept; when it is Ready, none",
    );
    Ok(polled.take())
}

/// What runs in the meantime: a callback in each iteration, one of which writes the byte.
fn others(ioloop: &IoLoop, lane: Lane, writer: OwnedFd, turn: usize) {
    ioloop.add_callback(move |ioloop| {
        if turn == WRITTEN {
            lane.note("a callback writes a byte into the pipe");
            return write(writer, b"x").map(drop);
        }
        others(ioloop, lane, writer, turn + 1);
        Ok(())
    });
}

/// The epoll that the loop sleeps in: its number.
fn epoll(lab: &Lab) -> Result<RawFd> {
    let is_epoll = |fd: &RawFd| {
        fs::read_link(format!("/proc/self/fd/{fd}")).is_ok_and(|to| to.ends_with("anon_inode:[eventpoll]"))
    };
    Ok(lab.descriptors()?.into_iter().find(is_epoll).ok_or("the loop has no epoll")?)
}

/// What an epoll watches a descriptor for, as the kernel lists it: proc_pid_fdinfo(5).
fn interest((epoll, fd): (RawFd, RawFd)) -> Result<String> {
    let listed = fs::read_to_string(format!("/proc/self/fdinfo/{epoll}"))?;
    // `tfd:        5 events: 40000019 data: …`
    let entry = listed.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let entry = entry.filter(|words| words.first() == Some(&"tfd:")).find(|words| words[1] == fd.to_string());
    let entry = entry.ok_or("the epoll does not watch the pipe")?;
    let mask = EpollFlags::from_bits_retain(i32::from_str_radix(entry[3], 16)?);
    let once = if mask.contains(EpollFlags::EPOLLONESHOT) { ", once" } else { "" };
    Ok(format!("{}{once}", events(mask - EpollFlags::EPOLLONESHOT)))
}
