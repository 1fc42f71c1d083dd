//! The handlers of one client on the real loop, from stage 8 on.

// ANCHOR: handlers
use std::os::fd::{AsFd, AsRawFd, RawFd};

use ioloop::{Events, IoLoop, Token};
use nix::poll::PollFlags;

use crate::client::{Client, Source};

/// What a client waits for, as the loop has it, and a handler for each.
#[derive(Default)]
pub struct Handlers {
    waits_for: Vec<(RawFd, PollFlags)>,
    tokens: Vec<Token>,
}

impl Handlers {
    /// Makes the loop call `handler` for what the client waits for now. Most of the time the client waited for the same
    /// before, and then this makes no system call.
    pub fn update(&mut self, ioloop: &IoLoop, client: &Client, handler: impl Fn(&IoLoop) + Clone + 'static) {
        self.set(ioloop, client.sources(), handler);
    }

    /// Does the same for a list of what is waited for.
    pub fn set(
        &mut self,
        ioloop: &IoLoop,
        sources: Vec<(Source, PollFlags)>,
        handler: impl Fn(&IoLoop) + Clone + 'static,
    ) {
        let waits_for: Vec<_> =
            sources.iter().map(|(source, events)| (source.as_fd().as_raw_fd(), *events)).collect();
        if self.waits_for == waits_for {
            return;
        }
        self.waits_for = waits_for;
        self.remove(ioloop);
        for (source, events) in sources {
            // Poll and epoll have the same bits.
            let interest = Events::from_bits_truncate(events.bits() as u32);
            let handler = handler.clone();
            let added = ioloop.add_handler(source, interest, move |ioloop, _, _| handler(ioloop));
            // An error adds no token. It comes only if memory or the user's entries in epolls run out (ENOMEM, ENOSPC).
            // Then the client's timer ends the client.
            self.tokens.extend(added);
        }
    }

    /// Removes the handlers.
    pub fn remove(&mut self, ioloop: &IoLoop) {
        self.tokens.drain(..).for_each(|token| ioloop.remove_handler(token));
    }
}
// ANCHOR_END: handlers
