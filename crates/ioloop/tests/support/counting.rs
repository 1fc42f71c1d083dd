//! An allocator that counts the allocations of each thread, because the test runner has other threads.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static BYTES: Cell<isize> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Counting;

/// How often this thread has allocated.
#[allow(dead_code, reason = "each test program uses a part of this")]
pub fn allocations() -> usize {
    ALLOCATIONS.get()
}

/// How many allocations it has made and not freed, less those that it freed for other threads.
#[allow(dead_code, reason = "each test program uses a part of this")]
pub fn live() -> isize {
    LIVE.get()
}

/// How many bytes these are.
#[allow(dead_code, reason = "each test program uses a part of this")]
pub fn bytes() -> isize {
    BYTES.get()
}

// SAFETY: the system's allocator does all the work; counting changes three thread-local numbers.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        let _ = LIVE.try_with(|count| count.set(count.get() + 1));
        let _ = BYTES.try_with(|bytes| bytes.set(bytes.get() + layout.size() as isize));
        // SAFETY: the caller's promises hold for the system's allocator too.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let _ = LIVE.try_with(|count| count.set(count.get() - 1));
        let _ = BYTES.try_with(|bytes| bytes.set(bytes.get() - layout.size() as isize));
        // SAFETY: the caller's promises hold for the system's allocator too.
        unsafe { System.dealloc(pointer, layout) }
    }
}
