//! Another way for `ioloop/slab`: a column of values and one of generations, and a queue of free slots: the one that is free longest is used first.

use crate::Token;

use std::collections::VecDeque;

/// Columns, the free slots in a queue: the slot that is free longest is used first. The generation changes at `insert`.
#[derive(Debug)]
pub struct Slab<T> {
    values: Vec<Option<T>>,
    given: Vec<u32>,
    free: VecDeque<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { values: Vec::new(), given: Vec::new(), free: VecDeque::new() }
    }
}

impl<T> Slab<T> {
    /// Put a value into an empty slot.
    pub fn insert(&mut self, value: T) -> Token {
        let index = self.free.pop_front().unwrap_or_else(|| {
            self.values.push(None);
            self.given.push(u32::MAX);
            self.values.len() as u32 - 1
        });
        let at = index as usize;
        self.given[at] = self.given[at].wrapping_add(1);
        self.values[at] = Some(value);
        Token { index, generation: self.given[at] }
    }

    fn is_current(&self, token: Token) -> bool {
        self.given.get(token.index as usize) == Some(&token.generation)
    }

    /// The value of a token, if it was not removed.
    pub fn get(&self, token: Token) -> Option<&T> {
        if !self.is_current(token) {
            return None;
        }
        self.values[token.index as usize].as_ref()
    }

    /// The value of a token, to change it.
    pub fn get_mut(&mut self, token: Token) -> Option<&mut T> {
        if !self.is_current(token) {
            return None;
        }
        self.values[token.index as usize].as_mut()
    }

    /// Remove a value, and return it.
    pub fn remove(&mut self, token: Token) -> Option<T> {
        if !self.is_current(token) {
            return None;
        }
        let value = self.values[token.index as usize].take();
        if value.is_some() {
            self.free.push_back(token.index);
        }
        value
    }

    /// The tokens of all values in the table.
    pub fn tokens(&self) -> Vec<Token> {
        (0..)
            .zip(self.given.iter().zip(&self.values))
            .filter(|(_, (_, value))| value.is_some())
            .map(|(index, (generation, _))| Token { index, generation: *generation })
            .collect()
    }
}
