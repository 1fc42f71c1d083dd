//! Chunked bodies: RFC 9112, 7.1.
//!
//! Contract: the decoder takes its bytes in pieces of any size, with the same result. A chunk's size is hexadecimal digits
//! and nothing else; extensions are skipped and counted; each line ends with CR LF.

use std::io::Write;

use crate::limits::Limits;
use crate::refusal::Refusal;
use crate::response::is_token;

/// The state of a body that is being decoded.
#[derive(Debug, Clone)]
pub(crate) struct Decoder {
    state: State,
    /// The size that is being read, or how much of the chunk is left.
    size: u64,
    /// How many bytes the body may have.
    limit: u64,
    /// How many bytes of extensions and trailer fields there were.
    overhead: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first digit, or after one.
    Size {
        digits: u8,
    },
    /// After the size: in an extension, after this byte, which is no space.
    Extension {
        last: u8,
        is_spaced: bool,
        is_quoted: bool,
    },
    /// The line of the size must end now.
    SizeEnd,
    Data,
    /// The line feed after a chunk's data, with or without its carriage return.
    DataCr,
    DataLf,
    Trailers,
    Done,
}

const MALFORMED: Refusal = Refusal::bad("The chunked body is malformed.");

/// The digits of 64 bits.
const DIGITS: u8 = 16;

impl Decoder {
    /// A decoder of a body of at most `limit` bytes.
    pub(crate) fn new(limit: u64) -> Self {
        Self { state: State::Size { digits: 0 }, size: 0, limit, overhead: 0 }
    }

    /// Is the body complete?
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Decode `input` until the body is complete: data goes to `body`, the trailer section to `tail`. Returns how many bytes were
    /// taken.
    ///
    /// # Errors
    /// 400 if it is malformed, or has too many extensions and trailer fields; 413 if it is too long.
    pub(crate) fn decode(
        &mut self,
        input: &[u8],
        body: &mut Vec<u8>,
        tail: &mut Vec<u8>,
        limits: &Limits,
    ) -> Result<usize, Refusal> {
        let mut at = 0;
        while at < input.len() && self.state != State::Done {
            if self.state == State::Data {
                let rest = &input[at..];
                let taken = usize::try_from(self.size).unwrap_or(usize::MAX).min(rest.len());
                body.extend_from_slice(&rest[..taken]);
                at += taken;
                self.size -= taken as u64;
                if self.size == 0 {
                    self.state = State::DataCr;
                }
                continue;
            }
            self.state = self.step(input[at], body.len() as u64, tail)?;
            at += 1;
            if self.overhead > limits.chunk_overhead {
                return Err(Refusal::bad("The chunked body has too many extensions or trailer fields."));
            }
        }
        Ok(at)
    }

    /// The state after a byte of the framing.
    fn step(&mut self, byte: u8, length: u64, tail: &mut Vec<u8>) -> Result<State, Refusal> {
        match (self.state, byte) {
            (State::Size { digits }, _) if byte.is_ascii_hexdigit() && digits < DIGITS => {
                let digit = (byte as char).to_digit(16).unwrap_or(0);
                self.size = self.size << 4 | u64::from(digit);
                Ok(State::Size { digits: digits + 1 })
            }
            (State::Size { digits: 1.. }, b'\r') => Ok(State::SizeEnd),
            (State::Size { digits: 1.. }, b';' | b' ' | b'\t') => {
                self.overhead += 1;
                let last = if byte == b';' { byte } else { SIZE };
                Ok(State::Extension { last, is_spaced: byte != b';', is_quoted: false })
            }
            (State::Extension { last, is_spaced: false, is_quoted: false }, b'\r')
                if !b";=".contains(&last) =>
            {
                Ok(State::SizeEnd)
            }
            (State::Extension { last, is_spaced, is_quoted }, _) => {
                self.overhead += 1;
                extension(last, is_spaced, is_quoted, byte).ok_or(MALFORMED)
            }
            (State::SizeEnd, b'\n') if self.size == 0 => Ok(State::Trailers),
            (State::SizeEnd, b'\n') if self.size > self.limit.saturating_sub(length) => {
                Err(Refusal::new(413, "The body of the request is too long."))
            }
            (State::SizeEnd, b'\n') => Ok(State::Data),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::Size { digits: 0 }),
            (State::Trailers, _) => {
                self.overhead += 1;
                let after_return = tail.last() == Some(&b'\r');
                tail.push(byte);
                match byte {
                    // Neither may stand alone.
                    b'\n' if !after_return => Err(MALFORMED),
                    b'\n' if tail.len() == 2 || tail.ends_with(b"\r\n\r\n") => Ok(State::Done),
                    b'\n' => Ok(State::Trailers),
                    _ if after_return => Err(MALFORMED),
                    _ => Ok(State::Trailers),
                }
            }
            _ => Err(MALFORMED),
        }
    }
}

/// Stands for the size, as the last byte before an extension.
const SIZE: u8 = 0;

/// The state after a byte of the extensions, `;name=value;name="value"`, with spaces around `;` and `=` only.
fn extension(last: u8, is_spaced: bool, is_quoted: bool, byte: u8) -> Option<State> {
    let goes_on = match byte {
        _ if is_quoted => byte == b' ' || byte == b'\t' || byte.is_ascii_graphic() || byte >= 0x80,
        b' ' | b'\t' => return Some(State::Extension { last, is_spaced: true, is_quoted }),
        b';' => last != b';' && last != b'=',
        b'=' => ![SIZE, b';', b'='].contains(&last),
        b'"' => last == b'=',
        _ => is_token(byte) && last != SIZE && (!is_spaced || last == b';' || last == b'='),
    };
    // A quote that follows a backslash does not end the text.
    let is_quote = byte == b'"' && !(is_quoted && last == b'\\');
    let last = if is_quoted && last == b'\\' { b'x' } else { byte };
    goes_on.then_some(State::Extension { last, is_spaced: false, is_quoted: is_quoted != is_quote })
}

/// Write a chunk.
pub(crate) fn encode(data: &[u8], out: &mut Vec<u8>) {
    // An empty chunk would end the body. Writing to a vector does not fail.
    if !data.is_empty() {
        let _ = write!(out, "{:x}\r\n", data.len());
        out.extend_from_slice(data);
        out.extend_from_slice(b"\r\n");
    }
}

/// The end of a chunked body, without trailer fields.
pub(crate) const LAST: &[u8] = b"0\r\n\r\n";
