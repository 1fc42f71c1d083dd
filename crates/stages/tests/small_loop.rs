//! The small loop: callbacks before the sleep, timers in order and never early, handlers, wakes, stop.
//!
//! The diffs in `breaks/` break these properties, and `small_loop_breaks` shows that only the test of that
//! property fails.

use std::cell::{Cell, RefCell};
use std::io::{PipeReader, PipeWriter, Write, pipe};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::PollFlags;
use nix::unistd::read;
use stages::small_loop::{Loop, Timer};

/// No sleep of these tests lasts this long, unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(20);

/// What ran, in order.
type Ran = Rc<RefCell<Vec<&'static str>>>;

/// A loop that fails instead of sleeping forever.
fn a_loop() -> Loop {
    let mut event_loop = Loop::new().expect("a descriptor for the waker");
    event_loop.call_at(Instant::now() + PATIENCE, |_| panic!("the loop still sleeps after {PATIENCE:?}"));
    event_loop
}

/// A pipe with a byte in it, and its write end, which keeps end of file away.
fn a_byte() -> (Rc<OwnedFd>, PipeWriter) {
    let (reader, mut writer) = pipe().expect("a pipe");
    writer.write_all(b"x").expect("room for a byte");
    (Rc::new(OwnedFd::from(reader)), writer)
}

fn note(ran: &Ran, what: &'static str) -> impl Fn() + 'static {
    let ran = Rc::clone(ran);
    move || ran.borrow_mut().push(what)
}

#[test]
fn callbacks_run_in_order_before_the_loop_sleeps() {
    let ran = Ran::default();
    let mut event_loop = a_loop();
    let [first, second] = ["first", "second"].map(|what| note(&ran, what));
    event_loop.call_soon(move |_| first());
    event_loop.call_soon(move |event_loop| {
        second();
        event_loop.stop();
    });
    event_loop.run().expect("poll works");
    assert_eq!(*ran.borrow(), ["first", "second"]);
}

#[test]
fn a_callback_that_a_callback_adds_runs_after_the_handlers_of_this_iteration() {
    let ran = Ran::default();
    let mut event_loop = a_loop();
    let (reader, _writer) = a_byte();
    let [handled, added] = ["handler", "added callback"].map(|what| note(&ran, what));
    event_loop.add_handler(reader, PollFlags::POLLIN, move |_, _| handled());
    event_loop.call_soon(move |event_loop| {
        event_loop.call_soon(move |event_loop| {
            added();
            event_loop.stop();
        });
    });
    event_loop.run().expect("poll works");
    assert_eq!(
        ran.borrow()[..2],
        ["handler", "added callback"],
        "the loop must call its handlers before it runs a callback that was added in the same iteration"
    );
}

#[test]
fn timers_run_by_deadline_and_never_early() {
    let ran: Rc<RefCell<Vec<(u64, bool)>>> = Rc::default();
    let mut event_loop = a_loop();
    let start = Instant::now();
    for delay in [30, 10, 20, 10] {
        let (ran, deadline) = (Rc::clone(&ran), start + Duration::from_millis(delay));
        event_loop.call_at(deadline, move |event_loop| {
            ran.borrow_mut().push((delay, Instant::now() >= deadline));
            if delay == 30 {
                event_loop.stop();
            }
        });
    }
    event_loop.run().expect("poll works");
    let on_time = [(10, true), (10, true), (20, true), (30, true)];
    assert_eq!(*ran.borrow(), on_time, "(deadline in ms, was it reached?)");
}

#[test]
fn a_timer_that_a_timer_adds_runs_after_the_handlers_of_this_iteration() {
    let ran = Ran::default();
    let mut event_loop = a_loop();
    let (reader, _writer) = a_byte();
    let [handled, added] = ["handler", "added timer"].map(|what| note(&ran, what));
    event_loop.add_handler(reader, PollFlags::POLLIN, move |_, _| handled());
    let past = Instant::now();
    event_loop.call_at(past, move |event_loop| {
        event_loop.call_at(past, move |event_loop| {
            added();
            event_loop.stop();
        });
    });
    event_loop.run().expect("poll works");
    assert_eq!(
        ran.borrow()[..2],
        ["handler", "added timer"],
        "the loop must call its handlers before it runs a timer that was added while timers ran"
    );
}

#[test]
fn a_due_timer_that_a_callback_adds_runs_before_the_handlers_of_this_iteration() {
    let ran = Ran::default();
    let mut event_loop = a_loop();
    let (reader, _writer) = a_byte();
    let [handled, added] = ["handler", "added timer"].map(|what| note(&ran, what));
    event_loop.add_handler(reader, PollFlags::POLLIN, move |event_loop, _| {
        handled();
        event_loop.stop();
    });
    event_loop.call_soon(move |event_loop| {
        event_loop.call_at(Instant::now(), move |_| added());
    });
    event_loop.run().expect("poll works");
    assert_eq!(
        *ran.borrow(),
        ["added timer", "handler"],
        "the loop lists its due timers when the callbacks have run, so the timer that a callback added is due now"
    );
}

#[test]
fn a_timer_can_cancel_a_timer_that_is_due_too() {
    let ran = Ran::default();
    let mut event_loop = a_loop();
    let [first, canceled] = ["first timer", "canceled timer"].map(|what| note(&ran, what));
    let past = Instant::now();
    let second: Rc<Cell<Option<Timer>>> = Rc::default();
    let of_first = Rc::clone(&second);
    event_loop.call_at(past, move |event_loop| {
        first();
        event_loop.cancel(of_first.get().expect("it was added"));
        event_loop.stop();
    });
    second.set(Some(event_loop.call_at(past, move |_| canceled())));
    event_loop.run().expect("poll works");
    assert_eq!(*ran.borrow(), ["first timer"], "a timer ran although an earlier one had canceled it");
}

#[test]
fn canceling_a_timer_drops_what_its_callback_holds() {
    let mut event_loop = a_loop();
    let connection = Rc::new("a connection");
    let held = Rc::clone(&connection);
    let timer = event_loop.call_at(Instant::now() + PATIENCE, move |_| drop(held));
    assert_eq!(Rc::strong_count(&connection), 2, "the timer holds the connection");
    event_loop.cancel(timer);
    event_loop.cancel(timer); // A second time it does nothing.
    assert_eq!(
        Rc::strong_count(&connection),
        1,
        "a canceled timer still holds what its callback captured. It must let go at once"
    );
}

/// A descriptor that is never ready, and counts how often the loop asked for it: once an iteration.
struct Counting(PipeReader, Rc<Cell<u32>>);

impl AsFd for Counting {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.1.set(self.1.get() + 1);
        self.0.as_fd()
    }
}

#[test]
fn the_last_millisecond_is_one_sleep() {
    const TIMERS: u32 = 20;
    fn chain(event_loop: &mut Loop, left: u32) {
        if left == 0 {
            return event_loop.stop();
        }
        let deadline = Instant::now() + Duration::from_micros(900);
        event_loop.call_at(deadline, move |event_loop| chain(event_loop, left - 1));
    }
    let (reader, _writer) = pipe().expect("a pipe");
    let iterations = Rc::new(Cell::new(0));
    let mut event_loop = a_loop();
    event_loop.add_handler(Counting(reader, Rc::clone(&iterations)), PollFlags::POLLIN, |_, _| {});
    chain(&mut event_loop, TIMERS);
    event_loop.run().expect("poll works");
    let (iterations, bound) = (iterations.get(), 2 * TIMERS);
    assert!(
        iterations <= bound,
        "{iterations} iterations for {TIMERS} timers of 0.9 ms: poll must sleep until the deadline is reached"
    );
}

#[test]
fn a_handler_is_called_until_its_byte_is_read() {
    let calls: Rc<RefCell<Vec<PollFlags>>> = Rc::default();
    let mut event_loop = a_loop();
    let (reader, writer) = a_byte();
    let writer = Cell::new(Some(writer));
    let (fd, seen) = (Rc::clone(&reader), Rc::clone(&calls));
    event_loop.add_handler(reader, PollFlags::POLLIN, move |event_loop, events| {
        seen.borrow_mut().push(events);
        let calls = seen.borrow().len();
        match calls {
            1 => {} // The byte stays, so the next iteration reports it again.
            2 => {
                read(&*fd, &mut [0; 1]).expect("the byte is there");
                drop(writer.take());
            }
            _ => event_loop.stop(),
        }
    });
    event_loop.run().expect("poll works");
    let expected = [PollFlags::POLLIN, PollFlags::POLLIN, PollFlags::POLLHUP];
    assert_eq!(*calls.borrow(), expected, "readable twice; then the write end is closed");
}

#[test]
fn a_stop_in_a_handler_ends_the_loop_before_the_callbacks_that_are_queued() {
    let ran = Ran::default();
    let mut event_loop = a_loop();
    let (reader, _writer) = a_byte();
    let noted = Rc::clone(&ran);
    event_loop.add_handler(reader, PollFlags::POLLIN, move |event_loop, _| {
        let [handled, queued] = ["handler", "queued callback"].map(|what| note(&noted, what));
        handled();
        event_loop.call_soon(move |_| queued());
        event_loop.stop();
    });
    event_loop.run().expect("poll works");
    assert_eq!(
        *ran.borrow(),
        ["handler"],
        "the loop checks for a stop at the `while`, right after its handlers"
    );
}

#[test]
fn a_handler_that_was_removed_gets_no_event_of_the_same_iteration() {
    let ran = Ran::default();
    let mut event_loop = a_loop();
    let [(first, _first_writer), (second, _second_writer)] = [(); 2].map(|()| a_byte());
    let [noted, other] = ["the first handler", "the removed handler"].map(|what| note(&ran, what));
    let second_number = Rc::new(Cell::new(0));
    let removed = Rc::clone(&second_number);
    event_loop.add_handler(first, PollFlags::POLLIN, move |event_loop, _| {
        noted();
        event_loop.remove_handler(removed.get());
        event_loop.stop();
    });
    second_number.set(event_loop.add_handler(second, PollFlags::POLLIN, move |_, _| other()));
    event_loop.run().expect("poll works");
    assert_eq!(
        *ran.borrow(),
        ["the first handler"],
        "a handler was called after another handler had removed it"
    );
}

#[test]
fn a_new_handler_gets_no_event_of_a_removed_one() {
    let ran = Ran::default();
    let mut event_loop = a_loop();
    let [(first, _first_writer), (second, _second_writer)] = [(); 2].map(|()| a_byte());
    let (idle, _idle_writer) = pipe().expect("a pipe");
    let idle = Rc::new(OwnedFd::from(idle));
    let second_number = Rc::new(Cell::new(0));
    let (removed, noted) = (Rc::clone(&second_number), Rc::clone(&ran));
    event_loop.add_handler(first, PollFlags::POLLIN, move |event_loop, _| {
        event_loop.remove_handler(removed.get());
        let called = note(&noted, "the new handler");
        event_loop.add_handler(Rc::clone(&idle), PollFlags::POLLIN, move |_, _| called());
        event_loop.stop();
    });
    second_number.set(event_loop.add_handler(second, PollFlags::POLLIN, |_, _| {}));
    event_loop.run().expect("poll works");
    assert!(
        ran.borrow().is_empty(),
        "a new handler got the event of the handler that was removed: its pipe is empty"
    );
}

#[test]
fn a_handler_that_removes_itself_is_not_called_again() {
    let mut event_loop = a_loop();
    let (reader, _writer) = a_byte();
    let (number, calls) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let (own, counted) = (Rc::clone(&number), Rc::clone(&calls));
    number.set(event_loop.add_handler(reader, PollFlags::POLLIN, move |event_loop, _| {
        event_loop.remove_handler(own.get());
        counted.set(counted.get() + 1);
        // Added by the first call, so it runs in the second iteration, and the callback it adds in the third.
        event_loop.call_soon(|event_loop| event_loop.call_soon(Loop::stop));
    }));
    event_loop.run().expect("poll works");
    assert_eq!(calls.get(), 1, "a handler that had removed itself was called again");
}

#[test]
fn a_callback_from_a_thread_ends_the_sleep() {
    let mut event_loop = a_loop();
    let handle = event_loop.handle();
    let (sender, receiver) = mpsc::channel();
    let thread = thread::spawn(move || {
        // The message comes from the loop's only callback, so now the loop sleeps, or is about to.
        receiver.recv().expect("the loop has started");
        handle.call_soon(Loop::stop)
    });
    event_loop.call_soon(move |_| sender.send(()).expect("the thread waits"));
    event_loop.run().expect("poll works");
    thread.join().expect("no panic").expect("the wake is written");
}

#[test]
fn a_thousand_callbacks_from_threads_run_once_each_and_in_order() {
    const THREADS: usize = 4;
    const EACH: usize = 250;
    let mut event_loop = a_loop();
    let calls = Arc::new(Mutex::new(Vec::new()));
    let threads = [0, 1, 2, 3].map(|thread| {
        let (handle, calls) = (event_loop.handle(), Arc::clone(&calls));
        thread::spawn(move || {
            (0..EACH).try_for_each(|call| {
                let calls = Arc::clone(&calls);
                handle.call_soon(move |event_loop| {
                    let mut calls = calls.lock().expect("no panic");
                    calls.push((thread, call));
                    if calls.len() == THREADS * EACH {
                        event_loop.stop();
                    }
                })
            })
        })
    });
    event_loop.run().expect("poll works");
    for thread in threads {
        thread.join().expect("no panic").expect("each wake is written");
    }
    let calls = calls.lock().expect("no panic");
    for thread in 0..THREADS {
        let of_thread = calls.iter().filter(|(by, _)| *by == thread).map(|(_, call)| *call);
        assert!(of_thread.eq(0..EACH), "the callbacks of thread {thread} did not run once each, in order");
    }
}
