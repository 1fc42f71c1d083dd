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

/// May a response with this status have a body? RFC 9110, 6.4.1. (205 must not, and says so with a length of 0.)
pub(crate) fn may_have_body(status: u16) -> bool {
    !(status < 200 || status == 204 || status == 304)
}

/// Write the head of a response. `connection` is the value of the field Connection, if it needs one.
pub(crate) fn head(
    response: &Response,
    date: &str,
    announced: Announced,
    connection: Option<&str>,
    out: &mut Vec<u8>,
) {
    let mut put = |text: &str| out.extend_from_slice(text.as_bytes());
    put("HTTP/1.1 ");
    put(decimal(response.status.into(), &mut [0; 20]));
    put(" ");
    put(reason(response.status));
    put("\r\n");
    if !response.is_dated {
        put("Date: ");
        put(date);
        put("\r\n");
    }
    match announced {
        Announced::Nothing => {}
        Announced::Length(length) => {
            put("Content-Length: ");
            put(decimal(length, &mut [0; 20]));
            put("\r\n");
        }
        Announced::Chunked => put("Transfer-Encoding: chunked\r\n"),
    }
    if let Some(connection) = connection {
        put("Connection: ");
        put(connection);
        put("\r\n");
    }
    out.extend_from_slice(&response.fields);
    out.extend_from_slice(b"\r\n");
}

/// A number in digits, without an allocation.
fn decimal(mut number: u64, buffer: &mut [u8; 20]) -> &str {
    let mut at = buffer.len();
    loop {
        at -= 1;
        buffer[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return str::from_utf8(&buffer[at..]).unwrap_or_default();
        }
    }
}

/// The reason phrase of a status: RFC 9110, 15. It may be empty, and clients ignore it.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}
