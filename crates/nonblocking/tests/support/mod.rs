//! What the tests share: the helper, descriptors as the kernel shows them, and a rescue for calls that do not return.

#![allow(dead_code, reason = "each test program uses a part of this")]

use std::fs;
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::libc::{self, O_CLOEXEC, c_int};
use nix::unistd::{SysconfVar, sysconf};
use testing::Helper;

pub use testing::{Answer, traced};

pub mod helper;

nix::ioctl_read_bad!(
    /// Gets the number of bytes that can be read. See FIONREAD(2const).
    fionread,
    libc::FIONREAD,
    c_int
);

/// How long a call that must not block may take. A correct one takes microseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long, after a call of this program hung: the other tests need not wait as long.
const IMPATIENCE: Duration = Duration::from_millis(200);
static HUNG: AtomicBool = AtomicBool::new(false);

/// Lets the helper run a scenario, in a process of its own.
#[track_caller]
pub fn ask(scenario: &[&str]) -> Answer {
    running(scenario).ask()
}

/// Lets the helper run a scenario, with a descriptor of ours as its standard input.
#[track_caller]
pub fn ask_with(scenario: &[&str], stdin: Stdio) -> Answer {
    let mut helper = running(scenario);
    helper.command().stdin(stdin);
    helper.ask()
}

/// Lets the helper run a scenario that may fail. The error describes how.
pub fn try_ask(scenario: &[&str]) -> Result<Answer, String> {
    Ok(running(scenario).answer()?.expect("only the tracer is ever refused"))
}

fn running(scenario: &[&str]) -> Helper {
    Helper::new(&[&["run"], scenario].concat())
}

/// Returns whether the tracer stopped the scenario because it made calls without end.
pub fn endless(answer: &Answer) -> bool {
    answer.lines("endless").next().is_some()
}

/// Returns how long a test tries random cases, in milliseconds: this long in a test program of its own, and a part of that
/// in a check, for whose verdict a reader waits at every save.
pub const fn budget(milliseconds: u64) -> u64 {
    if cfg!(feature = "check") { milliseconds / 8 } else { milliseconds }
}

/// Does work that must return by itself. If it does not, this calls `rescue` until the work returns, and fails
/// the test.
#[track_caller]
pub fn comes_back<T>(meaning: &str, mut rescue: impl FnMut() + Send, work: impl FnOnce() -> T) -> T {
    let (done, wait) = channel::<()>();
    let patience = if HUNG.load(Ordering::Relaxed) { IMPATIENCE } else { PATIENCE };
    let (result, hung) = thread::scope(|scope| {
        let guard = scope.spawn(move || {
            let hung = wait.recv_timeout(patience) == Err(RecvTimeoutError::Timeout);
            HUNG.fetch_or(hung, Ordering::Relaxed);
            while wait.recv_timeout(Duration::from_millis(1)) == Err(RecvTimeoutError::Timeout) {
                rescue();
            }
            hung
        });
        // If the work returns or panics, `done` is dropped, and the guard returns too.
        let (_done, result) = (done, work());
        drop(_done);
        (result, guard.join().expect("the guard does not panic"))
    });
    assert!(!hung, "the call did not return within {patience:?}, until the test freed it: {meaning}");
    result
}

/// One descriptor, as `/proc/self/fdinfo` shows it.
#[derive(Debug, PartialEq, Eq)]
pub struct Info {
    /// The status flags and the access mode, without close-on-exec.
    pub flags: OFlag,
    /// Whether it is close-on-exec.
    pub cloexec: bool,
}

impl Info {
    /// Returns whether its open file description is nonblocking.
    pub fn nonblocking(&self) -> bool {
        self.flags.contains(OFlag::O_NONBLOCK)
    }
}

/// Names status flags as the manual does; nix prints O_NONBLOCK as O_NDELAY.
pub fn words(flags: OFlag) -> String {
    let named = [
        (OFlag::O_NONBLOCK, "O_NONBLOCK"),
        (OFlag::O_APPEND, "O_APPEND"),
        (OFlag::O_ASYNC, "O_ASYNC"),
        (OFlag::O_DIRECT, "O_DIRECT"),
    ];
    let names: Vec<&str> =
        named.iter().filter(|(flag, _)| flags.contains(*flag)).map(|each| each.1).collect();
    if names.is_empty() { "no flags".into() } else { names.join(" | ") }
}

/// Asks the kernel about a descriptor, without the code under test.
#[track_caller]
pub fn info(fd: impl AsFd) -> Info {
    let number = fd.as_fd().as_raw_fd();
    let text =
        fs::read_to_string(format!("/proc/self/fdinfo/{number}")).expect("an open descriptor is in fdinfo");
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:")).expect("fdinfo has the line");
    let flags = i32::from_str_radix(flags.trim(), 8).expect("flags are octal");
    Info { flags: OFlag::from_bits_retain(flags & !O_CLOEXEC), cloexec: flags & O_CLOEXEC != 0 }
}

/// Names a descriptor for a message: `descriptor 7 (pipe:[8812])`.
pub fn name(fd: impl AsFd) -> String {
    let number: RawFd = fd.as_fd().as_raw_fd();
    let target = fs::read_link(format!("/proc/self/fd/{number}")).map(|target| target.display().to_string());
    format!("descriptor {number} ({})", target.unwrap_or_else(|_| "not open".into()))
}

/// Makes a pipe with these status flags on both ends, close-on-exec or not, without the code under test.
#[track_caller]
pub fn a_pipe(flags: OFlag, cloexec: bool) -> (PipeReader, PipeWriter) {
    let (reader, writer) = pipe().expect("a pipe can be made");
    let mark = if cloexec { FdFlag::FD_CLOEXEC } else { FdFlag::empty() };
    for end in [reader.as_fd(), writer.as_fd()] {
        fcntl(end, FcntlArg::F_SETFL(flags)).expect("the descriptor is open");
        fcntl(end, FcntlArg::F_SETFD(mark)).expect("the descriptor is open");
    }
    (reader, writer)
}

/// Makes a nonblocking pipe with a capacity of one page, the minimum.
#[track_caller]
pub fn a_small_pipe() -> (PipeReader, PipeWriter) {
    let (reader, writer) = a_pipe(OFlag::O_NONBLOCK, true);
    fcntl(&writer, FcntlArg::F_SETPIPE_SZ(1)).expect("a pipe can be made smaller");
    assert_eq!(kernel_capacity(&reader), page(), "the kernel should set a capacity of one page");
    (reader, writer)
}

/// Returns a pipe's capacity, in bytes, without the code under test.
#[track_caller]
pub fn kernel_capacity(fd: impl AsFd) -> usize {
    let answer = fcntl(fd, FcntlArg::F_GETPIPE_SZ).expect("it is a pipe");
    usize::try_from(answer).expect("a capacity is never negative")
}

/// Returns the size of a page, in bytes.
pub fn page() -> usize {
    let page = sysconf(SysconfVar::PAGE_SIZE).ok().flatten().expect("every kernel says");
    usize::try_from(page).expect("a size")
}

/// Returns how many bytes can be read now.
#[track_caller]
pub fn waiting(fd: impl AsFd) -> usize {
    let mut bytes = 0;
    // SAFETY: FIONREAD writes one `int`, through a pointer to a local variable.
    unsafe { fionread(fd.as_fd().as_raw_fd(), &raw mut bytes) }.expect("a pipe or a socket can be asked");
    usize::try_from(bytes).expect("it is a count")
}

/// Fills a pipe with the bytes of [`stream`], and returns them.
#[track_caller]
pub fn fill(writer: &PipeWriter) -> Vec<u8> {
    assert!(info(writer).nonblocking(), "only a nonblocking pipe can be filled");
    let bytes = stream(kernel_capacity(writer) + 1);
    let mut written = 0;
    loop {
        match (&*writer).write(&bytes[written..]) {
            Ok(taken) => written += taken,
            Err(_) => return bytes[..written].to_vec(),
        }
    }
}

/// Reads everything that is there.
pub fn empty(mut reader: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    // The error is EAGAIN: the pipe is empty now.
    let _ = reader.read_to_end(&mut bytes);
    bytes
}

/// Makes pseudorandom bytes, so that a test sees bytes that are lost, repeated or out of order.
///
/// It makes eight bytes at a time, because making megabytes one by one would take longer than the rest of the tests.
pub fn stream(length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 8);
    let mut state = 0_u64;
    while bytes.len() < length {
        // SplitMix64, which returns every 64-bit number once before it repeats any.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend_from_slice(&(mixed ^ (mixed >> 31)).to_ne_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Compares two streams, and reports the first difference instead of printing both.
#[track_caller]
pub fn same_bytes(seen: &[u8], wanted: &[u8], meaning: &str) {
    if seen == wanted {
        return;
    }
    let at = seen.iter().zip(wanted).take_while(|(a, b)| a == b).count();
    panic!(
        "{} bytes came out instead of {}, and the first difference is at byte {at}: {meaning}",
        seen.len(),
        wanted.len()
    );
}

/// Returns a number that no process has open, because `/proc/sys/fs/nr_open` is at most 2147483584.
pub fn not_open() -> BorrowedFd<'static> {
    // SAFETY: the number is never open, so no file is reached through it.
    unsafe { BorrowedFd::borrow_raw(i32::MAX) }
}

/// Makes a socket from which these bytes can be read, and then ECONNRESET, because the peer closed with unread bytes.
#[track_caller]
pub fn reset_behind(bytes: &[u8]) -> OwnedFd {
    let (mut ours, mut theirs) = std::os::unix::net::UnixStream::pair().expect("a pair can be made");
    theirs.write_all(bytes).expect("there is room");
    ours.write_all(b"never read").expect("there is room");
    drop(theirs);
    ours.set_nonblocking(true).expect("it is open");
    ours.into()
}

/// Returns the errno and the text of an error. Panics on a success.
#[track_caller]
pub fn refused<T: std::fmt::Debug>(what: &str, result: nonblocking::Result<T>) -> (Errno, String) {
    match result {
        Ok(value) => panic!("{what} should be an error, and returned {value:?}"),
        Err(error) => (error.errno, error.to_string()),
    }
}
