//! std's heap on the loop's slab: it passes the tests of the loop's own timers.

#[allow(dead_code, reason = "the bench uses a part of it")]
#[path = "../../../ioloop/tests/support/clear.rs"]
mod shared;

pub use shared::*;
