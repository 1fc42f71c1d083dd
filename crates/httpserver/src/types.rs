//! Which media type a file has, by the end of its name.
//!
//! Contract: text is declared as UTF-8, because a browser guesses otherwise. A name without a known ending is
//! `application/octet-stream`, which a browser saves and does not run.

/// The endings and their types. The table has what a book or a small site consists of.
const TYPES: &[(&str, &str)] = &[
    ("avif", "image/avif"),
    ("css", "text/css; charset=utf-8"),
    ("csv", "text/csv; charset=utf-8"),
    ("gif", "image/gif"),
    ("htm", "text/html; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("ico", "image/x-icon"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("map", "application/json"),
    ("md", "text/markdown; charset=utf-8"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("mp4", "video/mp4"),
    ("otf", "font/otf"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("rs", "text/plain; charset=utf-8"),
    ("svg", "image/svg+xml; charset=utf-8"),
    ("toml", "text/plain; charset=utf-8"),
    ("ttf", "font/ttf"),
    ("txt", "text/plain; charset=utf-8"),
    ("wasm", "application/wasm"),
    ("webm", "video/webm"),
    ("webmanifest", "application/manifest+json"),
    ("webp", "image/webp"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("xml", "application/xml; charset=utf-8"),
    ("zip", "application/zip"),
];

/// Returns the media type of a file with this name. Upper case does not matter.
pub fn of(name: &str) -> &'static str {
    let file = name.rsplit('/').next().unwrap_or_default();
    let Some((before, ending)) = file.rsplit_once('.') else { return UNKNOWN };
    // `.css` is a hidden file without an ending.
    let known = TYPES.iter().find(|(known, _)| !before.is_empty() && known.eq_ignore_ascii_case(ending));
    known.map_or(UNKNOWN, |(_, media_type)| media_type)
}

/// The type of a file about which nothing is known: RFC 2046, section 4.5.1.
pub const UNKNOWN: &str = "application/octet-stream";

/// Returns whether files of this type get much smaller when compressed, so that compressed variants may lie beside them.
pub fn is_compressible(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default();
    essence.starts_with("text/")
        || ["json", "xml", "wasm", "/ttf", "/otf", "/x-icon"].iter().any(|end| essence.ends_with(end))
}
