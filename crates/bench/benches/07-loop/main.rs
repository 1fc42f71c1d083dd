//! Chapter 7: what the loop costs, beside bare epoll, std's heap and std's queue.
//!
//! `cargo bench -p bench --bench loop` measures all of it, `cargo bench -p bench --bench loop -- timers` a part. On a
//! machine that others use too, the quartiles are closer to the median as root, with a priority that the others do
//! not have: `chrt -f 10 cargo bench …`.

mod callbacks;
mod clear;
mod echo;
mod heaps;
mod idle;
mod measured;
mod on_slab;
#[path = "../servers/mod.rs"]
mod servers;
mod timers;
mod wakes;

// For the clear version, which is a module of the loop's tests.
use ioloop::{Token, slab};

fn main() {
    let parts: [(&str, fn()); 5] = [
        ("echo", echo::all),
        ("idle", idle::all),
        ("timers", timers::all),
        ("callbacks", callbacks::all),
        ("wakes", wakes::all),
    ];
    let named: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    // glibc gives large blocks back to the kernel as they are freed, and has them anew, page fault by page fault, until
    // it has seen one as large as this. In a server that has run for a minute it has.
    drop(std::hint::black_box(vec![1_u8; 31 << 20]));
    for (name, part) in parts {
        if named.is_empty() || named.iter().any(|named| named == name) {
            part();
        }
    }
}
