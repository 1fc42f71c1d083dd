//! The entry of the access log that a connection is about to write. Without a log it costs nothing.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use ioloop::IoLoop;
use nix::sys::socket::{SockaddrStorage, getpeername};

use crate::app::caught;
use crate::counters::{Access, AccessHook};
use crate::request::{Request, Version};

/// The log of one connection.
pub(crate) struct Journal {
    hook: Option<AccessHook>,
    peer: Option<SocketAddr>,
    /// The entry, and when its request began, by the loop's clock.
    entry: RefCell<Option<(Access, Duration)>>,
    is_begun: Cell<bool>,
}

impl Journal {
    pub(crate) fn new(hook: Option<AccessHook>, socket: &OwnedFd) -> Self {
        let peer = hook.as_ref().and_then(|_| peer(socket));
        Self { hook, peer, entry: RefCell::default(), is_begun: Cell::new(false) }
    }

    /// A request begins; none if no head was accepted.
    pub(crate) fn begin(&self, request: Option<&Request>, ioloop: &IoLoop) {
        self.is_begun.set(true);
        if self.hook.is_none() {
            return;
        }
        let text = |of: fn(&Request) -> &str| request.map_or(String::new(), |request| of(request).to_owned());
        let access = Access {
            peer: self.peer,
            method: text(Request::method),
            target: text(Request::target),
            version: request.map_or(Version::Http11, Request::version),
            status: 0,
            bytes: 0,
            took: Duration::ZERO,
        };
        *self.entry.borrow_mut() = Some((access, ioloop.time()));
    }

    /// The response has this status, and so many more bytes of a body.
    pub(crate) fn add(&self, status: Option<u16>, bytes: u64) {
        if let Some((access, _)) = &mut *self.entry.borrow_mut() {
            access.status = status.unwrap_or(access.status);
            access.bytes += bytes;
        }
    }

    /// The response is complete, or cut. Returns false if there was none.
    pub(crate) fn end(&self, ioloop: &IoLoop) -> bool {
        let entry = self.entry.take();
        if let (Some((mut access, began)), Some(hook)) = (entry, &self.hook) {
            access.took = ioloop.time().saturating_sub(began);
            let _ = caught(ioloop, || hook(&access));
        }
        self.is_begun.replace(false)
    }
}

fn peer(socket: &OwnedFd) -> Option<SocketAddr> {
    let address: SockaddrStorage = getpeername(socket.as_raw_fd()).ok()?;
    let v4 = address.as_sockaddr_in().map(|address| SocketAddr::V4((*address).into()));
    v4.or_else(|| address.as_sockaddr_in6().map(|address| SocketAddr::V6((*address).into())))
}
