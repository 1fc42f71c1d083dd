//! An echo of 64 bytes, with handlers and with futures, beside bare epoll. The servers are on one processor and the load
//! on another.

use std::time::Duration;

use bench::{Clock, in_turns};

use crate::servers::{
    Serve, bare, on_any_processor, on_processor, round, start, with_futures, with_handlers,
};
use crate::table::Row;

const WHOLE: Duration = Duration::from_secs(4);

pub fn rows() -> Vec<Row> {
    on_processor(1);
    let mut rows = Vec::new();
    for (name, serve, limit) in [("futures", with_futures as Serve, 0.97), ("handlers", with_handlers, 0.98)]
    {
        for connections in [4, 64] {
            let (mut to_bare, mut to_ours) = (start(connections, bare), start(connections, serve));
            let turns = in_turns(Clock::Wall, WHOLE, || round(&mut to_bare), || round(&mut to_ours));
            rows.push(Row::at_least(
                format!("echo with {name}, {connections} connections: a round"),
                turns,
                limit,
            ));
        }
    }
    on_any_processor();
    rows
}
