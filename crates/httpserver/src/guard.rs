//! The guard of a server on the reader's own machine: which requests it looks at at all, and the [`Token`].
//!
//! A page of any website can make the reader's browser send requests to such a server. What such a request cannot have is the
//! right `Host` (unless it really goes to this address), and what it cannot hide is where it comes from: `Origin` and
//! `Sec-Fetch-Site`. So the guard refuses each request whose `Host` is another name (DNS rebinding), whose `Origin` is another
//! site or `null`, or which the browser itself calls cross-site. See RFC 9110, 7.2; the Fetch standard; Fetch Metadata Request
//! Headers.

pub use crate::token::Token;

/// The rule that a request breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// There is exactly one `Host`.
    OneHost,
    /// `Host`, and a target in absolute form, name this server.
    OurHost,
    /// `Origin` is this server.
    OurOrigin,
    /// `Sec-Fetch-Site` is this server's site, or the reader has followed a link to a page.
    OurSite,
}

impl Rule {
    /// The status of the answer to a request that breaks the rule.
    pub fn status(self) -> u16 {
        match self {
            Self::OneHost => 400,
            Self::OurHost => 421,
            Self::OurOrigin | Self::OurSite => 403,
        }
    }
}

/// The head of a request, as far as the guard needs it.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// The method, as it was sent.
    pub method: &'a str,
    /// The target, as it was sent.
    pub target: &'a str,
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

    /// Is the body of the type application/json, in UTF-8 if it says so? A browser asks before it sends that to another site.
    pub fn is_json(&self) -> bool {
        let Some(Ok(given)) = self.one("Content-Type").map(str::from_utf8) else { return false };
        let mut parts = given.split(';').map(str::trim);
        parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"))
            && parts.all(|parameter| parameter.eq_ignore_ascii_case("charset=utf-8"))
    }
}

/// The names under which a server on this port is reached, from this machine only.
#[derive(Debug, Clone)]
pub struct Guard {
    names: Vec<String>,
}

impl Guard {
    /// The guard of a server on this port. On port 80, the names without a port are the server's, too: browsers leave out the
    /// default port in `Host` and `Origin`.
    pub fn new(port: u16) -> Self {
        let hosts = ["127.0.0.1", "[::1]", "localhost"];
        let mut names: Vec<String> = hosts.iter().map(|host| format!("{host}:{port}")).collect();
        if port == 80 {
            names.extend(hosts.map(String::from));
        }
        Self { names }
    }

    /// Let a request pass, or say which rule it breaks. `is_page` says that its path is a page, to which other sites may link.
    ///
    /// # Errors
    /// The errors of [`Guard::check_host`] and [`Guard::check_site`], in this order.
    pub fn check(&self, head: &Head<'_>, is_page: bool) -> Result<(), Rule> {
        self.check_host(head)?;
        self.check_site(head, is_page)
    }

    // ANCHOR: rules
    /// Does the request name this server? A page whose name was rebound to this machine sends its own name.
    ///
    /// # Errors
    /// [`Rule::OneHost`] without exactly one `Host`, [`Rule::OurHost`] for another host.
    pub fn check_host(&self, head: &Head<'_>) -> Result<(), Rule> {
        let host = head.one("Host").ok_or(Rule::OneHost)?;
        let named = authority(head.target).map_or(host, str::as_bytes);
        if !self.is_ours(host) || !self.is_ours(named) {
            return Err(Rule::OurHost);
        }
        Ok(())
    }

    /// Does the request come from a page of this server, or did the user type the address?
    /// Programs that are no browsers send neither `Origin` nor `Sec-Fetch-Site`.
    ///
    /// # Errors
    /// [`Rule::OurOrigin`] and [`Rule::OurSite`].
    pub fn check_site(&self, head: &Head<'_>, is_page: bool) -> Result<(), Rule> {
        let mut origins = head.all("Origin").map(|it| it.strip_prefix(b"http://"));
        if !origins.all(|host| host.is_some_and(|host| self.is_ours(host))) {
            return Err(Rule::OurOrigin);
        }
        let mut sites = head.all("Sec-Fetch-Site");
        if sites.all(|site| matches!(site, b"same-origin" | b"none")) {
            return Ok(());
        }
        if is_page && is_navigation(head) { Ok(()) } else { Err(Rule::OurSite) }
    }
    // ANCHOR_END: rules

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

/// Did the user follow a link on another site? The browser then shows our page, and the other site cannot read it.
fn is_navigation(head: &Head<'_>) -> bool {
    head.method == "GET"
        && head.one("Sec-Fetch-Mode") == Some(b"navigate")
        && head.one("Sec-Fetch-Dest") == Some(b"document")
}
