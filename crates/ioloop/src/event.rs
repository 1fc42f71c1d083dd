//! What a descriptor is watched for, what it is reported for, and the token that says whose it is.

use bitflags::bitflags;
use nix::libc;

bitflags! {
    /// What is watched for, and what is reported: the bits of epoll_ctl(2), on every poller.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Events: u32 {
        /// It can be read without blocking: there are bytes, or a connection, or the end of the file.
        const READ = libc::EPOLLIN as u32;
        /// It can be written without blocking. For a pipe: a whole page is free.
        const WRITE = libc::EPOLLOUT as u32;
        /// The peer of a stream socket shut its writing side down, or closed: there may be bytes left, and then the end.
        /// Only epoll and poll can: see epoll_ctl(2), EPOLLRDHUP.
        const READ_HANGUP = libc::EPOLLRDHUP as u32;
        /// There is something urgent: out-of-band data, see tcp(7).
        const URGENT = libc::EPOLLPRI as u32;
        /// An error waits on it. Reported whether it is watched for or not.
        const ERROR = libc::EPOLLERR as u32;
        /// The other end is gone. Reported whether it is watched for or not.
        const HANGUP = libc::EPOLLHUP as u32;
        /// Report a change once, not a state as long as it lasts: only epoll can.
        const EDGE = libc::EPOLLET as u32;
        /// Report once, and then nothing until it is updated.
        const ONESHOT = libc::EPOLLONESHOT as u32;
        /// Reported for a number that is no open descriptor any more: the bit of poll(2).
        const INVALID = libc::POLLNVAL as u32;
    }
}

impl Events {
    /// What a poller reports unasked.
    pub const ALWAYS: Self = Self::ERROR.union(Self::HANGUP).union(Self::INVALID);

    /// How something is watched, not what for.
    pub const MODE: Self = Self::EDGE.union(Self::ONESHOT);
}

/// Whose event it is: a place in a table, and which of those who had the place. Once its owner has gone, a token
/// is nobody's for good, whoever has the place then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    /// The place.
    pub index: u32,
    /// How many had it before.
    pub generation: u32,
}

impl Token {
    /// As it travels through the kernel, in the 64 bits that epoll keeps for each descriptor.
    pub fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// And back.
    pub fn from_bits(bits: u64) -> Self {
        Self { index: bits as u32, generation: (bits >> 32) as u32 }
    }
}

/// A descriptor is ready: whose, and for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// As it was given when the descriptor was added.
    pub token: Token,
    /// What it is ready for, of what was asked, and of [`Events::ALWAYS`].
    pub events: Events,
}
