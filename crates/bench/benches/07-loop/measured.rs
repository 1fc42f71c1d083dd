//! What is measured of timers: the same three operations of each implementation.

/// Timers that carry a `T` each.
pub trait Measured<T>: Default {
    type Id;
    fn add(&mut self, deadline: u64, carried: T) -> Self::Id;
    fn cancel(&mut self, timer: &Self::Id);
    /// Run all that were not canceled, and compact the heap before that.
    fn run(&mut self);
}
