//! What the test programs share: the helper process, and functions that make and inspect sockets.

#![allow(dead_code, unused_imports, reason = "each test program uses a part of this")]

pub use testing::{Answer, Helper, ask, traced};

pub mod net;

pub mod helper;
