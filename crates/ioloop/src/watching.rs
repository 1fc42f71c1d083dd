//! Handlers, as they are given to a loop, and running one for an event.

use std::os::fd::{AsFd, AsRawFd, RawFd};

use nix::errno::Errno;

use crate::dispatch::dispatch;
use crate::poller::is_open;
use crate::{Cause, Error, Events, Failure, IoLoop, Origin, Outcome, Ready, Reply, Result, Token};

/// What runs at each event.
pub(crate) type Run = Box<dyn FnMut(&IoLoop, Events) -> Outcome>;

/// A handler, and what it is registered for.
pub(crate) struct Handler {
    pub(crate) fd: RawFd,
    interest: Events,
    /// Owns the source. Out of its place while it runs.
    pub(crate) run: Option<Run>,
}

impl IoLoop {
    /// From now on, run `handler` when `source` is ready for what `interest` says. The loop owns the source until
    /// the handler is removed, so its number stays open and its own as long as the kernel may report it.
    ///
    /// # Errors
    /// `EEXIST` if its number is registered, `EPERM` for what is always ready: a regular file; `EINVAL` for what this
    /// poller cannot do; `ENOSPC`, see epoll_ctl(2). Nothing has changed then.
    pub fn add_handler<S: AsFd + 'static, R: Reply>(
        &self,
        source: S,
        interest: Events,
        mut handler: impl FnMut(&Self, &S, Events) -> R + 'static,
    ) -> Result<Token> {
        let fd = source.as_fd().as_raw_fd();
        self.register(
            fd,
            interest,
            Box::new(move |ioloop, events| handler(ioloop, &source, events).outcome()),
        )
    }

    pub(crate) fn register(&self, fd: RawFd, interest: Events, run: Run) -> Result<Token> {
        self.must_be_open("add_handler")?;
        let token = self.0.handlers.borrow_mut().insert(Handler { fd, interest, run: Some(run) });
        let added = self.0.poller.borrow_mut().add(fd, token, interest);
        if added.is_err() {
            let removed = self.0.handlers.borrow_mut().remove(token);
            drop(removed);
        }
        added.map(|()| token)
    }

    /// Watch it for something else.
    ///
    /// # Errors
    /// `ENOENT` for a token that is nobody's any more; the poller's.
    pub fn update_handler(&self, token: Token, interest: Events) -> Result<()> {
        let mut handlers = self.0.handlers.borrow_mut();
        let Some(handler) = handlers.get_mut(token) else {
            return Err(Error::on("update_handler", "a handler that was removed")(Errno::ENOENT));
        };
        // A oneshot that has fired is watched for nothing, whatever it was added with.
        if handler.interest != interest || interest.contains(Events::ONESHOT) {
            self.0.poller.borrow_mut().modify(handler.fd, token, interest)?;
            handler.interest = interest;
        }
        Ok(())
    }

    /// Have a handler not run any more, not even for an event that is on its way, and close its source. A token
    /// that is nobody's is no error. A handler may remove itself.
    pub fn remove_handler(&self, token: Token) {
        let Some(handler) = self.0.handlers.borrow_mut().remove(token) else { return };
        self.0.removed.set(true);
        // Before the source is closed with what `run` holds. Closed by somebody else, it is gone already.
        let _ = self.0.poller.borrow_mut().remove(handler.fd);
        drop(handler);
    }

    /// A descriptor is ready.
    pub(crate) fn dispatch(&self, ready: Ready) {
        if ready.events.contains(Events::INVALID) {
            self.not_open(ready.token);
        } else {
            dispatch(self, ready);
        }
    }

    /// The poller says that the number is no open descriptor any more.
    fn not_open(&self, token: Token) {
        let Some(fd) = self.0.handlers.borrow_mut().get_mut(token).map(|handler| handler.fd) else { return };
        let object = format_args!("descriptor {fd}, which is not open");
        let cause = Cause::Error(Error::on("poll", object)(Errno::EBADF).into());
        self.handler_failed(token, Failure { origin: Origin::Handler(fd), cause });
    }

    /// There was an event that nobody hears of.
    pub(crate) fn reached_nobody(&self) {
        // Nobody was removed since the kernel was asked, so it reports something that the loop knows nothing of.
        if !self.0.removed.get() {
            self.rebuild();
        }
    }

    /// A handler failed, and is back in its place, if it has that still.
    pub(crate) fn handler_failed(&self, token: Token, failure: Failure) {
        let Origin::Handler(fd) = failure.origin else { return };
        // Closed behind the loop's back. If the file is open elsewhere, epoll goes on reporting it, and nobody can
        // tell it not to by a number that is gone: only a new epoll is rid of it.
        if !is_open(fd) {
            self.remove_handler(token);
            self.rebuild();
        }
        if !failure.is_broken_pipe() {
            self.failed(failure);
        }
    }

    /// Sleep in a new poller, with all that is registered and open. A oneshot that has fired is armed once more: the old
    /// poller alone knew, and its handler is told too much rather than nothing.
    fn rebuild(&self) {
        // Without a descriptor for a new one, the old one has to do.
        let Ok(mut poller) = self.0.kind.make() else { return };
        let mut handlers = self.0.handlers.borrow_mut();
        for token in handlers.tokens() {
            if let Some(Handler { fd, interest, .. }) = handlers.get_mut(token) {
                // One that is not open has no events any more.
                let _ = poller.add(*fd, token, *interest);
            }
        }
        *self.0.poller.borrow_mut() = poller;
    }
}
