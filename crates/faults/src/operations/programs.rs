//! Starting programs.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;

use cloexec::pass::spawn;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::pipe2;
use process::capture::{Status, capture as run};

use crate::scene::{failing, judged, made, must_hold, or_again};

pub fn pass() {
    let (reader, writer) = made(pipe2(OFlag::O_CLOEXEC));
    let echo = || spawn(Path::new("/bin/echo"), &[OsStr::new("seven")], &[(writer.as_fd(), 1)]);
    let Some(pid) = or_again(judged(echo), echo) else { return };
    drop(writer);
    let mut output = String::new();
    made(File::from(reader).read_to_string(&mut output));
    match waitpid(pid, None) {
        Ok(WaitStatus::Exited(_, 0)) => must_hold("the program's output arrives", output == "seven\n"),
        Ok(WaitStatus::Exited(_, 127)) => println!("ok: the program exited with 127"),
        other => must_hold(&format!("the program ends well, and not with {other:?}"), false),
    }
}

pub fn capture() {
    let cat = || run(c"/bin/cat", &[], b"seven");
    if let Some(captured) = or_again(judged(cat), cat) {
        match captured.status {
            // It gets no input if the write fails because it has closed the pipe.
            Status::Exited(0) => {
                let whole = captured.output == b"seven" || failing() == Some(Errno::EPIPE);
                must_hold("the output is the whole input", whole);
            }
            Status::Exited(127) => println!("ok: the program exited with 127"),
            status => must_hold(&format!("the program ends well, and not with {status:?}"), false),
        }
    }
}
