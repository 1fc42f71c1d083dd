//! A table whose tokens are never reused: a token leads to what it was given for, or to nothing.
//!
//! Contract: a slot is reused, and the token of whatever had it before then leads nowhere. An event that was still on its
//! way for that token reaches nothing. The table never shrinks: a slot that was given up would forget its generation.
//! What it holds is handed out and never dropped here: dropping a handler closes its source and may call the loop.

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
    /// How many values have had this slot and are gone.
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

    /// What the token was given for, if it is still there.
    pub fn get(&self, token: Token) -> Option<&T> {
        let slot = self.slots.get(token.index as usize)?;
        slot.value.as_ref().filter(|_| slot.generation == token.generation)
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, token: Token) -> Option<&mut T> {
        self.slot(token)?.value.as_mut()
    }

    /// Take it out. The token leads nowhere from now on.
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
    /// The slot, unless another value has it by now.
    fn slot(&mut self, token: Token) -> Option<&mut Slot<T>> {
        self.slots.get_mut(token.index as usize).filter(|slot| slot.generation == token.generation)
    }
    // ANCHOR_END: slot

    /// The tokens of everything in the table.
    pub fn tokens(&self) -> Vec<Token> {
        let taken = self.slots.iter().enumerate().filter(|(_, slot)| slot.value.is_some());
        taken.map(|(index, slot)| Token { index: index as u32, generation: slot.generation }).collect()
    }
}
