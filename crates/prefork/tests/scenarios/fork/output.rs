//! Output buffers and random numbers across a fork.

use std::ffi::CStr;
use std::io::{Write, stdout};
use std::os::fd::IntoRawFd;

use nix::libc;
use nix::unistd::dup;

use super::{fork_and_wait, say};

/// Put words without a newline into three buffers: Rust's standard output, C's standard output, and a C stream. The
/// parent writes three before the fork, and the child three after it.
pub fn output() {
    let copy = dup(stdout()).expect("standard output is open").into_raw_fd();
    // SAFETY: the stream takes over a new descriptor, and the mode ends with NUL.
    let stream = unsafe { libc::fdopen(copy, c"w".as_ptr()) };
    assert!(!stream.is_null(), "fdopen has failed");
    let put = |text: &CStr| {
        // SAFETY: the stream is open, and the text ends with NUL.
        unsafe { libc::fputs(text.as_ptr(), stream) };
    };
    print!("rust-before ");
    // SAFETY: the format ends with NUL and takes no arguments.
    unsafe { libc::printf(c"c-before ".as_ptr()) };
    put(c"stream-before ");
    let status = fork_and_wait(|| {
        print!("rust-in-the-child ");
        // SAFETY: as above.
        unsafe { libc::printf(c"c-in-the-child ".as_ptr()) };
        put(c"stream-in-the-child ");
        0
    });
    let _ = stdout().flush();
    // SAFETY: the stream is open, and not used again.
    unsafe { libc::fclose(stream) };
    // SAFETY: a null pointer stands for every stream.
    unsafe { libc::fflush(std::ptr::null_mut()) };
    println!("\nstatus {status}");
}

/// Print four random numbers of C's generator: those that follow the seed, and those in the parent and in two children.
pub fn random() {
    let four = || {
        let numbers = [(); 4].map(|()| {
            // SAFETY: this process has one thread, and the call changes only the C library's state.
            unsafe { libc::rand() }.to_string()
        });
        numbers.join(" ")
    };
    let seed = || {
        // SAFETY: as above.
        unsafe { libc::srand(42) }
    };
    seed();
    println!("seeded {}", four());
    seed();
    for _ in 0..2 {
        let status = fork_and_wait(|| {
            say(&format!("child {}", four()));
            0
        });
        println!("status {status}");
    }
    println!("parent {}", four());
}

/// Sixty children print their first random number.
pub fn many_random() {
    for _ in 0..60 {
        fork_and_wait(|| {
            // SAFETY: as in `random`.
            say(&format!("first {}", unsafe { libc::rand() }));
            0
        });
    }
}
