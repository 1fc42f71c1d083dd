//! Output buffers and random numbers across a fork.

use std::ffi::CStr;
use std::io::{Write, stdout};
use std::os::fd::IntoRawFd;

use nix::libc;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{dup, getpid};
use prefork::status::Status;
use testing::REFUSED;

use super::super::support::helper::children::{raw_wait, start};
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
    let seed = || {
        // SAFETY: as in `four`.
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

fn four() -> String {
    let numbers = [(); 4].map(|()| {
        // SAFETY: this process has one thread, and the call changes only the C library's state.
        unsafe { libc::rand() }.to_string()
    });
    numbers.join(" ")
}

/// Fork a child that prints `process PID NUMBERS`, in each of two PID namespaces. Each child is the first process of its
/// namespace.
pub fn random_in_two_containers() -> i32 {
    for _ in 0..2 {
        let container = start(|| {
            if let Err(errno) = unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWPID) {
                eprintln!("a PID namespace: {errno}");
                return REFUSED;
            }
            let status = fork_and_wait(|| {
                say(&format!("process {} {}", getpid(), four()));
                0
            });
            say(&format!("status {status}"));
            0
        });
        match raw_wait(container, 0).map(Status::from_raw) {
            Ok(Status::Exited(0)) => {}
            Ok(Status::Exited(code)) => return code,
            _ => return 1,
        }
    }
    0
}

/// Two children print four random numbers each, in a sandbox that forbids getrandom.
pub fn random_forbidden() -> i32 {
    if let Err(errno) = super::refused::forbid(libc::SYS_getrandom) {
        eprintln!("seccomp: {errno}");
        return REFUSED;
    }
    for _ in 0..2 {
        let status = fork_and_wait(|| {
            say(&format!("child {}", four()));
            0
        });
        println!("status {status}");
    }
    0
}

/// Sixty children print their first random number.
pub fn many_random() {
    for _ in 0..60 {
        fork_and_wait(|| {
            // SAFETY: as in `four`.
            say(&format!("first {}", unsafe { libc::rand() }));
            0
        });
    }
}
