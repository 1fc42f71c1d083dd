//! From the path of a request to the name of a file below a folder.
//!
//! Contract: a path is decoded once, and checked after decoding, so no spelling of `..`, of a separator or of a NUL byte
//! gets past the check. What [`decode`] returns has only names between its slashes: neither empty ones nor dot segments.
//! Even so, only [`beneath`](crate::beneath) decides what is opened, because a name can be a symbolic link.

use std::borrow::Cow;

/// A path below a folder: names, separated by single slashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name<'a> {
    /// The names, without a slash before or after them. Empty for the folder itself.
    pub names: Cow<'a, str>,
    /// The path ends with a slash, or is empty: it names a folder.
    pub folder: bool,
}

/// Why a path names no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It does not begin with a slash, a percent sign is not followed by two hexadecimal digits, or the decoded bytes are
    /// not UTF-8 or contain a NUL byte. The answer is 400.
    Malformed,
    /// It has a dot segment, an empty segment, a backslash, or an encoded slash: no file below the folder can have this name.
    /// The answer is 404.
    NoSuchName,
}

/// Decodes the path of a request, without its query. RFC 3986, section 2.1.
///
/// Clients remove dot segments before they send a path (RFC 3986, section 5.2.4), so a path that still has one is an attempt
/// to leave the folder. It is refused, not resolved.
///
/// # Errors
/// See [`Refused`].
pub fn decode(path: &str) -> Result<Name<'_>, Refused> {
    let path = path.strip_prefix('/').ok_or(Refused::Malformed)?;
    let text = percent_decoded(path)?;
    if text.contains('\0') {
        return Err(Refused::Malformed);
    }
    // An encoded slash is a byte of a name, and no file's name has one.
    if text.contains('\\') || slashes(&text) != slashes(path) {
        return Err(Refused::NoSuchName);
    }
    let folder = text.is_empty() || text.ends_with('/');
    let names = match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.strip_suffix('/').unwrap_or(text)),
        Cow::Owned(mut text) => {
            text.truncate(text.strip_suffix('/').unwrap_or(&text).len());
            Cow::Owned(text)
        }
    };
    // The folder itself has no names. `//` has an empty one.
    if !path.is_empty() && names.split('/').any(|name| matches!(name, "" | "." | "..")) {
        return Err(Refused::NoSuchName);
    }
    Ok(Name { names, folder })
}

fn slashes(text: &str) -> usize {
    text.bytes().filter(|&byte| byte == b'/').count()
}

/// Replaces each `%XX` by the byte that it stands for. What comes out is not decoded again.
fn percent_decoded(text: &str) -> Result<Cow<'_, str>, Refused> {
    if !text.contains('%') {
        return Ok(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => hexadecimal(bytes.next())? << 4 | hexadecimal(bytes.next())?,
            byte => byte,
        });
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| Refused::Malformed)
}

fn hexadecimal(digit: Option<u8>) -> Result<u8, Refused> {
    match digit {
        Some(digit @ b'0'..=b'9') => Ok(digit - b'0'),
        Some(digit @ b'a'..=b'f') => Ok(digit - b'a' + 10),
        Some(digit @ b'A'..=b'F') => Ok(digit - b'A' + 10),
        _ => Err(Refused::Malformed),
    }
}
