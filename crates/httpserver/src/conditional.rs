//! Conditional requests: does the client already have this file? RFC 9110, section 13.
//!
//! Contract: the order of the checks is that of section 13.2.2. Where both are sent, entity tags decide and dates do not,
//! because a file can change twice within the second that a date counts in. A date that cannot be parsed is no condition.

use std::time::{SystemTime, UNIX_EPOCH};

/// What the conditions of a request say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Send the file; its part if `range` is true and the request has a Range field, otherwise all of it.
    Send {
        /// Whether a Range field counts.
        range: bool,
    },
    /// 304: the client has this file.
    NotModified,
    /// 412: the client has another file, and asked for this very one.
    PreconditionFailed,
}

/// The conditions of a request, compared with one file.
#[derive(Debug, Default)]
struct Conditions {
    /// If-Match and If-None-Match: whether any tag matched so far. `None` without the field.
    matching: Option<bool>,
    none_match: Option<bool>,
    unmodified_since: Option<Date>,
    modified_since: Option<Date>,
    /// If-Range: whether its tag matched.
    range: Option<bool>,
}

#[derive(Debug, Clone, Copy)]
enum Date {
    At(SystemTime),
    /// A date that cannot be parsed, or more than one field.
    Invalid,
}

/// Decides on a GET or HEAD request with these fields for a file with this entity tag, a strong one with its quotes, that was
/// modified at this time.
pub fn decide<'a>(
    fields: impl Iterator<Item = (&'a str, &'a [u8])>,
    tag: &str,
    modified: SystemTime,
) -> Decision {
    let mut conditions = Conditions::default();
    for (name, value) in fields {
        conditions.add(name, value, tag.as_bytes());
    }
    conditions.decide(modified)
}

impl Conditions {
    fn add(&mut self, name: &str, value: &[u8], tag: &[u8]) {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        // Other fields begin otherwise, and most of them are other fields.
        if !name.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("if-")) {
            return;
        }
        let or = |so_far: Option<bool>, matches| Some(so_far.unwrap_or(false) || matches);
        if is("if-match") {
            self.matching = or(self.matching, any_matches(value, tag, Comparison::Strong));
        } else if is("if-none-match") {
            self.none_match = or(self.none_match, any_matches(value, tag, Comparison::Weak));
        } else if is("if-unmodified-since") {
            self.unmodified_since = Some(date(self.unmodified_since, value));
        } else if is("if-modified-since") {
            self.modified_since = Some(date(self.modified_since, value));
        } else if is("if-range") {
            // A date here would have to be a strong validator, and one that counts in seconds is not: it matches nothing, and
            // the client gets the whole file. A repeated field matches only if each one does.
            self.range = Some(self.range.unwrap_or(true) && value.trim_ascii() == tag);
        }
    }

    fn decide(&self, modified: SystemTime) -> Decision {
        match (self.matching, self.unmodified_since) {
            (Some(false), _) => return Decision::PreconditionFailed,
            (None, Some(Date::At(date))) if seconds(modified) > seconds(date) => {
                return Decision::PreconditionFailed;
            }
            _ => {}
        }
        match (self.none_match, self.modified_since) {
            (Some(true), _) => return Decision::NotModified,
            (None, Some(Date::At(date))) if seconds(modified) <= seconds(date) => {
                return Decision::NotModified;
            }
            _ => {}
        }
        Decision::Send { range: self.range.unwrap_or(true) }
    }
}

fn date(before: Option<Date>, value: &[u8]) -> Date {
    let text = str::from_utf8(value).map(str::trim).unwrap_or_default();
    match (before, httpdate::parse_http_date(text)) {
        (None, Ok(date)) => Date::At(date),
        _ => Date::Invalid,
    }
}

/// Whole seconds since 1970, rounded down. A file can be older than that.
fn seconds(time: SystemTime) -> i128 {
    let nanoseconds = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_nanos().cast_signed(),
        Err(before) => -before.duration().as_nanos().cast_signed(),
    };
    nanoseconds.div_euclid(1_000_000_000)
}

/// How entity tags are compared: RFC 9110, section 8.8.3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    /// A weak tag matches nothing.
    Strong,
    /// Without regard to `W/`.
    Weak,
}

/// Does a list of entity tags have this one? `*` has each. After something that is no entity tag, the rest is ignored.
fn any_matches(list: &[u8], tag: &[u8], comparison: Comparison) -> bool {
    if list.trim_ascii() == b"*" {
        return true;
    }
    let mut rest = list;
    loop {
        // Commas between tags; a tag can contain commas itself.
        while let [b',' | b' ' | b'\t', after @ ..] = rest {
            rest = after;
        }
        let (weak, opaque) = match rest.strip_prefix(b"W/") {
            Some(opaque) => (true, opaque),
            None => (false, rest),
        };
        let end = match opaque {
            [b'"', inside @ ..] => inside.iter().position(|&byte| byte == b'"'),
            _ => None,
        };
        let Some(end) = end else { return false };
        let (this, after) = opaque.split_at(end + 2);
        if this == tag && (comparison == Comparison::Weak || !weak) {
            return true;
        }
        rest = after;
    }
}
