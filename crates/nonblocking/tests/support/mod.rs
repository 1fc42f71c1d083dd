//! What the tests share: the helper, the kernel's word on a descriptor, and a way out of calls that never come
//! back.

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

mod helper;
testing::helper!(helper::answer);

nix::ioctl_read_bad!(
    /// How many bytes are there to be read. See FIONREAD(2const).
    fionread,
    libc::FIONREAD,
    c_int
);

/// How long a call that must not block may take. Those that are right take microseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// And once one of this program did not come back: the others need not all wait as long.
const IMPATIENCE: Duration = Duration::from_millis(200);
static HUNG: AtomicBool = AtomicBool::new(false);

/// Have the helper run a scenario, in a process of its own.
#[track_caller]
pub fn ask(scenario: &[&str]) -> Answer {
    running(scenario).ask()
}

/// The same, with something of ours as its standard input.
#[track_caller]
pub fn ask_with(scenario: &[&str], stdin: Stdio) -> Answer {
    let mut helper = running(scenario);
    helper.command().stdin(stdin);
    helper.ask()
}

/// The same, for a scenario that may end badly: then in words.
pub fn try_ask(scenario: &[&str]) -> Result<Answer, String> {
    Ok(running(scenario).answer()?.expect("only the tracer is ever refused"))
}

fn running(scenario: &[&str]) -> Helper {
    Helper::new(&[&["run"], scenario].concat())
}

/// Did a traced scenario make one call after the other, until it was stopped?
pub fn endless(answer: &Answer) -> bool {
    answer.lines("endless").next().is_some()
}

/// Do something that must come back by itself. If it does not, `rescue` is called again and again until it
/// does, so that the test can end, and the test fails.
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
        // Whether the work comes back or panics, `done` goes away, and with it the guard.
        let (_done, result) = (done, work());
        drop(_done);
        (result, guard.join().expect("the guard does not panic"))
    });
    assert!(!hung, "it did not come back within {patience:?}, until it was helped: {meaning}");
    result
}

/// One descriptor as /proc/self/fdinfo shows it.
#[derive(Debug, PartialEq, Eq)]
pub struct Info {
    /// The status flags and the access mode, without close-on-exec.
    pub flags: OFlag,
    /// Is it close-on-exec?
    pub marked: bool,
}

impl Info {
    /// Is its open file description nonblocking?
    pub fn nonblocking(&self) -> bool {
        self.flags.contains(OFlag::O_NONBLOCK)
    }
}

/// Status flags by the names that the manual has for them; nix calls O_NONBLOCK by its old name.
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

/// Ask the kernel about a descriptor, past the code under test.
#[track_caller]
pub fn info(fd: impl AsFd) -> Info {
    let number = fd.as_fd().as_raw_fd();
    let text =
        fs::read_to_string(format!("/proc/self/fdinfo/{number}")).expect("an open descriptor is in fdinfo");
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:")).expect("fdinfo has the line");
    let flags = i32::from_str_radix(flags.trim(), 8).expect("flags are octal");
    Info { flags: OFlag::from_bits_retain(flags & !O_CLOEXEC), marked: flags & O_CLOEXEC != 0 }
}

/// `descriptor 7 (pipe:[8812])`.
pub fn name(fd: impl AsFd) -> String {
    let number: RawFd = fd.as_fd().as_raw_fd();
    let target = fs::read_link(format!("/proc/self/fd/{number}")).map(|target| target.display().to_string());
    format!("descriptor {number} ({})", target.unwrap_or_else(|_| "not open".into()))
}

/// A pipe with these status flags on both ends, close-on-exec or not, past the code under test.
#[track_caller]
pub fn a_pipe(flags: OFlag, marked: bool) -> (PipeReader, PipeWriter) {
    let (reader, writer) = pipe().expect("a pipe can be made");
    let mark = if marked { FdFlag::FD_CLOEXEC } else { FdFlag::empty() };
    for end in [reader.as_fd(), writer.as_fd()] {
        fcntl(end, FcntlArg::F_SETFL(flags)).expect("the descriptor is open");
        fcntl(end, FcntlArg::F_SETFD(mark)).expect("the descriptor is open");
    }
    (reader, writer)
}

/// A nonblocking pipe that holds one page, which is the least that a pipe can hold.
#[track_caller]
pub fn a_small_pipe() -> (PipeReader, PipeWriter) {
    let (reader, writer) = a_pipe(OFlag::O_NONBLOCK, true);
    fcntl(&writer, FcntlArg::F_SETPIPE_SZ(1)).expect("a pipe can be made smaller");
    assert_eq!(held(&reader), page(), "one page was asked for");
    (reader, writer)
}

/// How many bytes a pipe can hold, in the kernel's own word.
#[track_caller]
pub fn held(fd: impl AsFd) -> usize {
    let answer = fcntl(fd, FcntlArg::F_GETPIPE_SZ).expect("it is a pipe");
    usize::try_from(answer).expect("a capacity is no negative number")
}

/// The size of a page, in bytes.
pub fn page() -> usize {
    let page = sysconf(SysconfVar::PAGE_SIZE).ok().flatten().expect("every kernel says");
    usize::try_from(page).expect("a size")
}

/// How many bytes wait to be read.
#[track_caller]
pub fn waiting(fd: impl AsFd) -> usize {
    let mut bytes = 0;
    // SAFETY: the pointer is to an `int` of ours, which is what FIONREAD writes.
    unsafe { fionread(fd.as_fd().as_raw_fd(), &raw mut bytes) }.expect("a pipe or a socket can be asked");
    usize::try_from(bytes).expect("it is a count")
}

/// Write until there is no room; give what was written. The bytes are those of [`stream`].
#[track_caller]
pub fn fill(writer: &PipeWriter) -> Vec<u8> {
    assert!(info(writer).nonblocking(), "only a nonblocking pipe can be filled");
    let bytes = stream(held(writer) + 1);
    let mut written = 0;
    loop {
        match (&*writer).write(&bytes[written..]) {
            Ok(taken) => written += taken,
            Err(_) => return bytes[..written].to_vec(),
        }
    }
}

/// Read whatever there is.
pub fn empty(mut reader: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    // The error says that there is nothing left now.
    let _ = reader.read_to_end(&mut bytes);
    bytes
}

/// Bytes in which no stretch of eight or more occurs twice, so that a byte that is lost, doubled or out of order
/// shows. Eight bytes are made at a time, because a test that fills megabytes one by one would take longer than
/// everything else.
pub fn stream(length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 8);
    let mut state = 0_u64;
    while bytes.len() < length {
        // SplitMix64: each number between 0 and 2^64 comes once before any comes again.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend_from_slice(&(mixed ^ (mixed >> 31)).to_ne_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Say where two streams differ first, instead of printing them.
#[track_caller]
pub fn same_bytes(seen: &[u8], wanted: &[u8], meaning: &str) {
    if seen == wanted {
        return;
    }
    let at = seen.iter().zip(wanted).take_while(|(a, b)| a == b).count();
    panic!(
        "{} bytes came out where {} went in, and they differ from byte {at} on: {meaning}",
        seen.len(),
        wanted.len()
    );
}

/// A number that is not open, since no process has it: /proc/sys/fs/nr_open is at most 2147483584.
pub fn not_open() -> BorrowedFd<'static> {
    // SAFETY: nobody owns the number, so nobody's file is reached through it.
    unsafe { BorrowedFd::borrow_raw(i32::MAX) }
}

/// Bytes wait in it, and behind them an error: ECONNRESET, since the peer went away with bytes unread.
#[track_caller]
pub fn reset_behind(bytes: &[u8]) -> OwnedFd {
    let (mut ours, mut theirs) = std::os::unix::net::UnixStream::pair().expect("a pair can be made");
    theirs.write_all(bytes).expect("there is room");
    ours.write_all(b"never read").expect("there is room");
    drop(theirs);
    ours.set_nonblocking(true).expect("it is open");
    ours.into()
}

/// The errno and the text of an error.
#[track_caller]
pub fn refused<T: std::fmt::Debug>(what: &str, result: nonblocking::Result<T>) -> (Errno, String) {
    match result {
        Ok(value) => panic!("{what} was to be refused, and the answer is {value:?}"),
        Err(error) => (error.errno, error.to_string()),
    }
}
