//! Atomics for statics, which loom can see: std's have a `const fn new`, and loom's belong to one run of a model.
//!
//! Each of these is made anew when a run first uses it. A SeqCst load is modelled as a read-modify-write, because loom
//! gives such a load no total order, and a read-modify-write always reads the latest value. So loom does not see that a
//! *store* has too weak an ordering, but it sees each load that has.

pub mod atomic {
    use std::any::Any;
    use std::cell::RefCell;
    use std::collections::HashMap;
    use std::rc::Rc;

    pub use loom::sync::atomic::Ordering;
    use loom::sync::atomic::Ordering::{Acquire, Release, SeqCst};

    thread_local! {
        // loom runs all threads of a model in turns, on one real thread.
        static MADE: RefCell<HashMap<usize, Rc<dyn Any>>> = RefCell::default();
    }

    /// Returns how many atomics this run has used, and forgets them. Call it at the end of each run.
    pub fn finish() -> usize {
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
                    match order {
                        SeqCst => self.here().fetch_or(0, Acquire),
                        weaker => self.here().load(weaker),
                    }
                }

                pub fn store(&self, value: $value, order: Ordering) {
                    match order {
                        SeqCst => drop(self.here().swap(value, Release)),
                        weaker => self.here().store(value, weaker),
                    }
                }

                pub fn swap(&self, value: $value, order: Ordering) -> $value {
                    self.here().swap(value, order)
                }

                pub fn fetch_and(&self, value: $value, order: Ordering) -> $value {
                    self.here().fetch_and(value, order)
                }

                pub fn fetch_or(&self, value: $value, order: Ordering) -> $value {
                    self.here().fetch_or(value, order)
                }

                pub fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                    self.here().fetch_add(value, order)
                }

                pub fn fetch_sub(&self, value: $value, order: Ordering) -> $value {
                    self.here().fetch_sub(value, order)
                }

                pub fn compare_exchange(
                    &self,
                    current: $value,
                    new: $value,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$value, $value> {
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
