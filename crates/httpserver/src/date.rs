//! The Date field, made once a second: RFC 9110, 6.6.1.

use std::cell::{Cell, RefCell};
use std::time::{Duration, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

/// The last date that was made.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    /// The second that `text` is for, since 1970.
    second: Cell<u64>,
    text: RefCell<String>,
}

impl Clock {
    /// Read the clock, and make another date if the second is another.
    pub(crate) fn tick(&self) {
        // The time as of the kernel's last timer interrupt, which is a few milliseconds old and cheaper to read:
        // clock_gettime(2). A clock before 1970 is wrong anyway.
        let now = clock_gettime(ClockId::CLOCK_REALTIME_COARSE).ok();
        let second = now.and_then(|now| u64::try_from(now.tv_sec()).ok()).unwrap_or(0);
        if self.second.replace(second) != second || self.text.borrow().is_empty() {
            *self.text.borrow_mut() = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
        }
    }

    /// Call `with` with the date of the last tick: `Sun, 06 Nov 1994 08:49:37 GMT`.
    pub(crate) fn with<T>(&self, with: impl FnOnce(&str) -> T) -> T {
        with(&self.text.borrow())
    }
}
