//! What the tests share: the helper, and what the kernel says about sockets.

#![allow(dead_code, reason = "each test program uses a part of this")]

pub use testing::{Answer, ask, traced};

pub mod net;

mod helper;
testing::helper!(helper::answer);
