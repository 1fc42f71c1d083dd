//! Does a request permit another after it, and does it wait before it sends its body? RFC 9112, 9.3; RFC 9110, 10.1.1.

use crate::refusal::Refusal;
use crate::request::{Name, Request, Version};

/// May the connection stay open after this request? By default that of HTTP/1.1 may, and that of HTTP/1.0 may not.
pub(crate) fn wants_another(request: &Request) -> bool {
    let mut wants = request.version() == Version::Http11;
    for value in request.values(Name::Connection) {
        for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if option.eq_ignore_ascii_case(b"close") {
                return false;
            }
            wants |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }
    wants
}

/// Does the client wait for 100 Continue? A client of HTTP/1.0 does not: RFC 9110 says to ignore what it expects.
///
/// # Errors
/// 417 if it expects anything else.
pub(crate) fn expects_continue(request: &Request) -> Result<bool, Refusal> {
    let mut expectations = request.values(Name::Expect);
    if request.version() == Version::Http10 {
        return Ok(false);
    }
    match (expectations.next(), expectations.next()) {
        (None, _) => Ok(false),
        (Some(value), None) if value.eq_ignore_ascii_case(b"100-continue") => Ok(true),
        _ => Err(Refusal::new(417, "This server meets no expectation but 100-continue.")),
    }
}
