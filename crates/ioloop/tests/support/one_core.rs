//! Threads that share a core, so that one of them runs exactly when another one sleeps.

use nix::errno::Errno;
use nix::libc;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

/// Pins this thread to this core. If it `gives_way`, it runs only when no other thread wants the core: see SCHED_IDLE
/// in sched(7).
pub fn share_a_core(core: usize, gives_way: bool) {
    let mut cores = CpuSet::new();
    cores.set(core).unwrap();
    sched_setaffinity(Pid::from_raw(0), &cores).expect("a thread can give up cores");
    if gives_way {
        let priority = libc::sched_param { sched_priority: 0 };
        // SAFETY: the call reads the parameter, and keeps no pointer to it.
        let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const priority) };
        Errno::result(result).expect("a thread can give way to all others");
    }
}
