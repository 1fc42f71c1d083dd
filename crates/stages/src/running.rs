//! A program that prints the answer to an HTTP request: what stage 10 has of it.

// ANCHOR: running
use std::io;

use httpserver::{Room, Stream};
use ioloop::IoLoop;
use ioloop::timers::TimerId;
use nix::sys::wait::WaitPidFlag;

use crate::handlers::Handlers;
use crate::program::{CHUNK, Program};
use crate::request::ending;

/// A program that runs, its answer to the client, and the handlers and the timer that the loop has for both.
pub struct Running {
    pub program: Program,
    pub answer: Stream,
    /// Whether the answer takes more. Without room, the program must wait.
    pub has_room: bool,
    pub handlers: Handlers,
    pub timer: TimerId,
}

impl Running {
    /// Copies what the program has printed into the answer, if the answer has room. Returns whether the program still runs.
    ///
    /// # Errors
    /// The client has left; the errors of read(2).
    pub fn advance(&mut self) -> io::Result<bool> {
        let mut bytes = Vec::new();
        let prints = self.program.copy_to(&mut bytes, if self.has_room { CHUNK } else { 0 })?;
        self.has_room = self.answer.write(&bytes).map_err(io::Error::other)? == Room::Left;
        if prints {
            return Ok(true);
        }
        let Some(status) = self.program.wait(WaitPidFlag::WNOHANG) else { return Ok(true) };
        self.answer.write(ending(status).as_bytes()).map_err(io::Error::other)?;
        Ok(false)
    }

    /// Removes the handlers and the timer from the loop. Then the drop of `self` kills the program if it still runs, and ends
    /// the answer.
    pub fn remove(mut self, ioloop: &IoLoop) {
        self.handlers.remove(ioloop);
        ioloop.remove_timeout(self.timer);
    }
}
// ANCHOR_END: running
