//! Descriptors and their handlers: registering them, changing and pausing them, and removing them.

use std::cell::RefCell;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::rc::Rc;

use nix::errno::Errno;

use super::{Handler, IoLoop};
use crate::poller::is_open;
use crate::{Cause, Error, Event, Events, Failure, IntoOutcome, Origin, Result, Token};

impl IoLoop {
    /// From now on, run `handler` when `source` is ready for what `interest` says. The loop owns the source until the
    /// handler is removed, so its number stays open, and its own, as long as the kernel may report it. The handler gets the
    /// source and the event, which has the handler's token.
    ///
    /// # Errors
    /// `EEXIST` if its number is registered, `EPERM` for what is always ready: a regular file; `EINVAL` for what this
    /// poller cannot do; `ENOSPC`, see epoll_ctl(2). Nothing has changed then. `EBADF` for a loop that is closed.
    pub fn add_handler<S, F, R>(&self, mut source: S, interest: Events, mut handler: F) -> Result<Token>
    where
        S: AsFd + 'static,
        F: FnMut(&Self, &mut S, Event) -> R + 'static,
        R: IntoOutcome,
    {
        let fd = source.as_fd().as_raw_fd();
        let handler = move |ioloop: &Self, event: Event| {
            let run = || handler(ioloop, &mut source, event);
            ioloop.traced::<F, _>(Origin::Handler(fd), Some(event.token), run).into_outcome()
        };
        self.register(fd, interest, Rc::new(RefCell::new(handler)))
    }

    pub(super) fn register(&self, fd: RawFd, interest: Events, handler: Handler) -> Result<Token> {
        self.must_be_open("add_handler")?;
        // On an error this clone is dropped under the borrow, and the handler afterwards: dropping it may call the loop.
        self.0.registry.borrow_mut().add(fd, interest, Rc::clone(&handler))
    }

    /// Watch a descriptor for something else.
    ///
    /// # Errors
    /// `ENOENT` for a token that leads nowhere; the poller's.
    pub fn update_handler(&self, token: Token, interest: Events) -> Result<()> {
        self.0.registry.borrow_mut().update(token, interest)
    }

    /// Keep a handler registered, and do not watch its descriptor until it is resumed. The kernel reports nothing of it
    /// meanwhile, and no hang-up either. A token that leads nowhere is no error, and neither is a handler that is paused.
    ///
    /// # Errors
    /// The poller's.
    pub fn pause_handler(&self, token: Token) -> Result<()> {
        self.0.registry.borrow_mut().pause(token)
    }

    /// Watch the descriptor of a paused handler again. A token that leads nowhere is no error, and neither is a handler
    /// that is not paused.
    ///
    /// # Errors
    /// The poller's.
    pub fn resume_handler(&self, token: Token) -> Result<()> {
        self.0.registry.borrow_mut().resume(token)
    }

    /// Remove a handler and close its source. It does not run anymore, not even for an event that is on its way. A token
    /// that leads nowhere is no error. A handler may remove itself.
    pub fn remove_handler(&self, token: Token) {
        let removed = self.0.registry.borrow_mut().remove(token);
        // Not under the borrow: what it holds may call the loop when it is dropped.
        drop(removed);
    }

    /// The poller says that the number is not open anymore.
    pub(super) fn not_open(&self, token: Token, fd: RawFd) {
        let object = format_args!("descriptor {fd}, which is not open");
        let cause = Cause::Error(Error::on("poll", object)(Errno::EBADF).into());
        self.handler_failed(token, fd, cause);
    }

    /// Something went wrong in a handler. It stays registered, unless its descriptor was closed without telling the loop.
    pub(super) fn handler_failed(&self, token: Token, fd: RawFd, cause: Cause) {
        if !is_open(fd) {
            self.remove_handler(token);
        }
        let failure = Failure { origin: Origin::Handler(fd), cause };
        if !failure.is_broken_pipe() {
            self.report(failure);
        }
    }
}
