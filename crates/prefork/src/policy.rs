//! How a supervisor treats its children: how many there are, how often and how fast they are restarted.

use std::time::{Duration, Instant};

/// How many children to run, how often to restart them, and how long to wait.
// ANCHOR: options
#[derive(Debug, Clone)]
pub struct Policy {
    /// The number of children; 0 means one for each core that this process may use, by its affinity and by the CPU quota
    /// of its control group: see std's `available_parallelism`. Each needs two descriptors in the supervisor.
    pub children: usize,
    /// The number of restarts, counted for all children together, after which a further failure is an error.
    pub max_restarts: usize,
    /// How long the children may take to exit after the supervisor has signaled them. Then they get SIGKILL.
    pub grace: Duration,
    /// A child that fails before it has run this long counts as failing at once, and its restart is delayed.
    pub min_uptime: Duration,
    /// The delay of the first such restart. The delay doubles each time the same task fails at once again.
    pub pause: Duration,
    /// The upper bound of that delay.
    pub max_pause: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            children: 0,
            max_restarts: 100,
            grace: Duration::from_secs(10),
            min_uptime: Duration::from_secs(1),
            pause: Duration::from_millis(100),
            max_pause: Duration::from_secs(30),
        }
    }
}
// ANCHOR_END: options

/// The instant `pause` from now. If the clock cannot represent it, the instant is a hundred years from now.
pub(crate) fn after(pause: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(pause).unwrap_or_else(|| now + Duration::from_secs(100 * 365 * 86400))
}
