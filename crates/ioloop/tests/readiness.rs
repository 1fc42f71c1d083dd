//! A descriptor that operations wait for, while none of them does.

mod support;

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use ioloop::IoLoop;
use support::{Log, on_each};

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
