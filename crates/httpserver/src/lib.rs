//! HTTP/1.1 on the loop.

pub mod beneath;
pub mod conditional;
pub mod encodings;
pub mod path;
pub mod range;
pub mod sendfile;
pub mod types;
