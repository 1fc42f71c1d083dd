//! Two steps of a loop before it sleeps, and a thread that comes between them.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;

use experiments::{Choice, Lab, Lane, Question, Result, ask};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::unistd::{read, write};

/// What a loop does before it sleeps.
#[derive(Clone, Copy, PartialEq)]
enum Step {
    /// Run what is in the queue.
    Check,
    /// Read all that is in the pipe.
    Drain,
}
use Step::{Check, Drain};

const QUESTION: Question = Question {
    question: "Should a loop drain its waker before it checks its queue, or after?",
    setup: "A loop that was woken checks its queue and runs what is there, and it drains the pipe of its \
            waker; then it sleeps. Other threads push an item and then write a byte, at any time. Does the \
            order of the loop's two steps matter?",
    choices: &[
        Choice::new("Yes: it must drain, then check. The other way it can sleep while an item is queued."),
        Choice::new("Yes: it must check, then drain. The other way it drains the byte of an item that it has not run.")
            .because("The loop drained the byte first, and its check found the item."),
        Choice::new("No: either way, it has drained the byte and run the item before it sleeps.")
            .because("Checking first, the loop drained the byte of an item that came later, and slept."),
        Choice::new("Neither order is safe: a thread can always come in between, unless a lock is held.")
            .because("Draining first, the loop missed the item in none of the six interleavings."),
    ],
    book: 0,
    shows: "A byte means that the loop must check its queue, so a loop that drains the byte must check afterwards. If \
            the loop checks first, it can drain the byte of an item that it has not seen, and sleep. If it drains \
            first, then at worst it wakes up once more and checks an empty queue.",
    lane: "loop",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        narrated(lab, [Check, Drain])?;
        narrated(lab, [Drain, Check])?;
        let check_first = lost(lab, [Check, Drain])?;
        let drain_first = lost(lab, [Drain, Check])?;
        lab.check(check_first == 1, "check, then drain: one of the 6 interleavings loses the item");
        lab.check(drain_first == 0, "drain, then check: none of the 6 does");
        Ok(match (check_first, drain_first) {
            (0, 0) => 2,
            (0, _) => 1,
            (_, 0) => 0,
            _ => 3,
        })
    })
}

/// A queue, and the pipe that says when to check it.
struct Mailbox {
    queue: Mutex<VecDeque<&'static str>>,
    reader: OwnedFd,
    writer: OwnedFd,
}

impl Mailbox {
    /// The mailbox of a loop that was woken: a byte is in the pipe, and the queue is empty.
    fn new(lab: &Lab) -> Result<Self> {
        let (reader, writer) = lab.nonblocking_pipe(4096)?;
        write(&writer, &[0])?;
        Ok(Self { queue: Mutex::default(), reader, writer })
    }

    fn push(&self) {
        self.queue.lock().expect("no thread panics with it").push_back("item");
    }

    fn wake(&self) -> nix::Result<()> {
        write(&self.writer, &[0]).map(drop)
    }

    /// Do one step. Gives how many items or bytes there were.
    fn step(&self, step: Step) -> nix::Result<usize> {
        match step {
            Check => Ok(self.queue.lock().expect("no thread panics with it").drain(..).count()),
            Drain => match read(&self.reader, &mut [0; 64]) {
                Err(Errno::EAGAIN) => Ok(0),
                other => other,
            },
        }
    }

    /// Would the loop wake up now?
    fn is_ready(&self, timeout: u8) -> nix::Result<bool> {
        Ok(poll(&mut [PollFd::new(self.reader.as_fd(), PollFlags::POLLIN)], timeout)? > 0)
    }
}

/// A thread comes between the two steps.
fn narrated(lab: &Lab, [first, second]: [Step; 2]) -> Result {
    let mailbox = Mailbox::new(lab)?;
    lab.note(match first {
        Check => "woken by a byte; check first, then drain",
        Drain => "woken by a byte; drain first, then check",
    });
    tell(lab, first, mailbox.step(first)?);
    let other = lab.thread("thread", "a thread");
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            mailbox.push();
            mailbox.wake()?;
            other.note("push an item, write a byte");
            Ok::<_, Errno>(())
        });
        thread.join().map_err(|_| "the thread panicked")?.map_err(Box::<dyn std::error::Error>::from)
    })?;
    lab.ended(&other, "ends");
    tell(lab, second, mailbox.step(second)?);
    let ready = mailbox.is_ready(100)?;
    let how = if ready { "poll: ready" } else { "poll for 100 ms: nothing" };
    lab.note(format!("{how}; in the queue: {}", mailbox.step(Check)?));
    Ok(())
}

fn tell(lane: &Lane, step: Step, found: usize) {
    lane.note(match step {
        Check if found == 0 => "check the queue: it is empty".into(),
        Check => format!("check the queue, run what is there: {found}"),
        Drain => format!("drain the pipe; bytes: {found}"),
    });
}

/// The thread's two steps come before, between or after the loop's two, the push no later than the wake: six
/// interleavings. In how many of them does the loop sleep while an item is in the queue?
fn lost(lab: &Lab, order: [Step; 2]) -> Result<usize> {
    let mut lost = 0;
    for push in 0..3 {
        for wake in push..3 {
            lost += usize::from(sleeps_on_an_item(lab, order, push, wake)?);
        }
    }
    Ok(lost)
}

/// Play one interleaving: the thread pushes and wakes at these moments, 0 being before the loop's first step.
fn sleeps_on_an_item(lab: &Lab, [first, second]: [Step; 2], push: usize, wake: usize) -> Result<bool> {
    let mailbox = Mailbox::new(lab)?;
    let thread = |moment| {
        if moment == push {
            mailbox.push();
        }
        if moment == wake { mailbox.wake() } else { Ok(()) }
    };
    // ANCHOR: core
    thread(0)?; // what the thread does before the loop's two steps,
    mailbox.step(first)?;
    thread(1)?; // between them,
    mailbox.step(second)?;
    thread(2)?; // and after them
    let sleeps = !mailbox.is_ready(0)?;
    let lost = sleeps && mailbox.step(Check)? > 0; // an item is in the queue
    // ANCHOR_END: core
    Ok(lost)
}
