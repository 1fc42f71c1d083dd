//! Futures on the loop, as programs have them.

mod support;

use std::future::pending;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use ioloop::{IoLoop, TaskId};
use support::{on_each, on_each_with_a_fake_clock, turns};

const S: Duration = Duration::from_secs(1);

#[test]
fn run_sync_waits_for_time() {
    on_each_with_a_fake_clock(|ioloop, _| {
        for (n, outcome) in (1..).zip([Ok(42), Err("no")]) {
            let sleep = ioloop.sleep(3 * S);
            let operation = async move {
                sleep.await;
                outcome
            };
            assert_eq!(ioloop.run_sync(operation, None).unwrap(), outcome, "what it came to, later");
            assert_eq!(ioloop.time(), n * 3 * S);
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

#[test]
fn a_cancelled_task_is_dropped() {
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

#[test]
fn a_closed_loop_forgets_what_is_spawned() {
    on_each(|ioloop| {
        ioloop.close();
        let dropped = Rc::new(());
        let (held, itself) = (Rc::clone(&dropped), ioloop.clone());
        let task = ioloop.spawn(async move {
            let _held = (held, itself);
            pending::<()>().await;
        });
        assert_eq!(
            Rc::strong_count(&dropped),
            1,
            "a task that nobody will ever poll keeps its loop for ever"
        );
        ioloop.cancel(task);
    });
}

#[test]
fn a_loop_that_is_closed_drops_its_tasks() {
    on_each(|ioloop| {
        let dropped = Rc::new(());
        let held = Rc::clone(&dropped);
        ioloop.spawn(async move {
            let _held = held;
            pending::<()>().await;
        });
        turns(ioloop, 1);
        ioloop.close();
        assert_eq!(
            Rc::strong_count(&dropped),
            1,
            "nobody will ever poll it, and what it holds is never given back"
        );
    });
}

#[test]
fn a_task_that_is_dropped_may_cancel_another() {
    struct Cancels(IoLoop, TaskId);

    impl Drop for Cancels {
        fn drop(&mut self) {
            self.0.cancel(self.1);
        }
    }

    on_each(|ioloop| {
        for close in [false, true] {
            let dropped = Rc::new(());
            let held = Rc::clone(&dropped);
            let other = ioloop.spawn(async move {
                let _held = held;
                pending::<()>().await;
            });
            let cancels = Cancels(ioloop.clone(), other);
            let task = ioloop.spawn(async move {
                let _cancels = cancels;
                pending::<()>().await;
            });
            turns(ioloop, 1);
            if close {
                ioloop.close();
            } else {
                ioloop.cancel(task);
            }
            assert_eq!(Rc::strong_count(&dropped), 1, "the other one is gone too");
        }
    });
}
