//! A descriptor that operations wait for: none of them, one, or two at a time.

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

use ioloop::IoLoop;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use support::{Log, a_pipe, on_each, on_each_with_a_fake_clock, turns};

/// What has not come by then does not come.
const PATIENCE: Duration = Duration::from_secs(4);

/// A hang-up is reported unasked, as long as it lasts: nothing but a oneshot has the kernel keep quiet about it.
#[test]
fn a_hang_up_that_nobody_waits_for_does_not_keep_the_loop_awake() {
    on_each(|ioloop| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let watched = ioloop.watch(ours).unwrap();
        drop(theirs);
        keeps_quiet(ioloop, "nobody has waited for anything");

        let read = async move {
            watched.readable().await?;
            Ok::<_, ioloop::Error>(watched.source().read(&mut [0]).map_err(|error| error.kind()))
        };
        let read = ioloop.run_sync(read, None).unwrap().unwrap();
        assert_eq!(read, Ok(0), "whoever waits later hears of it all the same");
    });
}

/// Nobody waits for anything: the loop is to sleep.
#[track_caller]
fn keeps_quiet(ioloop: &IoLoop, when: &str) {
    let turns = Log::default();
    let seen = turns.clone();
    let counting = ioloop.subscribe(move |_, _| seen.add(()));
    ioloop.call_later(Duration::from_millis(20), IoLoop::stop);
    ioloop.start().unwrap();
    ioloop.unsubscribe(counting);
    assert!(turns.len() <= 3, "{when}, and in 20 ms there are {} turns", turns.len());
}

/// What was heard is still so: there are bytes that nobody has read, and room that nobody has filled.
#[test]
fn what_was_heard_does_not_keep_the_loop_awake() {
    on_each(|ioloop| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        theirs.set_nonblocking(true).unwrap();
        while (&ours).write(&[0; 4096]).is_ok() {}
        let watched = ioloop.watch(ours).unwrap();
        let mut reader = Box::pin(watched.readable());
        let mut writer = Box::pin(watched.writable());
        assert!(is_pending(reader.as_mut()) && is_pending(writer.as_mut()), "nothing has come yet");
        (&theirs).write_all(b"x").unwrap();
        turns(ioloop, 2);
        assert!(is_pending(writer.as_mut()), "there is no room yet, and the reader has yet to look");
        while (&theirs).read(&mut [0; 4096]).is_ok() {}
        turns(ioloop, 2);
        assert!(!is_pending(writer.as_mut()), "there is room");
        assert!(
            !is_pending(reader.as_mut()),
            "it came first, and what came for another is no reason to forget it"
        );
        keeps_quiet(ioloop, "who waited to read and who waited to write have heard, and wait no more");

        let mut reader = Box::pin(watched.readable());
        assert!(is_pending(reader.as_mut()));
        turns(ioloop, 2);
        assert!(!is_pending(reader.as_mut()), "the byte is still there");
        keeps_quiet(ioloop, "who waited has heard, and has left the byte where it is");
    });
}

fn is_pending(future: Pin<&mut (impl Future + ?Sized)>) -> bool {
    future.poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

/// Of a pipe, the kernel says no more than that the other end has gone: nothing of reading, nothing of writing.
#[test]
fn the_end_of_the_other_side_is_news_for_both() {
    on_each(|ioloop| {
        let (reader, writer) = a_pipe();
        let read = ioloop.watch(reader).unwrap();
        let hung = ioloop.call_later(PATIENCE, IoLoop::stop);
        ioloop.add_callback(move |_| drop(writer));
        let heard = ioloop.run_sync(async move { read.readable().await.is_ok() }, None);
        assert!(matches!(heard, Ok(true)), "nobody can write any more, and who waits to read has {heard:?}");

        let (reader, mut writer) = a_pipe();
        let flags = FcntlArg::F_SETFL(OFlag::O_NONBLOCK);
        fcntl(&writer, flags).unwrap();
        while writer.write(&[0; 4096]).is_ok() {}
        let written = ioloop.watch(writer).unwrap();
        ioloop.add_callback(move |_| drop(reader));
        let heard = ioloop.run_sync(async move { written.writable().await.is_ok() }, None);
        assert!(matches!(heard, Ok(true)), "nobody can read any more, and who waits to write has {heard:?}");
        ioloop.remove_timeout(hung);
    });
}

type Waits = dyn Future<Output = ()>;

/// A future may move from one task to another, and it is the one that polled it last that waits.
#[test]
fn whoever_polled_last_is_woken() {
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
                "{what} was polled with one waker, then with another, and the other was not woken"
            );
            assert!(!is_pending(future.as_mut()), "{what} is over");
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

/// Neither one that is dropped nor one that is polled again.
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
        assert_eq!(fired.take().len(), 0, "a sleep that was dropped has none");
    });
}

/// The event of the one uses the oneshot up, for both.
#[test]
fn one_that_waits_to_read_and_one_that_waits_to_write_both_hear() {
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
        // First there is something to read, and when that was heard, there is room to write.
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
            "who has heard, of two that wait for one descriptor: who arms the oneshot again for the other?"
        );
    });
}

/// Ready is what was so a moment ago. Whoever finds it otherwise waits again, and is not told the old news.
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
        assert_eq!(woken.take(), [0, 1, 2, 3, 4], "one event, in the order in which they began to wait");
    });
}

/// A task that gave up, for a timeout say, must not be woken, and must not use up the wake of another.
#[test]
fn a_wait_that_is_dropped_leaves_no_waker_and_the_others_wait_on() {
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
            // However often it is polled, it waits once.
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
        assert_eq!(woken, [false, true], "the one that gave up, and the one that waits");
    });
}

#[test]
fn who_finds_nothing_there_waits_again() {
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
                // Not before it was found that there is nothing, and the task waits again.
                let peer = theirs.try_clone()?;
                ioloop.add_callback(move |_| (&peer).write_all(b"two!"));
            }
            ioloop.stop();
            Ok::<_, Box<dyn Error>>(())
        });
        // In the turn of the event, and so before the task is polled, somebody else takes what there is.
        ioloop.subscribe(move |_, turn| {
            if turn.events > 0 && stolen.get() == 0 {
                stolen.set((&thief).read(&mut [0; 8]).unwrap_or_default());
            }
        });
        let hung = ioloop.call_later(PATIENCE, IoLoop::stop);
        ioloop.start().unwrap();
        ioloop.remove_timeout(hung);
        assert_eq!(was_stolen.get(), 3, "there was something to take, in the turn that reported it");
        assert_eq!(
            log.take(),
            [Err(ErrorKind::WouldBlock), Ok(4)],
            "what the task read: nothing, since somebody was faster, and when it was told again what came then"
        );
    });
}

/// A question that was refused was not asked: the next wait has to ask again, and not believe that it is on its way.
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
            assert!(refused, "the {time} wait on a closed loop is {polled:?}: nobody will ever wake it");
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
        assert!(client.join().unwrap(), "what came back is not what was sent");
    });
}
