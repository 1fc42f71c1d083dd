//! The header fields of each answer: what the browser may do with it.
//!
//! No answer has a field of CORS, so a page of another site can read none.

use httpserver::{HttpServer, InvalidHeader, Response};

/// The sources of scripts, styles, images and connections: this server alone. mdBook and the figures set styles in attributes,
/// which run no code.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; \
                      object-src 'none'; form-action 'none'; base-uri ";

/// The page that mdBook shows in a frame on its other pages, for a browser without scripts.
const FRAMED: &str = "toc.html";

/// The page for what is not found. It is sent for any path, so mdBook says in a `base` element where the book begins.
pub const NOT_FOUND: &str = "404.html";

/// Let each answer have the fields of one for which no script must run: even what the server refuses before it asks the
/// application. A page has a policy of its own, see [`with_scripts`].
///
/// # Errors
/// None, unless a field here is malformed.
pub fn guard(server: HttpServer) -> Result<HttpServer, InvalidHeader> {
    let (policy, frames) = page_fields("", &[]);
    server.with_fields(&[
        ("Content-Security-Policy", &policy),
        ("X-Frame-Options", frames),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
    ])
}

/// The policy of a page with these inline scripts, by their hashes.
pub fn with_scripts(response: Response, page: &str, scripts: &[String]) -> Response {
    let (policy, frames) = page_fields(page, scripts);
    let response = response
        .header("Content-Security-Policy", &policy)
        .and_then(|response| response.header("X-Frame-Options", frames));
    response.unwrap_or_else(|_| Response::new(500))
}

/// The values of the two fields that differ from page to page.
fn page_fields(page: &str, scripts: &[String]) -> (String, &'static str) {
    let [ancestors, frames] = if page == FRAMED { ["'self'", "SAMEORIGIN"] } else { ["'none'", "DENY"] };
    let base = if page == NOT_FOUND { "'self'" } else { "'none'" };
    let policy =
        format!("{POLICY}{base}; frame-ancestors {ancestors}; script-src 'self' {}", scripts.join(" "));
    (policy.trim_end().to_owned(), frames)
}

/// An answer in JSON, which no cache keeps.
pub fn json(body: String) -> Response {
    typed(Response::new(200).body(body.into_bytes()), "application/json; charset=utf-8")
}

/// The head of a stream of JSON, one object a line.
pub fn stream_head() -> Response {
    typed(Response::new(200), "application/x-ndjson; charset=utf-8")
}

fn typed(response: Response, kind: &str) -> Response {
    let typed = response
        .header("Content-Type", kind)
        .and_then(|response| response.header("Cache-Control", "no-store"));
    typed.unwrap_or_else(|_| Response::new(500))
}
