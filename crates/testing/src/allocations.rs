//! An allocator that notices when the child of a fork uses it.
//!
//! In a process with threads, another thread may hold the allocator's lock at the moment of the fork, and then the lock
//! stays locked in the child forever. That happens rarely, so the tests do not wait for it: they see each use.

use std::alloc::{GlobalAlloc, Layout, System};
use std::num::NonZero;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, Ordering::Relaxed};

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
use nix::unistd::getpid;

/// The process that may allocate; 0 while any may.
static OWNER: AtomicI32 = AtomicI32::new(0);

/// Where a child notes that it has used the allocator: in memory that it shares with its parent.
static NOTE: AtomicPtr<AtomicBool> = AtomicPtr::new(ptr::null_mut());

/// Do the work, and say whether a child of this process, which `work` forked, used the allocator. The test program has
/// [`Watched`] as its global allocator.
///
/// # Errors
/// What mmap(2) says, of one page.
pub fn in_a_child<T>(work: impl FnOnce() -> T) -> nix::Result<(T, bool)> {
    let length = NonZero::<usize>::MIN.saturating_add(4095);
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: without MAP_FIXED the kernel picks a place where nothing else is.
    let page = unsafe { mmap_anonymous(None, length, access, MapFlags::MAP_SHARED) }?;
    NOTE.store(page.as_ptr().cast(), Relaxed);
    OWNER.store(getpid().as_raw(), Relaxed);
    let result = work();
    OWNER.store(0, Relaxed);
    // SAFETY: the page was mapped above and stays mapped; zero bytes are a valid `AtomicBool`.
    let used = unsafe { page.cast::<AtomicBool>().as_ref() }.load(Relaxed);
    Ok((result, used))
}

/// The system's allocator, which notes its use by a child: `#[global_allocator] static ALLOCATOR: Watched = Watched;`.
#[derive(Debug)]
pub struct Watched;

fn watch() {
    let owner = OWNER.load(Relaxed);
    if owner != 0 && owner != getpid().as_raw() {
        // SAFETY: `in_a_child` stored a pointer to a page that stays mapped, before it set the owner.
        unsafe { &*NOTE.load(Relaxed) }.store(true, Relaxed);
    }
}

// SAFETY: each call goes to the system's allocator as it came. `watch` does not allocate.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        watch();
        // SAFETY: what the caller promises is what is asked for here.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        watch();
        // SAFETY: what the caller promises is what is asked for here.
        unsafe { System.dealloc(memory, layout) }
    }
}
