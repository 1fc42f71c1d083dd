//! What a connection is doing, and what it needs next.

use crate::refusal::Refusal;

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It waits for a request, or reads the head of one.
    Head,
    /// A head was read, and the application must admit its body.
    Admission,
    /// It reads a body.
    Body,
    /// A response is owed.
    Owed,
    /// The body of a response is sent in parts.
    Streaming,
    /// Nothing more is read, and no response is owed.
    Done,
}

/// What a connection needs next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// More bytes, or the response to the request under way.
    More,
    /// A head is complete, and a body follows: admit the body, or respond.
    Head,
    /// The request is complete: respond.
    Request,
    /// Respond with this.
    Refused(Refusal),
    /// Nothing: close the connection once everything is sent.
    Done,
}
