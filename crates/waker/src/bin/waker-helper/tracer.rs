//! A kernel with a difference: run a scenario under ptrace, and print or change what it asks of the kernel.
//!
//! `as-it-is` prints each call between two marks (see `scenarios::judged`) as `call NAME -> ANSWER`. `eintr`
//! answers the first read and the first write with EINTR, as an interrupted call that slept would: today's
//! kernel never does that to a nonblocking one, and the man pages permit it. `signal-at-every-step` sends a
//! signal between the instructions of the marked code: see `stepper`.

use std::process::exit;

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

use crate::{scenarios, stepper};

/// The number of no call at all. The kernel answers ENOSYS and does nothing, and the number stays to be seen.
const NO_CALL: u64 = u64::MAX;

/// Run the scenario on that kernel, and give its exit code, or 77 where there is no tracing.
pub fn print(kernel: &str, scenario: &[&str]) -> i32 {
    // SAFETY: this program has one thread, so the child may do whatever the parent may.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => match ptrace::traceme().and_then(|()| raise(Signal::SIGSTOP)) {
            Ok(()) => exit(scenarios::run(scenario)),
            Err(error) => refused(error),
        },
        Ok(ForkResult::Parent { child }) => watch(child, kernel).unwrap_or_else(refused),
        Err(error) => refused(error),
    }
}

fn refused(error: Errno) -> i32 {
    eprintln!("ptrace: {error}");
    77
}

fn watch(scenario: Pid, kernel: &str) -> nix::Result<i32> {
    if let WaitStatus::Exited(_, code) = waitpid(scenario, None)? {
        return Ok(code);
    }
    ptrace::setoptions(scenario, Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_EXITKILL)?;
    match kernel {
        "signal-at-every-step" => stepper::watch(scenario),
        "as-it-is" => calls(scenario, [false; 2]),
        "eintr" => calls(scenario, [true; 2]),
        _ => Ok(2),
    }
}

/// From call to call; `interrupt` says whether the next read, and the next write, is to be interrupted.
fn calls(scenario: Pid, mut interrupt: [bool; 2]) -> nix::Result<i32> {
    let mut judging = false;
    let mut deliver = None;
    loop {
        ptrace::syscall(scenario, deliver.take())?;
        match waitpid(scenario, None)? {
            WaitStatus::PtraceSyscall(_) => {}
            WaitStatus::Stopped(_, signal) => {
                deliver = Some(signal);
                continue;
            }
            other => return Ok(ended(other)),
        }
        let (number, leaving) = call(scenario)?;
        judging ^= leaving && number == libc::SYS_getppid;
        if !judging {
            continue;
        }
        let mut regs = ptrace::getregs(scenario)?;
        let next = match number {
            libc::SYS_read => &mut interrupt[0],
            libc::SYS_write => &mut interrupt[1],
            _ => &mut false,
        };
        if !leaving && *next {
            *next = false;
            regs.orig_rax = NO_CALL;
            ptrace::setregs(scenario, regs)?;
        } else if leaving && regs.orig_rax == NO_CALL {
            regs.rax = -(Errno::EINTR as i64) as u64;
            ptrace::setregs(scenario, regs)?;
            println!("interrupted with EINTR");
        } else if leaving && number != libc::SYS_getppid {
            println!("call {} -> {}", name(number), regs.rax as i64);
        }
    }
}

/// Which call the stopped process stands at, and whether it comes out of it.
pub fn call(pid: Pid) -> nix::Result<(i64, bool)> {
    let leaving = ptrace::syscall_info(pid)?.op == libc::PTRACE_SYSCALL_INFO_EXIT;
    Ok((ptrace::getregs(pid)?.orig_rax as i64, leaving))
}

/// The exit code for a scenario that came to an end.
pub fn ended(status: WaitStatus) -> i32 {
    match status {
        WaitStatus::Exited(_, code) => code,
        other => {
            eprintln!("the scenario ended with {other:?}");
            1
        }
    }
}

/// `write`; the number of a call that no scenario is expected to make.
pub fn name(number: i64) -> String {
    match number {
        libc::SYS_read => "read".into(),
        libc::SYS_write => "write".into(),
        libc::SYS_poll | libc::SYS_ppoll => "poll".into(),
        libc::SYS_futex => "futex".into(),
        libc::SYS_fcntl => "fcntl".into(),
        libc::SYS_ioctl => "ioctl".into(),
        libc::SYS_rt_sigprocmask => "rt_sigprocmask".into(),
        other => format!("number {other}"),
    }
}
