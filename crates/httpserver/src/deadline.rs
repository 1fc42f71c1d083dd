//! When a connection has waited for too long. One timer a connection, which is not restarted for each request: when it fires too
//! early, it is started again for what is left.

use std::cell::Cell;
use std::time::Duration;

use ioloop::IoLoop;
use ioloop::timers::TimerId;

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Stage {
    /// The first byte of a request.
    #[default]
    Idle,
    /// The rest of a head.
    Head,
    /// The rest of a body.
    Body,
    /// The application, or the client to take what is sent. Only the second has a limit.
    Running,
    /// The client to close.
    Lingering,
}

/// The deadline of a connection, and its timer.
#[derive(Debug, Default)]
pub(crate) struct Deadline {
    /// Of the stage with this number of requests before it, since this time.
    stage: Cell<Option<(Stage, u64)>>,
    since: Cell<Duration>,
    /// Since when the client has taken nothing of what is queued.
    stalled: Cell<Option<Duration>>,
    /// The time by which something must happen.
    at: Cell<Option<Duration>>,
    timer: Cell<Option<(TimerId, Duration)>>,
}

impl Deadline {
    /// The stage is this one now. Returns when it began.
    pub(crate) fn enter(&self, stage: Stage, number: u64, now: Duration) -> Duration {
        if self.stage.replace(Some((stage, number))) != Some((stage, number)) {
            self.since.set(now);
        }
        self.since.get()
    }

    /// Begin the stage once more.
    pub(crate) fn restart(&self) {
        self.stage.set(None);
    }

    pub(crate) fn stage(&self) -> Stage {
        self.stage.get().unwrap_or_default().0
    }

    /// The client took this many bytes.
    pub(crate) fn progress(&self, sent: u64) {
        if sent > 0 {
            self.stalled.set(None);
        }
    }

    /// Since when the client has taken nothing, if bytes are queued.
    pub(crate) fn stalled(&self, is_queued: bool, now: Duration) -> Option<Duration> {
        let since = is_queued.then(|| self.stalled.get().unwrap_or(now));
        self.stalled.set(since);
        since
    }

    /// Call `fire` at this time, or not at all.
    pub(crate) fn set(&self, ioloop: &IoLoop, at: Option<Duration>, fire: impl FnOnce(&IoLoop) + 'static) {
        self.at.set(at);
        let Some(at) = at else { return };
        match self.timer.get() {
            Some((_, due)) if due <= at => {}
            other => {
                if let Some((timer, _)) = other {
                    ioloop.remove_timeout(timer);
                }
                self.timer.set(Some((ioloop.call_at(at, fire), at)));
            }
        }
    }

    /// Is there a deadline, and is it over?
    pub(crate) fn has_passed(&self, now: Duration) -> bool {
        self.at.get().is_some_and(|at| at <= now)
    }

    /// The timer fired: was that the deadline? If not, start it again with `fire`.
    pub(crate) fn is_over(&self, ioloop: &IoLoop, fire: impl FnOnce(&IoLoop) + 'static) -> bool {
        self.timer.set(None);
        let is_over = self.has_passed(ioloop.time());
        if !is_over {
            self.set(ioloop, self.at.get(), fire);
        }
        is_over
    }

    pub(crate) fn cancel(&self, ioloop: &IoLoop) {
        self.at.set(None);
        if let Some((timer, _)) = self.timer.take() {
            ioloop.remove_timeout(timer);
        }
    }
}
