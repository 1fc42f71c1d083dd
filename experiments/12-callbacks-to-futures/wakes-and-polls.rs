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
    question: "Three tasks have been polled, and are pending. A callback wakes the first one three times in \
               a row. A thread wakes the second, while the loop sleeps. The third gave its waker to nobody. \
               The loop turns a thousand times. How often is each of them polled again?",
    choices: &[
        Choice::new("Three times, once, a thousand times: who has no waker is asked in each turn."),
        Choice::new("Three times, once, never: there is a poll for each wake."),
        Choice::new("Once, once, never: there is a poll after a wake, however many there were."),
        Choice::new("Once, never, never: a thread has no way into a loop that sleeps."),
    ],
    book: 2,
    shows: "A wake says that a poll is worth while, and how many said so makes no difference. It may come \
            from any thread. Without one there is no poll: a future that is pending and leaves its waker \
            with nobody has seen its last.",
    lane: "loop",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let again = [three_wakes(lab)?, from_a_thread(lab)?, forgetful(lab)?];
        match again {
            [3, 1, TURNS] => Ok(0),
            [3, 1, 0] => Ok(1),
            [1, 1, 0] => Ok(2),
            [1, 0, 0] => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

/// A waker that somebody took from a future, which waits for nothing else.
type Taken = Rc<RefCell<Option<Waker>>>;

/// A future that hands out its waker, and comes to its end when it was polled so many times. It counts.
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

/// Woken three times before its callback had its turn. How often is it polled again?
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
    lab.note(format!("the first, woken three times in a row: polled {again} time more"));
    // In the turn after the wakes it has a callback, and so has what turns the loop.
    lab.check(
        callbacks.borrow()[..3] == [2, 2, 1],
        "the first of the three queues a callback, the others nothing",
    );
    Ok(again)
}

/// Woken by a thread, while the loop has nothing to do. How often is it polled again?
fn from_a_thread(lab: &Lab) -> Result<usize> {
    let (ioloop, taken) = (IoLoop::new()?, Taken::default());
    let (future, polls) = polled_times(2, &taken);
    ioloop.spawn(async {
        future.await;
        turn(&IoLoop::current().ok_or("no loop is current")?, TURNS);
        Ok::<_, &str>(())
    });
    let lane = lab.thread("thread", "the second task's waker is sent to a thread");
    let (to_thread, waker) = mpsc::channel::<Waker>();
    let thread = {
        let lane = lane.clone();
        thread::spawn(move || {
            let waker = waker.recv();
            lane.note("wake: a callback is sent, and the loop's own waker written to");
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
    lab.note(format!("the second: {ready} descriptor is ready; polled {again} time more"));
    lab.check(ready == 1, "a wake from another thread ends the loop's sleep: what is ready is its own waker");
    Ok(again)
}

/// Pending, and nobody was told whom to wake. How often is it polled again?
fn forgetful(lab: &Lab) -> Result<usize> {
    let (ioloop, polls) = (IoLoop::new()?, Rc::<Cell<usize>>::default());
    let counted = Rc::clone(&polls);
    ioloop.spawn(poll_fn(move |_| {
        counted.set(counted.get() + 1);
        Poll::<()>::Pending
    }));
    turn(&ioloop, TURNS);
    ioloop.start()?;
    let again = polls.get() - 1;
    lab.note(format!("the third, its waker with nobody: {again} times in {TURNS} turns"));
    Ok(again)
}

/// Turn so many times, and stop.
fn turn(ioloop: &IoLoop, left: usize) {
    match left {
        0 => ioloop.stop(),
        _ => ioloop.add_callback(move |ioloop| turn(ioloop, left - 1)),
    }
}
