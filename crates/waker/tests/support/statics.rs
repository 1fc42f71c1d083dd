//! Atomics for statics, which loom can see: std's have a `const fn new`, and loom's belong to one run of a model.
//!
//! Each of these is made anew when a run first uses it. loom has no total order of SeqCst accesses, so three things are
//! modelled here. A SeqCst load is a read-modify-write, which always reads the latest value. A store with a weaker
//! ordering takes effect only after its thread's next load of another atomic, as it may on a processor with a store buffer.
//! And after a read-modify-write with a weaker ordering, that load returns the value from before it, as if it had come first.
//!
//! loom does not see write(2) and close(2). In their place, each step of a thread that has loaded the number of a descriptor
//! that is `watched` reads a cell. A thread that closes the descriptor writes that cell, and loom finds the race.

pub mod atomic {
    use std::any::Any;
    use std::cell::RefCell;
    use std::collections::HashMap;
    use std::rc::Rc;

    use loom::cell::UnsafeCell;
    pub use loom::sync::atomic::Ordering;
    use loom::sync::atomic::Ordering::{AcqRel, Acquire, Release, SeqCst};
    use loom::thread::{ThreadId, current};

    thread_local! {
        // loom runs all threads of a model in turns, on one real thread.
        static MADE: RefCell<HashMap<usize, Rc<dyn Any>>> = RefCell::default();
        static BUFFERED: RefCell<Vec<Buffered>> = RefCell::default();
        static PAST: RefCell<Past> = RefCell::default();
        static WATCHED: RefCell<Option<Watched>> = RefCell::default();
    }

    /// The values of all atomics so far. A time is a number of changes.
    #[derive(Default)]
    struct Past {
        now: usize,
        /// For each atomic, the values that it had until a change, with the time of the change.
        until: HashMap<usize, Vec<(usize, u64)>>,
        /// The time of each thread's last access.
        last: HashMap<ThreadId, usize>,
        /// Of each thread whose last read-modify-write was not SeqCst: the atomic, and the time of the access before.
        unordered: HashMap<ThreadId, (usize, usize)>,
    }

    impl Past {
        fn changed(&mut self, address: usize, before: u64) {
            self.now += 1;
            self.until.entry(address).or_default().push((self.now, before));
        }

        /// Before a load: the value that it returns if it comes before a read-modify-write of its thread, if that may be.
        fn early(&mut self, address: usize) -> Option<u64> {
            let (other, since) = *self.unordered.get(&current().id())?;
            if other == address {
                return None;
            }
            self.unordered.remove(&current().id());
            self.until.get(&address)?.iter().find(|(changed, _)| *changed > since).map(|(_, before)| *before)
        }

        /// After a read-modify-write with this ordering.
        fn updated(&mut self, address: usize, order: Ordering) {
            let mut since = self.last.get(&current().id()).copied().unwrap_or(self.now);
            if matches!(order, Acquire | AcqRel) {
                // What the last thread that changed it did before is visible.
                since =
                    since.max(self.until[&address].iter().rev().nth(1).map_or(0, |(changed, _)| *changed));
            }
            if order == SeqCst {
                self.unordered.remove(&current().id());
            } else {
                self.unordered.insert(current().id(), (address, since));
            }
        }

        fn accessed(&mut self) {
            self.last.insert(current().id(), self.now);
        }
    }

    /// A descriptor's number, the cell in place of the file, and the threads that use it.
    struct Watched {
        number: i32,
        file: Rc<UnsafeCell<()>>,
        users: Vec<ThreadId>,
    }

    /// Watches the descriptor that will get this number.
    pub fn watch(number: i32) {
        WATCHED.set(Some(Watched { number, file: Rc::new(UnsafeCell::new(())), users: Vec::new() }));
    }

    /// The watched descriptor is closed. Panics if a thread that uses it has not ended its use before.
    pub fn close_watched() {
        let file = WATCHED.with_borrow_mut(|watched| watched.take().map(|watched| watched.file));
        file.into_iter().for_each(|file| file.with_mut(|_| ()));
    }

    fn use_watched() {
        let user = current().id();
        let file = WATCHED.with_borrow(|watched| {
            watched
                .as_ref()
                .filter(|watched| watched.users.contains(&user))
                .map(|watched| Rc::clone(&watched.file))
        });
        file.into_iter().for_each(|file| file.with(|_| ()));
    }

    fn look_up(number: i64) {
        WATCHED.with_borrow_mut(|watched| {
            if let Some(watched) = watched
                && i64::from(watched.number) == number
            {
                watched.users.push(current().id());
            }
        });
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
        PAST.take();
        WATCHED.take();
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

                fn address(&self) -> usize {
                    (&raw const *self).addr()
                }

                /// A change in one step.
                fn update(&self, order: Ordering, change: impl FnOnce() -> $value) -> $value {
                    flush();
                    use_watched();
                    let before = change();
                    look_up(before as i64);
                    PAST.with_borrow_mut(|past| {
                        past.changed(self.address(), before as u64);
                        past.updated(self.address(), order);
                        past.accessed();
                    });
                    before
                }

                pub fn load(&self, order: Ordering) -> $value {
                    use_watched();
                    let early = PAST.with_borrow_mut(|past| past.early(self.address()));
                    let now = self.load_now(order);
                    let value = early.map_or(now, |early| early as $value);
                    PAST.with_borrow_mut(Past::accessed);
                    look_up(value as i64);
                    value
                }

                fn load_now(&self, order: Ordering) -> $value {
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
                        self.update(order, || self.here().swap(value, Release));
                        return;
                    }
                    use_watched();
                    let (here, address) = (self.here(), self.address());
                    let store = Box::new(move || here.store(value, order));
                    let buffered = Buffered { thread: current().id(), address, store };
                    BUFFERED.with_borrow_mut(|all| all.push(buffered));
                }

                pub fn swap(&self, value: $value, order: Ordering) -> $value {
                    self.update(order, || self.here().swap(value, order))
                }

                pub fn fetch_and(&self, value: $value, order: Ordering) -> $value {
                    self.update(order, || self.here().fetch_and(value, order))
                }

                pub fn fetch_or(&self, value: $value, order: Ordering) -> $value {
                    self.update(order, || self.here().fetch_or(value, order))
                }

                pub fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                    self.update(order, || self.here().fetch_add(value, order))
                }

                pub fn fetch_sub(&self, value: $value, order: Ordering) -> $value {
                    self.update(order, || self.here().fetch_sub(value, order))
                }

                pub fn compare_exchange(
                    &self,
                    current: $value,
                    new: $value,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$value, $value> {
                    flush();
                    use_watched();
                    let result = self.here().compare_exchange(current, new, success, failure);
                    PAST.with_borrow_mut(|past| {
                        if let Ok(before) = result {
                            past.changed(self.address(), before as u64);
                            past.updated(self.address(), success);
                        }
                        past.accessed();
                    });
                    result
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
