//! A supervisor that is killed with SIGKILL, and so can do nothing about its children any more.
//!
//! The helper is not the supervisor but its parent. Who is orphaned becomes the helper's child, which then reaps
//! it: see `PR_SET_CHILD_SUBREAPER` in prctl(2).

use std::io::{PipeWriter, Read, Write, pipe};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use nix::libc;
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, alarm, fork, getpid, getppid, pause};
use prefork::supervise::supervise;

use super::children::sleep;
use super::{PATIENCE, policy};

/// Kill the supervisor of three children when they are all there. Prints `ended SIGNAL` for each of them: what kills
/// them is on its way before their parent can be waited for, and if nothing is, it is their own alarm in the end.
pub fn killed() -> i32 {
    let (mut seen, said) = pipe().expect("there are descriptors");
    let supervisor = supervisor(said, |said| {
        let work = |_| {
            alarm::set(PATIENCE);
            (&*said).write_all(b"h").expect("the helper reads");
            loop {
                pause();
            }
        };
        let _ = supervise(&policy(3), work, |_| {});
    });
    seen.read_exact(&mut [0; 3]).expect("three children say that they are here");
    end(supervisor);
    while let Ok(status) = waitpid(None, None) {
        match status {
            WaitStatus::Signaled(_, signal, _) => println!("ended {signal}"),
            other => println!("ended {other:?}"),
        }
    }
    0
}

static SUPERVISOR: AtomicI32 = AtomicI32::new(0);
static SAID: AtomicI32 = AtomicI32::new(-1);

/// The moment between the child's birth and its first own instruction: its parent ends there.
extern "C" fn be_born_late() {
    alarm::set(PATIENCE);
    let byte = b"b";
    // SAFETY: the byte is there, and the descriptor is this process's copy of one that stays open.
    unsafe { libc::write(SAID.load(Ordering::SeqCst), byte.as_ptr().cast(), 1) };
    while getppid().as_raw() == SUPERVISOR.load(Ordering::SeqCst) {
        sleep(Duration::from_millis(1));
    }
}

/// Kill the supervisor when its child is born and has not done anything yet. Prints `worked yes` or `worked no`.
pub fn born_late() -> i32 {
    let (mut seen, said) = pipe().expect("there are descriptors");
    let supervisor = supervisor(said, |said| {
        SUPERVISOR.store(getpid().as_raw(), Ordering::SeqCst);
        SAID.store(said.as_raw_fd(), Ordering::SeqCst);
        // SAFETY: the handler calls what a child of a process with one thread may call.
        unsafe { libc::pthread_atfork(None, None, Some(be_born_late)) };
        let work = |_| {
            (&*said).write_all(b"w").expect("the helper reads");
            0
        };
        let _ = supervise(&policy(1), work, |_| {});
    });
    seen.read_exact(&mut [0]).expect("a child is born");
    end(supervisor);
    let mut rest = Vec::new();
    seen.read_to_end(&mut rest).expect("a pipe can be read to its end");
    println!("worked {}", if rest.is_empty() { "no" } else { "yes" });
    while waitpid(None, None).is_ok() {}
    0
}

/// A child that supervises.
fn supervisor(said: PipeWriter, supervise: impl FnOnce(&PipeWriter)) -> Pid {
    prctl::set_child_subreaper(true).expect("whoever wants to may reap");
    // SAFETY: this program has one thread, so the child may do whatever the parent may.
    match unsafe { fork() }.expect("a process can be forked") {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            let _ = prctl::set_pdeathsig(Signal::SIGKILL);
            alarm::set(PATIENCE);
            supervise(&said);
            // SAFETY: ends this process and does nothing else.
            unsafe { libc::_exit(1) }
        }
    }
}

fn end(supervisor: Pid) {
    kill(supervisor, Signal::SIGKILL).expect("it was not waited for");
    waitpid(supervisor, None).expect("it is our child");
}
