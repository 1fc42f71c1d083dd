//! `capture CALLER INPUT PROGRAM …`: call `capture`, and print what came back and what is left.
//!
//! CALLER says what this process is like: see `caller`. INPUT is its length in bytes. The program `self` is this one, in
//! the role that the other arguments say.

use std::ffi::{CStr, CString};
use std::io::{self, Write, stdout};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout, getpid, write};
use process::capture::{Captured, Status, capture};
use testing::allocations::{self, Watched};
use testing::judged;

use super::caller::Caller;
use super::{interrupt, program, table};

#[global_allocator]
static ALLOCATOR: Watched = Watched;

/// The process that calls `capture`, and where it prints.
static CALLER: AtomicI32 = AtomicI32::new(0);
const REPORT: i32 = 100;

/// Prints `result …`, `status …`, `bytes …`, `said …` for each line of a short output, `children …`, `mask …`, `table …`
/// and `allocated …`, and what [`Caller::print`] does. A child that returns from `capture` prints `escaped …`, one that runs exit handlers `handlers …`, and one
/// that runs the handler of a signal `handled …`. If SIGTERM was sent to the child, it prints `signaled …`.
pub fn run(caller: &str, input: &str, program: &str, args: &[&str]) -> Result<(), String> {
    let input = program::pattern(input.parse().map_err(|_| "the input's length is a number")?);
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let path = if program == "self" { own.as_os_str().as_bytes() } else { program.as_bytes() };
    let path = CString::new(path).map_err(|error| error.to_string())?;
    // `self` has to run as the helper too: see `testing`.
    let words = ["--helper", "program"].iter().filter(|_| program == "self").chain(args);
    let args: Vec<CString> = words.filter_map(|word| CString::new(*word).ok()).collect();
    let args: Vec<&CStr> = args.iter().map(CString::as_c_str).collect();
    prepare().map_err(|error| error.to_string())?;

    let saved = save_streams().map_err(|error| error.to_string())?;
    let caller = Caller::new(caller, handled).map_err(|error| error.to_string())?;
    nix::unistd::alarm::set(5);
    let before = table::open_in("self");
    let call = || {
        let result = judged(|| capture(&path, &args, &input));
        if getpid().as_raw() != CALLER.load(Relaxed) {
            report("escaped from `capture`\n");
            // SAFETY: `_exit` has no preconditions.
            unsafe { libc::_exit(99) }
        }
        result
    };
    let called = caller.within_the_limit(|| allocations::in_a_child(call)).and_then(|called| called);
    let after = table::open_in("self");
    restore_streams(&saved).map_err(|error| error.to_string())?;

    let (result, allocated) = called.map_err(|error| error.to_string())?;
    print(&result).map_err(|error| error.to_string())?;
    if interrupt::signaled() {
        println!("signaled yes");
    }
    caller.print();
    match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        Err(Errno::ECHILD) => println!("children none"),
        Ok(WaitStatus::StillAlive) => println!("children one that is running"),
        other => println!("children a zombie: {other:?}"),
    }
    let mask = SigSet::thread_get_mask().map_err(|error| error.to_string())?;
    println!("mask {}", program::names(&mask));
    println!("table {}", if before == after { "same".into() } else { table::changes(&before, &after) });
    println!("allocated {}", if allocated { "yes" } else { "no" });
    Ok(())
}

/// Leaves the standard streams only, and installs an exit handler that says whether a child runs it.
fn prepare() -> nix::Result<()> {
    extern "C" fn handler() {
        if getpid().as_raw() != CALLER.load(Relaxed) {
            report("handlers ran in the child\n");
        }
    }
    table::clean();
    CALLER.store(getpid().as_raw(), Relaxed);
    // SAFETY: the handler makes only system calls.
    unsafe { libc::atexit(handler) };
    testing::ignore_sigpipe();
    SigSet::from(Signal::SIGUSR2).thread_block()?;
    interrupt::install()
}

extern "C" fn handled(_: libc::c_int) {
    report("handled in the child\n");
}

fn print(result: &io::Result<Captured>) -> io::Result<()> {
    let mut out = stdout().lock();
    let Captured { output, status } = match result {
        Err(error) => {
            let errno = error
                .raw_os_error()
                .map_or("without an errno".into(), |raw| format!("{:?}", Errno::from_raw(raw)));
            return writeln!(out, "result Err {errno}: {error}");
        }
        Ok(captured) => captured,
    };
    writeln!(out, "result Ok")?;
    match status {
        Status::Exited(code) => writeln!(out, "status exited with {code}")?,
        Status::Killed(signal) => writeln!(out, "status killed by {signal}")?,
    }
    let kind = if *output == program::pattern(output.len()) { "in order" } else { "others" };
    writeln!(out, "bytes {} {kind}", output.len())?;
    if output.len() < 4096 {
        for line in String::from_utf8_lossy(output).lines() {
            writeln!(out, "said {line}")?;
        }
    }
    Ok(())
}

/// Copies 0, 1 and 2 up, and the output once more to `REPORT`. All copies are close-on-exec.
fn save_streams() -> nix::Result<Vec<OwnedFd>> {
    let copy = |fd: BorrowedFd<'_>, least| {
        // SAFETY: F_DUPFD_CLOEXEC returns a new descriptor, so nothing else owns it.
        fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(least)).map(|new| unsafe { OwnedFd::from_raw_fd(new) })
    };
    let (input, output, error) = (io::stdin(), io::stdout(), io::stderr());
    let report = copy(output.as_fd(), REPORT)?;
    let mut saved = vec![copy(input.as_fd(), 200)?, copy(output.as_fd(), 200)?, copy(error.as_fd(), 200)?];
    saved.push(report);
    Ok(saved)
}

fn restore_streams(saved: &[OwnedFd]) -> nix::Result<()> {
    dup2_stdin(&saved[0])?;
    dup2_stdout(&saved[1])?;
    dup2_stderr(&saved[2])
}

/// Prints a line with one system call.
fn report(line: &str) {
    // SAFETY: `save_streams` opened it, and nothing closes it.
    let _ = write(unsafe { BorrowedFd::borrow_raw(REPORT) }, line.as_bytes());
}
