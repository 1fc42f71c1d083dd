//! What things cost: one file or folder in `benches/` for each chapter, with bare system calls beside ours; `rows`,
//! the figures that the loop promises; and `http`, the HTTP server beside its peers.
//!
//! `just bench` runs all of them, `just bench waker` one, `just rows` the promises, `just http` the servers. Criterion measures one thing after
//! another, so on a shared machine the second may get a slower moment. For the question how many times as long there are
//! [`in_turns`] and [`compare`]. Only the ratios within one run mean anything on another machine.

mod turns;

use std::time::Duration;

pub use turns::{Clock, Turns, in_turns, quartiles};

/// How long all pairs take together, about.
const WHOLE: Duration = Duration::from_secs(5);

/// Measure two things in turns, some thousand times, and print how many times as long the second takes: the median of
/// the pairs' ratios with the quartiles, and how long the second takes.
pub fn compare(name: &str, bare: impl FnMut(), ours: impl FnMut()) {
    let Turns { ratio: [low, ratio, high], ours: [_, once, _], pairs, .. } =
        in_turns(Clock::Wall, WHOLE, bare, ours);
    println!(
        "{name}: {ratio:.3} times as long (quartiles {low:.3} and {high:.3}, {pairs} pairs); {}",
        time(once)
    );
}

/// A time in nanoseconds, with the unit that suits it.
pub fn time(nanoseconds: f64) -> String {
    match nanoseconds {
        ..1e3 => format!("{nanoseconds:.1} ns"),
        ..1e6 => format!("{:.1} µs", nanoseconds / 1e3),
        _ => format!("{:.2} ms", nanoseconds / 1e6),
    }
}

/// Is this a measurement? `cargo test` runs benches too, to see that they work: once is enough for that.
pub fn is_measuring() -> bool {
    std::env::args().any(|arg| arg == "--bench")
}
