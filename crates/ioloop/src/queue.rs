//! A queue of closures: first come, first served, each in as many words as it fills and one more.
//!
//! Contract: closures come out in the order in which they went in. Nothing is borrowed between two calls, and no call runs or
//! drops a closure but [`Queue::clear`], which has emptied the queue by then. So code that runs may add to the queue that it
//! came out of. The room of closures that came out is used again: a queue that is as long as it was before allocates nothing.

use std::cell::{Cell, UnsafeCell};
use std::mem::MaybeUninit;

use crate::closure::{Closure, Kind, WORDS, Words};

/// A closure is a header and the words that it fills, so one that holds nothing takes a single word. A queue is written and
/// read from one end to the other: what is short is fast.
// ANCHOR: queue
pub(crate) struct Queue<A: 'static> {
    /// Behind the last closure there is always room for the words that it might have filled.
    words: UnsafeCell<Vec<Word<A>>>,
    /// Where the first closure begins. What is before it came out already.
    front: Cell<usize>,
    len: Cell<usize>,
}

#[derive(Clone, Copy)]
union Word<A: 'static> {
    /// What is known of a closure, and in the two lowest bits of its address how many words follow.
    header: *const Kind<A>,
    _part: MaybeUninit<usize>,
}
// ANCHOR_END: queue

/// The bits of an address that are 0 where a `Kind` can be.
const SIZE: usize = 3;

impl<A> Default for Queue<A> {
    fn default() -> Self {
        const { assert!(WORDS <= SIZE && align_of::<Kind<A>>() > SIZE) };
        Self { words: UnsafeCell::default(), front: Cell::new(0), len: Cell::new(0) }
    }
}

impl<A> Queue<A> {
    /// How many closures wait.
    pub(crate) fn len(&self) -> usize {
        self.len.get()
    }

    /// Does none wait?
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Add one at the end.
    #[inline]
    pub(crate) fn push(&self, closure: Closure<A>) {
        let (parts, kind) = closure.into_parts();
        // SAFETY: a queue is in one thread, and no other reference to the words is used while this one is: nothing in here
        // runs code of others.
        let words = unsafe { &mut *self.words.get() };
        if words.capacity() - words.len() < 1 + WORDS {
            self.make_room(words);
        }
        let end = words.len();
        let room = &mut words.spare_capacity_mut()[..1 + WORDS];
        room[0].write(Word { header: (&raw const *kind).wrapping_byte_add(kind.size()) });
        let behind = room[1..].as_mut_ptr().cast::<Words>();
        // SAFETY: behind the header there is room for as many words as the largest closure has.
        unsafe { behind.write(parts) };
        // SAFETY: the header is written, and so are the words that this closure fills.
        unsafe { words.set_len(end + 1 + kind.size()) };
        self.len.set(self.len() + 1);
    }

    /// Take the first one out.
    #[inline]
    pub(crate) fn pop(&self) -> Option<Closure<A>> {
        let left = self.len().checked_sub(1)?;
        // SAFETY: as in `push`.
        let words = unsafe { &mut *self.words.get() };
        // Of the whole room: the words behind a short closure may be behind the last one, too.
        let front = words.as_ptr().wrapping_add(self.front.get());
        // SAFETY: a closure waits, so it begins at `front`, with a header.
        let header = unsafe { front.cast::<*const Kind<A>>().read() };
        let behind = front.wrapping_add(1).cast::<Words>();
        // SAFETY: behind the header `push` had room for the words of the largest closure, and there is no less room since.
        let parts = unsafe { behind.read() };
        let size = header.addr() & SIZE;
        self.len.set(left);
        if left > 0 {
            self.front.set(self.front.get() + 1 + size);
        } else {
            words.clear();
            self.front.set(0);
        }
        // SAFETY: without the size it is the reference that `push` had, and that is static.
        let kind = unsafe { &*header.wrapping_byte_sub(size) };
        // SAFETY: both went in together, and nothing leads to them anymore.
        Some(unsafe { Closure::from_parts(parts, kind) })
    }

    /// Drop all that waits.
    pub(crate) fn clear(&self) {
        let waiting = Self::default();
        // SAFETY: as in `push`, and the two queues are different ones.
        unsafe { self.words.get().swap(waiting.words.get()) };
        waiting.front.swap(&self.front);
        waiting.len.swap(&self.len);
        // Here: a closure that is dropped may add one.
        drop(waiting);
    }

    /// Use the room at the front again if it is half of all, and else get more.
    #[cold]
    fn make_room(&self, words: &mut Vec<Word<A>>) {
        if self.front.get() > words.len() / 2 {
            words.drain(..self.front.take());
        }
        words.reserve(1 + WORDS);
    }
}

impl<A> Drop for Queue<A> {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}
