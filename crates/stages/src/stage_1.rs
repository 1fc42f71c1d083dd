//! The server, stage 1: it serves one client at a time.

// ANCHOR: program
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use nix::libc::_exit;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, accept, bind, getsockname, listen, setsockopt,
    socket, sockopt,
};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, dup2_stdin, dup2_stdout, execv, fork, pipe};

use crate::request::{announce, ending, look_up, split, unknown};

/// Serves clients on a port of 127.0.0.1, or on any free port for 0. `more` is a file with more programs.
/// Fails with `EADDRINUSE` if the port is taken.
// ANCHOR: run
pub fn run(port: u16, more: &Path) -> io::Result<()> {
    let listener = listen_on(port)?;
    loop {
        // SAFETY: accept returns a new descriptor, so nothing else owns it.
        let client = unsafe { OwnedFd::from_raw_fd(accept(listener.as_raw_fd())?) };
        if let Err(error) = serve(File::from(client), more) {
            eprintln!("a client was not served: {error}");
        }
    }
}
// ANCHOR_END: run

fn listen_on(port: u16) -> io::Result<OwnedFd> {
    let listener = socket(AddressFamily::Inet, SockType::Stream, SockFlag::empty(), None)?;
    setsockopt(&listener, sockopt::ReuseAddr, &true)?;
    bind(listener.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, port))?;
    listen(&listener, Backlog::new(128)?)?;
    announce(getsockname::<SockaddrIn>(listener.as_raw_fd())?.into());
    Ok(listener)
}

/// Reads a request to its end, runs the program that it names, and sends back what the program prints.
// ANCHOR: serve
fn serve(mut client: File, more: &Path) -> io::Result<()> {
    let mut request = Vec::new();
    client.read_to_end(&mut request)?;
    let (name, input) = split(&request);
    let Some(command) = look_up(&name, more)? else {
        return client.write_all(unknown(&name).as_bytes());
    };
    let (pid, mut stdin, mut stdout) = start(&command)?;
    // EPIPE, its only error, means that the program does not read all of its input.
    let _ = stdin.write_all(input);
    drop(stdin);
    let mut output = Vec::new();
    stdout.read_to_end(&mut output)?;
    let status = waitpid(pid, None);
    client.write_all(&output)?;
    client.write_all(ending(status).as_bytes())
}
// ANCHOR_END: serve

/// Starts a program. Returns its pid, the pipe to its input and the pipe from its output.
// ANCHOR: start
fn start(command: &str) -> io::Result<(Pid, File, File)> {
    let command = CString::new(command)?;
    let (stdin, to_program) = pipe()?;
    let (from_program, stdout) = pipe()?;
    // SAFETY: this process has one thread, so its child may call any function, as before the fork.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok((child, File::from(to_program), File::from(from_program))),
        ForkResult::Child => {
            let moved = dup2_stdin(&stdin).and_then(|()| dup2_stdout(&stdout));
            // If the program kept the write end of its own input, its input would never end.
            drop((stdin, to_program, from_program, stdout));
            let _ = moved.and_then(|()| execv(c"/bin/sh", &[c"sh", c"-c", &command]));
            // SAFETY: _exit ends the child here. `exit` would flush its copies of the parent's buffers.
            unsafe { _exit(127) }
        }
    }
}
// ANCHOR_END: start
// ANCHOR_END: program
