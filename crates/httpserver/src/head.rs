//! The head of a request: where it ends, and what it says.
//!
//! Contract: the answer does not depend on how the bytes were split. httparse reads the lines; what it permits and this server
//! does not is refused here: a line that ends without a carriage return, more than one empty line before the request, a
//! target that is not one, a missing or repeated Host.

use std::io::BufRead;
use std::mem::MaybeUninit;
use std::ops::Range;

use httparse::Header;

use crate::limits::Limits;
use crate::refusal::Refusal;
use crate::request::{Field, Name, Request, Version};
use crate::target;

/// Reads a head that may come in pieces. However many there are, no byte is looked at more than three times, so a client that
/// sends them one by one costs little more.
#[derive(Debug, Default, Clone)]
pub(crate) struct Scan {
    /// How many bytes were looked at.
    at: usize,
    /// Where the current line begins.
    line: usize,
    /// Where the head begins: after the empty line that may precede it.
    start: usize,
}

/// How long a request line may be until its target is looked at, in bytes.
fn line_limit(limits: &Limits) -> usize {
    const AROUND_TARGET: usize = 64;
    limits.target.saturating_add(AROUND_TARGET)
}

/// How many fields these bytes can have, or how many are permitted, if that is less. The shortest field has a name of one byte, a
/// colon, and the end of its line.
pub(crate) fn slots(bytes: &[u8], limits: &Limits) -> usize {
    limits.fields.min(bytes.len() / 3 + 1)
}

impl Scan {
    /// Read the head that `bytes` begins with into `request`. Returns where it ends, or none if its end is not there yet.
    ///
    /// # Errors
    /// 400, 414, 431 and 505.
    pub(crate) fn read(
        &mut self,
        bytes: &[u8],
        request: &mut Request,
        limits: &Limits,
    ) -> Result<Option<usize>, Refusal> {
        // Nearly every head comes whole, and then httparse finds its end.
        if self.at == 0
            && let Some(end) = parse_whole(bytes, request, limits)
        {
            check(request, limits)?;
            return Ok(Some(end));
        }
        request.clear();
        let Some((start, end)) = self.find(bytes, limits)? else { return Ok(None) };
        *self = Self::default();
        parse(&bytes[start..end], request, limits)?;
        Ok(Some(end))
    }

    /// Look at the bytes that are new in `bytes`. Returns where the head begins and ends, or none if its end is not there yet.
    ///
    /// # Errors
    /// 414 and 431 if the head is too long; 400 for a bare line feed.
    pub(crate) fn find(&mut self, bytes: &[u8], limits: &Limits) -> Result<Option<(usize, usize)>, Refusal> {
        loop {
            let mut rest = &bytes[self.at..];
            // `skip_until` is std's fast search for a byte. A slice never fails.
            let skipped = rest.skip_until(b'\n').unwrap_or(0);
            let end = self.at + skipped;
            let found = skipped > 0 && bytes[end - 1] == b'\n';
            self.at = end;
            // The lower of two limits counts, as if the bytes had come one by one.
            let most = self.start.saturating_add(line_limit(limits));
            if self.line == self.start && end > most && most <= limits.head {
                return Err(Refusal::new(414, "The target of the request is too long."));
            }
            if end > limits.head {
                return Err(Refusal::new(431, "The head of the request is too long."));
            }
            if !found {
                return Ok(None);
            }
            if end < 2 || end - self.line < 2 || bytes[end - 2] != b'\r' {
                return Err(Refusal::bad("A line of the head ends without a carriage return."));
            }
            let is_empty = end - self.line == 2;
            let is_first = self.line == self.start;
            self.line = end;
            match (is_empty, is_first) {
                (true, true) if self.start == 0 => self.start = end,
                (true, true) => return Err(Refusal::bad("Several empty lines precede the request.")),
                (true, false) => return Ok(Some((self.start, end))),
                (false, _) => {}
            }
        }
    }
}

const MALFORMED: Refusal = Refusal::bad("The head of the request is malformed.");

/// How many fields are parsed without an allocation.
const SLOTS: usize = 128;

/// Read the head that `bytes` begins with, if all of it is there and [`Scan::find`] would find nothing to refuse. Returns where it
/// ends.
fn parse_whole(bytes: &[u8], request: &mut Request, limits: &Limits) -> Option<usize> {
    let end = parse_lines(bytes, request, limits).ok()?;
    let first = request.fields.first().map_or(end, |field| field.name.start as usize);
    let is_short = first <= line_limit(limits) && end <= limits.head;
    // httparse ends a line at each line feed, so a field follows each line but the last two.
    let is_strict = request.method.start == 0
        && request.fields.iter().all(|field| bytes[..field.name.start as usize].ends_with(b"\r\n"))
        && bytes[..end].ends_with(b"\r\n\r\n");
    (is_short && is_strict).then_some(end)
}

/// Read a complete head into `request`.
///
/// # Errors
/// 400, 414, 431 and 505.
pub(crate) fn parse(head: &[u8], request: &mut Request, limits: &Limits) -> Result<(), Refusal> {
    if parse_lines(head, request, limits)? != head.len() {
        return Err(MALFORMED);
    }
    check(request, limits)
}

/// Read the head that `bytes` begins with into `request`. Returns where it ends.
///
/// # Errors
/// 400, also if its end is not there; 431 and 505.
fn parse_lines(bytes: &[u8], request: &mut Request, limits: &Limits) -> Result<usize, Refusal> {
    if limits.fields <= SLOTS {
        parse_with(bytes, request, &mut [const { MaybeUninit::uninit() }; SLOTS][..limits.fields])
    } else {
        parse_with(bytes, request, &mut vec![MaybeUninit::uninit(); slots(bytes, limits)])
    }
}

fn parse_with<'b>(
    bytes: &'b [u8],
    request: &mut Request,
    slots: &mut [MaybeUninit<Header<'b>>],
) -> Result<usize, Refusal> {
    let mut parsed = httparse::Request::new(&mut []);
    let status =
        httparse::ParserConfig::default().parse_request_with_uninit_headers(&mut parsed, bytes, slots);
    let end = match status {
        Ok(httparse::Status::Complete(end)) => end,
        Ok(httparse::Status::Partial) => return Err(MALFORMED),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Refusal::new(431, "The request has too many header fields."));
        }
        Err(httparse::Error::Version) if names_a_version(bytes) => {
            return Err(Refusal::new(505, "This server speaks HTTP/1.1 and HTTP/1.0."));
        }
        Err(_) => return Err(MALFORMED),
    };
    request.clear();
    request.head.extend_from_slice(&bytes[..end]);
    request.method = range(bytes, parsed.method.unwrap_or_default().as_bytes());
    request.target = range(bytes, parsed.path.unwrap_or_default().as_bytes());
    request.version = if parsed.version == Some(0) { Version::Http10 } else { Version::Http11 };
    request.fields.extend(ranges(bytes, parsed.headers));
    let known =
        parsed.headers.iter().filter_map(|field| Some((Name::of(field.name.as_bytes())?, field.value)));
    request.known.extend(known.map(|(name, value)| (name, range(bytes, value))));
    Ok(end)
}

/// Check what httparse does not.
///
/// # Errors
/// 400 and 414.
fn check(request: &Request, limits: &Limits) -> Result<(), Refusal> {
    if request.raw_target().len() > limits.target {
        return Err(Refusal::new(414, "The target of the request is too long."));
    }
    target::check(request)?;
    let mut hosts = request.values(Name::Host);
    match (hosts.next(), hosts.next()) {
        (None, _) if request.version == Version::Http10 => Ok(()),
        (None, _) => Err(Refusal::bad("The request has no Host.")),
        (_, Some(_)) => Err(Refusal::bad("The request has several Host fields.")),
        (Some(host), None) if target::is_host(host) => Ok(()),
        (Some(_), None) => Err(Refusal::bad("The Host of the request is malformed.")),
    }
}

/// Where a part of these bytes is in them.
fn range(bytes: &[u8], part: &[u8]) -> Range<u32> {
    let start = (part.as_ptr() as usize - bytes.as_ptr() as usize) as u32;
    start..start + part.len() as u32
}

/// Where the fields that were parsed out of these bytes are in them.
pub(crate) fn ranges(bytes: &[u8], parsed: &[Header<'_>]) -> impl Iterator<Item = Field> {
    parsed
        .iter()
        .map(|field| Field { name: range(bytes, field.name.as_bytes()), value: range(bytes, field.value) })
}

/// Are the three parts of the request line there, and is the last a version that this server does not speak? Otherwise it is
/// malformed.
fn names_a_version(head: &[u8]) -> bool {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut parts = line.split(|byte| *byte == b' ');
    match (parts.nth(2), parts.next()) {
        (Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor]), None) => {
            major.is_ascii_digit() && minor.is_ascii_digit()
        }
        _ => false,
    }
}
