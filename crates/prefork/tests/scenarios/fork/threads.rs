//! Forking with other threads: running, exiting and joined ones.

use std::sync::mpsc::channel;
use std::thread;

use nix::libc;
use nix::sys::prctl;
use nix::unistd::getpid;
use testing::proc::state;

use super::super::support::helper::children::left;
use super::{fork, fork_and_wait, say, words};

/// Fork with this many threads, the calling one included. Then join the others, and fork again.
pub fn alive(count: &str) {
    let count: usize = count.parse().expect("a number of threads");
    let others: Vec<_> = (1..count)
        .map(|_| {
            let (end, told) = channel::<()>();
            (end, thread::spawn(move || told.recv()))
        })
        .collect();
    let result = fork(|| {
        say("the child ran");
        0
    });
    println!("result {}", words(result.map(|child| child.pid())));
    println!("children {}", left());
    for (end, other) in others {
        drop(end);
        let _ = other.join();
    }
    println!("then {}", fork_and_wait(|| 3));
}

/// Fork with another thread, whose name looks like the fields that follow the name in proc_pid_stat(5): read as fields,
/// they would say that the thread is exiting.
pub fn with_a_name() {
    let ((end, told), (named, is_named)) = (channel::<()>(), channel());
    let other = thread::spawn(move || {
        let _ = named.send(prctl::set_name(c")0 0 0 0 0 0 4 "));
        told.recv()
    });
    is_named.recv().expect("the thread sends a message").expect("a thread can have any name");
    println!("result {}", words(fork(|| 0).map(|child| child.pid())));
    drop(end);
    let _ = other.join();
}

/// Fork right after joining a thread, a hundred times.
pub fn joined() {
    for _ in 0..100 {
        let _ = thread::spawn(|| ()).join();
        println!("joined {}", fork_and_wait(|| 3));
    }
}

/// Fork from a second thread after the main thread has exited.
pub fn main_ended() {
    thread::spawn(|| {
        while state(getpid()) != Some('Z') {
            thread::yield_now();
        }
        println!("status {}", fork_and_wait(|| 3));
        std::process::exit(0);
    });
    // SAFETY: it ends this thread, and no other thread has a reference into its stack.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
}
