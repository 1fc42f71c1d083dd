//! An echo server: bare epoll, mio, and the loop, each in a thread of its own.

use bench::compare;

use crate::servers::{MESSAGE, bare, on_any_processor, on_mio, on_processor, round, start, with_handlers};

/// The servers are on one processor and the load on another, where there are two.
pub fn all() {
    on_processor(1);
    for connections in [4, 64] {
        let mut to_bare = start(connections, bare);
        let mut to_mio = start(connections, on_mio);
        let mut to_ours = start(connections, with_handlers);
        let beside = format!("echo, {connections} connections, {MESSAGE} bytes, beside bare epoll");
        compare(&format!("{beside}: mio"), || round(&mut to_bare), || round(&mut to_mio));
        compare(&format!("{beside}: the loop"), || round(&mut to_bare), || round(&mut to_ours));
    }
    on_any_processor();
}
