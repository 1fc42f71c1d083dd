//! What a loop watches: the poller, and a table of what each registration is for.
//!
//! Contract: a number is registered once. An event leads to its registration by its token, or to nothing. What the table
//! holds is handed out and never dropped here. If the poller cannot forget a number, because it was closed without telling
//! the loop, the registry moves to a new poller: the old one may report that file forever.

use std::fmt;
use std::os::fd::RawFd;
use std::time::Duration;

use nix::errno::Errno;

use crate::poller::Poller;
use crate::slab::Slab;
use crate::{Error, Event, Events, Result, Token};

/// Makes an empty poller.
pub(crate) type MakePoller = Box<dyn Fn() -> Result<Box<dyn Poller>>>;

/// The poller, and what is registered with it.
pub(crate) struct Registry<H> {
    /// Makes the first poller, and the next one for a move.
    make: MakePoller,
    poller: Box<dyn Poller>,
    registrations: Slab<Registration<H>>,
    /// What the last wait reported; from `next` on it is still to be handed out.
    events: Vec<Event>,
    next: usize,
}

/// A number, what it is watched for, and what its events are for.
#[derive(Debug)]
struct Registration<H> {
    fd: RawFd,
    interest: Events,
    /// The poller does not know of it.
    paused: bool,
    handler: H,
}

impl<H> Registry<H> {
    /// # Errors
    /// Those of `make`.
    pub(crate) fn new(make: MakePoller) -> Result<Self> {
        let poller = make()?;
        Ok(Self { make, poller, registrations: Slab::default(), events: Vec::new(), next: 0 })
    }

    /// Register a number. On an error `handler` is dropped in here: keep a clone of what must not be.
    ///
    /// # Errors
    /// The poller's.
    pub(crate) fn add(&mut self, fd: RawFd, interest: Events, handler: H) -> Result<Token> {
        let token = self.registrations.insert(Registration { fd, interest, paused: false, handler });
        let added = self.poller.add(fd, token, interest).inspect_err(|_| {
            self.registrations.remove(token);
        });
        added.map(|()| token)
    }

    /// The number and the handler that the token was given for.
    pub(crate) fn get(&self, token: Token) -> Option<(RawFd, &H)> {
        self.registrations.get(token).map(|it| (it.fd, &it.handler))
    }

    /// Watch a number for something else. If it is paused, from the time it is resumed.
    ///
    /// # Errors
    /// `ENOENT` for a token that leads nowhere; the poller's.
    pub(crate) fn update(&mut self, token: Token, interest: Events) -> Result<()> {
        let Some(it) = self.registrations.get_mut(token) else {
            return Err(Error::on("update_handler", "a handler that was removed")(Errno::ENOENT));
        };
        // A oneshot that fired is watched for nothing, whatever its interest says.
        if !it.paused && (it.interest != interest || interest.contains(Events::ONESHOT)) {
            self.poller.modify(it.fd, token, interest)?;
        }
        it.interest = interest;
        Ok(())
    }

    /// Let the poller forget a number for now.
    ///
    /// # Errors
    /// The poller's.
    pub(crate) fn pause(&mut self, token: Token) -> Result<()> {
        let Some(it) = self.registrations.get_mut(token).filter(|it| !it.paused) else { return Ok(()) };
        self.poller.remove(it.fd)?;
        it.paused = true;
        Ok(())
    }

    /// Let the poller watch a paused number again.
    ///
    /// # Errors
    /// The poller's.
    pub(crate) fn resume(&mut self, token: Token) -> Result<()> {
        let Some(it) = self.registrations.get_mut(token).filter(|it| it.paused) else { return Ok(()) };
        self.poller.add(it.fd, token, it.interest)?;
        it.paused = false;
        Ok(())
    }

    /// Unregister a number, and hand out what its events were for.
    pub(crate) fn remove(&mut self, token: Token) -> Option<H> {
        let removed = self.registrations.remove(token)?;
        if !removed.paused && self.poller.remove(removed.fd).is_err() {
            self.rebuild();
        }
        Some(removed.handler)
    }

    /// The tokens of everything registered.
    pub(crate) fn tokens(&self) -> Vec<Token> {
        self.registrations.tokens()
    }

    /// Sleep until something is ready, for `timeout` at most, and return how many events there are. If a panic kept some of
    /// the last ones from being handed out, those come first, without a sleep.
    ///
    /// # Errors
    /// The poller's.
    pub(crate) fn wait(&mut self, timeout: Duration) -> Result<usize> {
        if self.next == self.events.len() {
            self.next = 0;
            self.events.clear();
            self.poller.wait(&mut self.events, Some(timeout))?;
        }
        Ok(self.events.len() - self.next)
    }

    /// The next event of the last wait.
    pub(crate) fn next_event(&mut self) -> Option<Event> {
        let event = self.events.get(self.next).copied()?;
        self.next += 1;
        Some(event)
    }

    /// Move to a new poller. A oneshot that fired is armed once more: only the old poller knew that it fired.
    fn rebuild(&mut self) {
        // Without a descriptor for a new one, the old one must do.
        let Ok(poller) = (self.make)() else { return };
        self.poller = poller;
        for token in self.registrations.tokens() {
            if let Some(Registration { fd, interest, paused: false, .. }) = self.registrations.get(token) {
                // A number that is not open has no events anymore.
                let _ = self.poller.add(*fd, token, *interest);
            }
        }
    }
}

impl<H> fmt::Debug for Registry<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} registrations on {:?}", self.registrations.tokens().len(), self.poller)
    }
}
