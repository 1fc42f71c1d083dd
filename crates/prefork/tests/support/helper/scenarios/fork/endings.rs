//! How a child ends, and that it does.

use std::io::{Read, Seek, stderr};
use std::os::fd::AsFd;
use std::panic::panic_any;
use std::sync::atomic::{AtomicI32, Ordering};

use nix::libc;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::{dup, dup2_stderr, getpid};

use super::{fork_and_wait, say};

/// `code GIVEN STATUS`
pub fn codes() {
    for code in [0, 1, 7, 255, 256, 263, -1] {
        println!("code {code} {}", fork_and_wait(|| code));
    }
}

/// A child that panics, with words in its buffers. What it wrote to standard error becomes lines of output.
pub fn panic(how: &str) {
    let file = memfd_create("stderr", MFdFlags::MFD_CLOEXEC).expect("a file can be made in memory");
    let before = dup(stderr()).expect("standard error is open");
    dup2_stderr(&file).expect("standard error can be replaced");
    let status = fork_and_wait(|| match how {
        "words" => {
            print!("rust-in-the-child ");
            // SAFETY: the format ends with NUL, and asks for no argument.
            unsafe { libc::printf(c"c-in-the-child ".as_ptr()) };
            panic!("the child fell")
        }
        _ => panic_any(PanicsAgain),
    });
    dup2_stderr(before.as_fd()).expect("standard error can be put back");
    println!("\nstatus {status}");
    let mut text = String::new();
    let mut file = std::fs::File::from(file);
    let _ = file.rewind();
    let _ = file.read_to_string(&mut text);
    for line in text.lines() {
        println!("stderr {line}");
    }
}

/// What panics when it is dropped.
struct PanicsAgain;

impl Drop for PanicsAgain {
    fn drop(&mut self) {
        panic!("and again");
    }
}

/// What is to be done at the end of this process, registered before the fork.
pub fn at_exit() {
    static REGISTERED: AtomicI32 = AtomicI32::new(0);
    extern "C" fn at_exit() {
        let parent = REGISTERED.load(Ordering::Relaxed) == getpid().as_raw();
        say(if parent { "at-exit parent" } else { "at-exit child" });
    }
    REGISTERED.store(getpid().as_raw(), Ordering::Relaxed);
    // SAFETY: the function does not unwind, and needs nothing that could be gone by then.
    unsafe { libc::atexit(at_exit) };
    println!("status {}", fork_and_wait(|| 3));
}

/// A child that has a child.
pub fn grandchild() {
    let status = fork_and_wait(|| {
        say(&format!("grandchild {}", fork_and_wait(|| 5)));
        6
    });
    println!("status {status}");
}
