//! Another way for `process/capture`: a thread writes the input while the caller reads the output, so a program may print
//! and read in any order. The thread has blocked signals, as the child has until its exec.

use std::ffi::{CStr, c_int};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::{mem, ptr, thread};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::unistd::{ForkResult, fork, pipe2};

/// What a program printed, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    /// What it wrote to its standard output.
    pub output: Vec<u8>,
    /// How it ended.
    pub status: Status,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// With this code.
    Exited(i32),
    /// By this signal.
    Killed(Signal),
}

/// Runs a program.
pub fn capture(program: &CStr, args: &[&CStr], input: &[u8]) -> io::Result<Captured> {
    let mut argv = vec![program.as_ptr()];
    argv.extend(args.iter().map(|arg| arg.as_ptr()));
    argv.push(ptr::null());
    let [stdin, to_program] = pipe()?;
    let [from_program, stdout] = pipe()?;
    let mask = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    // SAFETY: the child makes only system calls.
    let forked = unsafe { fork() };
    if let Ok(ForkResult::Child) = forked {
        exec(&argv, stdin.as_raw_fd(), stdout.as_raw_fd(), mask);
    }
    let _ = mask.thread_set_mask();
    let ForkResult::Parent { child } = forked? else { unreachable!("the child does not return") };
    drop((stdin, stdout));
    let mut output = Vec::new();
    let read = thread::scope(|scope| {
        let feed = move || File::from(to_program).write_all(input);
        let blocked = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK);
        let feeding = thread::Builder::new().spawn_scoped(scope, feed);
        if let Ok(mask) = blocked {
            let _ = mask.thread_set_mask();
        }
        feeding.map(drop)?;
        File::from(from_program).read_to_end(&mut output)
    });
    let mut status: c_int = 0;
    // SAFETY: the kernel writes one integer.
    while unsafe { libc::waitpid(child.as_raw(), &raw mut status, 0) } < 0 {
        if Errno::last() != Errno::EINTR {
            return Err(io::Error::last_os_error());
        }
    }
    read?;
    let status = match libc::WIFSIGNALED(status) {
        true => Status::Killed(Signal::try_from(libc::WTERMSIG(status))?),
        false => Status::Exited(libc::WEXITSTATUS(status)),
    };
    Ok(Captured { output, status })
}

fn exec(argv: &[*const libc::c_char], stdin: c_int, stdout: c_int, mask: SigSet) -> ! {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: a structure of integers, which the call fills in.
        let mut action: libc::sigaction = unsafe { mem::zeroed() };
        // SAFETY: the call reads the action, and writes none.
        let known = unsafe { libc::sigaction(signal, ptr::null(), &raw mut action) } == 0;
        if known && action.sa_sigaction != libc::SIG_IGN {
            // SAFETY: the default action runs no code of this process.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
    }
    // SAFETY: the calls take integers. The pipes are close-on-exec, and are above 2.
    let moved = unsafe { libc::dup2(stdin, 0) } == 0 && unsafe { libc::dup2(stdout, 1) } == 1;
    let _ = mask.thread_set_mask();
    if moved {
        // SAFETY: the strings end in NUL, and the array in a null pointer.
        unsafe { libc::execv(argv[0], argv.as_ptr()) };
    }
    // SAFETY: it has no preconditions.
    unsafe { libc::_exit(127) }
}

/// A pipe above 2.
fn pipe() -> nix::Result<[OwnedFd; 2]> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    let above = |end: OwnedFd| {
        if end.as_raw_fd() > 2 {
            return Ok(end);
        }
        // SAFETY: the call takes integers.
        let copy = Errno::result(unsafe { libc::fcntl(end.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 3) })?;
        // SAFETY: it is new, so nothing else owns it.
        Ok(unsafe { OwnedFd::from_raw_fd(copy) })
    };
    Ok([above(reader)?, above(writer)?])
}
