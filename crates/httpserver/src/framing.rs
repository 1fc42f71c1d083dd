//! How long the body of a request is: RFC 9112, 6.3. What two servers could read in two ways is refused.
//!
//! Contract: a length is given once, in digits and nothing else, or the body is chunked and nothing else. Everything else is
//! an error: a lenient server and a strict proxy disagree on where the next request begins, and that is how requests are
//! smuggled.

use crate::refusal::Refusal;
use crate::request::{Name, Request, Version};

/// Where the body of a request ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// After this many bytes, which may be none.
    Length(u64),
    /// After the last chunk.
    Chunked,
}

/// The framing of the body that follows this head.
///
/// # Errors
/// 400 for lengths and codings that are malformed, repeated or contradictory; 501 for a coding other than chunked.
pub(crate) fn of(request: &Request) -> Result<Framing, Refusal> {
    let (mut lengths, mut codings) =
        (request.values(Name::ContentLength), request.values(Name::TransferEncoding));
    let (length, coding) = (lengths.next(), codings.next());
    if lengths.next().or(codings.next()).is_some() {
        return Err(Refusal::bad("Content-Length or Transfer-Encoding is repeated."));
    }
    match (length, coding) {
        (None, None) => Ok(Framing::Length(0)),
        (Some(length), None) => number(length).map(Framing::Length),
        (Some(_), Some(_)) => Err(Refusal::bad("Content-Length and Transfer-Encoding exclude each other.")),
        (None, Some(_)) if request.version() == Version::Http10 => {
            Err(Refusal::bad("HTTP/1.0 has no Transfer-Encoding."))
        }
        (None, Some(coding)) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
        (None, Some(coding)) if ends_in_chunked(coding) => {
            Err(Refusal::new(501, "This server knows no transfer coding but chunked."))
        }
        (None, Some(_)) => Err(Refusal::bad("The last transfer coding is not chunked.")),
    }
}

/// Digits only: no sign, no space, no separator, and not nothing.
fn number(digits: &[u8]) -> Result<u64, Refusal> {
    const MALFORMED: Refusal = Refusal::bad("Content-Length is not a number.");
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(MALFORMED);
    }
    str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).ok_or(MALFORMED)
}

/// Is it a list of other codings with `chunked` at its end, and only there?
fn ends_in_chunked(codings: &[u8]) -> bool {
    let mut codings: Vec<&[u8]> = codings.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).collect();
    let is_chunked = |coding: &&[u8]| coding.eq_ignore_ascii_case(b"chunked");
    let last = codings.pop();
    let is_other =
        |coding: &&[u8]| !is_chunked(coding) && coding.iter().all(|byte| crate::response::is_token(*byte));
    last.as_ref().is_some_and(is_chunked)
        && codings.iter().all(|coding| !coding.is_empty() && is_other(coding))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_digits_and_nothing_else() {
        assert_eq!(number(b"0"), Ok(0));
        assert_eq!(number(b"0042"), Ok(42));
        assert_eq!(number(b"18446744073709551615"), Ok(u64::MAX));
        for wrong in
            ["", "+5", "-1", "1_0", "0x5", "5 ", " 5", "5,5", "5, 5", "18446744073709551616", "\u{b2}"]
        {
            assert!(number(wrong.as_bytes()).is_err(), "{wrong:?} was accepted as a length");
        }
    }

    #[test]
    fn a_list_that_ends_in_chunked_is_not_supported_and_others_are_malformed() {
        assert!(ends_in_chunked(b"gzip, chunked"));
        for wrong in ["chunked, chunked", ",chunked", "chunked, gzip", "gzip", "", "g zip, chunked"] {
            assert!(!ends_in_chunked(wrong.as_bytes()), "{wrong:?}");
        }
    }
}
