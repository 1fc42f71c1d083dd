//! A descriptor whose number is 1200, and select.

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::panic::{catch_unwind, set_hook, take_hook};
use std::process::ExitCode;
use std::ptr;
use std::time::Duration;
use std::{fs, mem};

use experiments::{Choice, Lab, Question, Result, ask, cannot_ask};
use ioloop::poller::Kind;
use ioloop::{Events, Token};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use nix::sys::select::FdSet;
use nix::unistd::{pipe2, write};

const HIGH: i32 = 1200;
/// What `fd_set` has, in words of 64 bits.
const WORDS: usize = mem::size_of::<libc::fd_set>() / 8;

const QUESTION: Question = Question {
    question: "What does select return for a ready descriptor with a number above 1023?",
    setup: "Descriptor 1200 is ready. fd_set, the type that C has for select's sets, has 1024 bits. A program passes \
            select larger sets of its own, with 2048 bits, and sets the bit of descriptor 1200. What does select return?",
    choices: &[
        Choice::new("EINVAL: select takes numbers below 1024.").because(
            "The kernel takes as many bits as the first argument says, here 1201, rounded up to whole words.",
        ),
        Choice::new("EBADF: for select no such descriptor is open.")
            .because("The kernel looks the number up in the process's table, where it is open."),
        Choice::new("0: the bits from 1024 on are ignored.")
            .because("The kernel read the bit of 1200, because the first argument covers it."),
        Choice::new("1: it is ready, like any other."),
    ],
    book: 3,
    shows: "The kernel has no limit of 1024: it reads and writes as many bits as the first argument says, rounded up to \
            whole words. The limit is glibc's, whose type for a set has a fixed size, and a program that sets a bit past \
            its end overwrites other memory. So the code that calls select must check the number. Our poller returns an \
            error that names the number and the limit.",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let (pipe, writer) = pipe2(OFlag::O_CLOEXEC)?;
        let reader = numbered(&pipe)?;
        drop(pipe);
        write(&writer, b"x")?;
        lab.note(format!("a pipe's read end is number {HIGH}, and has a byte"));
        let choice = own_sets(lab)?;
        neighbor(lab)?;
        not_open(lab)?;
        in_rust(lab, &reader);
        pollers(lab, &reader)?;
        Ok(choice)
    })
}

/// The same descriptor again, under a number that fd_set has no bit for.
fn numbered(fd: &impl AsFd) -> Result<OwnedFd> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    // The next number is needed as well.
    if hard <= HIGH as rlim_t + 1 {
        return Err(cannot_ask(format!(
            "this process may have {hard} descriptors, too few for number {} (ulimit -Hn)",
            HIGH + 1
        )));
    }
    // For this process alone.
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    let number = fcntl(fd.as_fd(), FcntlArg::F_DUPFD_CLOEXEC(HIGH))?;
    // SAFETY: it was made a moment ago, so it has no other owner.
    let high = unsafe { OwnedFd::from_raw_fd(number) };
    if number == HIGH { Ok(high) } else { Err(cannot_ask(format!("number {HIGH} is taken"))) }
}

/// Which word has the bit, and which bit of it: what FD_SET works out.
const fn place(fd: i32) -> (usize, u64) {
    (fd as usize / 64, 1 << (fd % 64))
}

/// select(2) on a set for reading that is as long as it has to be.
fn select(bits: i32, set: &mut [u64]) -> nix::Result<i32> {
    assert!(bits as usize <= set.len() * 64, "the kernel reads and writes that many bits, in whole words");
    let mut time = libc::timeval { tv_sec: 0, tv_usec: 0 };
    let (none, set) = (ptr::null_mut(), set.as_mut_ptr().cast());
    // SAFETY: the kernel reads and writes the first `bits` bits of the set, in whole words, and all of them are
    // there, as the line above says; and the time, which is ours.
    Errno::result(unsafe { libc::select(bits, set, none, none, &raw mut time) })
}

fn own_sets(lab: &Lab) -> Result<usize> {
    // ANCHOR: core
    let mut set = [0; 2 * WORDS];
    let (word, bit) = place(HIGH);
    set[word] = bit;
    let answer = select(HIGH + 1, &mut set);
    // ANCHOR_END: core
    lab.note(format!("select, with sets of {} bits: {}", set.len() * 64, said(answer)));
    match answer {
        Err(Errno::EINVAL) => Ok(0),
        Err(Errno::EBADF) => Ok(1),
        Ok(0) => Ok(2),
        Ok(1) if set[word] == bit => Ok(3),
        other => Err(format!("none of the choices: {other:?}").into()),
    }
}

/// A variable that comes after an fd_set in memory.
fn neighbor(lab: &Lab) -> Result {
    let (word, bit) = place(HIGH);
    let mut memory = [0; 2 * WORDS];
    // What FD_SET does in C. In here it is only another place of the same array.
    memory[word] |= bit;
    let behind = word - WORDS;
    lab.note(format!("FD_SET({HIGH}) in C writes to word {word}; an fd_set has words 0 to {}", WORDS - 1));
    lab.check(
        word >= WORDS && memory[..WORDS].iter().all(|word| *word == 0),
        format!("word {word} is behind the set, with {behind} other words between them"),
    );
    // A descriptor that is open and not readable, so that select does not fail with EBADF: the read end of an empty pipe.
    let (idle, _writer) = pipe2(OFlag::O_CLOEXEC)?;
    let (low, low_bit) = place(idle.as_raw_fd());
    memory = [0; 2 * WORDS];
    memory[low] = low_bit;
    let open = numbered_idle(&idle)?;
    let (word, bit) = place(open.as_raw_fd());
    memory[word] = bit;
    let answer = select(open.as_raw_fd() + 1, &mut memory);
    let number = open.as_raw_fd();
    lab.note(format!("number {number}, an empty pipe's read end: its bit is set behind a set"));
    let cleared = if memory[word] == 0 { "cleared" } else { "left" };
    lab.note(format!("select, with that set of 1024 bits: {}, and the bit is {cleared}", said(answer)));
    lab.check(
        answer == Ok(0) && memory[word] == 0,
        "the kernel writes its answer over that word, although it is behind the set",
    );
    Ok(())
}

fn numbered_idle(fd: &impl AsFd) -> Result<OwnedFd> {
    let number = fcntl(fd.as_fd(), FcntlArg::F_DUPFD_CLOEXEC(HIGH + 1))?;
    // SAFETY: it was made a moment ago, so it has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Bits for numbers that are not open: below the end of the process's table, and beyond it.
fn not_open(lab: &Lab) -> Result {
    let status = fs::read_to_string("/proc/self/status")?;
    let size = status.lines().find_map(|line| line.strip_prefix("FDSize:")).ok_or("no FDSize")?;
    let size: i32 = size.trim().parse()?;
    let mut set = vec![0; size as usize / 64 + 1];
    let mut ask = |fd: i32| {
        let (word, bit) = place(fd);
        set.fill(0);
        set[word] = bit;
        select(fd + 1, &mut set)
    };
    let (within, beyond) = (ask(size - 1), ask(size));
    lab.note(format!("this process's table has {size} slots"));
    lab.note(format!("select on number {}, its last slot, not open: {}", size - 1, said(within)));
    lab.note(format!("select on number {size}, beyond the table: {}", said(beyond)));
    lab.check(within == Err(Errno::EBADF), "a number that is not open is EBADF");
    lab.check(beyond == Ok(0), "a number beyond the table is ignored, without an error");
    Ok(())
}

/// What stops a Rust program.
fn in_rust(lab: &Lab, reader: &OwnedFd) {
    let hook = take_hook();
    set_hook(Box::new(|_| ()));
    let inserted = catch_unwind(|| FdSet::new().insert(reader.as_fd()));
    set_hook(hook);
    lab.note(format!("nix, FdSet::insert: {}", if inserted.is_ok() { "no objection" } else { "a panic" }));
    lab.check(inserted.is_err(), "nix refuses with a panic");
}

fn pollers(lab: &Lab, reader: &OwnedFd) -> Result {
    for kind in Kind::ALL {
        let (mut poller, mut ready) = (kind.make()?, Vec::new());
        let token = Token { index: 0, generation: 0 };
        match poller.add(reader.as_raw_fd(), token, Events::READ) {
            Ok(()) => {
                poller.wait(&mut ready, Some(Duration::ZERO))?;
                lab.note(format!("our {kind}: {} ready", ready.len()));
                lab.check(kind != Kind::Select && ready.len() == 1, format!("{kind} takes any number"));
            }
            Err(error) => {
                lab.note(format!("our {kind}: {:?}, and this error:", error.errno));
                lab.note(&error.object);
                let named = error.to_string().contains(&HIGH.to_string());
                lab.check(
                    kind == Kind::Select && error.errno == Errno::EINVAL && named,
                    "select refuses with an error that names the number and the limit",
                );
            }
        }
    }
    Ok(())
}

fn said(answer: nix::Result<i32>) -> String {
    answer.map_or_else(|error| format!("{error:?}"), |count| count.to_string())
}
