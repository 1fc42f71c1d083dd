//! The trailer section behind a chunked body: RFC 9112, 7.1.2.

use httparse::Header;

use crate::head::{ranges, slots};
use crate::limits::Limits;
use crate::refusal::Refusal;
use crate::request::Request;

/// Fields that a recipient needs before the body: how long the message is, where it goes, who sends it, what the body is, and
/// what is to be done with the connection. RFC 9110, 6.5.1 forbids them in a trailer section, and a proxy that merges the
/// section into the head would make two messages out of one.
const NOT_IN_TRAILERS: [&[u8]; 17] = [
    b"authorization",
    b"cache-control",
    b"connection",
    b"content-encoding",
    b"content-length",
    b"content-range",
    b"content-type",
    b"cookie",
    b"expect",
    b"host",
    b"keep-alive",
    b"max-forwards",
    b"proxy-authorization",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
];

/// Read a trailer section, with the empty line at its end, into `request`, which has its bytes.
///
/// # Errors
/// 400 if a line is malformed, or is a field that belongs into the head; 431 if there are too many.
pub(crate) fn parse(request: &mut Request, limits: &Limits) -> Result<(), Refusal> {
    let Request { tail, trailers, .. } = request;
    let tail: &[u8] = tail;
    let mut slots = vec![httparse::EMPTY_HEADER; slots(tail, limits)];
    let parsed = match httparse::parse_headers(tail, &mut slots) {
        Ok(httparse::Status::Complete((end, parsed))) if end == tail.len() => parsed,
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Refusal::new(431, "The request has too many trailer fields."));
        }
        _ => return Err(Refusal::bad("The trailer section of the request is malformed.")),
    };
    let is_misplaced = |field: &Header<'_>| {
        NOT_IN_TRAILERS.iter().any(|name| name.eq_ignore_ascii_case(field.name.as_bytes()))
    };
    if parsed.iter().any(is_misplaced) {
        return Err(Refusal::bad("A trailer field belongs into the head of the request."));
    }
    trailers.extend(ranges(tail, parsed));
    Ok(())
}
