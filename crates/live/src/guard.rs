//! The guard: which requests are looked at at all. It is asked before routing, for every path and method.
//!
//! A page of any website can make the reader's browser send requests to this server. What such a request cannot have is the
//! right `Host` (unless it really goes to this address), and what it cannot hide is where it comes from: `Origin` and
//! `Sec-Fetch-Site`. So the guard answers each request whose `Host` is another name (DNS rebinding), whose `Origin` is another
//! site or `null`, or which the browser itself calls cross-site. See RFC 9110, 7.2 and 7.4; Fetch Metadata Request Headers.

use crate::refusal::Refusal;

/// The head of a request, as far as the guard and the router need it.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// The method, as it was sent.
    pub method: &'a str,
    /// The target, as it was sent.
    pub target: &'a str,
    /// The target's path, not decoded.
    pub path: &'a str,
    /// The header fields.
    pub fields: &'a [(&'a str, &'a [u8])],
}

impl<'a> Head<'a> {
    /// The values of all fields of this name.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.fields.iter().filter(move |(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    /// The value of the only field of this name: none if there are several.
    pub fn one(&self, name: &str) -> Option<&'a [u8]> {
        let mut all = self.all(name);
        all.next().filter(|_| all.next().is_none())
    }
}

/// The names under which a server on this port is reached, from this machine only.
#[derive(Debug, Clone)]
pub struct Guard {
    names: [String; 3],
}

impl Guard {
    /// The guard of a server on this port.
    pub fn new(port: u16) -> Self {
        Self { names: ["127.0.0.1", "[::1]", "localhost"].map(|host| format!("{host}:{port}")) }
    }

    /// Let a request pass, or say what is wrong with it.
    ///
    /// # Errors
    /// 400 without exactly one `Host`, 421 for another host, 403 for another origin and for a request from another site.
    pub fn check(&self, head: &Head<'_>) -> Result<(), Refusal> {
        let host = head.one("Host").ok_or(Refusal::HOST)?;
        let authority = authority(head.target).map(str::as_bytes);
        if !self.is_ours(host) || authority.is_some_and(|authority| !self.is_ours(authority)) {
            return Err(Refusal::OTHER_HOST);
        }
        let is_our_origin =
            |origin: &[u8]| origin.strip_prefix(b"http://").is_some_and(|host| self.is_ours(host));
        if !head.all("Origin").all(is_our_origin) {
            return Err(Refusal::OTHER_ORIGIN);
        }
        let is_our_site = |site: &[u8]| matches!(site, b"same-origin" | b"none");
        if !head.all("Sec-Fetch-Site").all(is_our_site) && !is_navigation(head) {
            return Err(Refusal::OTHER_SITE);
        }
        Ok(())
    }

    fn is_ours(&self, host: &[u8]) -> bool {
        self.names.iter().any(|name| name.as_bytes().eq_ignore_ascii_case(host))
    }
}

/// The host and port of a target in absolute form: RFC 9112, 3.2.2.
fn authority(target: &str) -> Option<&str> {
    let (scheme, rest) = target.split_once("://")?;
    // A path can contain `://` too.
    if scheme.contains(['/', '?']) {
        return None;
    }
    Some(rest.split(['/', '?']).next().unwrap_or_default())
}

/// A link on another site that the reader followed to a page: it shows the page, and the other site sees nothing of it.
fn is_navigation(head: &Head<'_>) -> bool {
    head.method == "GET"
        && !head.path.starts_with("/api")
        && head.one("Sec-Fetch-Mode") == Some(b"navigate")
        && head.one("Sec-Fetch-Dest") == Some(b"document")
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
