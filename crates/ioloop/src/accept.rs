//! Accepting on the loop: the `Acceptor` of prefork as the source of a handler.

use std::mem;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use prefork::accept::{Acceptor, BATCH, Batch, StopReason};

use crate::{Cause, Error, Events, IntoOutcome, IoLoop, Outcome, Result, Token};

/// How long a listener is paused when accept(2) fails, for want of memory or of any descriptor for example: see
/// [`StopReason::Stuck`].
const STUCK: Duration = Duration::from_millis(100);

/// Removes a listener from the loop. Dropping it does not.
#[derive(Debug, Clone)]
pub struct AcceptHandle {
    remover: prefork::accept::Remover,
    token: Token,
}

impl AcceptHandle {
    /// Stop accepting, even in the iteration that is under way, and close the listener. Removing it twice does nothing.
    pub fn remove(&self, ioloop: &IoLoop) {
        self.remover.remove();
        ioloop.remove_handler(self.token);
    }

    /// The token of the listener's handler: [`IoLoop::remove_handler`] stops accepting, too.
    pub fn token(&self) -> Token {
        self.token
    }
}

impl IoLoop {
    /// Accept clients on `listener`, which must be nonblocking, and pass each socket to `connected`.
    ///
    /// One iteration accepts a bounded number of clients: see [`Acceptor`]. If no descriptor is free, clients are turned
    /// away, and their number is reported as a failure of the handler. The first error that `connected` returns in an
    /// iteration is reported in the same way.
    ///
    /// An error that says that `listener` is no listening socket, for example because other code called shutdown(2) on it,
    /// lasts: it is reported once, and the listener is removed and closed. After any other error of accept(2) the listener
    /// is paused for 100 ms, so that the error is reported ten times a second at most. It is paused, too, after an iteration
    /// in which a whole batch of calls brought no client. Either every call failed with an error of one client, as where a
    /// firewall refuses each client with `EPERM`, so that the listener stays ready, and the loop would spin; or every client
    /// was turned away. The report names both causes, unless it has the number of clients turned away, which is reported once
    /// a second at most.
    ///
    /// # Errors
    /// The errors of [`Acceptor::new`] and [`IoLoop::add_handler`].
    pub fn add_accept_handler<R: IntoOutcome>(
        &self,
        listener: impl Into<OwnedFd>,
        mut connected: impl FnMut(&Self, OwnedFd) -> R + 'static,
    ) -> Result<AcceptHandle> {
        let acceptor = Acceptor::new(listener)?;
        let (remover, removed) = (acceptor.remover(), acceptor.remover());
        let token = self.add_handler(acceptor, Events::READ, move |ioloop, acceptor, event| {
            let mut outcome: Outcome = Ok(());
            let turn = catch_unwind(AssertUnwindSafe(|| {
                acceptor.accept(Instant::now(), |socket| {
                    let connected = connected(ioloop, socket).into_outcome();
                    outcome = mem::replace(&mut outcome, Ok(())).and(connected);
                    // `connected` may have removed this handler by its token, or closed the loop.
                    if !ioloop.has_handler(event.token) {
                        removed.remove();
                    }
                })
            }));
            let accepting = turn.map(|turn| settle(ioloop, event.token, turn));
            // A handler fails once, so the first of two failures is reported here.
            if let (Err(_), Err(_) | Ok(Err(_))) = (&outcome, &accepting)
                && let Err(first) = mem::replace(&mut outcome, Ok(()))
            {
                let fd = acceptor.as_fd().as_raw_fd();
                ioloop.handler_failed(event.token, fd, Cause::Error(first));
            }
            outcome.and(accepting.unwrap_or_else(|thrown| resume_unwind(thrown)))
        })?;
        Ok(AcceptHandle { remover, token })
    }
}

/// Remove or pause the listener if its batch calls for that. Returns what is reported of the batch.
fn settle(ioloop: &IoLoop, token: Token, turn: Result<Batch>) -> Outcome {
    let turn = match turn {
        Err(error) if is_lasting(error.errno) => {
            ioloop.remove_handler(token);
            return Err(error.into());
        }
        Err(error) => {
            pause(ioloop, token)?;
            return Err(error.into());
        }
        Ok(turn) => turn,
    };
    // No client in a whole batch: the calls of the next one would bring none, either.
    let brought_none = turn.accepted == 0 && turn.reason == StopReason::Full;
    if brought_none || matches!(turn.reason, StopReason::Stuck(_)) {
        pause(ioloop, token)?;
    }
    match (turn.shed, turn.reason) {
        (Some(shed), _) => Err(format!("no descriptor is left: {shed} clients were turned away").into()),
        (None, StopReason::Stuck(errno)) => Err(Error::on("accept4", "a listener")(errno).into()),
        (None, _) if brought_none => Err(format!(
            "no client in {BATCH} calls of accept(2): does a firewall refuse each, or is no descriptor left?"
        )
        .into()),
        (None, _) => Ok(()),
    }
}

/// Does this error of accept(2) or epoll_ctl(2) concern the descriptor itself, so that a later call would fail, too?
fn is_lasting(errno: Errno) -> bool {
    matches!(errno, Errno::EBADF | Errno::EINVAL | Errno::ENOTSOCK | Errno::EOPNOTSUPP | Errno::EPERM)
}

/// Pause a listener for a while. (With an empty interest, a hang-up would still be reported, in each iteration.)
fn pause(ioloop: &IoLoop, token: Token) -> Result<()> {
    ioloop.hold_handler(token)?;
    resume_later(ioloop, token);
    Ok(())
}

fn resume_later(ioloop: &IoLoop, token: Token) {
    ioloop.call_later(STUCK, move |ioloop| {
        ioloop.release_handler(token).inspect_err(|error| match is_lasting(error.errno) {
            true => ioloop.remove_handler(token),
            // The kernel has no room for another watch now.
            false => resume_later(ioloop, token),
        })
    });
}
