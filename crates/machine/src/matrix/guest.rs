//! A machine that qemu emulates, in which a kernel runs one program after the other.
//!
//! The guest's first process reads lines from the second serial port, which is qemu's standard input and output. It writes
//! byte 5 when it is ready; and of a program what that prints, byte 4, the exit status, and byte 5 (`guest/init.rs`).

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;

use super::kernel::Kernel;
use crate::processor::Processor;

/// Behind the output of a program.
const END: u8 = 4;
/// Behind its exit status, and once at the start.
const READY: u8 = 5;

/// How long a kernel may take from its start until its first process is ready. On a busy machine that is a minute.
const BOOT: Duration = Duration::from_secs(300);

/// The program that emulates a machine with this processor, and the package of Debian that has it.
pub fn qemu(processor: Processor) -> (&'static str, &'static str) {
    match processor {
        Processor::Aarch64 => ("qemu-system-aarch64", "qemu-system-arm"),
        Processor::I686 | Processor::X86_64 => ("qemu-system-x86_64", "qemu-system-x86"),
    }
}

/// The machine with this processor, and its two serial ports: the kernel's console, and the port of the first process.
///
/// On ARM the ports are on a card, because the machine itself has one, so that they have the same names in both machines. Return
/// addresses are signed there with a function that is fast to emulate: with a real processor's, two experiments ran out of time.
fn machine(processor: Processor) -> [&'static str; 6] {
    match processor {
        Processor::Aarch64 => {
            let ports = "pci-serial-2x,chardev1=console,chardev2=port";
            ["-machine", "virt", "-cpu", "max,pauth-impdef=on", "-device", ports]
        }
        Processor::I686 | Processor::X86_64 => {
            ["-cpu", "max", "-serial", "chardev:console", "-serial", "chardev:port"]
        }
    }
}

/// The machine, which is gone when this is dropped, and also when this process is killed.
pub struct Guest {
    qemu: Child,
    input: ChildStdin,
    output: Receiver<Vec<u8>>,
    unread: Vec<u8>,
}

/// What became of a program.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// It exited with this status, having printed this. A signal's number counts from 128 on.
    Exited(i32, String),
    /// It had not ended when its time was over, or the kernel was gone: the guest is of no use any more.
    Lost(String),
}

impl Guest {
    /// Boot a kernel, and wait until it is ready.
    ///
    /// `console` is the file for what the kernel prints. The processor is emulated, because a virtual one is not to be
    /// had everywhere, and because it is the same on every machine.
    ///
    /// # Errors
    /// When qemu cannot be started, or the kernel does not come up: with the end of what it printed.
    pub fn boot(kernel: &Kernel, initramfs: &Path, console: &Path) -> Result<Self> {
        let mut command = Command::new(qemu(kernel.processor).0);
        command.args(["-accel", "tcg,thread=multi", "-smp", "2", "-m", "4096"]);
        command.args(["-display", "none", "-monitor", "none", "-nic", "none", "-no-reboot"]);
        command.arg("-kernel").arg(&kernel.image).arg("-initrd").arg(initramfs);
        command.args(["-append", "console=ttyS0 rdinit=/init quiet loglevel=4 panic=-1 net.ifnames=0"]);
        command.arg("-chardev").arg(format!("file,id=console,path={}", console.display()));
        command.args(["-chardev", "stdio,id=port"]).args(machine(kernel.processor));
        let mut guest = Self::start(&mut command)?;
        match guest.until(READY, BOOT) {
            Ok(_) => Ok(guest),
            Err(reason) => {
                let printed = std::fs::read(console).unwrap_or_default();
                let printed = String::from_utf8_lossy(&printed);
                let last: Vec<_> = printed.lines().rev().take(15).collect();
                let last: Vec<_> = last.into_iter().rev().collect();
                bail!("{} does not come up: {reason}\n{}", kernel.image.display(), last.join("\n"))
            }
        }
    }

    fn start(command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        // SAFETY: prctl(2) is a system call and nothing else, so it may run between fork and exec.
        unsafe { command.pre_exec(|| Ok(set_pdeathsig(Signal::SIGKILL)?)) };
        let mut qemu =
            command.spawn().with_context(|| format!("cannot start {:?}", command.get_program()))?;
        let input = qemu.stdin.take().context("qemu has no standard input")?;
        let mut printed = qemu.stdout.take().context("qemu has no standard output")?;
        let (sender, output) = channel();
        // It ends when qemu does.
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = printed.read(&mut bytes) {
                if sender.send(bytes[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        Ok(Self { qemu, input, output, unread: Vec::new() })
    }

    /// Run a program with these arguments, separated by spaces, for so long at most.
    pub fn run(&mut self, line: &str, limit: Duration) -> Ended {
        if let Err(error) = writeln!(self.input, "{line}") {
            return Ended::Lost(format!("the guest reads nothing: {error}"));
        }
        self.ended(limit).unwrap_or_else(Ended::Lost)
    }

    fn ended(&mut self, limit: Duration) -> Result<Ended, String> {
        let printed = self.until(END, limit)?;
        let status = self.until(READY, limit)?;
        let status = status.parse().map_err(|_| format!("a status of {status:?}"))?;
        Ok(Ended::Exited(status, printed))
    }

    /// What comes before `mark`; else why it does not come.
    fn until(&mut self, mark: u8, limit: Duration) -> Result<String, String> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(at) = self.unread.iter().position(|byte| *byte == mark) {
                let taken: Vec<u8> = self.unread.drain(..=at).collect();
                return Ok(String::from_utf8_lossy(&taken[..at]).into_owned());
            }
            match self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.unread.extend(bytes),
                Err(RecvTimeoutError::Timeout) => {
                    return Err(format!("nothing within {} s", limit.as_secs()));
                }
                Err(RecvTimeoutError::Disconnected) => return Err("the guest has ended".to_owned()),
            }
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // An error says that it has ended by itself.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shell that speaks as the guest's first process does.
    fn guest(script: &str) -> Guest {
        let script = format!("printf '\\005'; while read -r line; do {script}; done");
        let mut guest = Guest::start(Command::new("sh").args(["-c", &script])).expect("a shell");
        guest.until(READY, BOOT).expect("it is ready");
        guest
    }

    #[test]
    fn a_program_has_its_output_and_its_status() {
        let mut guest = guest(r#"printf 'of %s\n\0043\005' "$line""#);
        for name in ["zombie --plain", "starvation --plain"] {
            let ended = guest.run(name, Duration::from_secs(60));
            assert_eq!(ended, Ended::Exited(3, format!("of {name}\n")));
        }
    }

    #[test]
    fn a_program_that_hangs_is_lost_when_its_time_is_over() {
        let mut guest = guest("printf begun");
        let ended = guest.run("starvation", Duration::from_millis(50));
        assert!(matches!(&ended, Ended::Lost(why) if why.contains("nothing within")), "{ended:?}");
    }

    #[test]
    fn a_kernel_that_panics_is_lost_at_once() {
        let mut guest = guest("exit");
        let ended = guest.run("starvation", Duration::from_secs(60));
        assert!(matches!(&ended, Ended::Lost(why) if why.contains("has ended")), "{ended:?}");
    }

    #[test]
    fn no_emulator_outlives_its_guest() {
        let guest = guest("true");
        let pid = nix::unistd::Pid::from_raw(guest.qemu.id() as i32);
        drop(guest);
        assert_eq!(nix::sys::signal::kill(pid, None), Err(nix::errno::Errno::ESRCH));
    }
}
