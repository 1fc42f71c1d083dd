//! A kernel with a difference: run a scenario under ptrace, and answer some of its system calls ourselves.
//!
//! Today's kernel has one descriptor flag, so nobody can see whether code leaves "the others" alone: here a
//! program meets a kernel that has a second one. Nor is there a kernel at hand without `close_range`: here is
//! one. Every call about descriptors becomes a line of output, `call WORDS -> ANSWER`, so that a test can see
//! which call made a descriptor and whether that same call marked it.
//!
//! Contract: calls are reported between two marks (see `scenarios::judged`), and changed there only.

use std::process::exit;

use nix::errno::Errno;
use nix::libc::{self, user_regs_struct};
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

use super::calls::Call;
use super::scenarios;

/// A descriptor flag that no kernel has yet.
const SECOND_FLAG: u64 = 1 << 1;

/// The number of no call at all. The kernel answers ENOSYS and does nothing, and the number stays to be seen.
const NO_CALL: u64 = u64::MAX;

/// Which kernel the scenario meets.
enum Kernel {
    AsItIs,
    SecondFlag,
    CloseRangeFails(Errno),
}

/// Run the scenario on that kernel, and give its exit code, or 77 where there is no tracing.
pub fn print(kernel: &str, scenario: &[&str]) -> i32 {
    let kernel = match kernel {
        "as-it-is" => Kernel::AsItIs,
        "second-flag" => Kernel::SecondFlag,
        "close_range=ENOSYS" => Kernel::CloseRangeFails(Errno::ENOSYS),
        "close_range=EPERM" => Kernel::CloseRangeFails(Errno::EPERM),
        "close_range=EINVAL" => Kernel::CloseRangeFails(Errno::EINVAL),
        "close_range=ENOMEM" => Kernel::CloseRangeFails(Errno::ENOMEM),
        _ => return 2,
    };
    // SAFETY: this program has one thread, so the child may do whatever the parent may.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => match ptrace::traceme().and_then(|()| raise(Signal::SIGSTOP)) {
            Ok(()) => exit(scenarios::run(scenario)),
            Err(error) => refused(error),
        },
        Ok(ForkResult::Parent { child }) => watch(child, &kernel).unwrap_or_else(refused),
        Err(error) => refused(error),
    }
}

fn refused(error: Errno) -> i32 {
    eprintln!("ptrace: {error}");
    77
}

/// Let the scenario, and what it forks, run from system call to system call; give its exit code.
fn watch(scenario: Pid, kernel: &Kernel) -> nix::Result<i32> {
    if let WaitStatus::Exited(_, code) = waitpid(scenario, None)? {
        return Ok(code);
    }
    let follow = Options::PTRACE_O_TRACEFORK | Options::PTRACE_O_TRACEVFORK | Options::PTRACE_O_TRACECLONE;
    let report = Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACEEXEC;
    ptrace::setoptions(scenario, follow | report | Options::PTRACE_O_EXITKILL)?;
    ptrace::syscall(scenario, None)?;
    let mut judging = false;
    loop {
        let deliver = match waitpid(None, Some(WaitPidFlag::__WALL))? {
            WaitStatus::PtraceSyscall(pid) => {
                at_call(pid, kernel, &mut judging)?;
                (pid, None)
            }
            WaitStatus::PtraceEvent(pid, _, _) => (pid, None),
            // A new process stops once, because it is traced.
            WaitStatus::Stopped(pid, Signal::SIGSTOP) => (pid, None),
            WaitStatus::Stopped(pid, signal) => (pid, Some(signal)),
            WaitStatus::Exited(pid, code) if pid == scenario => return Ok(code),
            WaitStatus::Signaled(pid, signal, _) if pid == scenario => {
                eprintln!("the scenario was killed by {signal}");
                return Ok(1);
            }
            _ => continue,
        };
        match ptrace::syscall(deliver.0, deliver.1) {
            Ok(()) | Err(Errno::ESRCH) => {} // killed meanwhile: its end is reported next
            Err(error) => return Err(error),
        }
    }
}

/// A process stands before a system call or after it.
fn at_call(pid: Pid, kernel: &Kernel, judging: &mut bool) -> nix::Result<()> {
    let mut regs = ptrace::getregs(pid)?;
    let call = Call { number: regs.orig_rax as i64, args: [regs.rdi, regs.rsi, regs.rdx, regs.r10] };
    let leaving = ptrace::syscall_info(pid)?.op == libc::PTRACE_SYSCALL_INFO_EXIT;
    if leaving && call.number == libc::SYS_getppid {
        *judging = !*judging;
    }
    if !*judging {
        return Ok(());
    }
    match (kernel, leaving) {
        (Kernel::CloseRangeFails(_), false) if call.number == libc::SYS_close_range => {
            regs.orig_rax = NO_CALL;
            ptrace::setregs(pid, regs)?;
        }
        (Kernel::CloseRangeFails(errno), true) if regs.orig_rax == NO_CALL => {
            regs.rax = -(*errno as i64) as u64;
            ptrace::setregs(pid, regs)?;
            println!("call close_range refused with {errno:?}");
        }
        (Kernel::SecondFlag, true) if is_getfd(&regs) && regs.rax as i64 >= 0 => {
            regs.rax |= SECOND_FLAG;
            ptrace::setregs(pid, regs)?;
        }
        _ => {}
    }
    if let (true, Some(words)) = (leaving, call.words()) {
        println!("call {words} -> {}", regs.rax as i64);
    }
    Ok(())
}

fn is_getfd(regs: &user_regs_struct) -> bool {
    regs.orig_rax as i64 == libc::SYS_fcntl && regs.rsi as i32 == libc::F_GETFD
}
