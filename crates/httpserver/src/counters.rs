//! What a server has done, as values: counters, and an entry for each response.

use std::net::SocketAddr;
use std::time::Duration;

use crate::request::Version;

/// Counts of one process since its server was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Connections that are open now, those that the server is done with and still reads from included.
    pub open: u64,
    /// Connections that were accepted.
    pub accepted: u64,
    /// Connections that were refused with 503, or closed at once, because there were too many.
    pub refused: u64,
    /// Requests that the application got.
    pub requests: u64,
    /// Responses by the first digit of their status: `responses[2]` counts 200 to 299. 0 and 1 are unused.
    pub responses: [u64; 6],
    /// Bytes that were received.
    pub received: u64,
    /// Bytes that were sent.
    pub sent: u64,
    /// Connections that were closed because a client was too slow, with and without a 408.
    pub timeouts: u64,
    /// Connections that were idle for too long.
    pub idled: u64,
    /// Connections that were cut in the middle of a request or a response: clients reset them or took nothing, the response could not
    /// be completed, or the grace period of a stop was over.
    pub aborted: u64,
}

/// What gets each entry of an access log.
pub(crate) type AccessHook = std::rc::Rc<dyn Fn(&Access)>;

/// A response that was sent, or cut: an entry of an access log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The client's address; none for a socket that has none.
    pub peer: Option<SocketAddr>,
    /// The method, or an empty text if no head was accepted: it was malformed or too long, it did not arrive in time, or it was not
    /// read, because there were too many connections.
    pub method: String,
    /// The target, or an empty text if no head was accepted.
    pub target: String,
    /// The version of the request; HTTP/1.1 if no head was accepted.
    pub version: Version,
    /// The status of the response, or 0 if the connection was closed before there was one.
    pub status: u16,
    /// How many bytes of the response's body were queued for the client, without the framing of chunks.
    pub bytes: u64,
    /// How long it took from the end of the request until all of the response was queued, or was cut, by the loop's clock.
    pub took: Duration,
}
