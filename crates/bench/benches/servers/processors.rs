//! Which processor a thread or a process runs on.

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

/// Let the calling thread run on one processor only. A process that may not choose, or has one alone, leaves it to the
/// kernel.
pub fn on_processor(number: usize) {
    move_to_processor(Pid::from_raw(0), number);
}

/// Let a process that has one thread run on one processor only, as [`on_processor`] does.
pub fn move_to_processor(process: Pid, number: usize) {
    let mut one = CpuSet::new();
    if one.set(number).is_ok() {
        let _ = sched_setaffinity(process, &one);
    }
}

/// Let the calling thread run on any processor.
pub fn on_any_processor() {
    let mut anywhere = CpuSet::new();
    for processor in 0..CpuSet::count() {
        let _ = anywhere.set(processor);
    }
    let _ = sched_setaffinity(Pid::from_raw(0), &anywhere);
}
