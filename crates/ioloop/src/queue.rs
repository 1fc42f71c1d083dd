//! A queue of closures: first come, first served, each in as many words as it fills and one more.
//!
//! Contract: closures come out in the order in which they went in. Nothing is borrowed between two calls, and no call runs or
//! drops a closure but [`Queue::clear`], which has emptied the queue by then. So code that runs may add to the queue that it
//! came out of. The room of closures that came out is used again: a queue that is as long as it was before allocates nothing.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;

use crate::closure::{Closure, Kind, WORDS, Words};

/// A queue that is changed by reference.
pub(crate) struct Queue<A: 'static>(UnsafeCell<Row<A>>);

/// A closure is a header and the words that it fills, so one that holds nothing takes a single word. A queue is written and
/// read from one end to the other: what is short is fast.
// ANCHOR: queue
struct Row<A: 'static> {
    /// From `front` to the end there are closures. There is always capacity for the words that the last one might have filled.
    words: Vec<Word<A>>,
    front: usize,
    len: usize,
}

union Word<A: 'static> {
    /// What is known of a closure, and in the two lowest bits of its address how many words follow.
    header: *const Kind<A>,
    _part: MaybeUninit<usize>,
}
// ANCHOR_END: queue

// Not derived: that would ask the same of `A`.
impl<A> Copy for Word<A> {}

impl<A> Clone for Word<A> {
    fn clone(&self) -> Self {
        *self
    }
}

/// The bits of an address that are 0 where a `Kind` can be.
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

// SAFETY, of each block in here: a queue is in one thread, and while a reference to the row is used no other is: what is called
// with it runs no code of others.
impl<A> Queue<A> {
    /// How many closures wait.
    pub(crate) fn len(&self) -> usize {
        // SAFETY: see above.
        unsafe { &*self.0.get() }.len
    }

    /// Does none wait?
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Add one at the end.
    #[inline]
    pub(crate) fn push(&self, closure: Closure<A>) {
        // SAFETY: see above.
        unsafe { &mut *self.0.get() }.push(closure);
    }

    /// Take the first one out.
    #[inline]
    pub(crate) fn pop(&self) -> Option<Closure<A>> {
        // SAFETY: see above.
        unsafe { &mut *self.0.get() }.pop()
    }

    /// Drop all that waits.
    pub(crate) fn clear(&self) {
        // SAFETY: see above.
        let waiting = std::mem::take(unsafe { &mut *self.0.get() });
        // When this one is empty: a closure that is dropped may add one.
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
        // SAFETY: there is room for a header and for the words of the largest closure.
        unsafe { header.write(Word { header: (&raw const *kind).wrapping_byte_add(kind.size()) }) };
        // SAFETY: as above. The next closure is written over the words that this one does not fill.
        unsafe { header.wrapping_add(1).cast::<Words>().write(parts) };
        // SAFETY: a header was written, and the words behind it that this closure fills.
        unsafe { self.words.set_len(end + 1 + kind.size()) };
        self.len += 1;
    }

    #[inline]
    fn pop(&mut self) -> Option<Closure<A>> {
        self.len = self.len.checked_sub(1)?;
        let at = self.words.as_ptr().wrapping_add(self.front);
        // SAFETY: one waits, so this is where it begins: with a header.
        let word = unsafe { at.read() };
        // SAFETY: as above.
        let header = unsafe { word.header };
        // SAFETY: behind it `push` had room for the words of the largest closure, and there is no less room since.
        let parts = unsafe { at.wrapping_add(1).cast::<Words>().read() };
        let size = header.addr() & SIZE;
        self.front += 1 + size;
        if self.len == 0 {
            self.words.clear();
            self.front = 0;
        }
        // SAFETY: without the size it is what `push` had, and that is never gone.
        let kind = unsafe { &*header.wrapping_byte_sub(size) };
        // SAFETY: both went in together, and nothing leads to them anymore.
        Some(unsafe { Closure::from_parts(parts, kind) })
    }

    /// Use the room at the front again if that is half of all, and else get more.
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
