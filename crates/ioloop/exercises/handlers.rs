//! Exercise `ioloop/handlers`: who hears of a descriptor.
//!
//! Goal: a token leads to what it was given for, or to nothing, without a search. Once that is removed it leads nowhere
//! for good, whoever comes after. The table takes no more places than were registered at one time. A token that it
//! never gave out is no reason to panic.
//! `crate::Token` is there already: it is what travels through the kernel, in 64 bits.
//! Run `cargo run -p workbook check ioloop/handlers` after each change; `hint ioloop/handlers` if you are stuck.

use crate::Token;

/// A table of what is registered. What must it keep?
#[derive(Debug)]
pub struct Handlers<T> {
    /// Here only so that this compiles.
    _registered: Vec<T>,
}

impl<T> Default for Handlers<T> {
    fn default() -> Self {
        Self { _registered: Vec::new() }
    }
}

impl<T> Handlers<T> {
    /// Register something, and have a token for it.
    pub fn insert(&mut self, registered: T) -> Token {
        let _ = registered;
        todo!("find a place for it, and a token that nobody had: write `insert` in exercises/handlers.rs")
    }

    /// What the token was given for, if it is still there.
    pub fn get_mut(&mut self, token: Token) -> Option<&mut T> {
        todo!("say what {token:?} leads to, if anything: write `get_mut` in exercises/handlers.rs")
    }

    /// Take it out for good, and hand it out. From now on the token leads nowhere.
    pub fn remove(&mut self, token: Token) -> Option<T> {
        todo!("take out what {token:?} leads to: write `remove` in exercises/handlers.rs")
    }

    /// The tokens of all that is registered.
    pub fn tokens(&self) -> Vec<Token> {
        todo!("list who is registered: write `tokens` in exercises/handlers.rs")
    }
}
