//! The clear version of timers, which passes the tests of the loop's own.

#[allow(dead_code, reason = "the bench uses a part of it")]
#[path = "../../../ioloop/tests/support/clear.rs"]
mod shared;

pub use shared::*;
