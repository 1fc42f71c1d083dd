//! The registry of a loop: its poller, and the table of registrations.
//!
//! Contract: a descriptor is registered once. The token of an event leads to its registration, or to nothing. A removed
//! handler is handed out and not dropped here, except by `add` on an error. If the poller cannot remove a descriptor,
//! because it was closed before it was removed, the registry moves to a new poller: the old one may report the open file
//! description forever. If it can make none, the next wait fails.

use std::fmt;
use std::os::fd::RawFd;
use std::time::Duration;

use nix::errno::Errno;

use crate::poller::{Poller, poll::Poll};
use crate::slab::Slab;
use crate::{Error, Event, Events, Result, Token};

/// Makes an empty poller.
pub(crate) type MakePoller = Box<dyn Fn() -> Result<Box<dyn Poller>>>;

// ANCHOR: registry
/// A poller, and the registrations on it.
pub(crate) struct Registry<H> {
    /// Makes the first poller, and another one for `rebuild`.
    make: MakePoller,
    poller: Box<dyn Poller>,
    /// Was `poller` closed, and could no other one be made?
    is_lost: bool,
    registrations: Slab<Registration<H>>,
    /// The events of the last wait. Those from `next` on have not been handed out yet.
    events: Vec<Event>,
    next: usize,
}
// ANCHOR_END: registry

/// The flags of a paused registration, in its interest: the descriptor is not registered with the poller. No poller has an event
/// with these bits. A field of its own would make the slot of each handler, which an event reads, larger by a quarter.
const PAUSED: Events = BY_PROGRAM.union(BY_LOOP);

/// Paused by the program.
pub(crate) const BY_PROGRAM: Events = Events::from_bits_retain(1 << 16);

/// Paused for a while by the loop itself. What either has paused, only the same one resumes.
pub(crate) const BY_LOOP: Events = Events::from_bits_retain(1 << 17);

/// A descriptor, its interest, and its handler.
#[derive(Debug)]
struct Registration<H> {
    fd: RawFd,
    /// With one of [`PAUSED`], or both, while the registration is paused.
    interest: Events,
    handler: H,
}

impl<H> Registration<H> {
    fn is_paused(&self) -> bool {
        self.interest.intersects(PAUSED)
    }
}

impl<H> Registry<H> {
    /// An empty registry.
    ///
    /// # Errors
    /// The errors of `make`.
    pub(crate) fn new(make: MakePoller) -> Result<Self> {
        let poller = make()?;
        Ok(Self { make, poller, is_lost: false, registrations: Slab::default(), events: Vec::new(), next: 0 })
    }

    /// Register a descriptor. On an error this drops `handler`, under the caller's borrow: keep a clone if its drop may
    /// call the loop.
    ///
    /// # Errors
    /// The errors of [`Poller::add`].
    // ANCHOR: add
    pub(crate) fn add(&mut self, fd: RawFd, interest: Events, handler: H) -> Result<Token> {
        let token = self.registrations.insert(Registration { fd, interest: interest - PAUSED, handler });
        let added = self.poller.add(fd, token, interest).inspect_err(|_| {
            self.registrations.remove(token);
        });
        added.map(|()| token)
    }
    // ANCHOR_END: add

    // ANCHOR: get
    /// The descriptor and the handler of a registration. `None` also while it is paused: an event that was fetched before is not
    /// for its handler.
    pub(crate) fn get(&self, token: Token) -> Option<(RawFd, &H)> {
        self.registrations.get(token).filter(|it| !it.is_paused()).map(|it| (it.fd, &it.handler))
    }
    // ANCHOR_END: get

    /// Is there a registration with this token, paused or not?
    pub(crate) fn contains(&self, token: Token) -> bool {
        self.registrations.get(token).is_some()
    }

    /// Change the events that a handler is registered for. If it is paused, the new interest counts from when it is
    /// resumed.
    ///
    /// # Errors
    /// `ENOENT` if the registration was removed; the errors of [`Poller::modify`].
    pub(crate) fn update(&mut self, token: Token, interest: Events) -> Result<()> {
        let Some(it) = self.registrations.get_mut(token) else {
            return Err(Error::on("update_handler", "a handler that was removed")(Errno::ENOENT));
        };
        // The call is skipped only where it would change nothing. Even with the same interest it arms a oneshot that fired,
        // and lets an edge-triggered descriptor that is ready now be reported again.
        if !it.is_paused() && (it.interest != interest || interest.intersects(Events::MODE)) {
            self.poller.modify(it.fd, token, interest)?;
        }
        it.interest = (interest - PAUSED) | (it.interest & PAUSED);
        Ok(())
    }

    /// Remove a descriptor from the poller, and keep its registration. `by` is one of [`PAUSED`].
    ///
    /// # Errors
    /// The errors of [`Poller::remove`].
    pub(crate) fn pause(&mut self, token: Token, by: Events) -> Result<()> {
        let Some(it) = self.registrations.get_mut(token) else { return Ok(()) };
        if !it.is_paused() {
            self.poller.remove(it.fd)?;
        }
        it.interest.insert(by);
        Ok(())
    }

    /// Add a paused descriptor to the poller again, unless the other one of [`PAUSED`] has paused it, too.
    ///
    /// # Errors
    /// The errors of [`Poller::add`].
    pub(crate) fn resume(&mut self, token: Token, by: Events) -> Result<()> {
        let Some(it) = self.registrations.get_mut(token).filter(|it| it.interest.contains(by)) else {
            return Ok(());
        };
        let interest = it.interest - by;
        if !interest.intersects(PAUSED) {
            self.poller.add(it.fd, token, interest)?;
        }
        it.interest = interest;
        Ok(())
    }

    /// Remove a registration, and return its handler.
    pub(crate) fn remove(&mut self, token: Token) -> Option<H> {
        let removed = self.registrations.remove(token)?;
        if !removed.is_paused() && self.poller.remove(removed.fd).is_err() {
            // On an error, `wait` tries again.
            let _ = self.rebuild();
        }
        Some(removed.handler)
    }

    /// Remove all registrations, and return their handlers. Only for a loop that never waits again: the poller still has the
    /// descriptors.
    pub(crate) fn remove_all(&mut self) -> Vec<H> {
        let tokens = self.registrations.tokens();
        tokens.into_iter().filter_map(|token| Some(self.registrations.remove(token)?.handler)).collect()
    }

    /// Sleep until a descriptor is ready, for at most `timeout`, and return how many events there are. If a panic
    /// interrupted the last batch, return its remaining events without sleeping.
    ///
    /// # Errors
    /// The errors of [`Poller::wait`], and those of `rebuild` if the registry must move to a new poller.
    // ANCHOR: wait
    pub(crate) fn wait(&mut self, timeout: Duration) -> Result<usize> {
        if self.next == self.events.len() {
            self.next = 0;
            self.events.clear();
            if self.is_lost {
                self.rebuild()?;
            }
            self.poller.wait(&mut self.events, Some(timeout))?;
        }
        Ok(self.events.len() - self.next)
    }

    /// The next event of the last wait that was not handed out.
    pub(crate) fn next_event(&mut self) -> Option<Event> {
        let event = self.events.get(self.next).copied()?;
        self.next += 1;
        Some(event)
    }
    // ANCHOR_END: wait

    /// Move to a new poller. A oneshot that fired is armed again, because only the old poller knew that it fired.
    ///
    /// # Errors
    /// The errors of `make`, and `ENOMEM` and `ENOSPC` of [`Poller::add`]. The next wait tries again.
    fn rebuild(&mut self) -> Result<()> {
        self.is_lost = true;
        self.poller = (self.make)().or_else(|_| {
            // No descriptor is left. There is one after the old poller is closed, in whose place comes one that needs none.
            self.poller = Box::new(Poll::new());
            (self.make)()
        })?;
        for token in self.registrations.tokens() {
            if let Some(it) = self.registrations.get(token).filter(|it| !it.is_paused()) {
                let added = self.poller.add(it.fd, token, it.interest);
                // The new poller would never report this descriptor. Other errors are of a descriptor that was closed while it
                // was registered, although a handler must not do that: its number is free, or another file has it.
                added.or_else(|error| match error.errno {
                    Errno::ENOMEM | Errno::ENOSPC => Err(error),
                    _ => Ok(()),
                })?;
            }
        }
        self.is_lost = false;
        Ok(())
    }
}

impl<H> fmt::Debug for Registry<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} registrations on {:?}", self.registrations.tokens().len(), self.poller)
    }
}
