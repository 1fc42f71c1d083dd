//! A first-in, first-out queue of closures. A closure takes the words that it fills, and one more.
//!
//! Contract: closures come out in the order in which they went in. Nothing is borrowed between two calls, and no call runs or
//! drops a closure; so a closure that runs or is dropped may add to the queue that it came from. The room of popped closures is
//! reused: a queue that does not get longer allocates nothing.

use std::cell::UnsafeCell;
use std::hint;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

use crate::closure::{Closure, Kind, WORDS, Words, fits};
use crate::failure::Outcome;

/// A queue of closures, which is changed by shared reference.
pub(crate) struct Queue<A: 'static>(UnsafeCell<Row<A>>);

/// The closures, one behind the other. Each is a [`Header`] and the words that it fills, so a closure that captures nothing
/// takes one word. The row is read and written in sequence, so its speed depends on its length in bytes.
struct Row<A: 'static> {
    /// The closures from `front` to the end.
    words: Vec<MaybeUninit<usize>>,
    front: usize,
    len: usize,
    /// Neither Send nor Sync, as a closure is.
    holds: PhantomData<Closure<A>>,
}

/// The address of the closure's `Kind`; its two lowest bits are the number of words that follow.
type Header<A> = *const Kind<A>;

/// The bits of an address that are 0 because of the alignment of `Kind`.
const SIZE: usize = 3;

impl<A> Default for Queue<A> {
    fn default() -> Self {
        Self(UnsafeCell::default())
    }
}

impl<A> Default for Row<A> {
    fn default() -> Self {
        const { assert!(WORDS <= SIZE && align_of::<Kind<A>>() > SIZE) };
        Self { words: Vec::new(), front: 0, len: 0, holds: PhantomData }
    }
}

// SAFETY, of each block in this impl: a queue is not Sync, and the functions of `Row` run no code that could use the
// queue, so a reference to the row is the only one while it is used.
impl<A> Queue<A> {
    /// How many closures are in the queue.
    pub(crate) fn len(&self) -> usize {
        // SAFETY: see above.
        unsafe { &*self.0.get() }.len
    }

    /// Is the queue empty?
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Add a closure at the end.
    #[inline]
    pub(crate) fn push<F: FnOnce(&A) -> Outcome + 'static>(&self, closure: F) {
        // SAFETY: see above.
        let row = unsafe { &mut *self.0.get() };
        if fits::<F>() { row.push(closure) } else { row.push(Box::new(closure)) }
    }

    /// Remove the first closure, and return it.
    #[inline]
    pub(crate) fn pop(&self) -> Option<Closure<A>> {
        // SAFETY: see above.
        unsafe { &mut *self.0.get() }.pop()
    }
}

impl<A> Row<A> {
    #[inline]
    fn push<F: FnOnce(&A) -> Outcome + 'static>(&mut self, closure: F) {
        assert!(fits::<F>(), "the closure does not fit into the words");
        let size = Kind::<A>::of::<F>().size();
        if self.words.capacity() - self.words.len() < 1 + WORDS {
            self.make_room();
        }
        let (end, kind) = (self.words.len(), Kind::<A>::of::<F>());
        let place = self.words.as_mut_ptr().wrapping_add(end);
        // SAFETY: the vector has capacity for a header and for the closure.
        unsafe { place.cast::<Header<A>>().write((&raw const *kind).wrapping_byte_add(size)) };
        // SAFETY: as above, and the closure needs no stricter alignment than a word. It is written as what it is: copied word by
        // word, it would be read before it has arrived in memory, and the processor would wait for it.
        unsafe { place.wrapping_add(1).cast::<F>().write(closure) };
        // SAFETY: the vector has capacity for them, and a `MaybeUninit` may be anything.
        unsafe { self.words.set_len(end + 1 + size) };
        self.len += 1;
    }

    #[inline]
    fn pop(&mut self) -> Option<Closure<A>> {
        self.len = self.len.checked_sub(1)?;
        let place = self.words.as_ptr().wrapping_add(self.front);
        // SAFETY: the row was not empty, so a header is at `front`.
        let header = unsafe { place.cast::<Header<A>>().read() };
        let size = header.addr() & SIZE;
        let mut words: Words = [MaybeUninit::uninit(); WORDS];
        self.front += 1;
        if size > 0 {
            // A branch, which the processor predicts, so the next closure is looked for before this header has arrived.
            hint::cold_path();
            // SAFETY: behind the header, `push` had capacity for the words of the largest closure, and the capacity never
            // shrinks.
            words = unsafe { place.wrapping_add(1).cast::<Words>().read() };
            self.front += size;
        }
        if self.len == 0 {
            self.words.clear();
            self.front = 0;
        }
        // SAFETY: without the size, the header is the `&'static Kind` that `push` had.
        let kind = unsafe { &*header.wrapping_byte_sub(size) };
        // SAFETY: `push` wrote both, and `front` or `clear` above left them behind, so they are used once.
        Some(unsafe { Closure::from_words(words, kind) })
    }

    /// Reuse the room of closures that ran if it is more than half of all, or else allocate.
    #[cold]
    fn make_room(&mut self) {
        if self.front > self.words.len() / 2 {
            self.words.drain(..self.front);
            self.front = 0;
        }
        self.words.reserve(1 + WORDS);
    }
}

impl<A> Drop for Row<A> {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}
