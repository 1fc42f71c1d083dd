//! The target of a request, and its Host: RFC 9112, 3.2.

use crate::refusal::Refusal;
use crate::request::Request;

const MALFORMED: Refusal = Refusal::bad("The target of the request is malformed.");

/// Is the target a path, an http URL, or the `*` of OPTIONS?
///
/// Of the characters that RFC 3986 leaves out, those that browsers send in a query are permitted there, and only there:
/// `{`, `}`, `|`, `\`, `^` and the backtick.
///
/// # Errors
/// 400. CONNECT is refused with it, whatever its target is: after a 200, its client would take all that follows for another protocol.
pub(crate) fn check(request: &Request) -> Result<(), Refusal> {
    if request.head.starts_with(b"CONNECT ") {
        return Err(MALFORMED);
    }
    let path = match request.raw_target() {
        target @ [b'/', ..] => target,
        b"*" if request.method() == "OPTIONS" => return Ok(()),
        _ => {
            let (scheme, rest) = request.target().split_once("://").ok_or(MALFORMED)?;
            if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
                return Err(MALFORMED);
            }
            let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
            if host.is_empty() || !is_host(host.as_bytes()) {
                return Err(MALFORMED);
            }
            path.as_bytes()
        }
    };
    let mut in_query = false;
    let is_valid = path.iter().all(|&byte| {
        in_query |= byte == b'?';
        match byte {
            b'"' | b'<' | b'>' | b'#' => false,
            b'{' | b'}' | b'|' | b'\\' | b'^' | b'`' => in_query,
            byte => byte.is_ascii_graphic(),
        }
    });
    if is_valid { Ok(()) } else { Err(MALFORMED) }
}

/// Is this a host with or without a port, or nothing? RFC 3986, 3.2.2, without user names.
pub(crate) fn is_host(host: &[u8]) -> bool {
    let port = match host {
        [b'[', rest @ ..] => match rest.iter().position(|byte| *byte == b']') {
            Some(end) => {
                let is_address =
                    rest[..end].iter().all(|byte| byte.is_ascii_hexdigit() || b":.".contains(byte));
                if end == 0 || !is_address {
                    return false;
                }
                &rest[end + 1..]
            }
            None => return false,
        },
        _ => &host[host.iter().position(|byte| !IN_NAME[usize::from(*byte)]).unwrap_or(host.len())..],
    };
    match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// The bytes that the name of a host may have.
const IN_NAME: [bool; 256] = {
    let mut table = [false; 256];
    let (mut byte, punctuation) = (0, b"-._~%!$&'()*+,;=");
    while byte < 128 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < punctuation.len() {
        table[punctuation[at] as usize] = true;
        at += 1;
    }
    table
};
