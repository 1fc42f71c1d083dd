//! A table whose tokens are never reused: a token leads to its own value, or to nothing.
//!
//! Contract: slots are reused, but after a value was removed, its token leads nowhere, so a stale event with that token
//! reaches nothing. The table never shrinks, because a slot that was given up would lose its generation. The table hands
//! removed values out and never drops them: dropping a handler closes its source and may call the loop.

use crate::Token;

/// A table with a slot for each value.
// ANCHOR: slab
#[derive(Debug)]
pub struct Slab<T> {
    slots: Vec<Slot<T>>,
    /// Empty slots.
    free: Vec<u32>,
}

#[derive(Debug)]
struct Slot<T> {
    /// How many values had this slot and were removed.
    generation: u32,
    value: Option<T>,
}
// ANCHOR_END: slab

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    /// Put a value into an empty slot.
    // ANCHOR: insert
    pub fn insert(&mut self, value: T) -> Token {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, value: None });
            u32::try_from(self.slots.len() - 1).expect("fewer values than 4 billion")
        });
        let slot = &mut self.slots[index as usize];
        slot.value = Some(value);
        Token { index, generation: slot.generation }
    }
    // ANCHOR_END: insert

    /// The value of a token, if it was not removed.
    pub fn get(&self, token: Token) -> Option<&T> {
        let slot = self.slots.get(token.index as usize)?;
        slot.value.as_ref().filter(|_| slot.generation == token.generation)
    }

    /// The value of a token, to change it.
    pub fn get_mut(&mut self, token: Token) -> Option<&mut T> {
        self.slot(token)?.value.as_mut()
    }

    /// Remove a value, and return it. From now on its token leads nowhere.
    // ANCHOR: remove
    pub fn remove(&mut self, token: Token) -> Option<T> {
        let slot = self.slot(token)?;
        let value = slot.value.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(token.index);
        Some(value)
    }
    // ANCHOR_END: remove

    // ANCHOR: slot
    /// The slot of a token, unless another value has it by now.
    fn slot(&mut self, token: Token) -> Option<&mut Slot<T>> {
        self.slots.get_mut(token.index as usize).filter(|slot| slot.generation == token.generation)
    }
    // ANCHOR_END: slot

    /// The tokens of all values in the table.
    pub fn tokens(&self) -> Vec<Token> {
        let taken = self.slots.iter().enumerate().filter(|(_, slot)| slot.value.is_some());
        taken.map(|(index, slot)| Token { index: index as u32, generation: slot.generation }).collect()
    }
}
