//! Futures on the loop, and run_sync.

mod support;

use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use ioloop::{IoLoop, NoResult};
use support::{Log, on_each, on_each_with_a_fake_clock};

const S: Duration = Duration::from_secs(1);

#[test]
fn run_sync_gives_the_result() {
    on_each(|ioloop| {
        assert_eq!(ioloop.run_sync(async { 42 }, None).unwrap(), 42);
        let error: Result<(), &str> = ioloop.run_sync(async { Err("no") }, None).unwrap();
        assert_eq!(error, Err("no"), "the operation's own error is its result");
    });
}

#[test]
fn run_sync_waits_for_time() {
    on_each_with_a_fake_clock(|ioloop, _| {
        let sleep = ioloop.sleep(3 * S);
        ioloop.run_sync(sleep, None).unwrap();
        assert_eq!(ioloop.time(), 3 * S);
    });
}

#[test]
fn run_sync_gives_up_after_its_time_and_leaves_other_timers() {
    on_each_with_a_fake_clock(|ioloop, _| {
        let log = Log::default();
        let seen = log.clone();
        let dropped = Rc::new(());
        let held = Rc::clone(&dropped);
        let operation = async move {
            let _held = held;
            IoLoop::current().unwrap().call_later(5 * S, move |ioloop| {
                seen.add("the operation's timer");
                ioloop.stop();
            });
            pending::<()>().await;
        };
        let result = ioloop.run_sync(operation, Some(2 * S));
        assert!(matches!(result, Err(NoResult::Timeout(time)) if time == 2 * S), "{result:?}");
        assert_eq!(ioloop.time(), 2 * S);
        assert_eq!(Rc::strong_count(&dropped), 1, "an operation that was given up is not dropped");
        ioloop.start().unwrap();
        assert_eq!(log.take(), ["the operation's timer"]);
    });
}

#[test]
fn a_stop_from_outside_is_an_error_of_its_own() {
    on_each(|ioloop| {
        ioloop.add_callback(IoLoop::stop);
        let result = ioloop.run_sync(pending::<()>(), None);
        assert!(matches!(result, Err(NoResult::Stopped)), "{result:?}");
    });
}

#[test]
fn a_panic_of_the_operation_ends_it() {
    on_each(|ioloop| {
        let log = Log::default();
        let seen = log.clone();
        ioloop.handle_callback_exception(move |_, failure| seen.add(failure.to_string()));
        let result = ioloop.run_sync(async { panic!("in the operation") }, None::<Duration>).map(|(): ()| ());
        assert!(matches!(result, Err(NoResult::Panicked)), "{result:?}");
        assert_eq!(log.take(), ["a callback panicked: in the operation"]);
        // And the loop is as before.
        assert_eq!(ioloop.run_sync(async { 1 }, None).unwrap(), 1);
    });
}

#[test]
fn the_loop_is_current_inside() {
    let ioloop = IoLoop::with(ioloop::Config { make_current: Some(false), ..Default::default() }).unwrap();
    let inside = ioloop.run_sync(async { IoLoop::current().is_some() }, None).unwrap();
    assert!(inside);
    assert!(IoLoop::current_only().is_none(), "it is current only while it runs");
}

#[test]
fn a_wake_from_another_thread_polls_the_task() {
    on_each(|ioloop| {
        let waker: std::sync::Arc<std::sync::Mutex<(bool, Option<Waker>)>> = std::sync::Arc::default();
        let shared = waker.clone();
        let thread = thread::spawn(move || {
            let mut state = shared.lock().unwrap();
            state.0 = true;
            if let Some(waker) = state.1.take() {
                waker.wake();
            }
        });
        let operation = poll_fn(move |context| {
            let mut state = waker.lock().unwrap();
            state.1 = Some(context.waker().clone());
            if state.0 { Poll::Ready(()) } else { Poll::Pending }
        });
        ioloop.run_sync(operation, None).unwrap();
        thread.join().unwrap();
    });
}

#[test]
fn many_wakes_are_one_poll() {
    on_each(|ioloop| {
        let polls = Rc::new(Cell::new(0));
        let counted = Rc::clone(&polls);
        let operation = poll_fn(move |context| {
            counted.set(counted.get() + 1);
            (0..100).for_each(|_| context.waker().wake_by_ref());
            if counted.get() == 3 { Poll::Ready(()) } else { Poll::Pending }
        });
        ioloop.run_sync(operation, None).unwrap();
        assert_eq!(polls.get(), 3, "a hundred wakes before the next poll are one");
    });
}

#[test]
fn an_echo_server_in_a_dozen_lines() {
    on_each(|ioloop| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        let theirs = ioloop.watch(theirs).unwrap();
        ioloop.spawn(async move {
            let mut buffer = [0; 4096];
            loop {
                theirs.readable().await?;
                let taken = match theirs.source().read(&mut buffer) {
                    Ok(0) => return Ok(()),
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
                    taken => taken?,
                };
                let mut left = &buffer[..taken];
                while !left.is_empty() {
                    match theirs.source().write(left) {
                        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                            theirs.writable().await?;
                        }
                        written => left = &left[written?..],
                    }
                }
            }
            #[allow(unreachable_code)]
            Ok::<_, Box<dyn std::error::Error>>(())
        });
        let handle = ioloop.handle();
        let client = thread::spawn(move || {
            let mut ours = ours;
            let sent: Vec<u8> = (0..1_000_000_u32).map(|n| n as u8).collect();
            let mut reader = ours.try_clone().unwrap();
            let receiver = thread::spawn(move || {
                let mut received = vec![0; 1_000_000];
                reader.read_exact(&mut received).unwrap();
                received
            });
            ours.write_all(&sent).unwrap();
            let same = receiver.join().unwrap() == sent;
            drop(ours);
            handle.stop().unwrap();
            same
        });
        ioloop.start().unwrap();
        assert!(client.join().unwrap(), "what came back is not what was sent");
    });
}

#[test]
fn errors_of_tasks_are_reported() {
    on_each(|ioloop| {
        let log = Log::default();
        let seen = log.clone();
        ioloop.handle_callback_exception(move |_, failure| seen.add(failure.to_string()));
        ioloop.spawn(async { Err::<(), _>("no task") });
        ioloop.run_sync(async {}, None).unwrap();
        assert_eq!(log.take(), ["a callback failed: no task"]);
    });
}

#[test]
fn a_cancelled_task_is_dropped_also_from_inside() {
    on_each(|ioloop| {
        let dropped = Rc::new(());
        let held = Rc::clone(&dropped);
        let task = ioloop.spawn(async move {
            let _held = held;
            pending::<()>().await;
        });
        ioloop.run_sync(async {}, None).unwrap();
        ioloop.cancel(task);
        ioloop.cancel(task);
        assert_eq!(Rc::strong_count(&dropped), 1);
    });
}
