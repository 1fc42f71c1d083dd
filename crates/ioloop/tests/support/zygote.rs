//! A helper for scenarios that need the names of a stack. Looking up the first name reads the symbol tables of the
//! whole program and of the C library: with libc's debug symbols installed, that takes 0.1 s of processor time. A
//! zygote reads the tables once, and forks a process for each scenario.
//!
//! Contract: the zygote has one thread, so it may fork. The output of a scenario comes back through a socket, followed
//! by how its process ended. The zygote exits when the test program does.

use std::fs::File;
use std::io::{BufRead, BufReader, PipeReader, Read, Write, pipe, stdin, stdout};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::sync::LazyLock;

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, alarm, dup2_stderr, dup2_stdin, dup2_stdout, fork};

use testing::Answer;

/// In the last line of an answer, this precedes how the scenario's process ended.
const ENDED: &str = "the process ";
const WELL: &str = "exited with 0";

/// The zygote of this test program: the address where it accepts, and the reader of the pipe on which the zygote
/// notices that this program has exited.
static ZYGOTE: LazyLock<(SocketAddr, PipeReader)> =
    LazyLock::new(|| start().expect("the zygote can be started"));

fn start() -> std::io::Result<(SocketAddr, PipeReader)> {
    let listener = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    // The kernel chooses the name.
    bind(listener.as_raw_fd(), &UnixAddr::new_unnamed())?;
    listen(&listener, Backlog::MAXCONN)?;
    let listener = UnixListener::from(listener);
    let address = listener.local_addr()?;
    let (reader, writer) = pipe()?;
    let mut helper = testing::Helper::new(&["zygote"]);
    let command = helper.command().stdin(OwnedFd::from(listener));
    command.stdout(writer.try_clone()?).stderr(writer).spawn()?;
    Ok((address, reader))
}

/// Let a fork of the zygote do what these arguments say.
///
/// # Panics
/// If it could not, with what it printed.
#[track_caller]
pub fn ask(args: &[&str]) -> Answer {
    let scenario = args.join(" ");
    let answer = || {
        let mut stream = UnixStream::connect_addr(&ZYGOTE.0)?;
        writeln!(stream, "{scenario}")?;
        stream.shutdown(Shutdown::Write)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).map(|_| answer)
    };
    let answer = answer().unwrap_or_else(|error| panic!("the zygote cannot be asked: {error}"));
    let answer = String::from_utf8_lossy(&answer);
    match answer.trim_end().rsplit_once(ENDED) {
        Some((said, WELL)) => Answer(said.into()),
        Some((said, ended)) => panic!("the helper `{scenario}` {ended}:\n{said}"),
        None => panic!("the zygote did not report how the helper `{scenario}` ended:\n{answer}"),
    }
}

/// Be the zygote, with the listening socket as standard input. Returns in each process that it forks too, with the exit
/// code of that process.
pub fn serve(run: fn(&[&str]) -> i32) -> i32 {
    alarm::cancel();
    serve_until_the_test_program_exits(run).unwrap_or_else(|error| {
        eprintln!("{error}");
        1
    })
}

fn serve_until_the_test_program_exits(run: fn(&[&str]) -> i32) -> std::io::Result<i32> {
    let listener = UnixListener::from(stdin().as_fd().try_clone_to_owned()?);
    // One function of this program, and one of the C library.
    for function in [serve as *const (), libc::clock_nanosleep as *const ()] {
        backtrace::resolve(function.cast_mut().cast(), |_| ());
    }
    // SAFETY: ignoring a signal runs no code. The kernel reaps the children.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }?;
    loop {
        let stdout = stdout();
        let mut waited = [
            PollFd::new(listener.as_fd(), PollFlags::POLLIN),
            // It has POLLERR once its last reader is closed.
            PollFd::new(stdout.as_fd(), PollFlags::empty()),
        ];
        poll(&mut waited, PollTimeout::NONE)?;
        if waited[1].any() == Some(true) {
            return Ok(0);
        }
        let (stream, _) = listener.accept()?;
        // SAFETY: this process has one thread.
        if unsafe { fork() }?.is_child() {
            drop(listener);
            return answer(stream, run);
        }
    }
}

/// Fork again, and report how the scenario ended.
fn answer(stream: UnixStream, run: fn(&[&str]) -> i32) -> std::io::Result<i32> {
    // SAFETY: the default action runs no code either.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) }?;
    let mut scenario = String::new();
    BufReader::new(&stream).read_line(&mut scenario)?;
    dup2_stdin(File::open("/dev/null")?)?;
    dup2_stdout(&stream)?;
    dup2_stderr(&stream)?;
    drop(stream);
    // SAFETY: this process has one thread.
    match unsafe { fork() }? {
        ForkResult::Child => {
            // Every helper has this alarm.
            testing::comes_on();
            Ok(run(&scenario.split_whitespace().collect::<Vec<_>>()))
        }
        ForkResult::Parent { child } => {
            let ended = match waitpid(child, None)? {
                WaitStatus::Exited(_, code) => format!("exited with {code}"),
                WaitStatus::Signaled(_, signal, _) => format!("was killed by {signal}"),
                other => format!("is in a state that it cannot be in: {other:?}"),
            };
            println!("{ENDED}{ended}");
            Ok(0)
        }
    }
}
