//! A request: its method, target, header fields and body.
//!
//! Contract: the value owns its bytes, and can be filled again without an allocation. What it holds has passed the checks of
//! [`head`](crate::head): names and method are tokens, the target is visible ASCII, and no value has a control character
//! other than a tab.

use std::fmt;
use std::ops::Range;

/// The version of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Version {
    /// HTTP/1.0, RFC 1945.
    Http10,
    /// HTTP/1.1, RFC 9112.
    #[default]
    Http11,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
        })
    }
}

/// The names of the fields that the server itself reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    Host,
    Connection,
    ContentLength,
    TransferEncoding,
    Expect,
}

impl Name {
    /// The field with this name, in any case, unless it is another.
    pub(crate) fn of(name: &[u8]) -> Option<Self> {
        const KNOWN: [(&[u8], Name); 5] = [
            (b"host", Name::Host),
            (b"connection", Name::Connection),
            (b"content-length", Name::ContentLength),
            (b"transfer-encoding", Name::TransferEncoding),
            (b"expect", Name::Expect),
        ];
        KNOWN.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, name)| *name)
    }
}

/// Where a field is in the bytes of its head.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) name: Range<u32>,
    pub(crate) value: Range<u32>,
}

/// A request whose head was read, and once it is handled, its body, too.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The head, as it was received.
    pub(crate) head: Vec<u8>,
    pub(crate) method: Range<u32>,
    pub(crate) target: Range<u32>,
    pub(crate) version: Version,
    pub(crate) fields: Vec<Field>,
    /// Those that the server itself reads, and where their values are, so that it need not look for each among all.
    pub(crate) known: Vec<(Name, Range<u32>)>,
    pub(crate) body: Vec<u8>,
    /// The trailer section, as it was received.
    pub(crate) tail: Vec<u8>,
    pub(crate) trailers: Vec<Field>,
}

impl Request {
    /// The method, in the case in which it was sent: `GET`.
    pub fn method(&self) -> &str {
        text(&self.head, &self.method)
    }

    /// The target, as it was sent: `/a?b`, `http://host/a?b`, or `*` of OPTIONS.
    pub fn target(&self) -> &str {
        text(&self.head, &self.target)
    }

    /// The target's path, not decoded, without scheme, host and query. `*` of OPTIONS is its own path.
    pub fn path(&self) -> &str {
        self.split_target().0
    }

    /// What follows the `?` of the target, not decoded.
    pub fn query(&self) -> Option<&str> {
        self.split_target().1
    }

    fn split_target(&self) -> (&str, Option<&str>) {
        let target = self.target();
        let absolute = if target.starts_with('/') { None } else { target.split_once("://") };
        let origin = match absolute {
            Some((scheme, rest)) if !scheme.contains(['/', '?']) => {
                rest.find(['/', '?']).map_or("", |at| &rest[at..])
            }
            _ => target,
        };
        let (path, query) = match origin.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (origin, None),
        };
        // RFC 9112 3.2.1: an empty path is sent as `/`.
        (if path.is_empty() { "/" } else { path }, query)
    }

    /// The version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The value of the first field with this name, in any case, without the spaces around it.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The values of all fields with this name as one list, in their order: RFC 9110, 5.3.
    pub(crate) fn list(&self, name: &str) -> Vec<u8> {
        let named = self.headers().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value).collect::<Vec<_>>().join(&b',')
    }

    /// The header fields, in their order: name and value.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        fields(&self.head, &self.fields)
    }

    /// The target as bytes, which need no check.
    pub(crate) fn raw_target(&self) -> &[u8] {
        bytes(&self.head, &self.target)
    }

    /// The values of the header fields with this name, in their order.
    pub(crate) fn values(&self, name: Name) -> impl Iterator<Item = &[u8]> {
        let known = self.known.iter().filter(move |(known, _)| *known == name);
        known.map(|(_, value)| bytes(&self.head, value))
    }

    /// The body, complete and decoded. Empty if the request has none.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The trailer fields of a chunked body, in their order: name and value.
    pub fn trailers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        fields(&self.tail, &self.trailers)
    }

    /// Forget everything, and keep the memory, except that of a large body.
    pub(crate) fn clear(&mut self) {
        const KEPT: usize = 64 * 1024;
        (self.method, self.target) = (0..0, 0..0);
        self.head.clear();
        self.fields.clear();
        self.known.clear();
        self.body.clear();
        self.body.shrink_to(KEPT);
        self.tail.clear();
        self.trailers.clear();
    }
}

fn bytes<'a>(all: &'a [u8], range: &Range<u32>) -> &'a [u8] {
    &all[range.start as usize..range.end as usize]
}

fn text<'a>(all: &'a [u8], range: &Range<u32>) -> &'a str {
    str::from_utf8(bytes(all, range)).unwrap_or_default()
}

fn fields<'a>(all: &'a [u8], fields: &'a [Field]) -> impl Iterator<Item = (&'a str, &'a [u8])> {
    fields.iter().map(|field| (text(all, &field.name), bytes(all, &field.value)))
}
