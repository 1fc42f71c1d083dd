//! A poller that sleeps in no time: it moves a test's clock instead.

use std::os::fd::RawFd;
use std::time::Duration;

use crate::poller::Poller;
use crate::{Event, Events, FakeClock, Result, Token};

/// Another poller, which is asked and never waited for.
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
