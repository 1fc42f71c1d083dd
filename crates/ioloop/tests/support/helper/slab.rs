//! `handlers N`: how many instructions the table takes where so many are registered: to find one, and to remove one and
//! register another.

use ioloop::slab::Slab;
use testing::{judged, tracer};

pub fn run(registered: usize) -> i32 {
    tracer::counted(|| {
        let mut handlers = Slab::default();
        // What it makes once, it has made.
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
