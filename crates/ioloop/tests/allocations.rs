//! What a loop allocates when it has all that it needs: nothing.

mod support;

use std::cell::Cell;
use std::io::{PipeReader, Read, Write};
use std::rc::Rc;
use std::time::Duration;

use ioloop::poller::Kind;
use ioloop::{Config, Events, IoLoop};
use support::counting::allocations;

/// A byte goes through a pipe, again and again: an event and an iteration each time. Callbacks and timers of what
/// is as small as nothing go with it.
#[test]
fn the_steady_state_allocates_nothing() {
    for poller in Kind::ALL {
        let ioloop = IoLoop::with(Config { poller, ..Config::default() }).unwrap();
        let (reader, mut writer) = support::a_pipe();
        writer.write_all(b"x").unwrap();
        let seen = Rc::new(Cell::new((0, 0)));
        let (events, counts) = (Cell::new(0), Rc::clone(&seen));
        ioloop
            .add_handler(reader, Events::READ, move |ioloop, mut reader: &PipeReader, _| {
                let mut byte = [0];
                reader.read_exact(&mut byte)?;
                ioloop.add_callback(|_| ());
                ioloop.call_later(Duration::ZERO, |_| ());
                events.set(events.get() + 1);
                match events.get() {
                    1000 => counts.set((allocations(), 0)),
                    3000 => {
                        counts.set((counts.get().0, allocations()));
                        ioloop.stop();
                    }
                    _ => {}
                }
                writer.write_all(&byte)
            })
            .unwrap();
        ioloop.start().unwrap();
        let (before, after) = seen.get();
        assert_eq!(
            after - before,
            0,
            "allocations in 2000 iterations on {poller}, each with an event, a callback, a timer"
        );
    }
}
