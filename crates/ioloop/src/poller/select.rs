//! select(2): three bit sets, with one bit for each descriptor below 1024, which are built for each wait.
//!
//! Contract: see [`Poller`]. select supports neither [`Events::EDGE`] nor [`Events::READ_HANGUP`], and no descriptor of 1024
//! or more. It reports a hang-up as [`Events::READ`], because a read then returns the end of the file, and an error as
//! [`Events::READ`] and [`Events::WRITE`], because both calls then return it.

use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::ptr;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;

use crate::poller::{self, Poller, failed, milliseconds};
use crate::{Error, Event, Events, Result, Token};

/// The list of descriptors for select(2).
#[derive(Debug, Default)]
pub struct Select {
    watched: BTreeMap<RawFd, Watched>,
}

#[derive(Debug, Clone, Copy)]
struct Watched {
    token: Token,
    interest: Events,
}

impl Select {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Poller for Select {
    // ANCHOR: add
    fn add(&mut self, fd: RawFd, token: Token, interest: Events) -> Result<()> {
        if self.watched.contains_key(&fd) {
            return Err(failed("select: add", fd, Errno::EEXIST));
        }
        if fd >= libc::FD_SETSIZE as RawFd {
            let size = libc::FD_SETSIZE;
            let object = format_args!("descriptor {fd}, and select takes numbers below {size} (FD_SETSIZE)");
            return Err(Error::on("select: add", object)(Errno::EINVAL));
        }
        can_report(fd, interest)?;
        poller::can_be_watched(fd, interest)?;
        self.watched.insert(fd, Watched { token, interest });
        Ok(())
    }
    // ANCHOR_END: add

    fn modify(&mut self, fd: RawFd, token: Token, interest: Events) -> Result<()> {
        can_report(fd, interest)?;
        poller::can_be_modified(fd, interest)?;
        let watched = self.watched.get_mut(&fd).ok_or_else(|| failed("select: modify", fd, Errno::ENOENT))?;
        *watched = Watched { token, interest };
        Ok(())
    }

    fn remove(&mut self, fd: RawFd) -> Result<()> {
        self.watched.remove(&fd).map(drop).ok_or_else(|| failed("select: remove", fd, Errno::ENOENT))
    }

    // ANCHOR: wait
    fn wait(&mut self, ready: &mut Vec<Event>, timeout: Option<Duration>) -> Result<()> {
        ready.clear();
        let mut sets = [Set::new(), Set::new(), Set::new()];
        for (fd, watched) in &self.watched {
            for (set, events) in sets.iter_mut().zip(SETS) {
                if watched.interest.contains(events) {
                    set.insert(*fd);
                }
            }
        }
        let highest = self.watched.last_key_value().map_or(0, |(fd, _)| fd + 1);
        match select(highest, &mut sets, milliseconds(timeout)) {
            Ok(0) | Err(Errno::EINTR) => return Ok(()),
            // select does not say which descriptor is not open, so each one is checked below.
            Err(Errno::EBADF) => sets = [Set::new(), Set::new(), Set::new()],
            other => drop(other.map_err(Error::on("select", "the loop's descriptors"))?),
        }
        let nothing = sets.iter().all(Set::is_empty);
        for (fd, watched) in &mut self.watched {
            let mut events = Events::empty();
            for (set, bit) in sets.iter().zip(SETS) {
                events.set(bit, set.contains(*fd));
            }
            events.set(Events::INVALID, nothing && !poller::is_open(*fd));
            if !events.is_empty() {
                ready.push(Event { token: watched.token, events });
                if watched.interest.contains(Events::ONESHOT) {
                    watched.interest = Events::empty();
                }
            }
        }
        Ok(())
    }
    // ANCHOR_END: wait
}

/// # Errors
/// `EINVAL` for [`Events::READ_HANGUP`].
fn can_report(fd: RawFd, interest: Events) -> Result<()> {
    if interest.contains(Events::READ_HANGUP) {
        let object =
            format_args!("descriptor {fd}: select does not report that the peer shut down its writing side");
        return Err(Error::on("watch", object)(Errno::EINVAL));
    }
    Ok(())
}

/// The event of each of the three sets.
const SETS: [Events; 3] = [Events::READ, Events::WRITE, Events::URGENT];

/// A set of descriptors below 1024. nix's `FdSet` borrows its descriptors, and a loop's list outlives any borrow.
struct Set(libc::fd_set);

impl Set {
    fn new() -> Self {
        let mut set = MaybeUninit::uninit();
        // SAFETY: FD_ZERO writes the whole set.
        unsafe { libc::FD_ZERO(set.as_mut_ptr()) };
        // SAFETY: FD_ZERO initialized the set.
        Self(unsafe { set.assume_init() })
    }

    fn insert(&mut self, fd: RawFd) {
        // SAFETY: `add` accepts only numbers from 0 to 1023, and each of them has a bit in the set.
        unsafe { libc::FD_SET(fd, &raw mut self.0) }
    }

    fn contains(&self, fd: RawFd) -> bool {
        // SAFETY: as for `insert`.
        unsafe { libc::FD_ISSET(fd, &raw const self.0) }
    }

    fn is_empty(&self) -> bool {
        (0..libc::FD_SETSIZE as RawFd).all(|fd| !self.contains(fd))
    }
}

fn select(highest: RawFd, sets: &mut [Set; 3], milliseconds: i32) -> nix::Result<i32> {
    let [read, write, urgent] = sets;
    let mut time =
        libc::timeval { tv_sec: (milliseconds / 1000).into(), tv_usec: (milliseconds % 1000 * 1000).into() };
    let time = if milliseconds < 0 { ptr::null_mut() } else { &raw mut time };
    // SAFETY: the sets and the timeval are valid for the call, and the kernel writes only to them.
    let found = unsafe { libc::select(highest, &raw mut read.0, &raw mut write.0, &raw mut urgent.0, time) };
    Errno::result(found)
}
