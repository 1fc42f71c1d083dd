//! Registration: add, change, pause, resume and remove the handler of a descriptor, and what the loop does when one fails.

use std::cell::RefCell;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::rc::Rc;

use nix::errno::Errno;

use super::{Handler, IoLoop};
use crate::failure::{Owned, drop_caught};
use crate::poller::is_open;
use crate::registry::{BY_LOOP, BY_PROGRAM};
use crate::{Cause, Error, Event, Events, Failure, IntoOutcome, Origin, Result, Token};

impl IoLoop {
    /// Register a descriptor: the loop runs `handler` whenever `source` is ready for `interest`. The loop owns the
    /// source until the handler is removed, so the kernel cannot give its descriptor to another file while it may still
    /// report it. The handler gets the loop, the source and the event; the event has the handler's token.
    ///
    /// The handler must not give the source another descriptor, for example by replacing the source: that closes the
    /// registered descriptor, and the loop does not watch the other one. Remove the handler, and add one for the new source.
    ///
    /// # Errors
    /// The errors of [`Poller::add`](crate::poller::Poller::add): `EEXIST` if the descriptor is registered, for example, or
    /// `EPERM` if it is always ready, as a regular file is. `EBADF` also if the loop is closed. After an error nothing has
    /// changed.
    // ANCHOR: add_handler
    pub fn add_handler<S, F, R>(&self, source: S, interest: Events, handler: F) -> Result<Token>
    where
        S: AsFd + 'static,
        F: FnMut(&Self, &mut S, Event) -> R + 'static,
        R: IntoOutcome,
    {
        let fd = source.as_fd().as_raw_fd();
        // The hook may panic while `dispatch` holds a handler that was removed.
        let mut own = Owned::new((handler, source));
        let handler = move |ioloop: &Self, event: Event| {
            let (handler, source) = own.get();
            // Without a tracer, call the handler and nothing else. (`traced` would do the same, but for each event it would
            // first write the handler's arguments to memory.)
            if !ioloop.is_traced() {
                return handler(ioloop, source, event).into_outcome();
            }
            let run = || handler(ioloop, source, event);
            ioloop.traced::<F, _>(Origin::Handler(fd), Some(event.token), run).into_outcome()
        };
        self.register(fd, interest, Rc::new(RefCell::new(handler)))
    }

    pub(super) fn register(&self, fd: RawFd, interest: Events, handler: Handler) -> Result<Token> {
        self.must_be_open("add_handler")?;
        // On an error, `add` drops its clone of `handler` while the registry is borrowed. This function still owns `handler`,
        // so the closure is dropped only when the borrow has ended: the closure's destructor may call the loop.
        self.0.registry.borrow_mut().add(fd, interest, Rc::clone(&handler))
    }
    // ANCHOR_END: add_handler

    /// Is this handler registered?
    pub(crate) fn has_handler(&self, token: Token) -> bool {
        self.0.registry.borrow().contains(token)
    }

    /// Change the events that a handler is registered for. A oneshot that fired is armed again. An edge-triggered handler gets
    /// an event if its descriptor is ready now, even if the interest is the same as before: see epoll_ctl(2), EPOLL_CTL_MOD.
    ///
    /// # Errors
    /// `ENOENT` if the handler was removed; the errors of [`Poller::modify`](crate::poller::Poller::modify).
    pub fn update_handler(&self, token: Token, interest: Events) -> Result<()> {
        self.0.registry.borrow_mut().update(token, interest)
    }

    /// Stop watching the descriptor of a handler until [`IoLoop::resume_handler`], and keep the handler registered. In
    /// the meantime the kernel reports nothing for the descriptor, not even a hang-up, and the handler does not run, not even
    /// for an event that was fetched already. Does nothing if the handler is paused already or was removed.
    ///
    /// # Errors
    /// The errors of [`Poller::remove`](crate::poller::Poller::remove).
    pub fn pause_handler(&self, token: Token) -> Result<()> {
        self.0.registry.borrow_mut().pause(token, BY_PROGRAM)
    }

    /// Watch the descriptor of a paused handler again; a oneshot that fired is armed again. Does nothing if the handler is not
    /// paused or was removed.
    ///
    /// # Errors
    /// The errors of [`Poller::add`](crate::poller::Poller::add).
    pub fn resume_handler(&self, token: Token) -> Result<()> {
        self.0.registry.borrow_mut().resume(token, BY_PROGRAM)
    }

    /// Pause a handler for the loop itself, beside what the program pauses and resumes.
    ///
    /// # Errors
    /// The errors of [`Poller::remove`](crate::poller::Poller::remove).
    pub(crate) fn hold_handler(&self, token: Token) -> Result<()> {
        self.0.registry.borrow_mut().pause(token, BY_LOOP)
    }

    /// The end of [`IoLoop::hold_handler`].
    ///
    /// # Errors
    /// The errors of [`Poller::add`](crate::poller::Poller::add).
    pub(crate) fn release_handler(&self, token: Token) -> Result<()> {
        self.0.registry.borrow_mut().resume(token, BY_LOOP)
    }

    /// Remove a handler and close its source. The handler does not run anymore, not even for an event that was fetched
    /// already. A handler may remove itself; its source is then closed after it has returned. Removing it twice does
    /// nothing.
    // ANCHOR: remove_handler
    pub fn remove_handler(&self, token: Token) {
        let removed = self.0.registry.borrow_mut().remove(token);
        // Not under the borrow: the handler's values may call the loop when they are dropped.
        drop(removed);
    }
    // ANCHOR_END: remove_handler

    // ANCHOR: failed
    /// Remove the handler of a descriptor that the poller found closed, and report that.
    pub(super) fn not_open(&self, token: Token, fd: RawFd) {
        self.remove_handler(token);
        let object = format_args!("descriptor {fd}, which is not open");
        let cause = Cause::Error(Error::on("poll", object)(Errno::EBADF).into());
        self.handler_failed(token, fd, cause);
    }

    /// Report a failure of a handler. The handler stays registered, unless its descriptor was closed behind the loop's back.
    pub(crate) fn handler_failed(&self, token: Token, fd: RawFd, cause: Cause) {
        if !is_open(fd) {
            self.remove_handler(token);
        }
        let failure = Failure { origin: Origin::Handler(fd), cause };
        if !failure.is_broken_pipe() {
            self.report(failure);
        } else if let Err(cause) = drop_caught(failure) {
            self.report(Failure { origin: Origin::Handler(fd), cause });
        }
    }
    // ANCHOR_END: failed
}
