//! The header fields of each answer: what the browser may do with it.
//!
//! No answer has a field of CORS, so a page of another site can read none.

use httpserver::{InvalidHeader, Response};

/// The sources of scripts, styles, images and connections: this server alone. mdBook and the figures set styles in attributes,
/// which run no code.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; \
                      object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors ";

/// The page that mdBook shows in a frame on its other pages, for a browser without scripts.
const FRAMED: &str = "toc.html";

/// The fields of an answer for which no script must run.
pub fn guarded(response: Response) -> Response {
    with_scripts(response, "", &[])
}

/// The fields of a page with these inline scripts, by their hashes.
pub fn with_scripts(response: Response, page: &str, scripts: &[String]) -> Response {
    add(response, page, scripts).unwrap_or_else(|_| Response::new(500))
}

fn add(response: Response, page: &str, scripts: &[String]) -> Result<Response, InvalidHeader> {
    let [ancestors, frames] = if page == FRAMED { ["'self'", "SAMEORIGIN"] } else { ["'none'", "DENY"] };
    let policy = format!("{POLICY}{ancestors}; script-src 'self' {}", scripts.join(" "));
    response
        .header("Content-Security-Policy", policy.trim_end())?
        .header("X-Frame-Options", frames)?
        .header("X-Content-Type-Options", "nosniff")?
        .header("Referrer-Policy", "no-referrer")?
        .header("Cross-Origin-Opener-Policy", "same-origin")?
        .header("Cross-Origin-Resource-Policy", "same-origin")
}

/// An answer in JSON, which no cache keeps.
pub fn json(body: String) -> Response {
    typed(Response::new(200).body(body.into_bytes()), "application/json; charset=utf-8")
}

/// The head of a stream of JSON, one object a line.
pub fn stream_head() -> Response {
    guarded(typed(Response::new(200), "application/x-ndjson; charset=utf-8"))
}

fn typed(response: Response, kind: &str) -> Response {
    let typed = response
        .header("Content-Type", kind)
        .and_then(|response| response.header("Cache-Control", "no-store"));
    typed.unwrap_or_else(|_| Response::new(500))
}
