//! Mistake: where close_range is refused, nothing is started.
//! Caught by: where_close_range_is_refused_nothing_else_is_inherited_either
//! Message: the program was not started

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

use crate::image::Image;
use crate::{Error, Result, open, sweep};

/// Start `program` with `args` (its path goes before them, as `argv[0]`) and the caller's environment. Each
/// pair in `fds` is a descriptor and the number at which the program finds it; pairs may overlap, swap
/// numbers, name one descriptor twice, or leave one where it is. `SIGPIPE` has its default disposition in the
/// program, and no signal is blocked. The caller waits for the program: waitpid(2).
pub fn spawn(program: &Path, args: &[&OsStr], fds: &[(BorrowedFd<'_>, RawFd)]) -> Result<Pid> {
    let failed = |step, errno| Error::on(step, program.display())(errno);
    let image = Image::new(program, args).map_err(|errno| failed("execve", errno))?;
    let mut moves = Moves::new(fds).map_err(|errno| failed("dup2", errno))?;
    let (reader, writer) = open::pipe()?;

    // SAFETY: `child` was given all it needs ready-made. It makes async-signal-safe calls only, and leaves
    // through `execve` or `_exit`, never through a return or a panic.
    match unsafe { fork() }.map_err(|errno| failed("fork", errno))? {
        ForkResult::Child => child(&mut moves, &writer, &image),
        ForkResult::Parent { child } => {
            // With our copy of the write end open, the read below would never come to an end.
            drop(writer);
            let mut report = Vec::new();
            // A pipe has no error for its reader but EINTR, and that is tried again in here.
            let _ = File::from(reader).read_to_end(&mut report);
            // Empty: the write end was closed by a successful `execve`.
            let [step, errno @ ..] = &report[..] else { return Ok(child) };
            while waitpid(child, None) == Err(Errno::EINTR) {}
            let errno =
                errno.try_into().map_or(Errno::EIO, |bytes| Errno::from_raw(i32::from_ne_bytes(bytes)));
            Err(failed(STEPS.get(usize::from(*step)).unwrap_or(&"fork"), errno))
        }
    }
}

/// The steps of the child that can fail; what travels through the pipe is a position in here, and the errno.
const STEPS: [&str; 4] = ["fcntl(F_DUPFD_CLOEXEC)", "close_range(CLOSE_RANGE_CLOEXEC)", "dup2", "execve"];

/// What goes where, and what the child needs to know to get it there.
struct Moves<'fd> {
    pairs: Vec<(BorrowedFd<'fd>, RawFd)>,
    /// The number after the highest target: from here on nothing is overwritten.
    above: RawFd,
    /// What to mark one by one, if the kernel does not do it for us.
    listed: Option<Vec<RawFd>>,
}

impl<'fd> Moves<'fd> {
    fn new(fds: &[(BorrowedFd<'fd>, RawFd)]) -> nix::Result<Self> {
        let mut targets: Vec<RawFd> = fds.iter().map(|(_, target)| *target).collect();
        targets.sort_unstable();
        if targets.first().is_some_and(|lowest| *lowest < 0) || targets.windows(2).any(|two| two[0] == two[1])
        {
            return Err(Errno::EINVAL);
        }
        let above = targets.last().map_or(Some(0), |highest| highest.checked_add(1)).ok_or(Errno::EINVAL)?;
        // Asked about numbers that nobody has, so that the answer is all that happens.
        let listed = match sweep::close_range_cloexec(u32::MAX) {
            answer => answer.map(|()| None)?,
        };
        Ok(Self { pairs: fds.to_vec(), above, listed })
    }
}

fn child<'fd>(moves: &mut Moves<'fd>, writer: &'fd OwnedFd, image: &Image) -> ! {
    let mut writer = writer.as_fd();
    let Err((step, errno)) = arrange(moves, &mut writer, image);
    let [a, b, c, d] = (errno as i32).to_ne_bytes();
    // If even this fails, the caller sees the program end with 127.
    let _ = write(writer, &[step, a, b, c, d]);
    // SAFETY: `_exit` may be called anywhere. `exit` would run what the caller registered for its own end.
    unsafe { libc::_exit(127) }
}

fn arrange<'fd>(
    moves: &mut Moves<'fd>,
    writer: &mut BorrowedFd<'fd>,
    image: &Image,
) -> std::result::Result<Infallible, (u8, Errno)> {
    // First out of the way: a source may sit where another one goes, and so may the pipe.
    for source in moves.pairs.iter_mut().map(|(source, _)| source).chain([writer]) {
        let copy = fcntl(*source, FcntlArg::F_DUPFD_CLOEXEC(moves.above)).map_err(|errno| (0, errno))?;
        // SAFETY: the call succeeded, so the copy is open, and the child closes nothing before `execve`.
        *source = unsafe { BorrowedFd::borrow_raw(copy) };
    }
    // Then everything is marked, the copies too …
    mark_all(moves.listed.as_deref()).map_err(|errno| (1, errno))?;
    // … and what lands on its number is not: dup2 clears the mark, since no copy is where it goes already.
    for (source, target) in &moves.pairs {
        // SAFETY: what the target number held belongs to the caller, whose descriptors are another table's.
        Errno::result(unsafe { libc::dup2(source.as_raw_fd(), *target) }).map_err(|errno| (2, errno))?;
    }
    // Rust ignores SIGPIPE, and what is ignored or blocked stays so across exec.
    // SAFETY: the default disposition is no handler, so there is nothing that could run at a bad moment.
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) };
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
    image.exec().map_err(|errno| (3, errno))
}

fn mark_all(listed: Option<&[RawFd]>) -> nix::Result<()> {
    let Some(listed) = listed else { return sweep::close_range_cloexec(0) };
    for number in listed {
        // SAFETY: only the mark of this child's own copy changes, and nothing is owned through the borrow.
        let fd = unsafe { BorrowedFd::borrow_raw(*number) };
        match fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)) {
            Ok(_) | Err(Errno::EBADF) => {} // not open: closed since it was listed, by us or another thread
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
