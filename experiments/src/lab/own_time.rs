//! The processor time of this process, and the median of several.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// The processor time that all threads of this process have used so far. It does not grow while other processes have the
/// processors. See clock_gettime(2), `CLOCK_PROCESS_CPUTIME_ID`.
///
/// # Errors
/// `EINVAL` where the kernel has no such clock.
pub fn own_time() -> nix::Result<Duration> {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map(Duration::from)
}

/// The middle one of several times. The least of them would be 0 on a machine where [`own_time`] moves in steps, because its
/// clock source is not tsc.
pub fn median<const N: usize>(mut times: [f64; N]) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    times[N / 2]
}
