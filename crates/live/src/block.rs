//! What a reader can do to the loop: block it, and open a client that sends a byte a second.

use std::cell::RefCell;
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use ioloop::IoLoop;
use serde_json::{Value, json};

use crate::output::complain;

/// The longest time for which the loop can be blocked, in milliseconds.
pub const LONGEST: u64 = 1000;

/// A callback may run so long before the watchdog reports its stack.
const THRESHOLD: Duration = Duration::from_millis(100);

/// How many slow clients there can be.
pub const SLOW_CLIENTS: usize = 4;

/// Block the loop: the mistake that the page shows. While it sleeps here, no other client is answered.
pub fn block_the_loop(ms: u64) -> u64 {
    let ms = ms.min(LONGEST);
    thread::sleep(Duration::from_millis(ms));
    ms
}

/// What gets a report, as an event.
type Report = Rc<dyn Fn(&IoLoop, &Value)>;

thread_local! {
    /// The watchdog's thread cannot carry it.
    static REPORT: RefCell<Option<Report>> = const { RefCell::new(None) };
}

/// Give `report` the stack of what blocks the loop. The watchdog reports it in a thread of its own, so the loop gets it once it
/// runs again.
pub fn watch(ioloop: &IoLoop, report: impl Fn(&IoLoop, &Value) + 'static) {
    REPORT.set(Some(Rc::new(report)));
    let handle = ioloop.handle();
    let watched = ioloop.set_blocking_threshold(Some(THRESHOLD), move |blocked| {
        let ms = blocked.threshold.as_millis();
        let event = json!({ "kind": "blocked", "stack": blocked.stack, "threshold_ms": ms, "for_ms": ms });
        let _ = handle.add_callback(move |ioloop| {
            if let Some(report) = REPORT.with_borrow(Clone::clone) {
                report(ioloop, &event);
            }
        });
    });
    // Without a watchdog the page shows the gap in the trace, and no stack.
    if let Err(error) = watched {
        complain!("live: no watchdog: {error}");
    }
}

/// Watch no more.
pub fn unwatch(ioloop: &IoLoop) {
    let _ = ioloop.set_blocking_threshold(None, |_| {});
    REPORT.set(None);
}

/// Connect to this server, and send a request at one byte a second, until it is whole, or the server has closed the connection.
///
/// # Errors
/// Those of connect(2).
pub fn slow_client(ioloop: &IoLoop, port: u16, over: impl FnOnce() + 'static) -> io::Result<()> {
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    socket.set_nonblocking(true)?;
    socket.set_nodelay(true)?;
    let request = format!("GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
    let mut bytes = request.into_bytes().into_iter();
    let mut over = Some(over);
    let timer: Rc<RefCell<Option<ioloop::Periodic>>> = Rc::default();
    let own = Rc::clone(&timer);
    let every = ioloop.call_every(Duration::from_secs(1), move |ioloop| {
        let sent = bytes.next().is_some_and(|byte| socket.write_all(&[byte]).is_ok());
        if !sent {
            own.take().iter().for_each(|timer| timer.stop(ioloop));
            if let Some(over) = over.take() {
                over();
            }
        }
    });
    *timer.borrow_mut() = Some(every);
    Ok(())
}
