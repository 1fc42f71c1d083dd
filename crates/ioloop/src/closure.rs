//! A type-erased `FnOnce`: a closure of at most three words is kept in place, without an allocation.
//!
//! Contract: the closure is run once or dropped once, never both. A closure that is larger than three words, or whose
//! alignment is stricter than a word's, is boxed, and the box is kept in place.

use std::marker::PhantomData;
use std::mem::{ManuallyDrop, MaybeUninit};

use crate::failure::Outcome;

/// Room for an `Rc` and two numbers, which is as much as most closures capture.
pub(crate) const WORDS: usize = 3;

pub(crate) type Words = [MaybeUninit<usize>; WORDS];

type Boxed<A> = Box<dyn FnOnce(&A) -> Outcome>;

/// An `FnOnce(&A) -> Outcome` of any type.
// ANCHOR: closure
pub(crate) struct Closure<A: 'static> {
    /// The closure's bytes.
    words: Words,
    kind: &'static Kind<A>,
    /// Neither Send nor Sync, as a box of the closure would be.
    holds: PhantomData<Boxed<A>>,
}

/// What depends on the closure's type: its size, and the code that runs or drops it.
pub(crate) struct Kind<A> {
    /// How many of the words the closure fills.
    size: usize,
    /// Moves the closure out of the words, and runs it; without an argument, drops it.
    end: unsafe fn(&mut Words, Option<&A>) -> Outcome,
}
// ANCHOR_END: closure

impl<A> Kind<A> {
    pub(crate) fn of<F: FnOnce(&A) -> Outcome + 'static>() -> &'static Self {
        const { &Self { size: size_of::<F>().div_ceil(size_of::<usize>()), end: end::<A, F> } }
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }
}

impl<A> Closure<A> {
    pub(crate) fn new<F: FnOnce(&A) -> Outcome + 'static>(run: F) -> Self {
        if fits::<F>() { Self::in_place(run) } else { Self::in_place(Box::new(run)) }
    }

    fn in_place<F: FnOnce(&A) -> Outcome + 'static>(run: F) -> Self {
        assert!(fits::<F>(), "the closure does not fit into the words");
        let mut words: Words = [MaybeUninit::uninit(); WORDS];
        // SAFETY: the words are large enough for an `F` and aligned for it, and this is the only reference to them.
        unsafe { words.as_mut_ptr().cast::<F>().write(run) };
        Self { words, kind: Kind::of::<F>(), holds: PhantomData }
    }

    pub(crate) fn run(self, argument: &A) -> Outcome {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: the words hold a closure of the type that `end` was made for. `end` moves it out either here or in `drop`,
        // because this value is never dropped.
        unsafe { (this.kind.end)(&mut this.words, Some(argument)) }
    }

    /// Take over a closure that was written somewhere else.
    ///
    /// # Safety
    /// The first words must be those of a closure of this kind, which is used no more where it was; the others may be anything.
    pub(crate) unsafe fn from_words(words: Words, kind: &'static Kind<A>) -> Self {
        Self { words, kind, holds: PhantomData }
    }
}

impl<A> Drop for Closure<A> {
    fn drop(&mut self) {
        // SAFETY: as in `run`, which never drops the value that it runs.
        let _ = unsafe { (self.kind.end)(&mut self.words, None) };
    }
}

/// Is a closure of this type kept in place, and not in a box?
pub(crate) const fn fits<F>() -> bool {
    size_of::<F>() <= size_of::<Words>() && align_of::<F>() <= align_of::<Words>()
}

/// Move the closure out of the words, and run it or drop it.
///
/// # Safety
/// The words must hold an `F`, and must not be used afterwards.
unsafe fn end<A, F: FnOnce(&A) -> Outcome>(words: &mut Words, argument: Option<&A>) -> Outcome {
    // SAFETY: the caller promises that the words hold an `F`, and that this is its last use.
    let run = unsafe { words.as_mut_ptr().cast::<F>().read() };
    // Without an argument, `run` is dropped.
    argument.map_or(Ok(()), run)
}
