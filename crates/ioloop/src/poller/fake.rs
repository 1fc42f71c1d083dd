//! A poller for tests, which advances a fake clock instead of sleeping.
//!
//! Contract: the clock advances only in a wait that finds nothing ready, and only if the loop waits for nothing but timers:
//! see [`FakeClock`]. Otherwise the wait is the real poller's.

use std::collections::BTreeMap;
use std::os::fd::RawFd;
use std::time::Duration;

use crate::clock::Awaited;
use crate::poller::Poller;
use crate::{Event, Events, FakeClock, Result, Token};

/// The shortest real sleep. While the clock stands still, a timer that is due in a nanosecond stays due in a nanosecond, so
/// a loop that slept for no longer would spin.
const SHORTEST: Duration = Duration::from_millis(10);

/// A poller that waits on another one, or advances the clock.
#[derive(Debug)]
pub(crate) struct Fake {
    poller: Box<dyn Poller>,
    clock: FakeClock,
    /// The loop's own waker, which is always registered, and which no program waits for.
    own: RawFd,
    watched: BTreeMap<RawFd, Watched>,
}

#[derive(Debug)]
struct Watched {
    token: Token,
    interest: Events,
    /// `None` if it can have no event.
    awaited: Option<Awaited>,
}

impl Fake {
    pub(crate) fn new(poller: Box<dyn Poller>, clock: FakeClock, own: RawFd) -> Self {
        Self { poller, clock, own, watched: BTreeMap::new() }
    }

    fn watch(&mut self, fd: RawFd, token: Token, interest: Events) {
        let can_come = fd != self.own && !(interest - Events::MODE).is_empty();
        let awaited = can_come.then(|| self.clock.awaits());
        self.watched.insert(fd, Watched { token, interest, awaited });
    }
}

impl Poller for Fake {
    fn add(&mut self, fd: RawFd, token: Token, interest: Events) -> Result<()> {
        self.poller.add(fd, token, interest)?;
        self.watch(fd, token, interest);
        Ok(())
    }

    fn modify(&mut self, fd: RawFd, token: Token, interest: Events) -> Result<()> {
        self.poller.modify(fd, token, interest)?;
        self.watch(fd, token, interest);
        Ok(())
    }

    fn remove(&mut self, fd: RawFd) -> Result<()> {
        self.watched.remove(&fd);
        self.poller.remove(fd)
    }

    fn wait(&mut self, ready: &mut Vec<Event>, timeout: Option<Duration>) -> Result<()> {
        match timeout {
            Some(time) if !time.is_zero() && self.clock.must_stand_still() => {
                self.poller.wait(ready, Some(time.max(SHORTEST)))?;
            }
            Some(time) => {
                self.poller.wait(ready, Some(Duration::ZERO))?;
                if ready.is_empty() {
                    self.clock.advance(time);
                }
            }
            None => self.poller.wait(ready, None)?,
        }
        // A oneshot that fired waits for nothing until it is modified.
        let fired = |watched: &&mut Watched| ready.iter().any(|event| event.token == watched.token);
        let oneshots = self.watched.values_mut().filter(|watched| watched.interest.contains(Events::ONESHOT));
        oneshots.filter(fired).for_each(|watched| watched.awaited = None);
        Ok(())
    }
}
