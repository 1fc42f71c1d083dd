//! poll(2): each wait passes the whole list to the kernel, and both the kernel and this code go through it.
//!
//! Contract: see [`Poller`]. poll does not remember what it reported, so it cannot be edge-triggered.

use std::os::fd::RawFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::sys::resource::{Resource, getrlimit, rlim_t};

use crate::poller::{self, Poller, failed, milliseconds};
use crate::{Error, Event, Events, Result, Token};

/// The list of descriptors for poll(2).
#[derive(Debug, Default)]
pub struct Poll {
    fds: Vec<libc::pollfd>,
    /// The token and the interest of each descriptor, at the same index as in `fds`.
    watched: Vec<Watched>,
}

#[derive(Debug, Clone, Copy)]
struct Watched {
    token: Token,
    interest: Events,
}

impl Poll {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// The index of a descriptor. A oneshot that fired has its number inverted, which makes it negative; a negative `fd`
    /// finds none of these.
    ///
    /// # Errors
    /// `ENOENT` if the descriptor was not added.
    fn place(&self, operation: &'static str, fd: RawFd) -> Result<usize> {
        let found = self.fds.iter().position(|entry| fd >= 0 && (entry.fd == fd || entry.fd == !fd));
        found.ok_or_else(|| failed(operation, fd, Errno::ENOENT))
    }

    /// Does poll(2) accept one more descriptor? It refuses a list that is longer than RLIMIT_NOFILE, which the process may
    /// have lowered after it opened them.
    ///
    /// # Errors
    /// `EINVAL` if not.
    fn has_room(&self, fd: RawFd) -> Result<()> {
        match limit() {
            Some(limit) if self.fds.len() as rlim_t >= limit => {
                let object = format_args!("descriptor {fd}: poll has room for {limit} only (RLIMIT_NOFILE)");
                Err(Error::on("poll: add", object)(Errno::EINVAL))
            }
            _ => Ok(()),
        }
    }
}

impl Poller for Poll {
    fn add(&mut self, fd: RawFd, token: Token, interest: Events) -> Result<()> {
        if self.place("poll", fd).is_ok() {
            return Err(failed("poll: add", fd, Errno::EEXIST));
        }
        poller::can_be_watched(fd, interest)?;
        self.has_room(fd)?;
        self.fds.push(libc::pollfd { fd, events: bits(interest), revents: 0 });
        self.watched.push(Watched { token, interest });
        Ok(())
    }

    fn modify(&mut self, fd: RawFd, token: Token, interest: Events) -> Result<()> {
        let place = self.place("poll: modify", fd)?;
        poller::can_be_modified(fd, interest)?;
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
        // SAFETY: the kernel writes only to `revents` of the `length` entries. It checks the descriptors itself, and reports
        // POLLNVAL for one that is not open.
        let found = Errno::result(unsafe { libc::poll(list, length, milliseconds(timeout)) });
        match found {
            Ok(0) | Err(Errno::EINTR) => return Ok(()),
            Err(errno) => return Err(refused(self.fds.len(), errno)),
            Ok(_) => {}
        }
        for (entry, watched) in self.fds.iter_mut().zip(&self.watched).filter(|(entry, _)| entry.revents != 0)
        {
            let events = Events::from_bits_truncate(u32::from(entry.revents as u16));
            ready.push(Event { token: watched.token, events });
            if watched.interest.contains(Events::ONESHOT) {
                // The kernel ignores a negative number, so it reports no error and no hang-up either: see poll(2).
                entry.fd = !entry.fd;
            }
        }
        Ok(())
    }
    // ANCHOR_END: wait
}

/// The soft limit RLIMIT_NOFILE.
fn limit() -> Option<rlim_t> {
    getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft)
}

/// An error of poll(2). Its `EINVAL` means that the list is longer than RLIMIT_NOFILE.
fn refused(count: usize, errno: Errno) -> Error {
    match limit() {
        Some(limit) if errno == Errno::EINVAL => {
            let object = format_args!("{count} descriptors: poll has room for {limit} only (RLIMIT_NOFILE)");
            Error::on("poll", object)(errno)
        }
        _ => Error::on("poll", "the loop's descriptors")(errno),
    }
}

/// The interest as the bits of poll(2), which have the values of epoll's.
fn bits(interest: Events) -> libc::c_short {
    (interest & (Events::READ | Events::WRITE | Events::URGENT | Events::READ_HANGUP)).bits() as libc::c_short
}
