//! Start a program with chosen descriptors at chosen numbers, and no others.
//!
//! Contract: the program gets every chosen descriptor at its number and no others, not even 0, 1 and 2 unless
//! you choose them. The caller's descriptors do not change. If the program cannot be started, the caller gets
//! the reason, which names the call that failed in the child, and no child remains.
//!
//! The caller may have threads. The child of its fork has only one, and if another thread held a lock at that
//! moment (the allocator's, for example), the lock stays locked in the child forever. Therefore everything that
//! allocates happens before the fork, and the child only makes system calls. Signals are blocked around the fork, until
//! the child has removed the caller's handlers.

use std::convert::Infallible;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::libc;
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork, write};
use process::signals::Blocked;

use crate::image::Image;
use crate::{Error, Result, open, sweep};

/// Starts `program` with `args`, the caller's environment and the chosen descriptors, and returns its pid.
///
/// The program's path goes before `args`, as `argv[0]`. Each pair in `fds` is a descriptor and the number at which
/// the program finds it. Pairs may overlap, swap numbers, name one descriptor twice, or leave a descriptor where it
/// is. In the program, `SIGPIPE` has its default disposition, other ignored signals stay ignored, and no signal is
/// blocked. A signal that reaches the child before its exec acts on the program: it runs no handler of the caller. The
/// caller must wait for the program with waitpid(2).
///
/// Two limits follow from other threads. If the kernel refuses `close_range`, the open descriptors are listed before
/// the fork, so an inheritable one that another thread opens after that reaches the program. If another thread
/// forks during the call, its child inherits the pipe that reports errors, so `spawn` returns only after that child
/// has called `execve` or exited.
///
/// # Errors
/// `EINVAL` if a number is negative, is chosen twice or leaves no room for copies above it, or if the path or an
/// argument contains a NUL byte; `EMFILE` if the process runs out of descriptors; `ENOMEM` from close_range(2) and, if the
/// kernel refuses `close_range`, the errors of [`sweep::open_descriptors`]; `EAGAIN` and `ENOMEM` from fork(2); and the
/// errors of execve(2), "ERRORS": `ENOENT`, `EACCES`, `ENOEXEC`, `E2BIG`. The error names the call that failed, in the
/// caller or in the child.
// ANCHOR: spawn
pub fn spawn(program: &Path, args: &[&OsStr], fds: &[(BorrowedFd<'_>, RawFd)]) -> Result<Pid> {
    let failed = |step, errno| Error::on(step, program.display())(errno);
    let image = Image::new(program, args).map_err(|errno| failed("execve", errno))?;
    let mut moves = Moves::new(program, fds)?;
    let (reader, writer) = open::pipe()?;
    let blocked = Blocked::new().map_err(|errno| failed("pthread_sigmask", errno))?;

    // SAFETY: `child` gets everything prebuilt. It makes only async-signal-safe calls, and it leaves through
    // `execve` or `_exit`, never through a return or a panic.
    match unsafe { fork() }.map_err(|errno| failed("fork", errno))? {
        ForkResult::Child => {
            // Before signals are unblocked: otherwise a handler of the caller could run here, and the program would miss the signal.
            blocked.remove_handlers();
            child(&mut moves, &writer, &image)
        }
        ForkResult::Parent { child } => {
            drop(blocked);
            // While this process has the write end open, the read below cannot reach end of file.
            drop(writer);
            let mut report = Vec::new();
            // The only error of reading a pipe is EINTR, and `read_to_end` retries it.
            let _ = File::from(reader).read_to_end(&mut report);
            // An empty report means that a successful `execve` closed the write end, or that a signal killed the child before it.
            if report.is_empty() {
                return Ok(child);
            }
            while waitpid(child, None) == Err(Errno::EINTR) {}
            let (step, errno) = failure(&report);
            Err(failed(step, errno))
        }
    }
}

/// The step that failed and its errno, from the five bytes that `child` writes.
fn failure(report: &[u8]) -> (&'static str, Errno) {
    // `child` writes five bytes or none. For any other number the step is called "fork", so that `spawn` cannot panic.
    let &[step, a, b, c, d] = report else { return ("fork", Errno::EIO) };
    let errno = Errno::from_raw(i32::from_ne_bytes([a, b, c, d]));
    (STEPS.get(usize::from(step)).unwrap_or(&"fork"), errno)
}
// ANCHOR_END: spawn

// ANCHOR: moves
/// The child's steps that can fail. The report through the pipe is an index into this table, and the errno.
const STEPS: [&str; 5] =
    ["fcntl(F_DUPFD_CLOEXEC)", "close_range(CLOSE_RANGE_CLOEXEC)", "dup2", "execve", "fcntl(F_SETFD)"];

/// Which descriptor goes to which number, and the data that the child needs to move it there.
struct Moves<'fd> {
    pairs: Vec<(BorrowedFd<'fd>, RawFd)>,
    /// The number after the highest target. Copies from here up are not overwritten.
    above: RawFd,
    /// The open descriptors, to set the flag on one by one, if the kernel refuses `close_range`.
    listed: Option<Vec<RawFd>>,
}

impl<'fd> Moves<'fd> {
    fn new(program: &Path, fds: &[(BorrowedFd<'fd>, RawFd)]) -> Result<Self> {
        let bad_number = || Error::on("dup2", program.display())(Errno::EINVAL);
        let mut targets: Vec<RawFd> = fds.iter().map(|(_, target)| *target).collect();
        targets.sort_unstable();
        if targets.first().is_some_and(|lowest| *lowest < 0) || targets.windows(2).any(|two| two[0] == two[1])
        {
            return Err(bad_number());
        }
        let above = match targets.last() {
            Some(highest) => highest.checked_add(1).ok_or_else(bad_number)?,
            None => 0,
        };
        // No descriptor is in this range, so the call changes nothing and only says whether the kernel has it.
        let listed = match sweep::close_range_cloexec(u32::MAX) {
            Ok(()) => None,
            Err(errno) if sweep::is_refusal(errno) => Some(sweep::open_descriptors()?),
            Err(errno) => return Err(Error::on(STEPS[1], program.display())(errno)),
        };
        Ok(Self { pairs: fds.to_vec(), above, listed })
    }
}
// ANCHOR_END: moves

// ANCHOR: child
fn child<'fd>(moves: &mut Moves<'fd>, writer: &'fd OwnedFd, image: &Image) -> ! {
    let mut writer = writer.as_fd();
    // `arrange` returns only an error, because a successful exec does not return. Its `Ok` type, `Infallible`, has no
    // values, so the compiler accepts this `let` without an `else`.
    let Err((step, errno)) = arrange(moves, &mut writer, image);
    let [a, b, c, d] = (errno as i32).to_ne_bytes();
    // If this fails too, the caller sees the program exit with 127.
    let _ = write(writer, &[step, a, b, c, d]);
    // SAFETY: `_exit` has no preconditions. `exit` would run the caller's atexit handlers.
    unsafe { libc::_exit(127) }
}

fn arrange<'fd>(
    moves: &mut Moves<'fd>,
    writer: &mut BorrowedFd<'fd>,
    image: &Image,
) -> std::result::Result<Infallible, (u8, Errno)> {
    // First copy every source and the pipe's write end above all targets, because each of their numbers may be a target.
    for source in moves.pairs.iter_mut().map(|(source, _)| source).chain([writer]) {
        let copy = fcntl(*source, FcntlArg::F_DUPFD_CLOEXEC(moves.above)).map_err(|errno| (0, errno))?;
        // SAFETY: the call succeeded, so the copy is open, and the child closes nothing before `execve`.
        *source = unsafe { BorrowedFd::borrow_raw(copy) };
    }
    // Then set close-on-exec on everything, including the copies …
    set_on_all(moves.listed.as_deref())?;
    // … and dup2 clears it on each target. (It does not if both numbers are equal, but no copy is at its target.)
    for (source, target) in &moves.pairs {
        // SAFETY: dup2 closes the child's copy of the target. Its owner is in the parent, which has its own table.
        Errno::result(unsafe { libc::dup2(source.as_raw_fd(), *target) }).map_err(|errno| (2, errno))?;
    }
    // Rust programs ignore SIGPIPE, and exec keeps both ignored signals and the signal mask. A signal that has come since
    // the fork acts now, without a handler.
    // SAFETY: the default action of a signal runs no handler.
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) };
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
    image.exec().map_err(|errno| (3, errno))
}

fn set_on_all(listed: Option<&[RawFd]>) -> std::result::Result<(), (u8, Errno)> {
    let Some(listed) = listed else { return sweep::close_range_cloexec(0).map_err(|errno| (1, errno)) };
    for number in listed {
        // SAFETY: the borrow only changes the flag of this child's own copy, and owns nothing.
        let fd = unsafe { BorrowedFd::borrow_raw(*number) };
        match fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)) {
            Ok(_) | Err(Errno::EBADF) => {} // EBADF: the descriptor was closed after it was listed
            Err(errno) => return Err((4, errno)),
        }
    }
    Ok(())
}
// ANCHOR_END: child
