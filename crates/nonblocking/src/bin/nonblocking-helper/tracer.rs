//! A kernel with a difference: run a scenario under ptrace, and answer some of its system calls ourselves.
//!
//! A read from a nonblocking pipe is never interrupted on a real kernel, since it never sleeps; other
//! nonblocking descriptors make no such promise. Here a test says which read is. Each call that this crate is
//! about becomes a line of output, `call WORDS -> ANSWER`.
//!
//! Contract: calls are reported between two marks (see `scenarios::judged`), and changed there only. A
//! scenario that makes more of them than any honest one is killed, and the output ends with `endless CALL`.

use std::process::exit;

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill, raise};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

use crate::calls::Call;
use crate::kernel::{Kernel, STATUS_FLAG};
use crate::scenarios;

/// The number of no call at all. The kernel answers ENOSYS and does nothing, and the number stays to be seen.
const NO_CALL: u64 = u64::MAX;

/// More calls than any scenario needs.
const ENDLESS: usize = 2000;

/// Run the scenario on that kernel, and give its exit code, or 77 where there is no tracing.
pub fn print(kernel: &str, scenario: &[&str]) -> i32 {
    let Some(kernel) = Kernel::parse(kernel) else { return 2 };
    // SAFETY: this program has one thread, so the child may do whatever the parent may.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => match ptrace::traceme().and_then(|()| raise(Signal::SIGSTOP)) {
            Ok(()) => exit(scenarios::run(scenario)),
            Err(error) => exit(refused(error)),
        },
        Ok(ForkResult::Parent { child }) => {
            let traced = Traced { kernel, judging: false, calls: 0, reads: 0, writes: 0, pending: None };
            traced.watch(child).unwrap_or_else(refused)
        }
        Err(error) => refused(error),
    }
}

fn refused(error: Errno) -> i32 {
    eprintln!("ptrace: {error}");
    77
}

/// A scenario between one system call and the next.
struct Traced {
    kernel: Kernel,
    judging: bool,
    /// Since the first mark: all that were reported, and those that read or write.
    calls: usize,
    reads: usize,
    writes: usize,
    /// The call that was kept from the kernel, and what it is to answer.
    pending: Option<(Call, i64)>,
}

impl Traced {
    /// Let it run from system call to system call; give its exit code.
    fn watch(mut self, scenario: Pid) -> nix::Result<i32> {
        if let WaitStatus::Exited(_, code) = waitpid(scenario, None)? {
            return Ok(code);
        }
        ptrace::setoptions(scenario, Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_EXITKILL)?;
        let mut deliver = None;
        loop {
            match ptrace::syscall(scenario, deliver.take()) {
                Ok(()) | Err(Errno::ESRCH) => {} // killed meanwhile: its end is reported next
                Err(error) => return Err(error),
            }
            match waitpid(scenario, None)? {
                WaitStatus::PtraceSyscall(_) => self.at_call(scenario)?,
                WaitStatus::Stopped(_, signal) => deliver = Some(signal),
                WaitStatus::Exited(_, code) => return Ok(code),
                WaitStatus::Signaled(..) if self.calls > ENDLESS => return Ok(0),
                WaitStatus::Signaled(_, signal, _) => {
                    eprintln!("the scenario was killed by {signal}");
                    return Ok(1);
                }
                _ => {}
            }
        }
    }

    /// The scenario stands before a system call or after it.
    fn at_call(&mut self, scenario: Pid) -> nix::Result<()> {
        let mut regs = ptrace::getregs(scenario)?;
        let call = Call { number: regs.orig_rax as i64, args: [regs.rdi, regs.rsi, regs.rdx, regs.r10] };
        let leaving = ptrace::syscall_info(scenario)?.op == libc::PTRACE_SYSCALL_INFO_EXIT;
        if leaving && call.number == libc::SYS_getppid {
            self.judging = !self.judging;
        }
        if !self.judging {
            return Ok(());
        }
        if !leaving {
            if let Some(answer) = self.answer(&call) {
                self.pending = Some((call, answer));
                regs.orig_rax = NO_CALL;
                ptrace::setregs(scenario, regs)?;
            }
            return Ok(());
        }
        let call = match self.pending.take() {
            Some((kept, answer)) => {
                regs.rax = answer as u64;
                ptrace::setregs(scenario, regs)?;
                kept
            }
            None => call,
        };
        let getfl = call.number == libc::SYS_fcntl && call.args[1] as i32 == libc::F_GETFL;
        if self.kernel.status_flag && getfl && regs.rax as i64 >= 0 {
            regs.rax |= STATUS_FLAG;
            ptrace::setregs(scenario, regs)?;
        }
        let Some(words) = call.words() else { return Ok(()) };
        println!("call {words} -> {}", regs.rax as i64);
        self.calls += 1;
        if self.calls > ENDLESS {
            println!("endless {words}");
            kill(scenario, Signal::SIGKILL)?;
        }
        Ok(())
    }

    /// What this call is to answer, if not what the real kernel does.
    fn answer(&mut self, call: &Call) -> Option<i64> {
        use crate::calls::Kind::{Read, Write};
        let kind = call.kind()?;
        let count = match kind {
            Read => &mut self.reads,
            Write => &mut self.writes,
        };
        *count += 1;
        self.kernel.answer(kind, *count)
    }
}
