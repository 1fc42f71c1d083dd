//! What the test programs share: a connection without I/O, a server in a thread, and a client that notices everything.

#![allow(dead_code, unused_imports, reason = "each test program uses a part of this")]

pub mod client;
pub mod parse;
pub mod serving;
pub mod split;
pub mod talk;
