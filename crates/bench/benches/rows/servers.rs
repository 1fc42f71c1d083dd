//! The echo servers that are measured, which two programs share.

#[path = "../servers/mod.rs"]
mod shared;

pub use shared::*;
