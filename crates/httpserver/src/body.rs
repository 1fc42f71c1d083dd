//! The body of a request that is being read, and that of a response that is being sent in parts.

use crate::chunked::{self, Decoder};
use crate::framing::Framing;
use crate::limits::Limits;
use crate::refusal::Refusal;
use crate::request::Request;
use crate::trailers;

/// What is left of a body.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// This many bytes.
    Length(u64),
    /// What the decoder says.
    Chunked(Decoder),
}

impl Incoming {
    /// A body of at most `limit` bytes.
    ///
    /// # Errors
    /// 413 if it is longer, as far as that is known.
    pub(crate) fn new(framing: Framing, limit: u64) -> Result<Self, Refusal> {
        match framing {
            Framing::Length(length) if length > limit => {
                Err(Refusal::new(413, "The body of the request is too long."))
            }
            Framing::Length(length) => Ok(Self::Length(length)),
            Framing::Chunked => Ok(Self::Chunked(Decoder::new(limit))),
        }
    }

    /// Read from `input` into the body of `request`. Returns how many bytes were read, and whether the body is complete.
    ///
    /// # Errors
    /// 400, 413 and 431, see [`Decoder::decode`] and [`trailers::parse`].
    pub(crate) fn read(
        &mut self,
        input: &[u8],
        request: &mut Request,
        limits: &Limits,
    ) -> Result<(usize, bool), Refusal> {
        match self {
            Self::Length(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                request.body.extend_from_slice(&input[..taken]);
                *left -= taken as u64;
                Ok((taken, *left == 0))
            }
            Self::Chunked(decoder) => {
                let taken = decoder.decode(input, &mut request.body, &mut request.tail, limits)?;
                if decoder.is_done() {
                    trailers::parse(request, limits)?;
                }
                Ok((taken, decoder.is_done()))
            }
        }
    }
}

/// How the body of a response is sent in parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outgoing {
    /// Not at all: the response answers HEAD, or its status has no body.
    Nothing,
    /// A chunk for each part.
    Chunked,
    /// As it is: it ends with the connection.
    UntilClose,
}

impl Outgoing {
    /// Write a part.
    pub(crate) fn write(self, bytes: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Nothing => {}
            Self::Chunked => chunked::encode(bytes, out),
            Self::UntilClose => out.extend_from_slice(bytes),
        }
    }

    /// Write what ends the body.
    pub(crate) fn end(self, out: &mut Vec<u8>) {
        if self == Self::Chunked {
            out.extend_from_slice(chunked::LAST);
        }
    }
}
