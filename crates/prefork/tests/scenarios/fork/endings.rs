//! The ways in which a child ends: exit codes, panics, exit handlers.

use std::io::{Read, Seek, stderr};
use std::os::fd::AsFd;
use std::panic::panic_any;
use std::sync::atomic::{AtomicI32, Ordering};

use nix::libc;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::{dup, dup2_stderr, getpid};

use super::{fork_and_wait, say};

/// Prints `code RETURNED STATUS` for each value that the closure returns.
pub fn codes() {
    for code in [0, 1, 7, 255, 256, 263, -1] {
        println!("code {code} {}", fork_and_wait(|| code));
    }
}

/// The child panics with words in its output buffers. Prints its standard error, each line after `stderr`.
pub fn panic(how: &str) {
    let file = memfd_create("stderr", MFdFlags::MFD_CLOEXEC).expect("the system has memory for a memfd");
    let before = dup(stderr()).expect("standard error is open");
    dup2_stderr(&file).expect("standard error can be replaced");
    let status = fork_and_wait(|| match how {
        "words" => {
            print!("rust-in-the-child ");
            // SAFETY: the format ends with NUL and takes no arguments.
            unsafe { libc::printf(c"c-in-the-child ".as_ptr()) };
            panic!("the child panics")
        }
        _ => panic_any(PanicsAgain),
    });
    dup2_stderr(before.as_fd()).expect("standard error can be restored");
    println!("\nstatus {status}");
    let mut text = String::new();
    let mut file = std::fs::File::from(file);
    let _ = file.rewind();
    let _ = file.read_to_string(&mut text);
    for line in text.lines() {
        println!("stderr {line}");
    }
}

/// A panic payload that panics when it is dropped.
struct PanicsAgain;

impl Drop for PanicsAgain {
    fn drop(&mut self) {
        panic!("the payload panics");
    }
}

/// The parent registers an exit handler before the fork. The handler prints in which process it runs.
pub fn at_exit() {
    static REGISTERED: AtomicI32 = AtomicI32::new(0);
    extern "C" fn at_exit() {
        let parent = REGISTERED.load(Ordering::Relaxed) == getpid().as_raw();
        say(if parent { "at-exit parent" } else { "at-exit child" });
    }
    REGISTERED.store(getpid().as_raw(), Ordering::Relaxed);
    // SAFETY: the function does not unwind, and uses nothing that is gone at exit.
    unsafe { libc::atexit(at_exit) };
    println!("status {}", fork_and_wait(|| 3));
}

/// The child forks too.
pub fn grandchild() {
    let status = fork_and_wait(|| {
        say(&format!("grandchild {}", fork_and_wait(|| 5)));
        6
    });
    println!("status {status}");
}
