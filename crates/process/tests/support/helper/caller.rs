//! What the process is like that calls `capture`, in the words of a test.
//!
//! `0 1`: these numbers are closed. `limit 5`: no new descriptor may be 5 or higher. `0 1 limit 5`: both. `signal`: it has
//! a handler for SIGTERM, and each of its children gets that signal when its fork returns. `parent`: it has another child,
//! which has exited with 9. `ignores SIGCHLD`, as some daemons do. `ignores more`: SIGINT, SIGQUIT and a real-time
//! signal. `errors`: its standard error is a file in memory.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::libc;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{ForkResult, Pid, close, dup2_stderr, fork};

use super::interrupt;

/// What only some callers have.
#[derive(Default)]
pub struct Caller {
    /// Another child, which has exited with 9.
    child: Option<Pid>,
    /// The file that is its standard error.
    errors: Option<OwnedFd>,
    /// What the number of each new descriptor must be below.
    limit: Option<rlim_t>,
}

impl Caller {
    /// Makes this process such a caller. `handler` is for SIGTERM.
    pub fn new(words: &str, handler: extern "C" fn(i32)) -> nix::Result<Self> {
        let mut caller = Self::default();
        match words {
            "signal" => interrupt::signal_each_child(handler)?,
            "parent" => caller.child = Some(exited_child()?),
            "ignores SIGCHLD" => {
                // SAFETY: ignoring a signal runs no code.
                unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }?;
            }
            "ignores more" => {
                for number in [libc::SIGINT, libc::SIGQUIT, libc::SIGRTMIN()] {
                    // SAFETY: ignoring a signal runs no code.
                    unsafe { libc::signal(number, libc::SIG_IGN) };
                }
            }
            "errors" => {
                let file = memfd_create(c"errors", MFdFlags::MFD_CLOEXEC)?;
                dup2_stderr(&file)?;
                caller.errors = Some(file);
            }
            _ => {
                let (numbers, limit) = words.split_once("limit ").unwrap_or((words, ""));
                caller.limit = limit.parse().ok();
                for number in numbers.split(' ').filter_map(|number| number.parse().ok()) {
                    let _ = close::<i32>(number);
                }
            }
        }
        Ok(caller)
    }

    /// Does the work, with the limit of this caller.
    pub fn within_the_limit<T>(&self, work: impl FnOnce() -> T) -> nix::Result<T> {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
        setrlimit(Resource::RLIMIT_NOFILE, self.limit.unwrap_or(soft), hard)?;
        let result = work();
        setrlimit(Resource::RLIMIT_NOFILE, soft, hard)?;
        Ok(result)
    }

    /// Prints `other …`, what waiting for the other child gives, and `errors …`, what was written to standard error.
    pub fn print(self) {
        if let Some(child) = self.child {
            let right = waitpid(child, None).map(|status| status == WaitStatus::Exited(child, 9));
            println!("other {right:?}");
        }
        if let Some(file) = self.errors {
            let written = fs::read_to_string(format!("/proc/self/fd/{}", file.as_raw_fd()));
            println!("errors {:?}", written.unwrap_or_default());
        }
    }
}

/// Starts a child that exits with 9, and returns when it has. It can still be waited for.
fn exited_child() -> nix::Result<Pid> {
    // SAFETY: this process has one thread, and the child exits at once.
    let ForkResult::Parent { child } = unsafe { fork() }? else {
        // SAFETY: `_exit` has no preconditions.
        unsafe { libc::_exit(9) }
    };
    waitid(Id::Pid(child), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)?;
    Ok(child)
}
