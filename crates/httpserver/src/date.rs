//! The Date field, made once a second: RFC 9110, 6.6.1.

use std::cell::{Cell, RefCell};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

/// The time as of the kernel's last timer interrupt, which is a few milliseconds old and cheaper to read: clock_gettime(2).
/// Everything that a response says of now comes from this clock, because no field of it may be later than its Date.
pub(crate) fn now() -> SystemTime {
    let now = clock_gettime(ClockId::CLOCK_REALTIME_COARSE).ok();
    // A clock before 1970 is wrong anyway.
    let second = now.and_then(|now| u64::try_from(now.tv_sec()).ok()).unwrap_or(0);
    UNIX_EPOCH + Duration::from_secs(second)
}

/// The last date that was made.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    /// The second that `text` is for.
    second: Cell<Option<SystemTime>>,
    text: RefCell<String>,
}

impl Clock {
    /// Call `with` with the date of now: `Sun, 06 Nov 1994 08:49:37 GMT`. Another one is made if the second is another.
    pub(crate) fn with<T>(&self, with: impl FnOnce(&str) -> T) -> T {
        let now = now();
        if self.second.replace(Some(now)) != Some(now) {
            *self.text.borrow_mut() = httpdate::fmt_http_date(now);
        }
        with(&self.text.borrow())
    }
}
