//! What is buffered when a process forks, and what is random.

use std::ffi::CStr;
use std::io::{Write, stdout};
use std::os::fd::IntoRawFd;

use nix::libc;
use nix::unistd::dup;

use super::{fork_and_wait, say};

/// Words without an end of line, in the buffers of Rust's standard output, of C's, and of a stream of C's: three
/// from this process, three from its child.
pub fn output() {
    let copy = dup(stdout()).expect("standard output is open").into_raw_fd();
    // SAFETY: a new descriptor, for the stream to own, and a mode that ends with NUL.
    let stream = unsafe { libc::fdopen(copy, c"w".as_ptr()) };
    assert!(!stream.is_null(), "a descriptor can be a stream");
    let put = |text: &CStr| {
        // SAFETY: the stream is open until the end, and the text ends with NUL.
        unsafe { libc::fputs(text.as_ptr(), stream) };
    };
    print!("rust-before ");
    // SAFETY: the format ends with NUL, and asks for no argument.
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
    // SAFETY: the stream is open, and is not used again.
    unsafe { libc::fclose(stream) };
    // SAFETY: a null pointer stands for every stream.
    unsafe { libc::fflush(std::ptr::null_mut()) };
    println!("\nstatus {status}");
}

/// Four of C's random numbers: as they would be, in this process, and in two children.
pub fn random() {
    let four = || {
        let numbers = [(); 4].map(|()| {
            // SAFETY: this process has one thread, and what the call changes is the C library's own.
            unsafe { libc::rand() }.to_string()
        });
        numbers.join(" ")
    };
    let seed = || {
        // SAFETY: as above.
        unsafe { libc::srand(42) }
    };
    seed();
    println!("meant {}", four());
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
