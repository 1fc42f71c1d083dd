//! A first-in, first-out queue of closures. A closure takes the words that it fills, and one more.
//!
//! Contract: closures come out in the order in which they went in. Nothing is borrowed between two calls. Only
//! [`Queue::clear`] drops closures, after it has emptied the queue, and no call runs one; so a closure that runs may add to
//! the queue that it came from. The room of popped closures is reused: a queue that does not get longer allocates nothing.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;

use crate::closure::{Closure, Kind, WORDS, Words};

/// A queue of closures, which is changed by shared reference.
pub(crate) struct Queue<A: 'static>(UnsafeCell<Row<A>>);

/// The closures, one behind the other. Each is a header and the words that it fills, so a closure that captures nothing
/// takes one word. The row is read and written in sequence, so its speed depends on its length in bytes.
// ANCHOR: queue
struct Row<A: 'static> {
    /// The closures from `front` to the end. Behind the last header there is always capacity for the largest closure.
    words: Vec<Word<A>>,
    front: usize,
    len: usize,
}

union Word<A: 'static> {
    /// The address of the closure's `Kind`; its two lowest bits are the number of words that follow.
    header: *const Kind<A>,
    _part: MaybeUninit<usize>,
}
// ANCHOR_END: queue

// Not derived, because a derived impl would require `A: Copy`.
impl<A> Copy for Word<A> {}

impl<A> Clone for Word<A> {
    fn clone(&self) -> Self {
        *self
    }
}

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
        Self { words: Vec::new(), front: 0, len: 0 }
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
    pub(crate) fn push(&self, closure: Closure<A>) {
        // SAFETY: see above.
        unsafe { &mut *self.0.get() }.push(closure);
    }

    /// Remove the first closure, and return it.
    #[inline]
    pub(crate) fn pop(&self) -> Option<Closure<A>> {
        // SAFETY: see above.
        unsafe { &mut *self.0.get() }.pop()
    }

    /// Drop all closures in the queue.
    pub(crate) fn clear(&self) {
        // SAFETY: see above.
        let waiting = std::mem::take(unsafe { &mut *self.0.get() });
        // Only now, from an empty queue: a closure that is dropped may add one.
        drop(waiting);
    }
}

impl<A> Row<A> {
    #[inline]
    fn push(&mut self, closure: Closure<A>) {
        if self.words.capacity() - self.words.len() < 1 + WORDS {
            self.make_room();
        }
        let (parts, kind) = closure.into_parts();
        let end = self.words.len();
        let header = self.words.as_mut_ptr().wrapping_add(end);
        // SAFETY: the vector has capacity for a header and for the words of the largest closure.
        unsafe { header.write(Word { header: (&raw const *kind).wrapping_byte_add(kind.size()) }) };
        // SAFETY: as above. The next closure overwrites the words that this one does not fill.
        unsafe { header.wrapping_add(1).cast::<Words>().write(parts) };
        // SAFETY: the header and the words that this closure fills were written.
        unsafe { self.words.set_len(end + 1 + kind.size()) };
        self.len += 1;
    }

    #[inline]
    fn pop(&mut self) -> Option<Closure<A>> {
        self.len = self.len.checked_sub(1)?;
        let at = self.words.as_ptr().wrapping_add(self.front);
        // SAFETY: the row is not empty, so a header is at `front`.
        let word = unsafe { at.read() };
        // SAFETY: as above.
        let header = unsafe { word.header };
        // SAFETY: behind the header, `push` had capacity for the words of the largest closure, and the capacity never
        // shrinks.
        let parts = unsafe { at.wrapping_add(1).cast::<Words>().read() };
        let size = header.addr() & SIZE;
        self.front += 1 + size;
        if self.len == 0 {
            self.words.clear();
            self.front = 0;
        }
        // SAFETY: without the size, the header is the `&'static Kind` that `push` had.
        let kind = unsafe { &*header.wrapping_byte_sub(size) };
        // SAFETY: `push` wrote both parts, and `front` or `clear` above left them behind, so they are used once.
        Some(unsafe { Closure::from_parts(parts, kind) })
    }

    /// Reuse the room of popped closures if it is more than half of all, or else allocate.
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
