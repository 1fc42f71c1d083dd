//! A refusal: the answer to a request that breaks the protocol or a limit. The connection is closed after it.

use crate::response::Response;

/// A status and its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The status, 400 to 599.
    pub status: u16,
    /// Why, as a sentence for the person behind the client.
    pub why: &'static str,
}

impl Refusal {
    pub(crate) const fn new(status: u16, why: &'static str) -> Self {
        Self { status, why }
    }

    /// A 400.
    pub(crate) const fn bad(why: &'static str) -> Self {
        Self::new(400, why)
    }

    /// The response that says so.
    pub fn response(self) -> Response {
        Response::text(self.status, format!("{}\n", self.why)).close()
    }
}
