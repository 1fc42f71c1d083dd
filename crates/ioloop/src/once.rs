//! A closure that runs once, kept in place: what holds three words or less needs no allocation.
//!
//! Contract: what it was made from is run once or dropped, and never both, nor either twice. What is larger, or to be
//! aligned more than a word, is in a box, and the box in place.

use std::marker::PhantomData;
use std::mem::{ManuallyDrop, MaybeUninit};

use crate::calls::Callback;
use crate::{IoLoop, Outcome};

/// Most closures hold a reference-counted something, and a number or two.
type Words = [usize; 3];

// ANCHOR: once
pub(crate) struct Once {
    /// The closure, of whatever type.
    words: MaybeUninit<Words>,
    /// Moves the closure out of the words, which knows its type; runs it, or without a loop only drops it.
    end: unsafe fn(&mut MaybeUninit<Words>, Option<&IoLoop>) -> Outcome,
    /// A closure may hold what must stay in its thread, and what nobody may look at while it is borrowed elsewhere.
    holds: PhantomData<Callback>,
}
// ANCHOR_END: once

impl Once {
    pub(crate) fn new<F: FnOnce(&IoLoop) -> Outcome + 'static>(run: F) -> Self {
        if fits::<F>() { Self::in_place(run) } else { Self::in_place(Box::new(run)) }
    }

    fn in_place<F: FnOnce(&IoLoop) -> Outcome + 'static>(run: F) -> Self {
        assert!(fits::<F>(), "it is written over what lies behind the words");
        let mut words = MaybeUninit::<Words>::uninit();
        // SAFETY: they have room for it, they are aligned for it, and nobody else has them.
        unsafe { words.as_mut_ptr().cast::<F>().write(run) };
        Self { words, end: end::<F>, holds: PhantomData }
    }

    pub(crate) fn run(self, ioloop: &IoLoop) -> Outcome {
        // Its end has come, also if it panics: it must not be dropped as well.
        let mut once = ManuallyDrop::new(self);
        // SAFETY: `end` is of the type that was written there, and takes it out here or in `drop`: this value is gone
        // afterwards, whichever it was.
        unsafe { (once.end)(&mut once.words, Some(ioloop)) }
    }
}

impl Drop for Once {
    fn drop(&mut self) {
        // SAFETY: as in `run`, from which no value comes here.
        let _ = unsafe { (self.end)(&mut self.words, None) };
    }
}

const fn fits<F>() -> bool {
    size_of::<F>() <= size_of::<Words>() && align_of::<F>() <= align_of::<Words>()
}

/// # Safety
/// An `F` is in the words, and nobody uses it afterwards.
unsafe fn end<F: FnOnce(&IoLoop) -> Outcome>(
    words: &mut MaybeUninit<Words>,
    ioloop: Option<&IoLoop>,
) -> Outcome {
    // SAFETY: the caller's promise: it is there, and it is moved out here for good.
    let run = unsafe { words.as_mut_ptr().cast::<F>().read() };
    // Without a loop, it is dropped.
    ioloop.map_or(Ok(()), run)
}
