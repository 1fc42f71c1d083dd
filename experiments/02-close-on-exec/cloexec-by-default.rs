//! Which libraries set close-on-exec by themselves: the C library, Rust's std, Python.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, ExitCode, Stdio};

use experiments::{Choice, Lab, Question, Result, ask, cannot_ask, vary};
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl, open};
use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, accept, socket};
use nix::sys::stat::Mode;
use nix::unistd::{dup, pipe};

/// Opens four things and says of each whether a program started by Python would get it.
const PYTHON: &str = "import os, socket; s = socket.socket(); \
    print(*map(os.get_inheritable, (os.open('/dev/null', 0), *os.pipe(), s.fileno())))";

const QUESTION: Question = Question {
    question: "Which libraries set close-on-exec without being asked to?",
    setup: "Which of these set close-on-exec on the descriptors that they open, without being asked to: the C \
            library's open, pipe, socket, dup and accept; the C library's fopen; Rust's std?",
    choices: &[
        Choice::new("None of them: the flag is off unless the caller asks for it.")
            .because("Rust's std set it on everything that it opened."),
        Choice::new("Rust's std alone."),
        Choice::new("fopen and Rust's std: both are more than a bare system call.")
            .because("fopen left the flag off, like the other functions of the C library."),
        Choice::new("All of them: a kernel of today sets the flag on every new descriptor.")
            .because("The kernel sets the flag only if the call asks for it, and the C library did not ask."),
    ],
    book: 1,
    shows: "The kernel leaves close-on-exec off unless the call asks for it. The functions of the C library do \
            not ask unless the caller does. Rust's std asks whenever it opens something, and so does Python \
            since 3.4 (see the last row, if this machine has a python3). A C library in a Rust program still opens \
            without the flag.",
    roles: &[("nothing", |_| Ok(0))],
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        // A connection for accept.
        let (listener, _client) =
            loopback().map_err(|error| cannot_ask(format!("127.0.0.1 cannot be used: {error}")))?;
        row(lab, "opened by", "F_GETFD");
        let calls = by_call(lab, &listener)?;
        let fopen = by_fopen(lab)?;
        let std = by_std(lab, &listener)?;
        by_python(lab);
        lab.check(!calls.contains(&true), "none of the C library's calls sets the flag");
        lab.check(!fopen, "fopen does not set the flag either");
        lab.check(!std.contains(&false), "Rust's std sets the flag on everything that it opens");
        match (calls.contains(&true), calls.contains(&false), fopen, std.contains(&false)) {
            (false, _, false, true) => Ok(0),
            (false, _, false, false) => Ok(1),
            (false, _, true, false) => Ok(2),
            (_, false, true, false) => Ok(3),
            _ => Err("none of the choices".into()),
        }
    })
}

fn loopback() -> io::Result<(TcpListener, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    Ok((listener, client))
}

/// nix calls the C library's function of the same name, with no flag.
fn by_call(lab: &Lab, listener: &TcpListener) -> Result<Vec<bool>> {
    let mut seen = Vec::new();
    let file = open("/dev/null", OFlag::O_RDONLY, Mode::empty())?;
    seen.push(see(lab, "C: open", &file)?);
    let (reader, writer) = pipe()?;
    seen.push(see(lab, "C: pipe, read end", &reader)?);
    seen.push(see(lab, "C: pipe, write end", &writer)?);
    let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::empty(), None)?;
    seen.push(see(lab, "C: socket", &socket)?);
    seen.push(see(lab, "C: dup, of a close-on-exec listener", &dup(listener)?)?);
    let accepted = accept(listener.as_raw_fd())?;
    // SAFETY: accept made this descriptor in the line above, so its number is known here only.
    let accepted = unsafe { OwnedFd::from_raw_fd(accepted) };
    seen.push(see(lab, "C: accept, on that listener", &accepted)?);
    Ok(seen)
}

fn by_fopen(lab: &Lab) -> Result<bool> {
    // SAFETY: both arguments are strings that end in a NUL, and live forever.
    let file = unsafe { libc::fopen(c"/dev/null".as_ptr(), c"r".as_ptr()) };
    if file.is_null() {
        return Err("fopen(\"/dev/null\") failed".into());
    }
    // SAFETY: fopen gave this pointer, and it has not been closed.
    let number = unsafe { libc::fileno(file) };
    // SAFETY: the descriptor is the stream's, which is closed below, after the last use of this borrow.
    let cloexec = see(lab, "C: fopen", &unsafe { BorrowedFd::borrow_raw(number) });
    // SAFETY: fopen gave this pointer, and it is not used again.
    unsafe { libc::fclose(file) };
    cloexec
}

fn by_std(lab: &Lab, listener: &TcpListener) -> Result<Vec<bool>> {
    let mut seen = Vec::new();
    let file = File::open("/dev/null")?;
    seen.push(see(lab, "std: File::open", &file)?);
    seen.push(see(lab, "std: File::try_clone", &file.try_clone()?)?);
    let (reader, writer) = io::pipe()?;
    seen.push(see(lab, "std: io::pipe, read end", &reader)?);
    seen.push(see(lab, "std: io::pipe, write end", &writer)?);
    let (one, other) = UnixStream::pair()?;
    seen.push(see(lab, "std: UnixStream::pair, one", &one)?);
    seen.push(see(lab, "std: UnixStream::pair, the other", &other)?);
    seen.push(see(lab, "std: TcpListener::bind", listener)?);
    let client = TcpStream::connect(listener.local_addr()?)?;
    seen.push(see(lab, "std: TcpStream::connect", &client)?);
    let (accepted, _) = listener.accept()?;
    seen.push(see(lab, "std: TcpListener::accept", &accepted)?);
    seen.push(see(lab, "std: UdpSocket::bind", &UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?)?);
    let mut nothing = lab.program("nothing", &[])?;
    let mut child = nothing.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let ends = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    child.wait()?;
    let (Some(stdin), Some(stdout), Some(stderr)) = ends else { return Err("Command made no pipes".into()) };
    seen.push(see(lab, "std: Command, to the child's stdin", &stdin)?);
    seen.push(see(lab, "std: Command, from its stdout", &stdout)?);
    seen.push(see(lab, "std: Command, from its stderr", &stderr)?);
    Ok(seen)
}

/// Not every machine has a python3, so its row is shown, and it counts only if it contradicts the book.
fn by_python(lab: &Lab) {
    let output = Command::new("python3").args(["-I", "-c", PYTHON]).stdin(Stdio::null()).output();
    let said = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let seen = match said.as_deref() {
        Ok("False False False False") => "FD_CLOEXEC",
        Ok(inheritable) if !inheritable.is_empty() => {
            lab.check(false, format!("Python sets it on all four (inheritable: {inheritable})"));
            "not on all"
        }
        _ => "python3 not found",
    };
    row(lab, "Python: os.open, os.pipe, socket", &vary("seen", seen));
}

/// Is close-on-exec set? Writes the answer as a row of the table.
// ANCHOR: core
fn see(lab: &Lab, call: &str, descriptor: &impl AsFd) -> Result<bool> {
    let flags = FdFlag::from_bits_retain(fcntl(descriptor, FcntlArg::F_GETFD)?);
    let cloexec = flags.contains(FdFlag::FD_CLOEXEC);
    row(lab, call, if cloexec { "FD_CLOEXEC" } else { "0" });
    Ok(cloexec)
}
// ANCHOR_END: core

fn row(lab: &Lab, call: &str, flags: &str) {
    lab.note(format!("{call:<36}{flags}"));
}
