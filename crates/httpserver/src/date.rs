//! The Date field, made once a second: RFC 9110, 6.6.1.

use std::cell::{Cell, RefCell};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The last date that was made.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    /// The second that `text` is for, since 1970.
    second: Cell<u64>,
    text: RefCell<String>,
}

impl Clock {
    /// Call `with` with the current date: `Sun, 06 Nov 1994 08:49:37 GMT`.
    pub(crate) fn with<T>(&self, with: impl FnOnce(&str) -> T) -> T {
        // A clock before 1970 is wrong anyway.
        let second = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if self.second.replace(second) != second || self.text.borrow().is_empty() {
            *self.text.borrow_mut() = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
        }
        with(&self.text.borrow())
    }
}
