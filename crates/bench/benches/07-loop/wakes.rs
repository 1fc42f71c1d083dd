//! A wake of a loop that is awake, or about to be: what its handle costs another thread then.

use std::hint::black_box;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use bench::compare;
use ioloop::{Config, Current, IoLoop};

/// The loop takes them out after so many.
const POSTS: usize = 1000;

type Callback = Box<dyn FnOnce(&IoLoop) + Send>;

pub fn all() {
    // Not this thread's current loop, so that the handle takes it for another's.
    let ioloop = IoLoop::with(Config { make_current: Current::No, ..Config::default() }).expect("a loop");
    let handle = ioloop.handle();
    let flag = AtomicBool::new(true);
    handle.stop().expect("a wake");
    compare(
        "stop by a handle while a wake is pending, beside an atomic swap",
        || {
            black_box(black_box(&flag).swap(true, Ordering::AcqRel));
        },
        || black_box(&handle).stop().expect("no wake is needed"),
    );
    ioloop.start().expect("it was stopped");
    let queue: Mutex<Vec<Callback>> = Mutex::default();
    compare(
        "1000 callbacks by a handle, and run, beside a vector of boxes behind a mutex",
        || {
            (0..POSTS).for_each(|_| queue.lock().expect("no panic").push(Box::new(|_| ())));
            let sent = std::mem::take(&mut *queue.lock().expect("no panic"));
            sent.into_iter().for_each(|callback| callback(&ioloop));
        },
        || {
            (0..POSTS).for_each(|_| handle.add_callback(|_| ()).expect("one wake"));
            handle.add_callback(IoLoop::stop).expect("no wake is needed");
            ioloop.start().expect("it runs");
        },
    );
}
