//! Which part of a file a Range field selects. RFC 9110, section 14.
//!
//! Contract: a selected part is never empty and lies within the file. No number overflows, whatever its length.

/// What a Range field selects of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// The whole file, with status 200: the field is ignored, or selects everything.
    Whole,
    /// A part, with status 206: `length` bytes from `offset` on.
    Part {
        /// How many bytes come before it.
        offset: u64,
        /// How many bytes it has, at least one.
        length: u64,
    },
    /// Nothing: status 416.
    Unsatisfiable,
}

/// Returns what `field`, the value of a Range field, selects of a file of `length` bytes.
///
/// - `0-9` and `5-` select from a first position on, `-4` the last four bytes; what lies past the end is left out.
/// - A part that is the whole file is [`Whole`](Selection::Whole), because players refuse a 206 that answers `bytes=0-`.
/// - `-0`, and a first position past the end, are unsatisfiable. So is a number alone, as in `bytes=26`: the RFC lets a
///   server ignore or reject it, and Tornado rejects it.
/// - Ignored are an unknown unit, what cannot be parsed, `9-5`, any range of an empty file, and several ranges: a client that
///   asks for a thousand overlapping ranges would get a thousand times the file.
pub fn select(field: &[u8], length: u64) -> Selection {
    parsed(field, length).unwrap_or(Selection::Whole)
}

/// `None` is a field to ignore.
fn parsed(field: &[u8], length: u64) -> Option<Selection> {
    let field = field.trim_ascii();
    let (unit, range) = field.split_at_checked(6)?;
    if !unit.eq_ignore_ascii_case(b"bytes=") || length == 0 {
        return None;
    }
    let range = range.trim_ascii();
    let Some(dash) = range.iter().position(|&byte| byte == b'-') else {
        number(range)?;
        return Some(Selection::Unsatisfiable);
    };
    let (first, last) = (&range[..dash], &range[dash + 1..]);
    let (first, last) = match (first, last) {
        (b"", b"") => return None,
        (b"", suffix) => match number(suffix)? {
            0 => return Some(Selection::Unsatisfiable),
            suffix => (length.saturating_sub(suffix), length - 1),
        },
        (first, b"") => (number(first)?, length - 1),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            (first, last.min(length - 1))
        }
    };
    Some(match first {
        0 if last == length - 1 => Selection::Whole,
        first if first >= length => Selection::Unsatisfiable,
        first => Selection::Part { offset: first, length: last - first + 1 },
    })
}

/// Parses digits only: `str::parse` takes a plus sign too. A number past `u64::MAX` counts as `u64::MAX`.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, digit| match digit {
        b'0'..=b'9' => Some(number.saturating_mul(10).saturating_add(u64::from(digit - b'0'))),
        _ => None,
    })
}
