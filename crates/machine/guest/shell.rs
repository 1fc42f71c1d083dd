//! Starts a shell on the console, and does not wait for it: the reader types into it while the first process waits for lines.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use nix::errno::Errno;
use nix::libc;
use nix::unistd::setsid;

pub fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("shell: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The shell has the console as its terminal, so that Ctrl-C there interrupts what runs in it.
fn start() -> io::Result<()> {
    let console = OpenOptions::new().read(true).write(true).open("/dev/ttyS0")?;
    let mut shell = Command::new("/bin/sh");
    shell.arg("-i").env_clear().current_dir("/tmp");
    shell.envs([("PATH", "/bin"), ("HOME", "/tmp"), ("TERM", "dumb"), ("PS1", "$ ")]);
    shell.stdin(console.try_clone()?).stdout(console.try_clone()?).stderr(console);
    // SAFETY: between fork and exec only setsid and ioctl are called, which are plain system calls.
    unsafe {
        shell.pre_exec(|| {
            setsid()?;
            Errno::result(libc::ioctl(0, libc::TIOCSCTTY as _, 0))?;
            Ok(())
        })
    };
    shell.spawn().map(drop)
}
