//! Accepting on the loop: prefork's acceptor as a handler.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use prefork::accept::{Acceptor, StopReason};

use crate::{Events, IoLoop, Outcome, Result, Token};

/// How long a listener is left alone when there is no descriptor at all.
const STUCK: Duration = Duration::from_millis(100);

/// Takes a listener off the loop again.
#[derive(Debug, Clone)]
pub struct Removed {
    remover: prefork::accept::Remover,
    token: Token,
}

impl Removed {
    /// Accept nobody more, not even in the turn that is under way, and close the listener. Doing it twice does no
    /// harm.
    pub fn remove(&self, ioloop: &IoLoop) {
        self.remover.remove();
        ioloop.remove_handler(self.token);
    }
}

impl IoLoop {
    /// Accept whoever connects to `listener`, which is nonblocking, and pass them to `connected`: a bounded number a
    /// turn, as [`Acceptor`] does. How many were sent away for want of a descriptor is reported, as a handler's failure.
    ///
    /// # Errors
    /// Those of [`Acceptor::new`] and [`IoLoop::add_handler`].
    pub fn add_accept_handler(
        &self,
        listener: impl Into<OwnedFd>,
        mut connected: impl FnMut(&Self, OwnedFd) + 'static,
    ) -> Result<Removed> {
        let acceptor = Acceptor::new(listener)?;
        let remover = acceptor.remover();
        let own: Rc<RefCell<Option<Token>>> = Rc::default();
        let token = {
            let own = Rc::clone(&own);
            let acceptor = RefCell::new(acceptor);
            let watched = cloexec::open::duplicate(&*acceptor.borrow())?;
            self.add_handler(watched, Events::READ, move |ioloop, _, _| {
                let turn =
                    acceptor.borrow_mut().accept(Instant::now(), |socket| connected(ioloop, socket))?;
                if let (StopReason::Stuck(_), Some(token)) = (turn.reason, *own.borrow()) {
                    ioloop.update_handler(token, Events::empty())?;
                    ioloop.call_later(STUCK, move |ioloop| {
                        ioloop.update_handler(token, Events::READ).or(Ok::<_, crate::Error>(()))
                    });
                }
                turn.shed.map_or(Ok(()), |shed| -> Outcome {
                    Err(format!("no descriptor is left: {shed} clients were sent away").into())
                })
            })?
        };
        *own.borrow_mut() = Some(token);
        Ok(Removed { remover, token })
    }
}
