//! Mistake: an empty place is searched for.
//! Caught by: nobody_is_searched_for
//! Message: is an empty place searched for?

use crate::Token;

/// A table of what is registered.
#[derive(Debug)]
pub struct Handlers<T> {
    places: Vec<Place<T>>,
}

#[derive(Debug)]
struct Place<T> {
    /// How many have had it, and are gone.
    generation: u32,
    registered: Option<T>,
}

impl<T> Default for Handlers<T> {
    fn default() -> Self {
        Self { places: Vec::new() }
    }
}

impl<T> Handlers<T> {
    /// Register something, and have a token for it.
    pub fn insert(&mut self, registered: T) -> Token {
        let index = self.places.iter().position(|place| place.registered.is_none()).map(|index| index as u32);
        let index = index.unwrap_or_else(|| {
            self.places.push(Place { generation: 0, registered: None });
            u32::try_from(self.places.len() - 1).expect("fewer descriptors than 4 thousand million")
        });
        let place = &mut self.places[index as usize];
        place.registered = Some(registered);
        Token { index, generation: place.generation }
    }

    /// What the token was given for, if it is still there.
    pub fn get_mut(&mut self, token: Token) -> Option<&mut T> {
        self.place(token)?.registered.as_mut()
    }

    /// Take it out for good. From now on the token leads nowhere. It is handed out, and not dropped: dropping a handler
    /// closes its source, and may call the loop, which must not happen while the table is borrowed.
    pub fn remove(&mut self, token: Token) -> Option<T> {
        let place = self.place(token)?;
        let registered = place.registered.take()?;
        place.generation = place.generation.wrapping_add(1);
        Some(registered)
    }

    /// The place, unless it is somebody else's by now.
    fn place(&mut self, token: Token) -> Option<&mut Place<T>> {
        self.places.get_mut(token.index as usize).filter(|place| place.generation == token.generation)
    }

    /// The tokens of all that is registered.
    pub fn tokens(&self) -> Vec<Token> {
        let taken = self.places.iter().enumerate().filter(|(_, place)| place.registered.is_some());
        taken.map(|(index, place)| Token { index: index as u32, generation: place.generation }).collect()
    }
}
