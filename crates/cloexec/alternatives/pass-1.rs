//! Another way for `cloexec/pass`: the child first sets close-on-exec on everything, and then copies every source twice: up,
//! and to its target. Its report is two numbers.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::path::Path;

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork, write};
use process::signals::Blocked;

use crate::image::Image;
use crate::{Error, Result, open, sweep};

const STEPS: [&str; 5] = ["close_range", "fcntl(F_DUPFD_CLOEXEC)", "dup2", "execve", "fcntl(F_SETFD)"];

/// Starts a program.
pub fn spawn(program: &Path, args: &[&OsStr], fds: &[(BorrowedFd<'_>, RawFd)]) -> Result<Pid> {
    let on = |step| Error::on(step, program.display());
    let image = Image::new(program, args).map_err(on("execve"))?;
    let above = above(fds).map_err(on("dup2"))?;
    let mut sources: Vec<RawFd> = fds.iter().map(|(source, _)| source.as_raw_fd()).collect();
    let listed = match sweep::close_range_cloexec(u32::MAX) {
        Err(errno) if sweep::is_refusal(errno) => Some(sweep::open_descriptors()?),
        answer => answer.map(|()| None).map_err(on("close_range"))?,
    };
    let (reader, writer) = open::pipe()?;
    let blocked = Blocked::new().map_err(on("pthread_sigmask"))?;
    // SAFETY: the child makes only system calls.
    let forked = unsafe { fork() }.map_err(on("fork"))?;
    let ForkResult::Parent { child } = forked else {
        blocked.remove_handlers();
        let mut pipe = writer.as_raw_fd();
        let (step, errno) = run(fds, &mut sources, above, listed.as_deref(), &mut pipe, &image);
        let report = (u64::from(step) << 32 | errno as u64).to_ne_bytes();
        // SAFETY: the copy of the write end is open.
        let _ = write(unsafe { BorrowedFd::borrow_raw(pipe) }, &report);
        // SAFETY: it has no preconditions.
        unsafe { libc::_exit(127) }
    };
    drop((blocked, writer));
    let mut report = Vec::new();
    let _ = File::from(reader).read_to_end(&mut report);
    let Ok(report) = <[u8; 8]>::try_from(report) else { return Ok(child) };
    while waitpid(child, None) == Err(Errno::EINTR) {}
    let report = u64::from_ne_bytes(report);
    let errno = Errno::from_raw(i32::try_from(report & 0xffff_ffff).unwrap_or(0));
    Err(on(STEPS[(report >> 32) as usize])(errno))
}

/// The number after the highest target.
fn above(fds: &[(BorrowedFd<'_>, RawFd)]) -> nix::Result<RawFd> {
    let twice = |i: usize| fds[..i].iter().any(|(_, target)| *target == fds[i].1);
    if (0..fds.len()).any(|i| fds[i].1 < 0 || twice(i)) {
        return Err(Errno::EINVAL);
    }
    fds.iter()
        .map(|(_, target)| *target)
        .max()
        .map_or(Ok(0), |highest| highest.checked_add(1).ok_or(Errno::EINVAL))
}

/// Becomes the program. Returns only the step that failed, and why.
fn run(
    fds: &[(BorrowedFd<'_>, RawFd)],
    sources: &mut [RawFd],
    above: RawFd,
    listed: Option<&[RawFd]>,
    pipe: &mut RawFd,
    image: &Image,
) -> (u32, Errno) {
    if let Err(errno) = set_all(listed) {
        return (if listed.is_some() { 4 } else { 0 }, errno);
    }
    for source in sources.iter_mut().chain([pipe]) {
        // SAFETY: the call takes integers.
        match Errno::result(unsafe { libc::fcntl(*source, libc::F_DUPFD_CLOEXEC, above) }) {
            Ok(copy) => *source = copy,
            Err(errno) => return (1, errno),
        }
    }
    for (source, (_, target)) in sources.iter().zip(fds) {
        // SAFETY: the call takes integers.
        if let Err(errno) = Errno::result(unsafe { libc::dup2(*source, *target) }) {
            return (2, errno);
        }
    }
    // SAFETY: the default action runs no handler.
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) };
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
    let Err(errno) = image.exec();
    (3, errno)
}

fn set_all(listed: Option<&[RawFd]>) -> nix::Result<()> {
    let Some(listed) = listed else { return sweep::close_range_cloexec(0) };
    for number in listed {
        // SAFETY: the call takes integers.
        match Errno::result(unsafe { libc::fcntl(*number, libc::F_SETFD, libc::FD_CLOEXEC) }) {
            Err(errno) if errno != Errno::EBADF => return Err(errno),
            _ => {}
        }
    }
    Ok(())
}
