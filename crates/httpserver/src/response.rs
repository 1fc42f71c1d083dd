//! A response: a status, header fields and a body.
//!
//! Contract: what [`Response::header`] accepted cannot end its line, so a value from a client cannot add a field or a second
//! response. How long the body is, and whether the connection stays open, is written by the server.

use std::borrow::Cow;
use std::fmt;

use crate::output::Output;
use crate::sendfile::FileBody;

/// A response, to be sent with [`Reply::send`](crate::Reply::send).
#[derive(Debug)]
pub struct Response {
    pub(crate) status: u16,
    /// The header fields, each as a line with its end.
    pub(crate) fields: Cow<'static, [u8]>,
    pub(crate) body: Body,
    /// Has it a Date of its own?
    pub(crate) is_dated: bool,
    /// Must the connection be closed after it?
    pub(crate) closes: bool,
}

/// What follows the head.
#[derive(Debug)]
pub(crate) enum Body {
    Bytes(Cow<'static, [u8]>),
    File(FileBody),
}

impl Body {
    /// Its length, in bytes.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(file) => file.length,
        }
    }

    /// Queue it.
    pub(crate) fn push_to(self, output: &mut Output) {
        match self {
            Self::Bytes(bytes) => output.push(bytes),
            Self::File(file) => output.push_file(file),
        }
    }
}

/// Why a header field was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvalidHeader {
    /// The name is not a token: RFC 9110, 5.6.2.
    Name(String),
    /// The value has a control character, such as the end of a line, or begins or ends with a space: RFC 9110, 5.5.
    Value(String),
    /// The server writes this field itself.
    Reserved(&'static str),
}

impl fmt::Display for InvalidHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "{name:?} cannot be the name of a header field"),
            Self::Value(value) => write!(f, "{value:?} cannot be the value of a header field"),
            Self::Reserved(name) => write!(f, "the server writes {name} itself"),
        }
    }
}

impl std::error::Error for InvalidHeader {}

/// The fields that say where a message ends and whether another follows.
const RESERVED: [&str; 6] =
    ["Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive", "Trailer", "Upgrade"];

impl Response {
    /// A response with this status, without fields and body. A status outside of 200 to 599 becomes 500: the server sends
    /// the 1xx itself.
    pub fn new(status: u16) -> Self {
        let status = if (200..600).contains(&status) { status } else { 500 };
        Self {
            status,
            fields: Cow::Borrowed(b""),
            body: Body::Bytes(Cow::Borrowed(b"")),
            is_dated: false,
            closes: false,
        }
    }

    /// Add a header field.
    ///
    /// # Errors
    /// If the name or the value would break the message, or the field is one that the server writes itself.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, InvalidHeader> {
        if let Some(reserved) = RESERVED.iter().find(|reserved| reserved.eq_ignore_ascii_case(name)) {
            return Err(InvalidHeader::Reserved(reserved));
        }
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(InvalidHeader::Name(name.to_owned()));
        }
        let is_trimmed = !value.starts_with([' ', '\t']) && !value.ends_with([' ', '\t']);
        if !is_trimmed || !value.bytes().all(|byte| byte == b'\t' || byte >= b' ' && byte != 0x7f) {
            return Err(InvalidHeader::Value(value.to_owned()));
        }
        self.push(name, value);
        Ok(self)
    }

    /// Has it a field with this name?
    pub(crate) fn has(&self, name: &str) -> bool {
        let is_it = |line: &[u8]| {
            line.split_at_checked(name.len()).is_some_and(|(start, rest)| {
                start.eq_ignore_ascii_case(name.as_bytes()) && rest.starts_with(b":")
            })
        };
        self.fields.split(|byte| *byte == b'\n').any(is_it)
    }

    /// Add a field that is known to be valid.
    pub(crate) fn push(&mut self, name: &str, value: &str) {
        self.is_dated |= name.eq_ignore_ascii_case("Date");
        let fields = self.fields.to_mut();
        fields.reserve(name.len() + value.len() + 4);
        for part in [name, ": ", value, "\r\n"] {
            fields.extend_from_slice(part.as_bytes());
        }
    }

    /// Set the body.
    pub fn body(self, bytes: impl Into<Cow<'static, [u8]>>) -> Self {
        Self { body: Body::Bytes(bytes.into()), ..self }
    }

    /// Set the body: a part of a file.
    pub fn file(self, file: FileBody) -> Self {
        Self { body: Body::File(file), ..self }
    }

    /// Close the connection after this response.
    pub fn close(self) -> Self {
        Self { closes: true, ..self }
    }

    /// A response with a text in UTF-8.
    pub fn text(status: u16, text: impl Into<Cow<'static, str>>) -> Self {
        let fields = Cow::Borrowed(&b"Content-Type: text/plain; charset=utf-8\r\n"[..]);
        Self { fields, ..Self::new(status) }.body(match text.into() {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        })
    }

    /// The body, unless it is a part of a file.
    pub fn bytes(&self) -> Option<&[u8]> {
        match &self.body {
            Body::Bytes(bytes) => Some(bytes),
            Body::File(_) => None,
        }
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.status
    }
}

/// Is this byte one of a token: RFC 9110, 5.6.2?
pub(crate) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
