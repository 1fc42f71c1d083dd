//! The processor time of this process, and the median of several.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use super::Lab;
use crate::verdict::{Result, cannot_ask};

/// The longest step with which a call of some microseconds can be measured by repeating it.
const COARSEST: Duration = Duration::from_micros(200);

/// How many steps are looked at: a single one is long when another process had the processor.
const STEPS: usize = 5;

/// The processor time that all threads of this process have used so far. It does not grow while other processes have the
/// processors. See clock_gettime(2), `CLOCK_PROCESS_CPUTIME_ID`.
///
/// # Errors
/// `EINVAL` where the kernel has no such clock.
pub fn own_time() -> nix::Result<Duration> {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map(Duration::from)
}

impl Lab {
    /// Check that [`own_time`] moves in short steps, so that calls of some microseconds can be told apart. A browser may give
    /// a machine in a page a clock with steps of a millisecond.
    ///
    /// # Errors
    /// A [`cannot_ask`] if the shortest of several steps is longer.
    pub fn own_time_is_fine(&self) -> Result {
        let mut shortest = Duration::MAX;
        for _ in 0..STEPS {
            let (start, mut now) = (own_time()?, own_time()?);
            while now == start {
                now = own_time()?;
            }
            shortest = shortest.min(now - start);
        }
        match shortest > COARSEST {
            true => Err(cannot_ask(format!(
                "the clock of a process moves in steps of {shortest:?} here: too coarse"
            ))),
            false => Ok(()),
        }
    }
}

/// The middle one of several times. The least of them would be 0 on a machine where [`own_time`] moves in steps, because its
/// clock source is not tsc.
pub fn median<const N: usize>(mut times: [f64; N]) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    times[N / 2]
}
