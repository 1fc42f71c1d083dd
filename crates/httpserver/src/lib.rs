//! HTTP/1.1 and HTTP/1.0 on the event loop.
//!
//! - The protocol, without I/O: [`connection`], on `head`, `target`, `framing`, `chunked`, `body`, `persistence`, `encode`, `input`,
//!   `phase`, [`Request`], [`Response`], [`Refusal`] and [`Limits`].
//! - A connection on the loop: `client`, with its `serving`, `output`, `deadline`, `journal`, `closing` and `exchange`.
//! - The application: [`App`], which answers with a [`Reply`], a [`Stream`] or [`EventStream`].
//! - The server: [`HttpServer`], with [`start()`](start::start), what its connections share in `shared` and `common`,
//!   [`Counters`] and [`Access`].
//! - A server on the reader's own machine: [`guard`], with its token.
//! - Static files: [`files`], on [`path`], [`beneath`], [`types`], [`encodings`], [`conditional`], [`range`], [`sendfile`].
//!
//! Contract: where a request ends is certain, or the request is refused and the connection is closed. Responses are in the order
//! of their requests. Nothing that a client sends, or fails to send, holds memory or a connection without a limit. An application
//! that fails, by a panic too, costs one request.
//!
//! ```
//! use std::time::Duration;
//!
//! use httpserver::{HttpServer, Reply, Request, Response};
//! use ioloop::IoLoop;
//!
//! let ioloop = IoLoop::new()?;
//! let server = HttpServer::new(|_: &IoLoop, request: &Request, reply: Reply| {
//!     reply.send(Response::text(200, format!("you asked for {}\n", request.path())));
//! });
//! let address = server.listen(&ioloop, "127.0.0.1:0".parse()?)?;
//! println!("http://{address}/");
//! ioloop.call_later(Duration::from_millis(1), move |ioloop| server.stop(ioloop, Duration::from_secs(1)));
//! ioloop.start()?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

// A starter calls none of the functions that the reference uses.

// A starter writes nothing into the vectors that it gets.
#![cfg_attr(feature = "mine-connection", allow(clippy::ptr_arg))]
#![cfg_attr(any(feature = "mine-connection", feature = "mine-start"), allow(dead_code))]

mod app;
pub mod beneath;
mod body;
mod chunked;
mod client;
mod closing;
mod common;
pub mod conditional;
#[cfg_attr(feature = "mine-connection", path = "../exercises/connection.rs")]
pub mod connection;
mod counters;
mod date;
mod deadline;
mod encode;
pub mod encodings;
mod events;
mod exchange;
pub mod files;
mod framing;
pub mod guard;
mod head;
mod input;
mod journal;
mod limits;
mod listeners;
mod output;
pub mod path;
mod persistence;
mod phase;
pub mod range;
mod refusal;
mod reply;
mod request;
mod response;
pub mod sendfile;
mod server;
mod serving;
mod shared;
#[cfg_attr(feature = "mine-start", path = "../exercises/start.rs")]
pub mod start;
mod target;
mod token;
pub mod types;

pub use app::App;
pub use cloexec::{Error, Result};
pub use connection::Connection;
pub use counters::{Access, Counters};
pub use events::EventStream;
pub use limits::Limits;
pub use phase::{Next, Phase};
pub use refusal::Refusal;
pub use reply::{Closed, Reply, Room, Stream};
pub use request::{Request, Version};
pub use response::{InvalidHeader, Response};
pub use sendfile::FileBody;
pub use server::HttpServer;

// To check one exercise, its tests are compiled into this crate: see the end of cloexec's.
#[cfg(all(test, feature = "check"))]
extern crate self as httpserver;

#[cfg(all(test, feature = "check"))]
#[cfg_attr(feature = "mine-connection", path = "../tests/connection.rs")]
#[cfg_attr(feature = "mine-start", path = "../tests/start.rs")]
mod t;
