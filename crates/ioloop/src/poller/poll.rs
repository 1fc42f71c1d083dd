//! poll(2): the list is handed to the kernel at every wait, and looked through by both.
//!
//! Contract: see [`Poller`]. There is no edge: poll has no memory of what it reported.

use std::os::fd::RawFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;

use crate::poller::{self, Poller, failed, milliseconds};
use crate::{Error, Event, Events, Result, Token};

/// The list.
#[derive(Debug, Default)]
pub struct Poll {
    fds: Vec<libc::pollfd>,
    /// At the same place as its descriptor.
    watched: Vec<Watched>,
}

#[derive(Debug, Clone, Copy)]
struct Watched {
    token: Token,
    interest: Events,
}

impl Poll {
    /// With nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where a number stands. A number that is not looked at has its bits turned, so that it is negative; whoever asks
    /// for a negative one means none of these.
    fn place(&self, operation: &'static str, fd: RawFd) -> Result<usize> {
        let found = self.fds.iter().position(|entry| fd >= 0 && (entry.fd == fd || entry.fd == !fd));
        found.ok_or_else(|| failed(operation, fd, Errno::ENOENT))
    }
}

impl Poller for Poll {
    fn add(&mut self, fd: RawFd, token: Token, interest: Events) -> Result<()> {
        if self.place("poll", fd).is_ok() {
            return Err(failed("poll: add", fd, Errno::EEXIST));
        }
        poller::can_be_watched(fd, interest)?;
        self.fds.push(libc::pollfd { fd, events: bits(interest), revents: 0 });
        self.watched.push(Watched { token, interest });
        Ok(())
    }

    fn modify(&mut self, fd: RawFd, token: Token, interest: Events) -> Result<()> {
        let place = self.place("poll: modify", fd)?;
        poller::can_be_watched(fd, interest)?;
        self.fds[place] = libc::pollfd { fd, events: bits(interest), revents: 0 };
        self.watched[place] = Watched { token, interest };
        Ok(())
    }

    fn remove(&mut self, fd: RawFd) -> Result<()> {
        let place = self.place("poll: remove", fd)?;
        self.fds.swap_remove(place);
        self.watched.swap_remove(place);
        Ok(())
    }

    // ANCHOR: wait
    fn wait(&mut self, ready: &mut Vec<Event>, timeout: Option<Duration>) -> Result<()> {
        ready.clear();
        let (list, length) = (self.fds.as_mut_ptr(), self.fds.len() as libc::nfds_t);
        // SAFETY: the kernel writes to `revents` of as many entries as there are in the list, and to nothing else.
        // What the numbers stand for is its affair: for one that is not open it reports POLLNVAL.
        let found = Errno::result(unsafe { libc::poll(list, length, milliseconds(timeout)) });
        match found {
            Ok(0) | Err(Errno::EINTR) => return Ok(()),
            other => other.map_err(Error::on("poll", "the loop's descriptors"))?,
        };
        for (entry, watched) in self.fds.iter_mut().zip(&self.watched).filter(|(entry, _)| entry.revents != 0)
        {
            let events = Events::from_bits_truncate(u32::from(entry.revents as u16));
            ready.push(Event { token: watched.token, events });
            if watched.interest.contains(Events::ONESHOT) {
                // A negative number is left out by the kernel, errors and hang-ups too: see poll(2).
                entry.fd = !entry.fd;
            }
        }
        Ok(())
    }
    // ANCHOR_END: wait
}

/// poll's bits are epoll's, where both have them.
fn bits(interest: Events) -> libc::c_short {
    (interest & (Events::READ | Events::WRITE | Events::URGENT | Events::READ_HANGUP)).bits() as libc::c_short
}
