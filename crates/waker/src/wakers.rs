//! The wakers as [`Wake`]: each method of the trait is the waker's own.

use crate::coalesced::Coalesced;
use crate::wake::Wake;
use crate::{Result, eventfd, pipe};

impl Wake for pipe::Waker {
    fn wake(&self) -> Result<()> {
        self.wake()
    }

    fn consume(&self) -> Result<()> {
        self.consume()
    }
}

impl Wake for eventfd::Waker {
    fn wake(&self) -> Result<()> {
        self.wake()
    }

    fn consume(&self) -> Result<()> {
        self.consume()
    }
}

impl<W: Wake> Wake for Coalesced<W> {
    fn wake(&self) -> Result<()> {
        self.wake()
    }

    fn consume(&self) -> Result<()> {
        self.consume_then(|| ())
    }
}
