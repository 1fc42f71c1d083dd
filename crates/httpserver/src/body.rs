//! The body of a request that is being read, by length or chunked.

use crate::chunked::Decoder;
use crate::framing::Framing;
use crate::head;
use crate::limits::Limits;
use crate::refusal::Refusal;
use crate::request::Request;

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
    /// 400, 413 and 431, see [`Decoder::decode`] and [`head::parse_trailers`].
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
                    head::parse_trailers(request, limits)?;
                }
                Ok((taken, decoder.is_done()))
            }
        }
    }
}
