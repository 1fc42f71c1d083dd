//! A descriptor that operations wait for: none of them, one, or several at a time.

mod support;

use std::cell::Cell;
use std::error::Error;
use std::future::{Future, pending};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use ioloop::{Config, IoLoop};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use support::{Log, a_pipe, on_each, on_each_with_a_fake_clock, panics, turns};

/// An event that has not come by then does not come.
const PATIENCE: Duration = Duration::from_secs(4);

/// The kernel reports a hang-up unasked, as long as it lasts. Only a oneshot stops that.
#[test]
fn a_hang_up_without_waiters_does_not_keep_the_loop_awake() {
    on_each(|ioloop| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let watched = ioloop.watch(ours).unwrap();
        drop(theirs);
        keeps_quiet(ioloop, "no operation has waited yet");

        let read = async move {
            watched.readable().await?;
            Ok::<_, ioloop::Error>(watched.source().read(&mut [0]).map_err(|error| error.kind()))
        };
        let read = ioloop.run_sync(read, None).unwrap().unwrap();
        assert_eq!(read, Ok(0), "an operation that waits later still gets the hang-up");
    });
}

/// No operation waits, so the loop must sleep.
#[track_caller]
fn keeps_quiet(ioloop: &IoLoop, when: &str) {
    let turns = Log::default();
    let seen = turns.clone();
    let counting = ioloop.subscribe(move |_, _| seen.add(()));
    ioloop.call_later(Duration::from_millis(20), IoLoop::stop);
    ioloop.start().unwrap();
    ioloop.unsubscribe(counting);
    assert!(turns.len() <= 3, "{when}, and in 20 ms the loop made {} iterations", turns.len());
}

/// The reported state persists: bytes stay unread, and room stays unfilled.
#[test]
fn readiness_without_waiters_does_not_keep_the_loop_awake() {
    on_each(|ioloop| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        theirs.set_nonblocking(true).unwrap();
        while (&ours).write(&[0; 4096]).is_ok() {}
        let watched = ioloop.watch(ours).unwrap();
        let mut reader = Box::pin(watched.readable());
        let mut writer = Box::pin(watched.writable());
        assert!(is_pending(reader.as_mut()) && is_pending(writer.as_mut()), "no byte has come yet");
        (&theirs).write_all(b"x").unwrap();
        turns(ioloop, 2);
        assert!(is_pending(writer.as_mut()), "there is no room yet, and the reader has not polled yet");
        while (&theirs).read(&mut [0; 4096]).is_ok() {}
        turns(ioloop, 2);
        assert!(!is_pending(writer.as_mut()), "there is room");
        assert!(
            !is_pending(reader.as_mut()),
            "the byte came first, and an event for another operation must not hide it"
        );
        keeps_quiet(ioloop, "the reader and the writer got their events, and no longer wait");

        let mut reader = Box::pin(watched.readable());
        assert!(is_pending(reader.as_mut()));
        turns(ioloop, 2);
        assert!(!is_pending(reader.as_mut()), "the byte is still there");
        keeps_quiet(ioloop, "the reader got its event, and left the byte in the pipe");
    });
}

fn is_pending(future: Pin<&mut (impl Future + ?Sized)>) -> bool {
    future.poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

/// When one end of a pipe is closed, the kernel reports only that: neither readable nor writable.
#[test]
fn a_hang_up_wakes_readers_and_writers() {
    on_each(|ioloop| {
        let (reader, writer) = a_pipe();
        let read = ioloop.watch(reader).unwrap();
        let hung = ioloop.call_later(PATIENCE, IoLoop::stop);
        ioloop.add_callback(move |_| drop(writer));
        let heard = ioloop.run_sync(async move { read.readable().await.is_ok() }, None);
        assert!(
            matches!(heard, Ok(true)),
            "no writer is left, and the operation that waits to read got {heard:?}"
        );

        let (reader, mut writer) = a_pipe();
        let flags = FcntlArg::F_SETFL(OFlag::O_NONBLOCK);
        fcntl(&writer, flags).unwrap();
        while writer.write(&[0; 4096]).is_ok() {}
        let written = ioloop.watch(writer).unwrap();
        ioloop.add_callback(move |_| drop(reader));
        let heard = ioloop.run_sync(async move { written.writable().await.is_ok() }, None);
        assert!(
            matches!(heard, Ok(true)),
            "no reader is left, and the operation that waits to write got {heard:?}"
        );
        ioloop.remove_timeout(hung);
    });
}

type Waits = dyn Future<Output = ()>;

/// A future can move from one task to another: the task that polled it last waits.
#[test]
fn the_last_waker_is_woken() {
    on_each_with_a_fake_clock(|ioloop, _| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let watched = ioloop.watch(ours).unwrap();
        let last = Arc::new(Last::default());
        let waker = Waker::from(Arc::clone(&last));
        let mut futures: [(&str, Pin<Box<Waits>>); 2] = [
            ("a sleep", Box::pin(ioloop.sleep(Duration::from_millis(1)))),
            ("a wait", Box::pin(async move { watched.readable().await.unwrap() })),
        ];
        for (what, future) in &mut futures {
            assert!(is_pending(future.as_mut()));
            assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            (&theirs).write_all(b"x").unwrap();
            ioloop.call_later(Duration::from_millis(5), IoLoop::stop);
            ioloop.start().unwrap();
            assert!(
                last.0.swap(false, Ordering::SeqCst),
                "{what} was polled with one waker, then with another, and did not wake the second one"
            );
            assert!(!is_pending(future.as_mut()), "{what} is ready");
        }
    });
}

#[derive(Default)]
struct Last(AtomicBool);

impl Wake for Last {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A sleep that is dropped leaves no timer, and a sleep that is polled again has only one.
#[test]
fn a_sleep_leaves_no_timer_behind() {
    on_each_with_a_fake_clock(|ioloop, _| {
        let fired = Log::default();
        let seen = fired.clone();
        ioloop.subscribe(move |_, turn| (0..turn.timers).for_each(|_| seen.add(())));
        let mut sleep = Box::pin(ioloop.sleep(PATIENCE));
        for _ in 0..3 {
            assert!(is_pending(sleep.as_mut()));
        }
        ioloop.call_later(2 * PATIENCE, IoLoop::stop);
        ioloop.start().unwrap();
        assert_eq!(fired.take().len(), 1, "a sleep that was polled three times has one timer");

        let mut sleep = Box::pin(ioloop.sleep(PATIENCE));
        assert!(is_pending(sleep.as_mut()));
        drop(sleep);
        ioloop.call_later(2 * PATIENCE, IoLoop::stop);
        ioloop.start().unwrap();
        assert_eq!(fired.take().len(), 0, "a sleep that was dropped has no timer");
    });
}

/// An event for one operation must leave the other one registered.
#[test]
fn a_reader_and_a_writer_of_one_descriptor_are_both_woken() {
    on_each(|ioloop| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        theirs.set_nonblocking(true).unwrap();
        while (&ours).write(&[0; 4096]).is_ok() {}
        let watched = Rc::new(ioloop.watch(ours).unwrap());
        let heard = Log::default();
        let (log, writer) = (heard.clone(), Rc::clone(&watched));
        ioloop.spawn(async move {
            writer.writable().await?;
            log.add("writable");
            IoLoop::current().unwrap().stop();
            Ok::<_, ioloop::Error>(())
        });
        // First a byte can be read; after that event, there is room to write.
        (&theirs).write_all(b"x").unwrap();
        let log = heard.clone();
        ioloop.spawn(async move {
            watched.readable().await?;
            log.add("readable");
            while (&theirs).read(&mut [0; 4096]).is_ok() {}
            pending::<()>().await;
            Ok::<_, ioloop::Error>(())
        });
        let hung = ioloop.call_later(PATIENCE, IoLoop::stop);
        ioloop.start().unwrap();
        ioloop.remove_timeout(hung);
        assert_eq!(
            heard.take(),
            ["readable", "writable"],
            "which of two operations that wait for one descriptor got their events: did the first event disarm \
             the other one, too?"
        );
    });
}

/// Only their next calls show which of them gets something.
#[test]
fn any_number_of_tasks_wait_for_one_descriptor_and_each_is_woken() {
    on_each(|ioloop| {
        let (reader, mut writer) = a_pipe();
        let reader = Rc::new(ioloop.watch(reader).unwrap());
        let woken = Log::default();
        for n in 0..5 {
            let (reader, woken) = (Rc::clone(&reader), woken.clone());
            ioloop.spawn(async move {
                reader.readable().await?;
                woken.add(n);
                Ok::<_, ioloop::Error>(())
            });
        }
        turns(ioloop, 3);
        assert_eq!(woken.len(), 0, "nothing has come");
        writer.write_all(b"x").unwrap();
        turns(ioloop, 3);
        assert_eq!(
            woken.take(),
            [0, 1, 2, 3, 4],
            "one event wakes all, in the order in which they began to wait"
        );
    });
}

/// A task that gave up, for example after a timeout, must not be woken, and must not use up the wake of another one.
#[test]
fn a_dropped_wait_leaves_no_waker_and_the_others_wait_on() {
    struct Counts(AtomicBool);

    impl Wake for Counts {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    on_each(|ioloop| {
        let (reader, mut writer) = a_pipe();
        let reader = ioloop.watch(reader).unwrap();
        let [gone, stays] = [(); 2].map(|()| Arc::new(Counts(AtomicBool::new(false))));
        let mut dropped = Box::pin(reader.readable());
        let mut kept = Box::pin(reader.readable());
        for (wait, waker) in [(&mut dropped, &gone), (&mut kept, &stays)] {
            let waker = Waker::from(Arc::clone(waker));
            // A wait that is polled often still has one waker.
            for _ in 0..100 {
                assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            }
        }
        assert!(Arc::strong_count(&gone) <= 2, "a hundred polls of one wait keep a hundred wakers");
        drop(dropped);
        assert_eq!(Arc::strong_count(&gone), 1, "a wait that was dropped leaves its waker there");
        writer.write_all(b"x").unwrap();
        turns(ioloop, 1);
        let woken = [&gone, &stays].map(|waker| waker.0.load(Ordering::Relaxed));
        assert_eq!(woken, [false, true], "the wait that gave up, and the wait that goes on");
    });
}

/// Readiness can be outdated. An operation that gets EAGAIN waits again, and must not get the old event again.
#[test]
fn a_task_that_gets_eagain_waits_again() {
    on_each(|ioloop| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let thief = ours.try_clone().unwrap();
        let watched = ioloop.watch(ours).unwrap();
        (&theirs).write_all(b"one").unwrap();
        let (log, stolen) = (Log::default(), Rc::new(Cell::new(0)));
        let (seen, was_stolen) = (log.clone(), Rc::clone(&stolen));
        ioloop.spawn(async move {
            let ioloop = IoLoop::current().ok_or("no loop is current")?;
            for _ in 0..2 {
                watched.readable().await?;
                seen.add(watched.source().read(&mut [0; 8]).map_err(|error| error.kind()));
                // Not before the task got EAGAIN and waits again.
                let peer = theirs.try_clone()?;
                ioloop.add_callback(move |_| (&peer).write_all(b"two!"));
            }
            ioloop.stop();
            Ok::<_, Box<dyn Error>>(())
        });
        // In the iteration of the event, and so before the task is polled, other code reads the byte.
        ioloop.subscribe(move |_, turn| {
            if turn.events > 0 && stolen.get() == 0 {
                stolen.set((&thief).read(&mut [0; 8]).unwrap_or_default());
            }
        });
        let hung = ioloop.call_later(PATIENCE, IoLoop::stop);
        ioloop.start().unwrap();
        ioloop.remove_timeout(hung);
        assert_eq!(was_stolen.get(), 3, "the byte could be read, in the iteration that reported it");
        assert_eq!(
            log.take(),
            [Err(ErrorKind::WouldBlock), Ok(4)],
            "what the task read: EAGAIN, because other code was faster, and then, at the next event, the new byte"
        );
    });
}

/// A registration that was refused does not exist: the next wait must try it again, instead of waiting for an event.
#[test]
fn a_wait_that_was_refused_is_refused_again() {
    on_each(|ioloop| {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let watched = ioloop.watch(ours).unwrap();
        ioloop.close();
        for time in ["first", "second"] {
            let polled = pin!(watched.readable()).poll(&mut Context::from_waker(Waker::noop()));
            let refused = matches!(polled, Poll::Ready(Err(_)));
            assert!(refused, "the {time} wait on a closed loop is {polled:?}: it would never be woken");
        }
    });
}

/// A task of another loop, or `block_on`, may wait for a descriptor of a loop that is closed meanwhile.
#[test]
fn a_wait_ends_when_the_loop_of_its_descriptor_is_closed() {
    on_each(|ioloop| {
        for (how, errno) in [("closed", Errno::ENOENT), ("dropped", Errno::EBADF)] {
            let other = IoLoop::with(Config { poller: ioloop.kind(), ..Config::default() }).unwrap();
            let (reader, _writer) = a_pipe();
            let watched = other.watch(reader).unwrap();
            let kept = (how == "closed").then(|| other.clone());
            // After the first poll.
            ioloop.add_callback(move |ioloop| {
                ioloop.add_callback(move |_| if how == "closed" { other.close() } else { drop(other) });
            });
            let both = async move {
                // The first wait ends because of the close, and the second is refused.
                let ended = watched.readable().await.is_ok();
                (ended, watched.readable().await.map_err(|error| error.errno))
            };
            let ended = ioloop.run_sync(both, Some(PATIENCE));
            assert!(
                matches!(ended, Ok((true, Err(error))) if error == errno),
                "its loop was {how}, and nothing else will end the wait: {ended:?}"
            );
            drop(kept);
        }
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
        assert!(client.join().unwrap(), "the echo differs from what was sent");
    });
}

/// A waker may be code of the program: here one that panics, between others that do not.
#[test]
fn a_waker_that_panics_keeps_no_other_task_asleep() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panics("in a waker");
        }
    }
    on_each(|ioloop| {
        let (failures, done) = (Log::default(), Log::default());
        let seen = failures.clone();
        ioloop.handle_callback_exception(move |_, failure| seen.add(failure.to_string()));
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let watched = Rc::new(ioloop.watch(ours).unwrap());
        let waits = |name: &'static str| {
            let (watched, done) = (Rc::clone(&watched), done.clone());
            ioloop.spawn(async move {
                watched.readable().await?;
                done.add(name);
                Ok::<_, ioloop::Error>(())
            });
            turns(ioloop, 1);
        };
        waits("before");
        let mut wait = pin!(watched.readable());
        let waker = Waker::from(Arc::new(Panics));
        assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        waits("after");
        theirs.write_all(b"x").unwrap();
        turns(ioloop, 5);
        let mut woken = done.take();
        woken.sort_unstable();
        assert_eq!(woken, ["after", "before"], "one waker of three panicked");
        let said = failures.take();
        assert!(matches!(&said[..], [only] if only.contains("in a waker")), "{said:?}");
    });
}
