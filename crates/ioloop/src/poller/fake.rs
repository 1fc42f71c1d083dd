//! A poller for tests, which advances a fake clock instead of sleeping.

use std::os::fd::RawFd;
use std::time::Duration;

use crate::poller::Poller;
use crate::{Event, Events, FakeClock, Result, Token};

/// A poller that waits on another with a timeout of zero, and then advances the clock by the timeout if nothing is ready.
#[derive(Debug)]
pub(crate) struct Fake {
    poller: Box<dyn Poller>,
    clock: FakeClock,
}

impl Fake {
    pub(crate) fn new(poller: Box<dyn Poller>, clock: FakeClock) -> Self {
        Self { poller, clock }
    }
}

impl Poller for Fake {
    fn add(&mut self, fd: RawFd, token: Token, interest: Events) -> Result<()> {
        self.poller.add(fd, token, interest)
    }

    fn modify(&mut self, fd: RawFd, token: Token, interest: Events) -> Result<()> {
        self.poller.modify(fd, token, interest)
    }

    fn remove(&mut self, fd: RawFd) -> Result<()> {
        self.poller.remove(fd)
    }

    fn wait(&mut self, ready: &mut Vec<Event>, timeout: Option<Duration>) -> Result<()> {
        self.poller.wait(ready, Some(Duration::ZERO))?;
        if ready.is_empty() {
            self.clock.advance(timeout.unwrap_or_default());
        }
        Ok(())
    }
}
