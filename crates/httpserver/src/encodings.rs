//! Which content codings a client accepts. RFC 9110, section 12.5.3.
//!
//! Contract: a coding is used only if the client names it, or `*`, with a weight above 0. A field that cannot be parsed names
//! nothing, so the client gets the bytes as they are.

/// A content coding that a file beside the requested one can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// Brotli, RFC 7932.
    Brotli,
    /// gzip, RFC 1952.
    Gzip,
}

impl Coding {
    /// The codings in the order in which they are tried: the smaller result first.
    pub const ALL: [Self; 2] = [Self::Brotli, Self::Gzip];

    /// Returns its name in Accept-Encoding and Content-Encoding.
    pub fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// Returns what the name of a file with this coding ends with.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Brotli => ".br",
            Self::Gzip => ".gz",
        }
    }
}

/// Returns whether an Accept-Encoding field with this value accepts `coding`.
pub fn accepts(field: &[u8], coding: Coding) -> bool {
    let Ok(field) = str::from_utf8(field) else { return false };
    let mut any = false;
    for member in field.split(',') {
        let mut parts = member.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let mut weight = || parts.next().is_none_or(has_weight);
        if name.eq_ignore_ascii_case(coding.name()) {
            return weight();
        }
        if name == "*" {
            any = weight();
        }
    }
    any
}

/// Is this `q=` with a weight above 0? RFC 9110, section 12.4.2.
fn has_weight(parameter: &str) -> bool {
    let Some((name, weight)) = parameter.split_once('=') else { return false };
    let is_weight = name.trim_end().eq_ignore_ascii_case("q");
    is_weight && weight.trim().parse::<f32>().is_ok_and(|weight| weight > 0.0 && weight <= 1.0)
}
