//! Another way for `ioloop/slab`: a slot is full or free, and the free ones are a linked list through the slots.

use crate::Token;

/// A slot: full, or a link of the list of free slots.
#[derive(Debug)]
enum Slot<T> {
    Full { generation: u32, value: T },
    Free { next_generation: u32, next: Option<u32> },
}

/// A table with a slot for each value.
#[derive(Debug)]
pub struct Slab<T> {
    slots: Vec<Slot<T>>,
    first_free: Option<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), first_free: None }
    }
}

impl<T> Slab<T> {
    /// Put a value into an empty slot.
    pub fn insert(&mut self, value: T) -> Token {
        match self.first_free {
            Some(index) => {
                let slot = &mut self.slots[index as usize];
                let Slot::Free { next_generation: generation, next } = *slot else { unreachable!() };
                self.first_free = next;
                *slot = Slot::Full { generation, value };
                Token { index, generation }
            }
            None => {
                let index = self.slots.len() as u32;
                self.slots.push(Slot::Full { generation: 1, value });
                Token { index, generation: 1 }
            }
        }
    }

    /// The value of a token, if it was not removed.
    pub fn get(&self, token: Token) -> Option<&T> {
        match self.slots.get(token.index as usize) {
            Some(Slot::Full { generation, value }) if *generation == token.generation => Some(value),
            _ => None,
        }
    }

    /// The value of a token, to change it.
    pub fn get_mut(&mut self, token: Token) -> Option<&mut T> {
        match self.slots.get_mut(token.index as usize) {
            Some(Slot::Full { generation, value }) if *generation == token.generation => Some(value),
            _ => None,
        }
    }

    /// Remove a value, and return it.
    pub fn remove(&mut self, token: Token) -> Option<T> {
        self.get(token)?;
        let free = Slot::Free { next_generation: token.generation.wrapping_add(1), next: self.first_free };
        self.first_free = Some(token.index);
        match std::mem::replace(&mut self.slots[token.index as usize], free) {
            Slot::Full { value, .. } => Some(value),
            Slot::Free { .. } => unreachable!(),
        }
    }

    /// The tokens of all values in the table.
    pub fn tokens(&self) -> Vec<Token> {
        let mut all: Vec<_> = (0..)
            .zip(&self.slots)
            .filter_map(|(index, slot)| match slot {
                Slot::Full { generation, .. } => Some(Token { index, generation: *generation }),
                Slot::Free { .. } => None,
            })
            .collect();
        all.reverse();
        all
    }
}
