//! The figures that the loop promises, each beside its peer in one run, and in turns with it.
//!
//! `just rows` measures all of them and prints a table; `just rows echo wake` those whose names contain one of the words.
//! Times of one thread are the processor's time of that thread, so a busy machine moves them little; the echoes, where
//! the load runs on another processor, want a quiet one.

mod callbacks;
#[path = "../07-loop/clear.rs"]
mod clear;
mod counts;
mod deadline;
mod dispatch;
mod echo;
#[path = "../servers/mod.rs"]
mod servers;
mod sleeping;
mod table;
mod timers;
mod wake;

use table::Row;

/// What measures some rows.
type Measure = fn() -> Vec<Row>;

fn main() {
    // Counted first: a process is forked for that, which takes one thread.
    let parts: [(&str, Measure); 8] = [
        ("count", counts::rows),
        ("echo", echo::rows),
        ("event", dispatch::rows),
        ("wake", wake::rows),
        ("timers", timers::rows),
        ("sleeping", sleeping::rows),
        ("deadline", deadline::rows),
        ("callbacks", callbacks::rows),
    ];
    let named: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    // glibc gives large blocks back to the kernel as they are freed, and gets them anew, page fault by page fault, until it
    // has seen one as large as this. In a server that has run for a minute it has.
    drop(std::hint::black_box(vec![1_u8; 31 << 20]));
    let wanted = |name: &str| named.is_empty() || named.iter().any(|named| name.contains(named.as_str()));
    let rows: Vec<Row> = parts.iter().filter(|(name, _)| wanted(name)).flat_map(|(_, part)| part()).collect();
    table::print(&rows);
}
