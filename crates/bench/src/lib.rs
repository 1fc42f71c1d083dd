//! What it costs: one file or folder in `benches/` for each chapter, with bare system calls beside ours.
//!
//! `just bench` runs all of them, `just bench waker` one. Criterion measures one thing after another, and on a
//! machine that is shared the second may get a slower one: for the question how many times as long, there is
//! [`compare`]. Only the ratios within one run mean anything on another machine.

use std::time::{Duration, Instant};

/// How long all pairs take, about.
const WHOLE: Duration = Duration::from_secs(5);

/// How long one measurement takes, about: short beside what disturbs it, long beside the clock.
const BLOCK: Duration = Duration::from_micros(100);

/// Measure two things in turns, some thousand times, and print how many times as long the second takes: the
/// median of the pairs' ratios, with the quartiles, and how long the second takes. What disturbs the machine for
/// longer than a pair takes disturbs both alike.
pub fn compare(name: &str, mut bare: impl FnMut(), mut ours: impl FnMut()) {
    let (of_bare, of_ours) = (once(&mut bare), once(&mut ours));
    let times = (BLOCK.as_nanos() / of_bare.as_nanos().max(1)).max(1);
    // `cargo test` runs benches too, to see that they work: once is enough.
    let pairs = match std::env::args().any(|arg| arg == "--bench") {
        true => (WHOLE.as_nanos() / (times * (of_bare + of_ours).as_nanos().max(1))).clamp(51, 10_001),
        false => 1,
    };
    let block = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..times).for_each(|_| work());
        start.elapsed().as_secs_f64()
    };
    let (mut ratios, mut ours): (Vec<f64>, Vec<f64>) = (0..pairs)
        .map(|pair| {
            // Whoever comes second finds the caches as the first has left them: so each is second half of the time.
            if pair % 2 == 0 {
                let bare = block(&mut bare);
                let ours = block(&mut ours);
                (ours / bare, ours)
            } else {
                let ours = block(&mut ours);
                (ours / block(&mut bare), ours)
            }
        })
        .unzip();
    let [low, ratio, high] = quartiles(&mut ratios);
    let nanoseconds = quartiles(&mut ours)[1] / times as f64 * 1e9;
    let once = match nanoseconds {
        ..1e3 => format!("{nanoseconds:.1} ns"),
        ..1e6 => format!("{:.1} µs", nanoseconds / 1e3),
        _ => format!("{:.2} ms", nanoseconds / 1e6),
    };
    println!("{name}: {ratio:.3} times as long (quartiles {low:.3} and {high:.3}, {pairs} pairs); {once}");
}

/// How long it takes, roughly.
fn once(work: &mut dyn FnMut()) -> Duration {
    work();
    let start = Instant::now();
    (0..10).for_each(|_| work());
    start.elapsed() / 10
}

fn quartiles(numbers: &mut [f64]) -> [f64; 3] {
    numbers.sort_by(f64::total_cmp);
    [1, 2, 3].map(|part| numbers[(numbers.len() - 1) * part / 4])
}
