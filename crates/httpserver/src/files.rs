//! Static files: a response for each request, out of a folder.
//!
//! Contract: nothing outside the folder is ever sent, whatever the request says: see [`path`] and [`crate::beneath`]. A
//! response is made from one open file, whose state was asked of its descriptor, so head and body belong together even if
//! another process replaces the file meanwhile. Nothing blocks, except that the kernel may have to read from the disk.

use std::io;
use std::path::Path;
use std::time::SystemTime;

use nix::errno::Errno;

use crate::beneath::{Found, OpenFile, Root};
use crate::conditional::{self, Decision};
use crate::encodings::{Coding, accepts};
use crate::path::{self, Refused};
use crate::range::{self, Selection};
use crate::request::Request;
use crate::response::{InvalidHeader, Response};
use crate::sendfile::{FileBody, read_start};
use crate::{date, types};

/// Up to this length a file is read, and sent together with the head in one write. A longer one goes from the kernel's page
/// cache to the socket, which takes another call and copies less.
const SMALL: u64 = 16 * 1024;

/// How many bytes are read of a file without a length, as in /proc, and how long a `404.html` may be.
const UNKNOWN: u64 = 1024 * 1024;

/// The files below a folder, as responses.
#[derive(Debug)]
pub struct Files {
    root: Root,
    cache_control: String,
}

impl Files {
    /// Serves the files below `root`. If the folder's path is renamed or replaced later, the old folder is still served.
    ///
    /// A response lets caches keep the file, but ask each time whether it has changed: see [`Self::cache_control`]. One
    /// that says that there is no such file, or that its name ends with a slash, is not kept.
    ///
    /// # Errors
    /// The errors of [`Root::open`].
    pub fn new(root: &Path) -> io::Result<Self> {
        Ok(Self { root: Root::open(root)?, cache_control: String::from("no-cache") })
    }

    /// Sends this Cache-Control field with each file, instead of `no-cache`. None if it is empty.
    ///
    /// # Errors
    /// [`InvalidHeader::Value`] if it cannot be the value of a field.
    pub fn cache_control(self, value: &str) -> Result<Self, InvalidHeader> {
        Response::new(200).header("Cache-Control", value)?;
        Ok(Self { cache_control: value.to_owned(), ..self })
    }

    /// Answers a request. The statuses:
    ///
    /// - 200 and a file, or the `index.html` of a folder whose path ends with a slash;
    /// - 206 and a part of it, 304 and 412 for conditional requests, 416 for a part that is not there;
    /// - 301 to the path with a slash, if it names a folder;
    /// - 400 for a path that cannot be decoded; 403 for a file that this process may not read; 405 for another method than GET
    ///   and HEAD; 500 and 503 if a file cannot be opened for another reason;
    /// - 404, with the `404.html` of the root if there is one of at most a megabyte.
    ///
    /// If a file with `.br` or `.gz` behind its name is beside the file, and not older, a client that accepts the coding gets
    /// that one.
    pub fn answer(&self, request: &Request) -> Response {
        let mut response = self.decide(request);
        // Else a cache keeps these as long as it likes, and the file may be there soon: RFC 9110, 15.1.
        if matches!(response.status(), 301 | 404 | 405) {
            response.push("Cache-Control", "no-store");
        }
        response
    }

    fn decide(&self, request: &Request) -> Response {
        if !matches!(request.method(), "GET" | "HEAD") {
            let mut response = Response::text(405, "Files can only be read: use GET or HEAD.\n");
            response.push("Allow", "GET, HEAD");
            return response;
        }
        let mut name = match path::decode(request.path()) {
            Ok(name) => name,
            Err(Refused::Malformed) => return Response::text(400, "This path cannot be decoded.\n"),
            Err(Refused::NoSuchName) => return self.not_found(),
        };
        if name.folder {
            let names = name.names.to_mut();
            names.push_str(if names.is_empty() { "index.html" } else { "/index.html" });
        }
        match self.root.find(&name.names) {
            Ok(Found::File(file)) => self.send(request, &name.names, file),
            Ok(Found::Folder) if !name.folder => redirect(request),
            Ok(Found::Folder) => self.not_found(),
            Err(errno) => self.refused(errno),
        }
    }

    fn not_found(&self) -> Response {
        if let Ok(Found::File(file)) = self.root.find("404.html")
            && file.size <= UNKNOWN
            && let Ok(page) = read_start(&file.fd, capacity(&file))
        {
            let mut response = Response::new(404).body(page);
            response.push("Content-Type", types::of("404.html"));
            return response;
        }
        Response::text(404, "There is no such file.\n")
    }

    fn refused(&self, errno: Errno) -> Response {
        match errno {
            Errno::EACCES | Errno::EPERM => Response::text(403, "This file may not be read.\n"),
            Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::EAGAIN => {
                Response::text(503, "This file cannot be opened at the moment.\n")
            }
            Errno::EIO => Response::text(500, "This file cannot be read.\n"),
            // No such name; or a link that leads out, or in a circle; or a name that is too long.
            _ => self.not_found(),
        }
    }

    fn send(&self, request: &Request, names: &str, file: OpenFile) -> Response {
        let media_type = types::of(names);
        let varies = types::is_compressible(media_type);
        let (file, coding) = if varies { self.variant(request, names, file) } else { (file, None) };
        // The content of a file without a length can change without a trace.
        let tag = (file.size > 0).then(|| tag(&file));
        let decision = tag.as_ref().map_or(Decision::Send { range: false }, |tag| {
            conditional::decide(request.headers(), tag, file.modified)
        });
        let mut response = match decision {
            Decision::Send { range } => {
                let field = request.header("Range").filter(|_| range && request.method() == "GET");
                content(file, media_type, tag.as_deref(), field)
            }
            Decision::NotModified => {
                let mut response = Response::new(304);
                response.push("ETag", tag.as_deref().unwrap_or_default());
                response
            }
            Decision::PreconditionFailed => {
                return Response::text(412, "The file has changed.\n");
            }
        };
        if let Some(coding) = coding.filter(|_| response.status() < 300) {
            response.push("Content-Encoding", coding.name());
        }
        if varies {
            response.push("Vary", "Accept-Encoding");
        }
        if !self.cache_control.is_empty() {
            response.push("Cache-Control", &self.cache_control);
        }
        response
    }

    /// The file itself, or a compressed variant that the client accepts. One that is older than the file is of an older
    /// version, and does not count.
    fn variant(&self, request: &Request, names: &str, file: OpenFile) -> (OpenFile, Option<Coding>) {
        let accepted = request.list("Accept-Encoding");
        for coding in Coding::ALL.into_iter().filter(|coding| accepts(&accepted, *coding)) {
            if let Ok(Found::File(variant)) = self.root.find(&format!("{names}{}", coding.ending()))
                && variant.modified >= file.modified
            {
                return (variant, Some(coding));
            }
        }
        (file, None)
    }
}

/// A response with the file, or the part that `range`, the value of a Range field, selects.
fn content(file: OpenFile, media_type: &str, tag: Option<&str>, range: Option<&[u8]>) -> Response {
    let small = if file.size <= SMALL {
        match read_start(&file.fd, capacity(&file)) {
            Ok(bytes) => Some(bytes),
            Err(_) => return Response::text(500, "This file cannot be read.\n"),
        }
    } else {
        None
    };
    // Fewer bytes than announced: the file was truncated a moment ago, or it is one of /sys. Neither has a validator then.
    let tag = tag.filter(|_| small.as_ref().is_none_or(|bytes| bytes.len() as u64 == file.size));
    let selection = match (range, tag) {
        (Some(range), Some(_)) => range::select(range, file.size),
        _ => Selection::Whole,
    };
    let (offset, length) = match selection {
        Selection::Whole => (0, file.size),
        Selection::Part { offset, length } => (offset, length),
        Selection::Unsatisfiable => {
            let mut response = Response::text(416, format!("The file has {} bytes.\n", file.size));
            response.push("Content-Range", &format!("bytes */{}", file.size));
            return response;
        }
    };
    let mut response = Response::new(if selection == Selection::Whole { 200 } else { 206 });
    response.push("Content-Type", media_type);
    if let Some(tag) = tag {
        response.push("ETag", tag);
        // A file from the future would have been modified after this response: RFC 9110, section 8.8.2.1. One from before
        // 1970 has no date that clients must understand.
        if file.modified >= SystemTime::UNIX_EPOCH {
            response.push("Last-Modified", &httpdate::fmt_http_date(file.modified.min(date::now())));
        }
        response.push("Accept-Ranges", "bytes");
    }
    if selection != Selection::Whole {
        let last = offset + length - 1;
        response.push("Content-Range", &format!("bytes {offset}-{last}/{}", file.size));
    }
    match small {
        Some(bytes) if selection == Selection::Whole => response.body(bytes),
        // It is shorter than `SMALL`.
        Some(bytes) => response.body(bytes[offset as usize..(offset + length) as usize].to_vec()),
        None => response.file(FileBody { file: file.fd, offset, length }),
    }
}

/// How many bytes of a file are read.
fn capacity(file: &OpenFile) -> usize {
    usize::try_from(if file.size == 0 { UNKNOWN } else { file.size.min(UNKNOWN) }).unwrap_or(usize::MAX)
}

/// A strong entity tag. A file that is written again has another time, and one that is replaced by a rename has another inode.
/// Older kernels and some file systems count these times in steps of a few milliseconds: a file that is written twice within a
/// step, with the same length, keeps its tag.
fn tag(file: &OpenFile) -> String {
    let nanoseconds = match file.modified.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => after.as_nanos(),
        Err(before) => !before.duration().as_nanos(),
    };
    format!("\"{nanoseconds:x}-{:x}-{:x}\"", file.size, file.inode)
}

/// To the same path with a slash. The path begins with one slash, so it cannot lead to another host.
fn redirect(request: &Request) -> Response {
    let path = request.path();
    let location = match request.query() {
        Some(query) => format!("{path}/?{query}"),
        None => format!("{path}/"),
    };
    match Response::text(301, "The folder's path ends with a slash.\n").header("Location", &location) {
        Ok(response) => response,
        Err(_) => Response::text(400, "This path cannot be sent back.\n"),
    }
}
