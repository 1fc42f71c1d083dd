//! A descriptor that operations wait for: none of them, one, or two at a time.

mod support;

use std::cell::Cell;
use std::error::Error;
use std::future::{Future, pending};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ioloop::IoLoop;
use support::{Log, on_each};

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
        let turns = Log::default();
        let seen = turns.clone();
        ioloop.subscribe(move |_, _| seen.add(()));
        ioloop.call_later(Duration::from_millis(20), IoLoop::stop);
        ioloop.start().unwrap();
        assert!(turns.len() <= 3, "{} turns in 20 ms, and nobody waits for anything", turns.len());

        let read = async move {
            watched.readable().await?;
            Ok::<_, ioloop::Error>(watched.source().read(&mut [0]).map_err(|error| error.kind()))
        };
        let read = ioloop.run_sync(read, None).unwrap().unwrap();
        assert_eq!(read, Ok(0), "whoever waits later hears of it all the same");
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
