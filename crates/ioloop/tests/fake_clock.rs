//! The whole: a fake clock advances only while the loop waits for nothing but timers; and the shortest and the longest time
//! mean the same to every function that takes one.

mod support;

use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use ioloop::poller::Kind;
use ioloop::{Clock, Config, Current, Events, FakeClock, IoLoop, NoResult};
use nix::sys::signal::{Signal, kill};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::unistd::Pid;
use support::{LONG, Log, a_byte, a_pipe, alone, on_each_with_a_fake_clock};

const S: Duration = Duration::from_secs(1);

/// In real time: long enough for the loop to fall asleep.
const SOON: Duration = Duration::from_millis(30);

/// A descriptor that the kernel makes readable in [`SOON`] of real time.
struct Soon(TimerFd);

impl Soon {
    fn new() -> Self {
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC).unwrap();
        let once = Expiration::OneShot(TimeSpec::from_duration(SOON));
        timer.set(once, TimerSetTimeFlags::empty()).unwrap();
        Self(timer)
    }
}

impl AsFd for Soon {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Starts the loop, which must be stopped in real time, and before any time passes by its clock.
#[track_caller]
fn stops_without_time(ioloop: &IoLoop, what: &str) {
    let late = ioloop.call_later(5 * S, IoLoop::stop);
    let before = ioloop.time();
    ioloop.start().unwrap();
    assert_eq!(
        ioloop.time() - before,
        Duration::ZERO,
        "{} in 30 ms, and a timer in 5 s: the clock advanced, although the loop was waiting for more than timers",
        what
    );
    ioloop.remove_timeout(late);
}

#[test]
fn the_clock_stands_still_while_a_descriptor_is_awaited() {
    on_each_with_a_fake_clock(|ioloop, _| {
        for interest in [Events::READ, Events::READ | Events::WRITE, Events::READ | Events::ONESHOT] {
            let token = ioloop.add_handler(Soon::new(), interest, |ioloop, _, _| ioloop.stop()).unwrap();
            stops_without_time(ioloop, "a handler's descriptor is ready");
            ioloop.remove_handler(token);
        }
        for timeout in [Some(5 * S), Some(Duration::MAX), None] {
            let (watched, before) = (ioloop.watch(Soon::new()).unwrap(), ioloop.time());
            let done = ioloop.run_sync(async move { watched.readable().await }, timeout);
            assert!(matches!(done, Ok(Ok(()))), "ready in 30 ms, in time for {timeout:?}: {done:?}");
            assert_eq!(ioloop.time(), before, "with a timeout of {timeout:?}");
        }
    });
}

#[test]
fn the_clock_stands_still_while_a_signal_or_another_thread_is_awaited() {
    on_each_with_a_fake_clock(|ioloop, _| {
        let _alone = alone();
        let token = ioloop.add_signal_handler(&[Signal::SIGUSR2], |ioloop, _| ioloop.stop()).unwrap();
        let sends = thread::spawn(|| {
            thread::sleep(SOON);
            kill(Pid::this(), Signal::SIGUSR2)
        });
        stops_without_time(ioloop, "a signal arrives");
        sends.join().unwrap().unwrap();
        ioloop.remove_signal_handler(token);

        let (work, before) = (ioloop.offload(|| thread::sleep(SOON)).unwrap(), ioloop.time());
        let done = ioloop.run_sync(work, Some(5 * S));
        assert!(done.is_ok(), "work in another thread took 30 ms, and had 5 s: {done:?}");
        assert_eq!(ioloop.time(), before, "offloaded work was under way");
    });
}

/// Each of these is registered, and none of them can have an event.
#[test]
fn the_clock_advances_again_when_no_descriptor_can_have_an_event() {
    on_each_with_a_fake_clock(|ioloop, _| {
        let (mut keep, sleeps) = (Vec::new(), |ioloop: &IoLoop, what: &str| {
            let before = ioloop.time();
            let done = ioloop.run_sync(pending::<()>(), Some(5 * S));
            assert!(matches!(done, Err(NoResult::Timeout(_))), "{what}: {done:?}");
            assert_eq!(ioloop.time() - before, 5 * S, "{what}");
        });
        let mut register = |interest| {
            let (reader, writer) = a_pipe();
            keep.push(writer);
            ioloop.add_handler(reader, interest, |_, _, _| ()).unwrap()
        };
        register(Events::empty());
        sleeps(ioloop, "registered for nothing");
        let paused = register(Events::READ);
        ioloop.pause_handler(paused).unwrap();
        sleeps(ioloop, "paused");
        ioloop.remove_handler(register(Events::READ));
        sleeps(ioloop, "removed");
        let (fired, _writer) = a_byte();
        ioloop.add_handler(fired, Events::READ | Events::ONESHOT, |ioloop, _, _| ioloop.stop()).unwrap();
        stops_without_time(ioloop, "a oneshot fires");
        sleeps(ioloop, "a oneshot that has fired");
        let (unread, _other_writer) = a_pipe();
        let watched = ioloop.watch(unread).unwrap();
        sleeps(ioloop, "no task waits for it");
        drop(watched);
        ioloop.resume_handler(paused).unwrap();
        ioloop.update_handler(paused, Events::empty()).unwrap();
        sleeps(ioloop, "registered for nothing by an update");
    });
}

/// Runs a future, and gives up if it is not done in [`LONG`] of real time.
fn unless_it_hangs<T: 'static>(
    ioloop: &IoLoop,
    future: impl Future<Output = T> + 'static,
) -> Result<T, NoResult> {
    let (handle, (over, waits)) = (ioloop.handle(), channel::<()>());
    let gives_up = thread::spawn(move || match waits.recv_timeout(LONG) {
        Err(RecvTimeoutError::Timeout) => handle.stop(),
        _ => Ok(()),
    });
    let done = ioloop.run_sync(future, None);
    drop(over);
    gives_up.join().unwrap().unwrap();
    done
}

#[test]
fn the_clock_advances_again_once_offloaded_work_is_done() {
    on_each_with_a_fake_clock(|ioloop, _| {
        let (work, sleep) = (ioloop.offload(|| 42).unwrap(), ioloop.sleep(5 * S));
        let later = async move {
            sleep.await;
            work.await
        };
        let done = unless_it_hangs(ioloop, later);
        assert!(
            matches!(done, Ok(42)),
            "a task slept for 5 s before it awaited a result that was there: {done:?}"
        );

        let (mut work, sleep) = (ioloop.offload(|| 42).unwrap(), ioloop.sleep(5 * S));
        let earlier = async move {
            let result = (&mut work).await;
            sleep.await;
            result
        };
        let done = unless_it_hangs(ioloop, earlier);
        assert!(matches!(done, Ok(42)), "a task got a result, kept the future, and slept for 5 s: {done:?}");
        assert_eq!(ioloop.time(), 10 * S);
    });
}

#[test]
fn the_clock_advances_again_when_no_task_waits_any_more() {
    on_each_with_a_fake_clock(|ioloop, _| {
        let ((reader, _writer), sleep) = (a_byte(), ioloop.sleep(5 * S));
        let watched = ioloop.watch(reader).unwrap();
        let got = async move {
            watched.readable().await.unwrap();
            watched.source().read_exact(&mut [0]).unwrap();
            sleep.await;
        };
        let done = unless_it_hangs(ioloop, got);
        assert!(done.is_ok(), "a task got its byte, and slept for 5 s: {done:?}");

        let ((reader, _other_writer), sleep) = (a_pipe(), ioloop.sleep(5 * S));
        let watched = ioloop.watch(reader).unwrap();
        let gave_up = async move {
            let mut wait = Box::pin(watched.readable());
            poll_fn(|context| Poll::Ready(wait.as_mut().poll(context).is_pending())).await;
            drop(wait);
            sleep.await;
        };
        let done = unless_it_hangs(ioloop, gave_up);
        assert!(done.is_ok(), "a task began to wait, gave up, and slept for 5 s: {done:?}");
        assert_eq!(ioloop.time(), 10 * S);
    });
}

/// A timer that stays a nanosecond away must not keep the loop awake.
#[test]
fn a_loop_whose_clock_stands_still_does_not_spin() {
    on_each_with_a_fake_clock(|ioloop, _| {
        let log = Log::default();
        let seen = log.clone();
        ioloop.subscribe(move |_, iteration| seen.add(iteration.timeout));
        ioloop.add_handler(Soon::new(), Events::READ, |ioloop, _, _| ioloop.stop()).unwrap();
        ioloop.call_later(Duration::from_nanos(1), |_| ());
        ioloop.start().unwrap();
        assert!(log.len() <= 10, "{} iterations in 30 ms, with a timer in a nanosecond: it spins", log.len());
    });
}

#[test]
fn a_turn_ends_although_the_clock_stands_still() {
    on_each_with_a_fake_clock(|ioloop, _| {
        let (reader, _writer) = a_pipe();
        ioloop.add_handler(reader, Events::READ, |_, _, _| ()).unwrap();
        let start = Instant::now();
        assert!(ioloop.turn(SOON).unwrap());
        assert!(start.elapsed() >= SOON, "nothing was ready, and the loop did not sleep");
        assert_eq!(ioloop.time(), Duration::ZERO);
    });
}

/// Each loop counts what it waits for on its own.
#[test]
fn a_clock_of_two_loops_advances_for_the_one_that_has_only_timers() {
    on_each_with_a_fake_clock(|ioloop, clock| {
        let config =
            Config { poller: ioloop.kind(), clock: Clock::Fake(clock.clone()), make_current: Current::No };
        let other = IoLoop::with(config).unwrap();
        let (reader, _writer) = a_pipe();
        other.add_handler(reader, Events::READ, |_, _, _| ()).unwrap();
        ioloop.call_later(S, IoLoop::stop);
        ioloop.start().unwrap();
        assert_eq!((ioloop.time(), other.time()), (S, S));
    });
}

#[test]
fn the_clock_stops_at_its_end() {
    on_each_with_a_fake_clock(|ioloop, clock| {
        let runs = Rc::new(Cell::new(0));
        let counted = Rc::clone(&runs);
        let every = ioloop.call_every(S, move |_| counted.set(counted.get() + 1));
        clock.advance(S);
        for time in [Duration::MAX, Duration::MAX, S] {
            clock.advance(time);
            assert_eq!(ioloop.time(), Duration::MAX);
        }
        ioloop.turn(Duration::MAX).unwrap();
        assert_eq!(runs.get(), 1, "it missed very many runs, which are skipped");
        every.stop(ioloop);
        let every = ioloop.call_every(Duration::MAX, IoLoop::stop);
        ioloop.start().unwrap();
        every.stop(ioloop);
        ioloop.call_later(Duration::MAX, IoLoop::stop);
        ioloop.start().unwrap();
        let sleep = ioloop.sleep(Duration::MAX);
        assert!(ioloop.run_sync(sleep, None).is_ok());
        let late = ioloop.run_sync(pending::<()>(), Some(Duration::MAX));
        assert!(matches!(late, Err(NoResult::Timeout(Duration::MAX))), "{late:?}");
    });
}

/// After a jump of years, the next run is in the future. (No clock and no deadline is beyond 584 years for a timer.)
#[test]
fn a_periodic_callback_skips_any_jump() {
    for years in [1, 100, 500] {
        on_each_with_a_fake_clock(|ioloop, clock| {
            let runs = Log::default();
            let seen = runs.clone();
            let every = ioloop.call_every(3 * S, move |ioloop| seen.add(ioloop.time()));
            let jump = Duration::from_secs(years * 365 * 86_400 + 1);
            clock.advance(jump);
            assert!(ioloop.turn(Duration::ZERO).unwrap());
            assert_eq!(runs.take(), [jump], "late, and once");
            assert!(ioloop.turn(Duration::ZERO).unwrap());
            assert_eq!(runs.take(), [], "after a jump of {years} years");
            every.stop(ioloop);
        });
    }
}

/// A loop that is its thread's current loop, one beside another current loop, and one in a thread without any.
fn each_way(test: impl Fn(&IoLoop, &str)) {
    let _alone = alone();
    for poller in Kind::ALL {
        for clock in [Clock::monotonic(), Clock::Fake(FakeClock::default())] {
            for way in ["current", "beside another", "not current"] {
                let fake = matches!(clock, Clock::Fake(_));
                let config = |make_current| Config { poller, clock: clock.clone(), make_current };
                IoLoop::clear_current();
                let other = IoLoop::with(config(Current::No)).unwrap();
                let ioloop = IoLoop::with(config(Current::No)).unwrap();
                match way {
                    "current" => ioloop.make_current(),
                    "beside another" => other.make_current(),
                    _ => {}
                }
                test(&ioloop, &format!("on {poller}, {way}, with a fake clock: {fake}"));
            }
        }
    }
    IoLoop::clear_current();
}

#[test]
fn zero_means_at_once_whether_or_not_the_loop_is_current() {
    each_way(|ioloop, way| {
        let zero = Duration::ZERO;
        assert_eq!(ioloop.run_sync(async { 42 }, Some(zero)).ok(), Some(42), "a future that is ready, {way}");
        let sleep = ioloop.sleep(zero);
        assert!(ioloop.run_sync(sleep, Some(zero)).is_ok(), "a sleep of zero, {way}");
        let late = ioloop.run_sync(pending::<()>(), Some(zero));
        assert!(matches!(late, Err(NoResult::Timeout(_))), "{way}: {late:?}");

        let log = Log::default();
        let logs = |name: &'static str| {
            let log = log.clone();
            move || log.add(name)
        };
        let (callback, at, later, task) =
            (logs("callback"), logs("call_at"), logs("call_later"), logs("task"));
        ioloop.add_callback(move |_| callback());
        ioloop.spawn(async move { task() });
        ioloop.call_at(zero, move |_| at());
        ioloop.call_later(zero, move |_| later());
        let (reader, _writer) = a_byte();
        let handler = logs("handler");
        let token = ioloop.add_handler(reader, Events::READ, move |_, _, _| handler()).unwrap();
        assert!(ioloop.turn(zero).unwrap());
        assert_eq!(
            log.take(),
            ["callback", "task", "call_at", "call_later", "handler"],
            "in one turn, {way}"
        );
        ioloop.remove_handler(token);
        let runs = Rc::new(Cell::new(0));
        let counted = Rc::clone(&runs);
        let every = ioloop.call_every(zero, move |_| counted.set(counted.get() + 1));
        for _ in 0..4 {
            assert!(ioloop.turn(Duration::from_millis(1)).unwrap());
        }
        assert!((3..=4).contains(&runs.get()), "a period of zero ran {} times in 4 turns, {way}", runs.get());
        every.stop(ioloop);
    });
}

#[test]
fn the_longest_time_means_no_limit() {
    each_way(|ioloop, way| {
        let max = Duration::MAX;
        let log = Log::default();
        let logs = || {
            let log = log.clone();
            move |_: &IoLoop| log.add("a timer without an end ran")
        };
        ioloop.call_at(max, logs());
        ioloop.call_later(max, logs());
        let every = ioloop.call_every(max, logs());
        let task = ioloop.spawn(ioloop.sleep(max));
        assert_eq!(ioloop.run_sync(async { 42 }, Some(max)).ok(), Some(42), "{way}");
        ioloop.call_later(Duration::from_millis(1), IoLoop::stop);
        let ended = ioloop.run_sync(pending::<()>(), Some(max));
        assert!(matches!(ended, Err(NoResult::Stopped)), "{way}: {ended:?}");
        ioloop.add_callback(|_| ());
        let (reader, _writer) = a_byte();
        ioloop.add_handler(reader, Events::READ, |_, _, _| ()).unwrap();
        assert!(ioloop.turn(max).unwrap(), "it sleeps until an event, {way}");
        assert_eq!(log.take(), [""; 0], "{way}");
        every.stop(ioloop);
        ioloop.cancel(task);
    });
}
