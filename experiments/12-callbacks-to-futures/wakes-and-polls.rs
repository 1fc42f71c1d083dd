//! How often a task is polled for how many wakes: three in a row, one from a thread, and none.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Poll, Waker};
use std::thread;

use experiments::{Choice, Lab, Question, Result, ask};
use ioloop::{IoLoop, Outcome};

const TURNS: usize = 1000;

const QUESTION: Question = Question {
    question: "How often is a task polled after several wakes?",
    setup: "Three tasks were polled and are pending. A callback wakes the first one three times in a row; a \
            thread wakes the second while the loop sleeps; the third has not handed out its waker. The loop \
            runs for a thousand iterations. How often is each of them polled again?",
    choices: &[
        Choice::new(
            "Three times, once, a thousand times: a task that has not handed out its waker is polled \
                     each time.",
        )
        .because("A task that is not woken is not polled: the third was never polled again."),
        Choice::new("Three times, once, never: there is a poll for each wake.")
            .because("The first wake queued a callback; the other two found it queued."),
        Choice::new("Once, once, never: there is a poll after a wake, however many wakes there were."),
        Choice::new("Once, never, never: a thread cannot reach into a loop that sleeps.")
            .because("The thread's wake wrote to the loop's own waker, and the second was polled."),
    ],
    book: 2,
    shows: "A wake says that a poll is worthwhile, and the number of wakes makes no difference. It may come \
            from any thread. A task that is not woken is not polled: a pending future that has not handed \
            out its waker is never polled again.",
    lane: "loop",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let again = [three_wakes(lab)?, from_a_thread(lab)?, without_a_wake(lab)?];
        match again {
            [3, 1, TURNS] => Ok(0),
            [3, 1, 0] => Ok(1),
            [1, 1, 0] => Ok(2),
            [1, 0, 0] => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

/// A waker that was taken from a future, which waits for nothing else.
type Taken = Rc<RefCell<Option<Waker>>>;

/// A future that hands out its waker, counts its polls, and is ready after this many.
// ANCHOR: core
fn polled_times(times: usize, taken: &Taken) -> (impl Future<Output = ()> + 'static, Rc<Cell<usize>>) {
    let (taken, polls) = (Rc::clone(taken), Rc::<Cell<usize>>::default());
    let counted = Rc::clone(&polls);
    let future = poll_fn(move |context| {
        counted.set(counted.get() + 1);
        *taken.borrow_mut() = Some(context.waker().clone());
        if counted.get() == times { Poll::Ready(()) } else { Poll::Pending }
    });
    (future, polls)
}
// ANCHOR_END: core

/// Woken three times before its callback has run. Gives how often it is polled again.
fn three_wakes(lab: &Lab) -> Result<usize> {
    let (ioloop, taken) = (IoLoop::new()?, Taken::default());
    let (future, polls) = polled_times(usize::MAX, &taken);
    ioloop.spawn(future);
    let callbacks = Rc::<RefCell<Vec<usize>>>::default();
    let seen = Rc::clone(&callbacks);
    ioloop.subscribe(move |_, turn| seen.borrow_mut().push(turn.callbacks));
    ioloop.add_callback(move |ioloop| {
        let waker = taken.take().ok_or("it was not polled")?;
        (0..3).for_each(|_| waker.wake_by_ref());
        turn(ioloop, TURNS);
        Ok::<_, &str>(())
    });
    ioloop.start()?;
    let again = polls.get() - 1;
    lab.note(format!("task 1, woken three times in a row: polled again {again} time"));
    // In the iteration after the wakes there is its callback, and one that keeps the loop running.
    lab.check(
        callbacks.borrow()[..3] == [2, 2, 1],
        "the first of the three wakes queues a callback, the others queue none",
    );
    Ok(again)
}

/// Woken by a thread, while the loop has nothing to do. Gives how often it is polled again.
fn from_a_thread(lab: &Lab) -> Result<usize> {
    let (ioloop, taken) = (IoLoop::new()?, Taken::default());
    let (future, polls) = polled_times(2, &taken);
    ioloop.spawn(async {
        future.await;
        turn(&IoLoop::current().ok_or("no loop is current")?, TURNS);
        Ok::<_, &str>(())
    });
    let lane = lab.thread("thread", "the waker of task 2 is sent to a thread");
    let (to_thread, waker) = mpsc::channel::<Waker>();
    let thread = {
        let lane = lane.clone();
        thread::spawn(move || {
            let waker = waker.recv();
            lane.note("wake: sends a callback, writes to the loop's waker");
            waker.map(Waker::wake)
        })
    };
    let ready = Rc::<Cell<usize>>::default();
    let seen = Rc::clone(&ready);
    ioloop.subscribe(move |_, turn| seen.set(seen.get() + turn.events));
    ioloop.add_callback(move |_| -> Outcome {
        to_thread.send(taken.take().ok_or("it was not polled")?)?;
        Ok(())
    });
    ioloop.start()?;
    thread.join().map_err(|_| "the thread panicked")??;
    lab.ended(&lane, "ended");
    let (again, ready) = (polls.get() - 1, ready.get());
    lab.note(format!("task 2: {ready} descriptor is ready; polled again {again} time"));
    lab.check(ready == 1, "a wake from another thread ends the loop's sleep by the loop's own waker");
    Ok(again)
}

/// Pending, without handing out its waker. Gives how often it is polled again.
fn without_a_wake(lab: &Lab) -> Result<usize> {
    let (ioloop, polls) = (IoLoop::new()?, Rc::<Cell<usize>>::default());
    let counted = Rc::clone(&polls);
    ioloop.spawn(poll_fn(move |_| {
        counted.set(counted.get() + 1);
        Poll::<()>::Pending
    }));
    turn(&ioloop, TURNS);
    ioloop.start()?;
    let again = polls.get() - 1;
    lab.note(format!("task 3, never woken: polled again {again} times in {TURNS} iterations"));
    Ok(again)
}

/// Run this many iterations, and stop.
fn turn(ioloop: &IoLoop, left: usize) {
    match left {
        0 => ioloop.stop(),
        _ => ioloop.add_callback(move |ioloop| turn(ioloop, left - 1)),
    }
}
