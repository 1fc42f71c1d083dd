//! The processor time of this process.

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
