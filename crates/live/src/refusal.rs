//! Why a request is refused: a status, and one plain sentence for the reader.

use httpserver::Response;
use httpserver::guard::Rule;

/// A refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The status of the answer.
    pub status: u16,
    /// The body of the answer.
    pub sentence: &'static str,
    /// The methods that are permitted, for a 405.
    pub allow: Option<&'static str>,
}

impl Refusal {
    const fn new(status: u16, sentence: &'static str) -> Self {
        Self { status, sentence, allow: None }
    }

    /// Not exactly one `Host`.
    pub const HOST: Self = Self::new(400, "A request needs exactly one Host.");
    /// The `Host` or the target names another server.
    pub const OTHER_HOST: Self = Self::new(421, "This server answers only to the address that it printed.");
    /// The `Origin` is another site.
    pub const OTHER_ORIGIN: Self = Self::new(403, "This request comes from a page of another site.");
    /// The browser says that another site sent the request.
    pub const OTHER_SITE: Self = Self::new(403, "This request comes from another site.");
    /// There is no token.
    pub const NO_TOKEN: Self =
        Self::new(401, "This needs the token: open the address that the server printed.");
    /// The token is that of another start, or wrong.
    pub const OLD_TOKEN: Self =
        Self::new(401, "The server was restarted: open the new address that it printed.");
    /// The body is not JSON.
    pub const NOT_JSON: Self = Self::new(415, "Send application/json.");
    /// The body is JSON, but not what the route takes.
    pub const BAD_BODY: Self = Self::new(400, "The body is not what this takes.");
    /// The interface has no such path.
    pub const NO_ROUTE: Self = Self::new(404, "There is nothing of this name.");
    /// The catalogue has no such experiment or exercise.
    pub const UNKNOWN: Self = Self::new(404, "The catalogue has no experiment or exercise of this name.");
    /// It runs already.
    pub const RUNS: Self = Self::new(429, "This runs already: wait until it has ended, or stop it.");
    /// Too much runs.
    pub const TOO_MANY: Self =
        Self::new(429, "Too much runs at the same time: wait until something has ended.");
    /// Too much was started in a short time.
    pub const TOO_OFTEN: Self = Self::new(429, "Too much was started in a short time: wait a few seconds.");
    /// The book is not built yet.
    pub const NO_BOOK: Self =
        Self::new(503, "The book is being built: load this page again in a few seconds.");

    /// Only these methods are permitted.
    pub const fn method(allow: &'static str) -> Self {
        Self { status: 405, sentence: "This method is not permitted here.", allow: Some(allow) }
    }

    /// The answer.
    pub fn response(self) -> Response {
        let response = Response::text(self.status, format!("{}\n", self.sentence));
        let field = match (self.status, self.allow) {
            (405, Some(allow)) => ("Allow", allow),
            (429, _) => ("Retry-After", "5"),
            _ => return response,
        };
        response.header(field.0, field.1).unwrap_or_else(|_| Response::new(500))
    }
}

impl From<Rule> for Refusal {
    fn from(rule: Rule) -> Self {
        match rule {
            Rule::OneHost => Self::HOST,
            Rule::OurHost => Self::OTHER_HOST,
            Rule::OurOrigin => Self::OTHER_ORIGIN,
            Rule::OurSite => Self::OTHER_SITE,
        }
    }
}
