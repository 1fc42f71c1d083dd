//! A closure that runs once, kept in place: one of three words or less needs no allocation.
//!
//! Contract: what it was made from is run once or dropped once, never both. What is larger, or has a stricter alignment
//! than a word, is in a box, and the box is kept in place.

use std::marker::PhantomData;
use std::mem::{ManuallyDrop, MaybeUninit};

use crate::failure::Outcome;

/// Most closures hold something reference-counted, and a number or two.
pub(crate) const WORDS: usize = 3;

pub(crate) type Words = [MaybeUninit<usize>; WORDS];

type Boxed<A> = Box<dyn FnOnce(&A) -> Outcome>;

/// Any `FnOnce(&A) -> Outcome`.
// ANCHOR: closure
pub(crate) struct Closure<A: 'static> {
    /// The closure, of whatever type.
    words: Words,
    kind: &'static Kind<A>,
    /// As a box of it would be: neither Send nor Sync.
    holds: PhantomData<Boxed<A>>,
}

/// What was known of the closure when it still had a type.
pub(crate) struct Kind<A> {
    /// How many of the words it fills.
    size: usize,
    /// Moves the closure out of the words; runs it, or only drops it where there is no argument.
    end: unsafe fn(&mut Words, Option<&A>) -> Outcome,
}
// ANCHOR_END: closure

impl<A> Kind<A> {
    pub(crate) fn size(&self) -> usize {
        self.size
    }
}

impl<A> Closure<A> {
    pub(crate) fn new<F: FnOnce(&A) -> Outcome + 'static>(run: F) -> Self {
        if fits::<F>() { Self::in_place(run) } else { Self::in_place(Box::new(run)) }
    }

    fn in_place<F: FnOnce(&A) -> Outcome + 'static>(run: F) -> Self {
        assert!(fits::<F>(), "it would be written over what lies behind the words");
        let mut words: Words = [MaybeUninit::uninit(); WORDS];
        // SAFETY: the words have room for it and its alignment, and nothing else refers to them.
        unsafe { words.as_mut_ptr().cast::<F>().write(run) };
        let kind = const { &Kind { size: size_of::<F>().div_ceil(size_of::<usize>()), end: end::<A, F> } };
        Self { words, kind, holds: PhantomData }
    }

    pub(crate) fn run(self, argument: &A) -> Outcome {
        let (mut words, kind) = self.into_parts();
        // SAFETY: `end` has the type that was written, and moves it out here or in `drop`: this value is gone afterwards,
        // whichever it was.
        unsafe { (kind.end)(&mut words, Some(argument)) }
    }

    /// What it consists of. It is neither run nor dropped until [`Closure::from_parts`] puts it together again.
    pub(crate) fn into_parts(self) -> (Words, &'static Kind<A>) {
        let this = ManuallyDrop::new(self);
        (this.words, this.kind)
    }

    /// # Safety
    /// Both come from one call of [`Closure::into_parts`], of whose words `kind.size()` were kept, and are used once.
    pub(crate) unsafe fn from_parts(words: Words, kind: &'static Kind<A>) -> Self {
        Self { words, kind, holds: PhantomData }
    }
}

impl<A> Drop for Closure<A> {
    fn drop(&mut self) {
        // SAFETY: as in `run`, from which no value comes here.
        let _ = unsafe { (self.kind.end)(&mut self.words, None) };
    }
}

const fn fits<F>() -> bool {
    size_of::<F>() <= size_of::<Words>() && align_of::<F>() <= align_of::<Words>()
}

/// # Safety
/// An `F` is in the words, and nothing uses it afterwards.
unsafe fn end<A, F: FnOnce(&A) -> Outcome>(words: &mut Words, argument: Option<&A>) -> Outcome {
    // SAFETY: the caller's promise: it is there, and it is moved out here for good.
    let run = unsafe { words.as_mut_ptr().cast::<F>().read() };
    // Without an argument it is dropped.
    argument.map_or(Ok(()), run)
}
