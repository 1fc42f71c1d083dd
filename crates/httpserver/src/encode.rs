//! The head of a response, as bytes: RFC 9112, 4.

use crate::response::Response;

/// How a head says where the body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Announced {
    /// It does not: there is no body, or the end of the connection is its end.
    Nothing,
    /// After this many bytes.
    Length(u64),
    /// After the last chunk.
    Chunked,
}

/// May a response with this status have a body? RFC 9110, 6.4.1 and 15.3.6.
pub(crate) fn may_have_body(status: u16) -> bool {
    status >= 200 && !matches!(status, 204 | RESET_CONTENT | 304)
}

/// Unlike the other statuses without a body, this one must say so, or its client waits for the end of the connection.
const RESET_CONTENT: u16 = 205;

/// Write the head of a response. `connection` is the value of the field Connection, if it needs one.
pub(crate) fn head(
    response: &Response,
    date: &str,
    announced: Announced,
    connection: Option<&str>,
    out: &mut Vec<u8>,
) {
    let announced = if response.status == RESET_CONTENT { Announced::Length(0) } else { announced };
    let mut digits = [0; 20];
    let mut put = |text: &[u8]| out.extend_from_slice(text);
    match status_line(response.status) {
        Some(line) => put(line.as_bytes()),
        // The reason phrase may be empty, and clients ignore it.
        None => [b"HTTP/1.1 ", decimal(response.status.into(), &mut digits), b" \r\n"]
            .into_iter()
            .for_each(&mut put),
    }
    if !response.is_dated {
        [b"Date: ", date.as_bytes(), b"\r\n"].into_iter().for_each(&mut put);
    }
    match announced {
        Announced::Nothing => {}
        Announced::Length(length) => {
            [b"Content-Length: ", decimal(length, &mut digits), b"\r\n"].into_iter().for_each(&mut put);
        }
        Announced::Chunked => put(b"Transfer-Encoding: chunked\r\n"),
    }
    if let Some(connection) = connection {
        [b"Connection: ", connection.as_bytes(), b"\r\n"].into_iter().for_each(&mut put);
    }
    put(&response.fields);
    put(b"\r\n");
}

/// A number in digits, without an allocation.
fn decimal(mut number: u64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut at = buffer.len();
    loop {
        at -= 1;
        buffer[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &buffer[at..];
        }
    }
}

/// The first line of a response, if its status has a reason phrase: RFC 9110, 15.
fn status_line(status: u16) -> Option<&'static str> {
    /// Each line whole, so that it is copied at once.
    macro_rules! lines {
        ($($status:literal $reason:literal,)*) => {
            match status {
                $($status => Some(concat!("HTTP/1.1 ", $status, " ", $reason, "\r\n")),)*
                _ => None,
            }
        };
    }
    lines! {
        200 "OK",
        201 "Created",
        202 "Accepted",
        204 "No Content",
        206 "Partial Content",
        301 "Moved Permanently",
        302 "Found",
        303 "See Other",
        304 "Not Modified",
        307 "Temporary Redirect",
        308 "Permanent Redirect",
        400 "Bad Request",
        401 "Unauthorized",
        403 "Forbidden",
        404 "Not Found",
        405 "Method Not Allowed",
        408 "Request Timeout",
        409 "Conflict",
        412 "Precondition Failed",
        413 "Content Too Large",
        414 "URI Too Long",
        415 "Unsupported Media Type",
        416 "Range Not Satisfiable",
        417 "Expectation Failed",
        421 "Misdirected Request",
        429 "Too Many Requests",
        431 "Request Header Fields Too Large",
        500 "Internal Server Error",
        501 "Not Implemented",
        502 "Bad Gateway",
        503 "Service Unavailable",
        505 "HTTP Version Not Supported",
    }
}
