//! Limits: how much a client may send, how long it may take, and how many clients there may be.

use std::time::Duration;

/// What a server permits. Each field says its unit and what happens beyond it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The longest head of a request, in bytes, with the request line and an empty line before it: 431 beyond.
    pub head: usize,
    /// The longest request target, in bytes: 414 beyond.
    pub target: usize,
    /// The most header fields of a request, and the most trailer fields: 431 beyond.
    pub fields: usize,
    /// The longest body of a request, in bytes: 413 beyond. [`App::admit`](crate::App::admit) can choose another limit.
    pub body: u64,
    /// What a chunked body may have besides its data, in bytes: chunk extensions and trailer fields together. 400 beyond.
    pub chunk_overhead: usize,
    /// How long a client may take for a head, from its first byte: 408 beyond.
    pub head_time: Duration,
    /// How long a client may take for a body, from the end of the head. A client that sends at least [`Limits::body_rate`]
    /// may take longer. 408 beyond.
    pub body_time: Duration,
    /// The lowest rate of a body that may take longer than [`Limits::body_time`], in bytes a second, framing not counted.
    pub body_rate: u64,
    /// How long a connection may be idle: before its first request, and after each. Then it is closed without a word.
    pub idle_time: Duration,
    /// How long a client may take none of the bytes that wait for it. Then the connection is closed.
    pub write_time: Duration,
    /// How long a connection that the server is done with is read from, so that the client gets the last response.
    pub linger_time: Duration,
    /// How many bytes are read and discarded in that time.
    pub linger_bytes: u64,
    /// How many connections one process has: 503 beyond. Clients beyond an eighth and 16 more are closed at once.
    pub connections: usize,
    /// How many bytes of further requests are kept while one is being answered. Beyond, the client is not read from.
    pub pipelined: usize,
    /// How many bytes of responses are kept for a client. Beyond, its next request waits, and a [`Stream`](crate::Stream) is full.
    pub queued: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: 16 * 1024,
            target: 8 * 1024,
            fields: 100,
            body: 1024 * 1024,
            chunk_overhead: 16 * 1024,
            head_time: Duration::from_secs(10),
            body_time: Duration::from_secs(20),
            body_rate: 500,
            idle_time: Duration::from_secs(75),
            write_time: Duration::from_secs(30),
            linger_time: Duration::from_secs(5),
            linger_bytes: 64 * 1024 * 1024,
            connections: 20_000,
            pipelined: 64 * 1024,
            queued: 64 * 1024,
        }
    }
}
