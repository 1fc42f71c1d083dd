//! The whole: the tests of `timers`, on another construction: the clear version that the book prints. So these tests
//! check the contract, instead of one implementation of it.

// In here `ioloop` is this program, whose timers are the clear ones.
extern crate ioloop as ours;
extern crate self as ioloop;

pub use ours::{Token, slab};

#[path = "support/clear.rs"]
pub mod timers;

#[path = "timers.rs"]
mod suite;
