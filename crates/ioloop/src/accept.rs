//! Accepting on the loop: prefork's acceptor as the source of a handler.

use std::mem;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use prefork::accept::{Acceptor, StopReason};

use crate::{Events, IntoOutcome, IoLoop, Outcome, Result, Token};

/// How long a listener is left alone when there is no descriptor at all.
const STUCK: Duration = Duration::from_millis(100);

/// Takes a listener off the loop again.
#[derive(Debug, Clone)]
pub struct AcceptHandle {
    remover: prefork::accept::Remover,
    token: Token,
}

impl AcceptHandle {
    /// Accept nothing more, not even in the iteration that is under way, and close the listener. Doing it twice does no
    /// harm.
    pub fn remove(&self, ioloop: &IoLoop) {
        self.remover.remove();
        ioloop.remove_handler(self.token);
    }
}

impl IoLoop {
    /// Accept the clients that connect to `listener`, which is nonblocking, and pass their sockets to `connected`: a
    /// bounded number in an iteration, as [`Acceptor`] does. How many were turned away for want of a descriptor is
    /// reported, as a handler's failure; so is the first error that `connected` returns in an iteration.
    ///
    /// # Errors
    /// Those of [`Acceptor::new`] and [`IoLoop::add_handler`].
    pub fn add_accept_handler<R: IntoOutcome>(
        &self,
        listener: impl Into<OwnedFd>,
        mut connected: impl FnMut(&Self, OwnedFd) -> R + 'static,
    ) -> Result<AcceptHandle> {
        let acceptor = Acceptor::new(listener)?;
        let remover = acceptor.remover();
        let token = self.add_handler(acceptor, Events::READ, move |ioloop, acceptor, event| {
            let mut outcome: Outcome = Ok(());
            let turn = acceptor.accept(Instant::now(), |socket| {
                let connected = connected(ioloop, socket).into_outcome();
                outcome = mem::replace(&mut outcome, Ok(())).and(connected);
            })?;
            if let StopReason::Stuck(_) = turn.reason {
                // An empty interest would still report a hang-up, in each iteration.
                ioloop.pause_handler(event.token)?;
                ioloop.call_later(STUCK, move |ioloop| ioloop.resume_handler(event.token));
            }
            outcome?;
            turn.shed.map_or(Ok(()), |shed| -> Outcome {
                Err(format!("no descriptor is left: {shed} clients were turned away").into())
            })
        })?;
        Ok(AcceptHandle { remover, token })
    }
}
