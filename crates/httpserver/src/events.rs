//! Server-sent events: a stream of texts, which a browser reads with `EventSource`. WHATWG HTML, 9.2.
//!
//! Contract: a text of several lines arrives as one event; no text can end its event early or begin another. A comment is sent every
//! 15 seconds, so that proxies keep the connection, and the server notices a client that has left.

use std::rc::Rc;
use std::time::Duration;

use ioloop::IoLoop;

use crate::reply::{Closed, Reply, Room, Stream};
use crate::response::{InvalidHeader, Response};

/// How often a comment is sent.
const PERIOD: Duration = Duration::from_secs(15);

/// A stream of events. Dropped, it is finished.
pub struct EventStream {
    stream: Rc<Stream>,
    comments: ioloop::Periodic,
    ioloop: ioloop::WeakLoop,
}

impl EventStream {
    /// Answer with events. The response may be stored nowhere, because it never ends.
    ///
    /// # Errors
    /// None that can happen: the header fields are constant.
    pub fn new(ioloop: &IoLoop, reply: Reply) -> Result<Self, InvalidHeader> {
        let head = Response::new(200)
            .header("Content-Type", "text/event-stream")?
            .header("Cache-Control", "no-store")?
            .header("X-Accel-Buffering", "no")?;
        let stream = Rc::new(reply.stream(head));
        let weak = Rc::downgrade(&stream);
        let comments = ioloop.call_every(PERIOD, move |_| {
            // A client that has left is reported by `when_closed`.
            let _ = weak.upgrade().map(|stream| stream.write(b":\n\n"));
        });
        Ok(Self { stream, comments, ioloop: ioloop.downgrade() })
    }

    /// Send an event. `name` is its type, for `addEventListener`, and `id` is what a client that reconnects sends as
    /// `Last-Event-ID`; an empty text leaves it out. Ends of lines in both are left out.
    ///
    /// # Errors
    /// [`Closed`] if the client has left.
    pub fn send(&self, name: &str, id: &str, data: &str) -> Result<Room, Closed> {
        self.stream.write(event(name, id, data).as_bytes())
    }

    /// Tell the client how long to wait before it reconnects.
    ///
    /// # Errors
    /// [`Closed`] if the client has left.
    pub fn retry(&self, after: Duration) -> Result<Room, Closed> {
        self.stream.write(format!("retry: {}\n\n", after.as_millis()).as_bytes())
    }

    /// The stream, for [`Stream::when_room`] and [`Stream::when_closed`].
    pub fn stream(&self) -> &Stream {
        &self.stream
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        if let Some(ioloop) = self.ioloop.upgrade() {
            self.comments.stop(&ioloop);
        }
    }
}

fn event(name: &str, id: &str, data: &str) -> String {
    let mut text = String::new();
    for (field, value) in [("event", name), ("id", id)] {
        if !value.is_empty() {
            let line: String = value.chars().filter(|c| !['\r', '\n', '\0'].contains(c)).collect();
            text += &format!("{field}: {line}\n");
        }
    }
    // A carriage return ends a line, too.
    for line in data.replace("\r\n", "\n").split(['\n', '\r']) {
        text += &format!("data: {line}\n");
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_several_lines_is_one_event() {
        assert_eq!(event("", "", "a\nb\r\nc\rd"), "data: a\ndata: b\ndata: c\ndata: d\n\n");
        assert_eq!(event("", "", ""), "data: \n\n");
    }

    #[test]
    fn no_value_can_begin_another_field_or_event() {
        assert_eq!(
            event("a\n\ndata: x", "1\r2", "y\n\nevent: z"),
            "event: adata: x\nid: 12\ndata: y\ndata: \ndata: event: z\n\n"
        );
    }
}
