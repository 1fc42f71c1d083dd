//! Time that this process has used, and nobody else.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// What this process, with all of its threads, has had of the processors so far. Others may have them meanwhile, and it
/// does not grow. See clock_gettime(2), `CLOCK_PROCESS_CPUTIME_ID`.
///
/// # Errors
/// `EINVAL` where the kernel has no such clock.
pub fn own_time() -> nix::Result<Duration> {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map(Duration::from)
}
