//! What the tests share: the helper.

#![allow(dead_code, unused_imports, reason = "each test program uses a part of this")]

pub use testing::{Answer, Helper, ask};

mod helper;
testing::helper!(helper::answer);
