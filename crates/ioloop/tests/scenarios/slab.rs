//! `slab N`: how many instructions the slab takes when it has N entries: to find one, and to remove one and insert
//! another.

use ioloop::slab::Slab;
use testing::{judged, tracer};

pub fn run(registered: usize) -> i32 {
    tracer::counted(|| {
        let mut handlers = Slab::default();
        // What the slab allocates once is allocated by now.
        let warm = handlers.insert(0);
        handlers.remove(warm);
        let last = (0..registered).map(|n| handlers.insert(n)).last();
        let Some(last) = last else { return 1 };
        let found = judged(|| handlers.get_mut(last).is_some());
        judged(|| {
            handlers.remove(last);
            handlers.insert(0)
        });
        i32::from(!found)
    })
}
