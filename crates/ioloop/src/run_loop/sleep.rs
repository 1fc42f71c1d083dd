//! The sleep: the loop waits for events, with its watchdog disarmed.
//!
//! Contract: the watchdog is armed whenever a running loop runs user code, and disarmed while the loop sleeps.

use super::IoLoop;
use crate::{Iteration, Result};

impl IoLoop {
    // ANCHOR: wait
    /// Sleep until a descriptor is ready, for at most the record's `timeout`. The watchdog is disarmed meanwhile.
    pub(super) fn wait(&self, record: &mut Iteration) -> Result<()> {
        record.sleep_start = self.time_for_subscribers();
        self.watchdog_off();
        record.events = self.0.registry.borrow_mut().wait(record.timeout)?;
        self.watchdog_on();
        record.sleep_end = self.time_for_subscribers();
        Ok(())
    }
    // ANCHOR_END: wait

    /// Arm the watchdog before user code.
    pub(super) fn watchdog_on(&self) {
        if let Some((watchdog, _)) = &*self.0.watchdog.borrow() {
            watchdog.arm();
        }
    }

    /// Disarm the watchdog before the sleep.
    pub(super) fn watchdog_off(&self) {
        if let Some((watchdog, _)) = &*self.0.watchdog.borrow() {
            watchdog.disarm();
        }
    }
}
