//! HTTP/1.1 on the event loop.
mod app;
mod counters;
mod limits;
mod reply;
mod request;
mod response;
mod server;

pub use app::App;
pub use cloexec::{Error, Result};
pub use counters::{Access, Counters};
pub use limits::Limits;
pub use reply::{Closed, Reply, Room, Stream};
pub use request::{Request, Version};
pub use response::{FileBody, InvalidHeader, Response};
pub use server::HttpServer;
