//! Exercise `ioloop/slab`: a table whose tokens are never reused.
//!
//! Goal: a token leads to the value that it was given for, or to nothing, without a search. After that value is removed, the
//! token leads nowhere for good, whatever is inserted later. The table has no more slots than it had values at one time. A token
//! that the table never gave out is no reason to panic.
//! `crate::Token` is there already: it is what travels through the kernel, in 64 bits.
//! Run `cargo run -p workbook check ioloop/slab` after each change; `hint ioloop/slab` if you are stuck.

use crate::Token;

/// A table with a slot for each value. What must it keep?
#[derive(Debug)]
pub struct Slab<T> {
    /// Here only so that this compiles.
    _values: Vec<T>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { _values: Vec::new() }
    }
}

impl<T> Slab<T> {
    /// Put a value into an empty slot.
    pub fn insert(&mut self, value: T) -> Token {
        let _ = value;
        todo!("find a slot for it, and a token that was never given out: write `insert` in exercises/slab.rs")
    }

    /// What the token was given for, if it is still there.
    pub fn get(&self, token: Token) -> Option<&T> {
        todo!("say what {token:?} leads to, if anything: write `get` in exercises/slab.rs")
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, token: Token) -> Option<&mut T> {
        todo!("say what {token:?} leads to, if anything: write `get_mut` in exercises/slab.rs")
    }

    /// Take it out. The token leads nowhere from now on.
    pub fn remove(&mut self, token: Token) -> Option<T> {
        todo!("take out what {token:?} leads to: write `remove` in exercises/slab.rs")
    }

    /// The tokens of everything in the table.
    pub fn tokens(&self) -> Vec<Token> {
        todo!("list what is in the table: write `tokens` in exercises/slab.rs")
    }
}
