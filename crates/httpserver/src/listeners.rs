//! A listening socket on the loop, which can be closed without a client in its queue.
//!
//! Contract: closing a listening socket resets the connections in its queue, and their clients may have sent a request already:
//! listen(2) has no way to refuse new connections and keep those. So the queue is emptied first, and nothing comes between the
//! accept4(2) that finds it empty and close(2). A client whose connection is completed between these two system calls is reset.

use std::os::fd::OwnedFd;
use std::rc::{Rc, Weak};
use std::time::Instant;

use ioloop::{AcceptHandle, IoLoop};
use nix::sys::socket::setsockopt;
use nix::{libc, setsockopt_impl, sockopt_impl};
use prefork::accept::{Acceptor, StopReason};

use crate::Result;

sockopt_impl!(
    /// How many bytes that are not sent yet a socket takes before it is full. tcp(7) lacks it; see the documentation of the
    /// kernel, networking/ip-sysctl, `tcp_notsent_lowat`.
    Unsent,
    SetOnly,
    libc::IPPROTO_TCP,
    libc::TCP_NOTSENT_LOWAT,
    u32
);

/// Without a bound, the kernel takes megabytes of a file for each client, and a thousand clients that do not read take all
/// memory that the machine has for TCP: then no server on it can send.
const UNSENT: u32 = 128 * 1024;

/// The most batches of the last accepting: a flood of clients must not keep the server from stopping.
const BATCHES: usize = 64;

/// A listening socket.
pub(crate) struct Listener {
    handle: AcceptHandle,
    /// A second descriptor of the socket, for what is in the queue at the end. The handler owns it, so it is closed if the loop
    /// gives up the listener after an error that lasts.
    own: Weak<OwnedFd>,
}

impl Listener {
    /// # Errors
    /// The errors of [`IoLoop::add_accept_handler`], and `EMFILE` if no descriptor is left.
    pub(crate) fn add(
        ioloop: &IoLoop,
        socket: impl Into<OwnedFd>,
        mut connected: impl FnMut(&IoLoop, OwnedFd) -> Result<()> + 'static,
    ) -> Result<Self> {
        let socket = socket.into();
        // An accepted socket inherits it. A Unix socket has no such option, and is bounded by another one.
        let _ = setsockopt(&socket, Unsent, &UNSENT);
        let own = Rc::new(cloexec::open::duplicate(&socket)?);
        let weak = Rc::downgrade(&own);
        let handle = ioloop.add_accept_handler(socket, move |ioloop, socket| {
            let _ = &own;
            connected(ioloop, socket)
        })?;
        Ok(Self { handle, own: weak })
    }

    /// Accept what is in the queue into `last`, and close.
    ///
    /// # Errors
    /// The errors of [`Acceptor::new`] and [`Acceptor::accept`]. It is closed all the same.
    pub(crate) fn close(self, ioloop: &IoLoop, last: &mut Vec<OwnedFd>) -> Result<()> {
        let own = self.own.upgrade();
        self.handle.remove(ioloop);
        let Some(own) = own.and_then(Rc::into_inner) else { return Ok(()) };
        let mut acceptor = Acceptor::new(own)?;
        for _ in 0..BATCHES {
            if acceptor.accept(Instant::now(), |socket| last.push(socket))?.reason != StopReason::Full {
                break;
            }
        }
        Ok(())
    }
}
