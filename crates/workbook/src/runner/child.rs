//! A program that runs, and ends here at the latest: dropping it kills and reaps all that is left of it.

use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{self, Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{Pid, getpid, getppid};

use super::{interrupt, proc, temporary};

/// How long the killed may take to go. One that the kernel holds (in state D), or that has become another
/// user's, is not worth waiting for without end.
const GOING: Duration = Duration::from_secs(5);

/// What belongs to a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Its process group. A process that left it did so on purpose, such as a compiler's cache server.
    Group,
    /// Its process group, and the processes that left it: orphans come to this process, their subreaper.
    All,
    /// All, but in this process's group, where it may read the terminal.
    Foreground,
}

/// A program that runs.
pub struct Child {
    child: process::Child,
    family: Family,
    /// Children that this process had before: a shell can start some, and then become this program.
    inherited: Vec<Pid>,
    /// How it ended, once all of it has.
    status: Option<ExitStatus>,
    /// Readable once it has ended. Older kernels have none, and are asked now and then.
    ended: Option<OwnedFd>,
}

impl Child {
    pub fn start(command: &mut Command, family: Family) -> Result<Self> {
        interrupt::catch();
        interrupt::check()?;
        let inherited = match family {
            Family::Group => Vec::new(),
            _ => proc::below(getpid(), &[]),
        };
        if family != Family::Group {
            // Without this an orphan goes to init, and could not be found.
            let _ = prctl::set_child_subreaper(true);
        }
        if family != Family::Foreground {
            command.process_group(0);
        }
        if let Some(folder) = temporary::instead() {
            command.env("TMPDIR", folder);
        }
        begins_with_default_signals(command, family);
        ends_with_this(command, Signal::SIGKILL);
        let child = command.spawn();
        let child = child.with_context(|| format!("cannot start {}", command.get_program().display()))?;
        let ended = pidfd(pid_of(&child));
        Ok(Self { child, family, inherited, status: None, ended })
    }

    pub fn pid(&self) -> Pid {
        pid_of(&self.child)
    }

    /// Wait until there is something to read here, or the program has ended, or the time is over, or a signal
    /// came. Says whether there is something to read, be it end of file.
    pub fn news(&self, pipe: Option<BorrowedFd<'_>>, wait: Duration) -> bool {
        let timeout = PollTimeout::try_from(wait).unwrap_or(PollTimeout::ZERO);
        let mut fds: Vec<PollFd<'_>> = pipe.iter().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect();
        fds.extend(self.ended.iter().map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)));
        matches!(poll(&mut fds, timeout), Ok(n) if n > 0) && pipe.is_some() && fds[0].any() == Some(true)
    }

    /// Has its first process ended? That stays unreaped, so that its number, and its group's, stay taken.
    pub fn has_ended(&self) -> bool {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        !matches!(waitid(Id::Pid(self.pid()), flags), Ok(WaitStatus::StillAlive))
    }

    /// All its processes. Orphans that have ended are reaped on the way, as init would have done.
    pub fn processes(&self) -> Vec<Pid> {
        let all = proc::below(getpid(), &self.inherited);
        all.into_iter().filter(|pid| *pid == self.pid() || !reap(*pid)).collect()
    }

    /// Kill and reap whatever is left, and say how its first process ended. A fork cannot slip through: the
    /// kernel sends a group's signal to all of it at once, and refuses to fork a process that has one to take.
    pub fn end(&mut self) -> Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        let _ = match self.family {
            Family::Foreground => kill(self.pid(), Signal::SIGKILL),
            Family::Group | Family::All => killpg(self.pid(), Signal::SIGKILL),
        };
        let status = self.child.wait()?;
        self.status = Some(status);
        if self.family == Family::Group {
            return Ok(status);
        }
        let deadline = Instant::now() + GOING;
        loop {
            let left = proc::below(getpid(), &self.inherited);
            for pid in &left {
                let _ = kill(*pid, Signal::SIGKILL);
                reap(*pid);
            }
            if left.is_empty() || Instant::now() > deadline {
                break;
            }
            std::thread::yield_now();
        }
        let _ = prctl::set_child_subreaper(false);
        Ok(status)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// Let the program that is started begin with no signal ignored, whatever this process inherited. One that ignores
/// SIGALRM would hang where its alarm should end it. In the foreground the terminal's signals stay ignored, as under nohup.
fn begins_with_default_signals(command: &mut Command, family: Family) {
    const OF_THE_TERMINAL: [i32; 4] = [libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGHUP];
    let kept = if family == Family::Foreground { &OF_THE_TERMINAL[..] } else { &[] };
    let reset = move || {
        for signal in (1..=libc::SIGRTMAX()).filter(|signal| !kept.contains(signal)) {
            // SAFETY: the default disposition runs no code. A signal that has no other is refused.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        Ok(())
    };
    // SAFETY: between fork and exec only sigaction is called.
    unsafe { command.pre_exec(reset) };
}

/// Refuse the program that is started, and each process that it starts, more memory than any exercise needs. Without a
/// bound, a loop that fills a list takes all that the machine has before its time is over.
pub fn bound_memory(command: &mut Command) {
    const BYTES: libc::rlim_t = 4 << 30;
    let bound = || {
        let (_, hard) = getrlimit(Resource::RLIMIT_DATA)?;
        let bytes = BYTES.min(hard);
        Ok(setrlimit(Resource::RLIMIT_DATA, bytes, bytes)?)
    };
    // SAFETY: between fork and exec only prlimit is called, a bare system call.
    unsafe { command.pre_exec(bound) };
}

/// Have the program that is started get this signal when this process ends, however that comes about, and not ignore it.
pub fn ends_with_this(command: &mut Command, signal: Signal) {
    let me = getpid();
    let ask = move || {
        // SAFETY: the default disposition runs no code. SIGKILL has no other.
        unsafe { libc::signal(signal as i32, libc::SIG_DFL) };
        prctl::set_pdeathsig(signal)?;
        // It may have ended before.
        if getppid() == me { Ok(()) } else { Err(Errno::ESRCH.into()) }
    };
    // SAFETY: between fork and exec only sigaction, prctl and getppid are called, which are bare system calls.
    unsafe { command.pre_exec(ask) };
}

pub fn pid_of(child: &process::Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}

/// Reap a child of ours that has ended. False for every other process.
fn reap(pid: Pid) -> bool {
    matches!(waitpid(pid, Some(WaitPidFlag::WNOHANG)), Ok(status) if status.pid().is_some())
}

/// A descriptor for a process: see pidfd_open(2). nix has no call for it.
fn pidfd(pid: Pid) -> Option<OwnedFd> {
    // SAFETY: pidfd_open takes two numbers and touches no memory of ours.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
    let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0)?;
    // SAFETY: the kernel has just opened it for us, close-on-exec, and no other code has its number.
    Some(unsafe { OwnedFd::from_raw_fd(fd) })
}
