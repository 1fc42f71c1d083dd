//! Another way for `cloexec/pass`: the child reports through memory that it shares with its parent. The pipe only says when
//! the child has started the program or is gone.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::num::NonZero;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::libc;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork};
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
    let report = Report::new().map_err(on("mmap"))?;
    let (reader, writer) = open::pipe()?;
    let blocked = Blocked::new().map_err(on("pthread_sigmask"))?;
    // SAFETY: the child makes only system calls.
    let forked = unsafe { fork() }.map_err(on("fork"))?;
    let ForkResult::Parent { child } = forked else {
        blocked.remove_handlers();
        let mut pipe = writer.as_raw_fd();
        let (step, errno) = run(fds, &mut sources, above, listed.as_deref(), &mut pipe, &image);
        report.number().store(u64::from(step) << 32 | errno as u64, Ordering::Release);
        // SAFETY: it has no preconditions.
        unsafe { libc::_exit(127) }
    };
    drop((blocked, writer));
    // End of file: the child closes nothing before, and writes nothing.
    let _ = File::from(reader).read_to_end(&mut Vec::new());
    let report = report.number().load(Ordering::Acquire);
    if report == 0 {
        return Ok(child);
    }
    while waitpid(child, None) == Err(Errno::EINTR) {}
    let errno = Errno::from_raw(i32::try_from(report & 0xffff_ffff).unwrap_or(0));
    Err(on(STEPS[(report >> 32) as usize])(errno))
}

/// A number in memory that a child of this process shares.
struct Report(NonNull<libc::c_void>);

const SIZE: NonZero<usize> = NonZero::<usize>::new(size_of::<AtomicU64>()).expect("eight bytes");

impl Report {
    fn new() -> nix::Result<Self> {
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping, at an address that the kernel chooses.
        unsafe { mmap_anonymous(None, SIZE, access, MapFlags::MAP_SHARED) }.map(Self)
    }

    fn number(&self) -> &AtomicU64 {
        // SAFETY: the mapping is as large, aligned, zeroed, and lives as long as `self`.
        unsafe { self.0.cast().as_ref() }
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        // SAFETY: nothing else has the address.
        let _ = unsafe { munmap(self.0, SIZE.get()) };
    }
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
