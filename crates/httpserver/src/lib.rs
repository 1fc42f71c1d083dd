//! HTTP/1.1 on the event loop.
mod app;
pub mod beneath;
pub mod conditional;
mod counters;
pub mod encodings;
pub mod files;
mod limits;
pub mod path;
pub mod range;
mod reply;
mod request;
mod response;
pub mod sendfile;
mod server;
pub mod types;

pub use app::App;
pub use cloexec::{Error, Result};
pub use counters::{Access, Counters};
pub use limits::Limits;
pub use reply::{Closed, Reply, Room, Stream};
pub use request::{Request, Version};
pub use response::{InvalidHeader, Response};
pub use sendfile::FileBody;
pub use server::HttpServer;
