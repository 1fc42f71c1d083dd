//! Two things measured in turns: what disturbs the machine for longer than a pair takes disturbs both alike.

use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

use crate::is_measuring;

/// How long one measurement takes, about: short beside what disturbs it, long beside the clock.
const BLOCK: Duration = Duration::from_micros(100);

/// Which time is measured.
#[derive(Debug, Clone, Copy)]
pub enum Clock {
    /// The time that passes: for work of several threads, and for what sleeps.
    Wall,
    /// The processor's time of this thread alone, see clock_gettime(2), `CLOCK_THREAD_CPUTIME_ID`: it does not pass
    /// while another process has the processor.
    Thread,
}

/// What was measured: each figure is the median between its quartiles.
#[derive(Debug, Clone, Copy)]
pub struct Turns {
    /// How many times as long the second takes, by pair.
    pub ratio: [f64; 3],
    /// How long the first takes, in nanoseconds.
    pub bare: [f64; 3],
    /// How long the second takes, in nanoseconds.
    pub ours: [f64; 3],
    /// How many pairs there were.
    pub pairs: usize,
}

/// Measure two things in turns, for `whole` in all, about.
pub fn in_turns(clock: Clock, whole: Duration, mut bare: impl FnMut(), mut ours: impl FnMut()) -> Turns {
    let (of_bare, of_ours) = (once(&mut bare), once(&mut ours));
    let times = (BLOCK.as_nanos() / of_bare.as_nanos().max(1)).max(1);
    let pairs = match is_measuring() {
        true => (whole.as_nanos() / (times * (of_bare + of_ours).as_nanos().max(1))).clamp(51, 10_001),
        false => 1,
    };
    let block = |work: &mut dyn FnMut()| {
        let start = clock.now();
        (0..times).for_each(|_| work());
        (clock.now() - start).as_secs_f64() * 1e9 / times as f64
    };
    let pair = |number| {
        // The second of a pair finds the caches as the first left them, so each is the second half of the time.
        if number % 2 == 0 {
            let bare = block(&mut bare);
            (bare, block(&mut ours))
        } else {
            let ours = block(&mut ours);
            (block(&mut bare), ours)
        }
    };
    let (mut bare, mut ours): (Vec<f64>, Vec<f64>) = (0..pairs).map(pair).unzip();
    let mut ratio: Vec<f64> = bare.iter().zip(&ours).map(|(bare, ours)| ours / bare).collect();
    let pairs = ratio.len();
    Turns { ratio: quartiles(&mut ratio), bare: quartiles(&mut bare), ours: quartiles(&mut ours), pairs }
}

impl Clock {
    fn now(self) -> Duration {
        let id = match self {
            Self::Wall => ClockId::CLOCK_MONOTONIC,
            Self::Thread => ClockId::CLOCK_THREAD_CPUTIME_ID,
        };
        clock_gettime(id).expect("every Linux has these clocks").into()
    }
}

/// How long it takes, roughly.
fn once(work: &mut dyn FnMut()) -> Duration {
    work();
    let start = Instant::now();
    (0..10).for_each(|_| work());
    start.elapsed() / 10
}

/// The lower quartile, the median and the upper quartile.
pub fn quartiles(numbers: &mut [f64]) -> [f64; 3] {
    numbers.sort_by(f64::total_cmp);
    [1, 2, 3].map(|part| numbers[(numbers.len() - 1) * part / 4])
}
