//! The server, stage 2: no program inherits a connection or the listener.

// ANCHOR: program
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use cloexec::{open, pass};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, accept4, bind, getsockname, listen, setsockopt,
    sockopt,
};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

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
        // SAFETY: accept4 returns a new descriptor, so nothing else owns it.
        let client = unsafe { OwnedFd::from_raw_fd(accept4(listener.as_raw_fd(), SockFlag::SOCK_CLOEXEC)?) };
        if let Err(error) = serve(File::from(client), more) {
            eprintln!("a client was not served: {error}");
        }
    }
}
// ANCHOR_END: run

fn listen_on(port: u16) -> io::Result<OwnedFd> {
    let listener = open::socket(AddressFamily::Inet, SockType::Stream)?;
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

/// Starts a program with exactly 0, 1 and 2, and returns its pid, the pipe to its input and the pipe from its output.
// ANCHOR: start
fn start(command: &str) -> io::Result<(Pid, File, File)> {
    let (stdin, to_program) = open::pipe()?;
    let (from_program, stdout) = open::pipe()?;
    let stderr = io::stderr();
    let fds = [(stdin.as_fd(), 0), (stdout.as_fd(), 1), (stderr.as_fd(), 2)];
    let pid = pass::spawn(Path::new("/bin/sh"), &["-c", command].map(OsStr::new), &fds)?;
    Ok((pid, File::from(to_program), File::from(from_program)))
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
