//! Exercise `ioloop/slab`: a table whose tokens are never reused.
//!
//! Goal: a token leads to its own value or to nothing, and finding the value takes no search. After the value was
//! removed, the token leads nowhere, whatever is inserted later. The table has no more slots than it ever had values at
//! the same time. A token that this table never returned must not make it panic. Given: `crate::Token`, a slot and a
//! generation, which epoll keeps as 64 bits with each descriptor. Run `cargo workbook check ioloop/slab` after
//! each change; `hint ioloop/slab` if you are stuck.

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
        todo!("find a slot for the value, and a token that is new: write `insert` in exercises/slab.rs")
    }

    /// The value of a token, if it was not removed.
    pub fn get(&self, token: Token) -> Option<&T> {
        todo!("return the value of {token:?}, if any: write `get` in exercises/slab.rs")
    }

    /// The value of a token, to change it.
    pub fn get_mut(&mut self, token: Token) -> Option<&mut T> {
        todo!("return the value of {token:?}, if any: write `get_mut` in exercises/slab.rs")
    }

    /// Remove a value, and return it. From now on its token leads nowhere.
    pub fn remove(&mut self, token: Token) -> Option<T> {
        todo!("remove the value of {token:?}: write `remove` in exercises/slab.rs")
    }

    /// The tokens of all values in the table.
    pub fn tokens(&self) -> Vec<Token> {
        todo!("list the tokens of all values: write `tokens` in exercises/slab.rs")
    }
}
