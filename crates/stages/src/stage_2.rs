//! The server, stage 2: no program inherits a connection or the listener.

// ANCHOR: program
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use cloexec::{open, pass};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, accept4, bind, getsockname, listen, setsockopt,
    sockopt,
};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use crate::request::{announce, ending, look_up, split, unknown};

/// Serves clients on a port of 127.0.0.1, or on any free port for 0. `more` is a file with more programs.
/// Fails with `EADDRINUSE` if the port is taken.
// ANCHOR: run
pub fn run(port: u16, more: &Path) -> io::Result<()> {
    let listener = listen_on(port)?;
    loop {
        // SAFETY: accept4 returns a new descriptor, so nothing else owns it.
        let client = unsafe { OwnedFd::from_raw_fd(accept4(listener.as_raw_fd(), SockFlag::SOCK_CLOEXEC)?) };
        if let Err(error) = serve(File::from(client), more) {
            eprintln!("a client was not served: {error}");
        }
    }
}
// ANCHOR_END: run

pub(crate) fn listen_on(port: u16) -> io::Result<OwnedFd> {
    let listener = open::socket(AddressFamily::Inet, SockType::Stream)?;
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

/// Starts a program with exactly 0, 1 and 2. Returns its pid, the pipe to its input and the pipe from its output.
// ANCHOR: start
pub(crate) fn start(command: &str) -> io::Result<(Pid, File, File)> {
    let (stdin, to_program) = open::pipe()?;
    let (from_program, stdout) = open::pipe()?;
    let stderr = io::stderr();
    let fds = [(stdin.as_fd(), 0), (stdout.as_fd(), 1), (stderr.as_fd(), 2)];
    let pid = pass::spawn(Path::new("/bin/sh"), &["-c", command].map(OsStr::new), &fds)?;
    Ok((pid, File::from(to_program), File::from(from_program)))
}
// ANCHOR_END: start
// ANCHOR_END: program
