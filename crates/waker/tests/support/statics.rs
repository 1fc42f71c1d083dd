//! Atomics for statics, which loom can see: std's have a `const fn new`, and loom's belong to one run of a model.
//!
//! Each of these is made anew when a run first uses it. loom has no total order of SeqCst accesses, so two things are
//! modelled here. A SeqCst load is a read-modify-write, which always reads the latest value. And a store with a weaker
//! ordering takes effect only after its thread's next load of another atomic, as it may on a processor with a store buffer.
//! What a read-modify-write with too weak an ordering may do beside that is not modelled.

pub mod atomic {
    use std::any::Any;
    use std::cell::RefCell;
    use std::collections::HashMap;
    use std::rc::Rc;

    pub use loom::sync::atomic::Ordering;
    use loom::sync::atomic::Ordering::{Acquire, Release, SeqCst};
    use loom::thread::{ThreadId, current};

    thread_local! {
        // loom runs all threads of a model in turns, on one real thread.
        static MADE: RefCell<HashMap<usize, Rc<dyn Any>>> = RefCell::default();
        static BUFFERED: RefCell<Vec<Buffered>> = RefCell::default();
    }

    /// A store that has not taken effect.
    struct Buffered {
        thread: ThreadId,
        address: usize,
        store: Box<dyn FnOnce()>,
    }

    /// Lets this thread's stores take effect. Call it at the end of each thread.
    pub fn flush() {
        let thread = current().id();
        let (own, others) =
            BUFFERED.take().into_iter().partition(|buffered: &Buffered| buffered.thread == thread);
        BUFFERED.set(others);
        own.into_iter().for_each(|buffered: Buffered| (buffered.store)());
    }

    fn has_stored_to(address: usize) -> bool {
        let thread = current().id();
        BUFFERED.with_borrow(|all| all.iter().any(|each| each.thread == thread && each.address == address))
    }

    /// Returns whether this run has used any of these atomics. If not, loom cannot see what they order.
    pub fn is_used() -> bool {
        MADE.with_borrow(|made| !made.is_empty())
    }

    /// Returns how many atomics this run has used, and forgets them. Call it at the end of each run.
    pub fn finish() -> usize {
        BUFFERED.take();
        MADE.take().len()
    }

    macro_rules! modelled {
        ($name:ident, $value:ty) => {
            #[derive(Debug)]
            pub struct $name($value);

            impl $name {
                pub const fn new(value: $value) -> Self {
                    Self(value)
                }

                fn here(&self) -> Rc<loom::sync::atomic::$name> {
                    let made = MADE.with_borrow(|made| made.get(&(&raw const *self).addr()).cloned());
                    let made = made.unwrap_or_else(|| {
                        let new: Rc<dyn Any> = Rc::new(loom::sync::atomic::$name::new(self.0));
                        MADE.with_borrow_mut(|made| made.insert((&raw const *self).addr(), new.clone()));
                        new
                    });
                    made.downcast().expect("an address has one type")
                }

                pub fn load(&self, order: Ordering) -> $value {
                    if order != SeqCst || has_stored_to((&raw const *self).addr()) {
                        flush();
                    }
                    let value = match order {
                        SeqCst => self.here().fetch_or(0, Acquire),
                        weaker => self.here().load(weaker),
                    };
                    flush();
                    value
                }

                pub fn store(&self, value: $value, order: Ordering) {
                    if order == SeqCst {
                        flush();
                        self.here().swap(value, Release);
                        return;
                    }
                    let (here, address) = (self.here(), (&raw const *self).addr());
                    let store = Box::new(move || here.store(value, order));
                    let buffered = Buffered { thread: current().id(), address, store };
                    BUFFERED.with_borrow_mut(|all| all.push(buffered));
                }

                pub fn swap(&self, value: $value, order: Ordering) -> $value {
                    flush();
                    self.here().swap(value, order)
                }

                pub fn fetch_and(&self, value: $value, order: Ordering) -> $value {
                    flush();
                    self.here().fetch_and(value, order)
                }

                pub fn fetch_or(&self, value: $value, order: Ordering) -> $value {
                    flush();
                    self.here().fetch_or(value, order)
                }

                pub fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                    flush();
                    self.here().fetch_add(value, order)
                }

                pub fn fetch_sub(&self, value: $value, order: Ordering) -> $value {
                    flush();
                    self.here().fetch_sub(value, order)
                }

                pub fn compare_exchange(
                    &self,
                    current: $value,
                    new: $value,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$value, $value> {
                    flush();
                    self.here().compare_exchange(current, new, success, failure)
                }

                pub fn fetch_update(
                    &self,
                    success: Ordering,
                    failure: Ordering,
                    mut update: impl FnMut($value) -> Option<$value>,
                ) -> Result<$value, $value> {
                    loop {
                        let current = self.load(failure);
                        let Some(new) = update(current) else { return Err(current) };
                        if self.compare_exchange(current, new, success, failure).is_ok() {
                            return Ok(current);
                        }
                    }
                }
            }
        };
    }

    modelled!(AtomicI32, i32);
    modelled!(AtomicU32, u32);
    modelled!(AtomicU64, u64);
    modelled!(AtomicUsize, usize);
}

pub use loom::thread;
