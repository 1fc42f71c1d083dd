//! Children of an experiment: they die with it, and it reaps them.

use std::convert::Infallible;
use std::ffi::CString;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, execv, fork, getpid, getppid};

use super::Lab;
use crate::environment::forked;
use crate::timeline::{LOG, What};
use crate::verdict::Result;

/// How long a child may take to exit whose parent has found that it is gone.
const GRACE: Duration = Duration::from_millis(200);

/// A child process. Dropping it kills and reaps it, unless it was reaped before.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    lane: String,
    reaped: bool,
    /// How long dropping it waits until it exits by itself: it may have failed, and then it has a moment to write down why.
    grace: Duration,
}

impl Child {
    pub(super) fn new(pid: Pid, lane: &str) -> Self {
        Self { pid, lane: lane.into(), reaped: false, grace: GRACE }
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Wait until it exits, reap it, and write down how it ended.
    pub fn wait(self, lab: &Lab) -> Result<WaitStatus> {
        self.reap(lab, "")
    }

    /// Wait for it, as [`Child::wait`] does, and give its exit status. It is an error if a signal killed it.
    pub fn status(self, lab: &Lab) -> Result<i32> {
        exit_status(self.reap(lab, "")?)
    }

    /// The same, for a child whose exit status says what it saw.
    pub fn answer(self, lab: &Lab) -> Result<i32> {
        exit_status(self.reap(lab, ", its answer")?)
    }

    fn reap(mut self, lab: &Lab, meaning: &str) -> Result<WaitStatus> {
        let status = loop {
            match waitpid(self.pid, None) {
                Err(Errno::EINTR) => {}
                other => break other?,
            }
        };
        self.reaped = true;
        let text = match status {
            WaitStatus::Exited(_, code) => format!("exits with status {code}{meaning}"),
            WaitStatus::Signaled(_, signal, _) => format!("is killed by {signal}"),
            other => format!("{other:?}"),
        };
        lab.event(&self.lane, What::End, text);
        Ok(status)
    }
}

fn exit_status(status: WaitStatus) -> Result<i32> {
    match status {
        WaitStatus::Exited(_, status) => Ok(status),
        other => Err(format!("a child did not exit: {other:?}").into()),
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.reaped {
            let until = Instant::now() + self.grace;
            while Instant::now() < until {
                match waitpid(self.pid, Some(WaitPidFlag::WNOHANG)) {
                    Ok(WaitStatus::StillAlive) => thread::yield_now(),
                    _ => return,
                }
            }
            // Where kill(2) is refused, the child dies with this process, which must not wait for that.
            if kill(self.pid, Signal::SIGKILL).is_ok() {
                let _ = waitpid(self.pid, None);
            }
        }
    }
}

impl Lab {
    /// Fork. The child runs `body` on a lane of its own and exits with the status that `body` gives.
    ///
    /// Only for a process with one thread: the child may then do whatever the parent may.
    pub fn fork(&mut self, lane: &str, body: impl FnOnce(&mut Lab) -> Result<i32>) -> Result<Child> {
        self.event(lane, What::Born, "fork");
        self.start(lane, body)
    }

    /// The same, for a child that is one of many and has no lane: its notes are on its parent's.
    pub(super) fn fork_quietly(&mut self, body: impl FnOnce(&mut Lab) -> Result<i32>) -> Result<Child> {
        let lane = self.name().to_owned();
        // Killed at once when it is dropped, because it does not exit by itself.
        let mut child = self.start(&lane, body)?;
        child.grace = Duration::ZERO;
        Ok(child)
    }

    fn start(&mut self, lane: &str, body: impl FnOnce(&mut Lab) -> Result<i32>) -> Result<Child> {
        let threads = std::fs::read_dir("/proc/self/task")?.count();
        if threads != 1 {
            return Err(format!("fork in a process with {threads} threads").into());
        }
        let parent = getpid();
        // SAFETY: there is one thread, as counted above, so no lock can be held by a thread that the child lacks.
        match forked(unsafe { fork() })? {
            ForkResult::Parent { child } => Ok(Child::new(child, lane)),
            ForkResult::Child => {
                // From here on, this process writes on a lane of its own.
                self.lane.name = lane.into();
                die_with(parent);
                // A panic must not unwind into the parent's half of the program.
                let outcome = catch_unwind(AssertUnwindSafe(|| body(self)));
                let status = match outcome {
                    Ok(Ok(status)) => status,
                    Ok(Err(error)) => {
                        self.failed(&error);
                        1
                    }
                    Err(_) => {
                        self.broke_off(format!("{lane} panicked"));
                        101
                    }
                };
                // Not `exit`: the buffers and exit handlers are the parent's.
                // SAFETY: _exit ends the process at once; nothing of it is used afterwards.
                unsafe { nix::libc::_exit(status) }
            }
        }
    }

    /// Adopt a process that became a child of this one because its own parent exited (see `PR_SET_CHILD_SUBREAPER`).
    /// `lane` is the one on which its parent started it.
    pub fn adopt(&self, pid: Pid, lane: &str) -> Child {
        Child::new(pid, lane)
    }

    /// In a child: exec this same program, in one of its roles. Its memory is new; the descriptors without close-on-exec
    /// and the timeline stay.
    pub fn exec(&self, role: &str, args: &[&str], text: &str) -> Result<Infallible> {
        self.event(self.name(), What::Exec, text);
        // SAFETY: the log's descriptor is open for as long as the process lives.
        let log = unsafe { BorrowedFd::borrow_raw(LOG) };
        fcntl(log, FcntlArg::F_SETFD(FdFlag::empty()))?;
        let program = std::env::current_exe()?;
        let mut argv = vec![CString::new(program.as_os_str().as_bytes())?];
        for arg in ["--role", role, "--lane", self.name(), "--"].iter().chain(args) {
            argv.push(CString::new(*arg)?);
        }
        Ok(execv(&argv[0], &argv)?)
    }

    /// This same program in one of its roles, to be started by std. It writes on no lane.
    pub fn program(&self, role: &str, args: &[&str]) -> Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--role", role, "--"]).args(args);
        Ok(command)
    }

    /// Check that nothing of the experiment is left: each child was reaped, and each descriptor closed.
    pub(crate) fn left_nothing(&self) -> Result {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(Errno::ECHILD) => {}
            // As in a container: the workers of a supervisor that was killed become children of pid 1.
            _ if getpid() == Pid::from_raw(1) => {}
            left => return Err(format!("a child was not waited for: {left:?}").into()),
        }
        match self.descriptors()?[..] {
            [] => Ok(()),
            ref left => Err(format!("descriptors were left open: {left:?}").into()),
        }
    }
}

/// Let the kernel kill this process when its parent dies, by Ctrl-C for example, so that no child is left behind.
pub(crate) fn die_with(parent: Pid) {
    let armed = prctl::set_pdeathsig(Signal::SIGKILL);
    // If the parent died before the call above, no signal will come.
    if armed.is_err() || getppid() != parent {
        // SAFETY: _exit ends the process at once; nothing of it is used afterwards.
        unsafe { nix::libc::_exit(1) }
    }
}
