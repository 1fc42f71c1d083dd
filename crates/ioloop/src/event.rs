//! Events: the bits for which a descriptor is watched and reported, and the token that leads to its handler.

use bitflags::bitflags;
use nix::libc;

bitflags! {
    /// Events for which a descriptor is watched or reported: the bits of epoll_ctl(2), on each poller.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Events: u32 {
        /// A read or an accept does not block: there are bytes, a connection, or the end of the file.
        const READ = libc::EPOLLIN as u32;
        /// A write does not block. A pipe has at least one free page.
        const WRITE = libc::EPOLLOUT as u32;
        /// The peer of a stream socket shut down its writing side or closed the socket. There may be bytes left to read.
        /// Only epoll and poll report it: see epoll_ctl(2), EPOLLRDHUP.
        const READ_HANGUP = libc::EPOLLRDHUP as u32;
        /// There is urgent data: out-of-band data of a TCP socket, see tcp(7).
        const URGENT = libc::EPOLLPRI as u32;
        /// An error is pending. Always reported, whether it is in the interest or not.
        const ERROR = libc::EPOLLERR as u32;
        /// The peer closed its end of a pipe, or both directions of a socket are shut down. Always reported, as an error is.
        const HANGUP = libc::EPOLLHUP as u32;
        /// Edge-triggered: report a change once, instead of a state as long as it lasts. Only epoll can.
        const EDGE = libc::EPOLLET as u32;
        /// Report one event, and then nothing until the interest is updated.
        const ONESHOT = libc::EPOLLONESHOT as u32;
        /// The descriptor is not open: POLLNVAL of poll(2). Reported by poll and select.
        const INVALID = libc::POLLNVAL as u32;
    }
}

impl Events {
    /// The events that a poller reports even if they are not in the interest.
    pub const ALWAYS: Self = Self::ERROR.union(Self::HANGUP).union(Self::INVALID);

    /// The bits that say how a descriptor is watched, and that are never reported.
    pub const MODE: Self = Self::EDGE.union(Self::ONESHOT);
}

/// Identifies a registration: a slot of a table, and a generation. After the registration was removed, its token leads
/// nowhere, even if another registration has the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    /// The slot.
    pub index: u32,
    /// How many values had the slot before.
    pub generation: u32,
}

impl Token {
    /// The token as 64 bits, which is what epoll keeps for each descriptor: `data` of epoll_ctl(2).
    pub fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// The token that [`Token::to_bits`] turned into these bits.
    pub fn from_bits(bits: u64) -> Self {
        Self { index: bits as u32, generation: (bits >> 32) as u32 }
    }
}

/// A ready descriptor, as a poller reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// The token with which the descriptor was added.
    pub token: Token,
    /// The events of its interest, and of [`Events::ALWAYS`], that it is ready for.
    pub events: Events,
}
