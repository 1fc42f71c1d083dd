//! A listening socket on the loop, which can be closed without a client in its queue.
//!
//! Contract: closing a listening socket resets the connections in its queue, and their clients may have sent a request already:
//! listen(2) has no way to refuse new connections and keep those. So the queue is emptied first, and nothing comes between the
//! accept4(2) that finds it empty and close(2). A client whose connection is completed between these two system calls is reset.

use std::os::fd::OwnedFd;
use std::time::Instant;

use ioloop::{AcceptHandle, IoLoop};
use prefork::accept::{Acceptor, StopReason};

use crate::Result;

/// The most batches of the last accepting: a flood of clients must not keep the server from stopping.
const BATCHES: usize = 64;

/// A listening socket.
pub(crate) struct Listener {
    handle: AcceptHandle,
    /// A descriptor of the socket that the loop does not own, for what is in the queue at the end.
    own: OwnedFd,
}

impl Listener {
    /// # Errors
    /// The errors of [`IoLoop::add_accept_handler`], and `EMFILE` if no descriptor is left.
    pub(crate) fn add(
        ioloop: &IoLoop,
        socket: impl Into<OwnedFd>,
        connected: impl FnMut(&IoLoop, OwnedFd) -> Result<()> + 'static,
    ) -> Result<Self> {
        let socket = socket.into();
        let own = cloexec::open::duplicate(&socket)?;
        Ok(Self { handle: ioloop.add_accept_handler(socket, connected)?, own })
    }

    /// Accept what is in the queue, and close.
    pub(crate) fn close(self, ioloop: &IoLoop) -> Vec<OwnedFd> {
        self.handle.remove(ioloop);
        let mut last = Vec::new();
        if let Ok(mut acceptor) = Acceptor::new(self.own) {
            for _ in 0..BATCHES {
                let batch = acceptor.accept(Instant::now(), |socket| last.push(socket));
                if batch.is_ok_and(|batch| batch.reason == StopReason::Full) {
                    continue;
                }
                break;
            }
        }
        last
    }
}
