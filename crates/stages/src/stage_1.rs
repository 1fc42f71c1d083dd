//! The server, stage 1: it serves one client at a time.

// ANCHOR: program
use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use nix::libc::_exit;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, accept, bind, getsockname, listen, setsockopt,
    socket, sockopt,
};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, dup2_stdin, dup2_stdout, execv, fork, pipe};

// ANCHOR: programs
/// The programs: a name, and a command for the shell. The last two run until the process exits whose pid they are sent.
const PROGRAMS: [(&str, &str); 5] = [
    ("upper", "tr a-z A-Z"),
    ("count", "wc -c"),
    ("sort", "sort"),
    // Leaves a process running in the background, as ssh-agent does, and prints its pid.
    ("agent", "read pid; tail -f /dev/null --pid=$pid -s 0.1 </dev/null >/dev/null 2>&1 & echo $!"),
    // Prints its own pid, closes its output, and keeps running.
    ("silent", "read pid; echo $$; exec tail -f /dev/null --pid=$pid -s 0.1 >/dev/null 2>&1"),
];
// ANCHOR_END: programs

/// Serves clients on a port of 127.0.0.1, or on any free port for 0. `more` is a file with more programs.
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
    bind(listener.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, port))
        .map_err(|errno| io::Error::other(format!("bind to port {port}: {errno}")))?;
    listen(&listener, Backlog::new(128)?)?;
    let port = getsockname::<SockaddrIn>(listener.as_raw_fd())?.port();
    println!("listening on 127.0.0.1:{port}; try: printf 'upper\\nhello\\n' | nc -N 127.0.0.1 {port}");
    Ok(listener)
}

/// Reads a request to its end, runs the program that it names, and sends back what the program prints.
// ANCHOR: serve
fn serve(mut client: File, more: &Path) -> io::Result<()> {
    let mut request = Vec::new();
    client.read_to_end(&mut request)?;
    let (name, input) = split(&request);
    let Some(command) = look_up(&name, more)? else {
        return writeln!(client, "no program is called {name:?}");
    };
    let (pid, mut stdin, mut stdout) = start(&command)?;
    // EPIPE, its only error, means that the program does not read all of its input.
    let _ = stdin.write_all(input);
    drop(stdin);
    let mut output = Vec::new();
    stdout.read_to_end(&mut output)?;
    let status = waitpid(pid, None)?;
    client.write_all(&output)?;
    client.write_all(ending(status).as_bytes())
}
// ANCHOR_END: serve

/// Splits a request into the name of a program, its first line, and the program's input.
fn split(request: &[u8]) -> (String, &[u8]) {
    let end = request.iter().position(|byte| *byte == b'\n').unwrap_or(request.len());
    let (name, rest) = request.split_at(end);
    (String::from_utf8_lossy(name).into_owned(), rest.get(1..).unwrap_or_default())
}

/// Looks up the command of a program: in the table, and then in the file, where each line is a name and a command.
fn look_up(name: &str, more: &Path) -> io::Result<Option<String>> {
    if let Some((_, command)) = PROGRAMS.iter().find(|(known, _)| *known == name) {
        return Ok(Some((*command).to_owned()));
    }
    let lines = fs::read_to_string(more)?;
    Ok(lines.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).map(str::to_owned))
}

/// Starts a program, and returns its pid, the pipe to its input and the pipe from its output.
// ANCHOR: start
fn start(command: &str) -> io::Result<(Pid, File, File)> {
    let command = CString::new(command)?;
    let (stdin, to_program) = pipe()?;
    let (from_program, stdout) = pipe()?;
    // SAFETY: this process has one thread, so its child may do whatever it may do itself.
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

/// The last line for a client whose program failed; nothing if it did not.
fn ending(status: WaitStatus) -> String {
    match status {
        WaitStatus::Exited(_, 0) => String::new(),
        WaitStatus::Exited(_, code) => format!("exit status {code}\n"),
        WaitStatus::Signaled(_, signal, _) => format!("killed by {signal}\n"),
        other => format!("{other:?}\n"),
    }
}
// ANCHOR_END: program
