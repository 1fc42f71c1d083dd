//! A program that is stopped while its caller waits for it, as Ctrl-Z in a terminal stops it.

use std::thread::yield_now;
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::signal::{Signal, kill, raise};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, close, fork, getpid};

use super::interrupt::caller;

/// How often the program stops: a caller can miss one stop, if it is only about to wait.
const TIMES: usize = 3;

/// Closes the output, so that the caller waits for the exit, and stops. A child of this process lets it continue when the
/// caller is asleep, or has exited. Returns the exit code.
pub fn stopped() -> i32 {
    let (caller, program) = (caller(), getpid());
    let _ = close(1);
    // SAFETY: this program has one thread, so the child may do what it wants.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => {
            for _ in 0..TIMES {
                is_in_state(program, 'T');
                is_in_state(caller, 'S');
                let _ = kill(program, Signal::SIGCONT);
            }
            // SAFETY: `_exit` has no preconditions.
            unsafe { libc::_exit(0) }
        }
        Ok(ForkResult::Parent { child }) => {
            let stops = (0..TIMES).try_for_each(|_| raise(Signal::SIGSTOP));
            stops.and_then(|()| waitpid(child, None)).map_or(1, |_| 7)
        }
        Err(_) => 1,
    }
}

/// Waits until a process is in this state, as /proc shows it. Gives up after some time, or if the process has exited.
fn is_in_state(process: Pid, state: char) {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(3) {
        if testing::proc::state(process).is_none_or(|now| [state, 'Z'].contains(&now)) {
            return;
        }
        yield_now();
    }
}
