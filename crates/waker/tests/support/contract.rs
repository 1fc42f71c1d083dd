//! The contract of every waker. The tests of each exercise call these functions one by one.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Barrier;
use std::thread;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::libc;
use nix::sys::stat::Mode;
use nix::unistd::write;
use waker::Wake;

use super::{LONG, ask, ends, is_ready, traced, wait};

/// The bounds of a waker under test.
pub trait Waker: Wake + AsFd + Send + Sync {}
impl<W: Wake + AsFd + Send + Sync> Waker for W {}

#[track_caller]
pub fn a_wake_makes_the_waker_ready(waker: &impl Waker) {
    assert!(!is_ready(waker), "a new waker should not be ready, and poll reports it as readable");
    waker.wake().unwrap();
    assert!(
        is_ready(waker),
        "`wake` was called, and poll does not report the waker as readable. Does `as_fd` lend the read end, and does \
         `wake` write to the other end?"
    );
}

#[track_caller]
pub fn consume_ends_the_readiness(waker: &impl Waker) {
    is_nonblocking(waker);
    waker.wake().unwrap();
    waker.consume().unwrap();
    assert!(
        !is_ready(waker),
        "`consume` returned, and the waker is still readable. A loop that polls it never sleeps again: it spins"
    );
}

#[track_caller]
pub fn one_consume_ends_many_wakes(waker: &impl Waker) {
    is_nonblocking(waker);
    for wakes in [3, 1000, 9999] {
        (0..wakes).for_each(|_| waker.wake().unwrap());
        assert!(is_ready(waker), "`wake` was called {wakes} times, and the waker is not readable");
        waker.consume().unwrap();
        assert!(
            !is_ready(waker),
            "after {wakes} wakes and one `consume`, the waker is still readable. `consume` should read until the \
             waker is empty; otherwise the loop wakes up once more for every part that is left"
        );
    }
}

#[track_caller]
pub fn a_consumed_waker_can_be_woken_again(waker: &impl Waker) {
    is_nonblocking(waker);
    for round in 1..=3 {
        waker.wake().unwrap();
        assert!(is_ready(waker), "wake number {round}, after {} consumed ones, has no effect", round - 1);
        waker.consume().unwrap();
        assert!(!is_ready(waker), "wake number {round} was consumed, and the waker is still readable");
    }
}

#[track_caller]
pub fn consume_without_a_wake_succeeds(waker: &impl Waker) {
    is_nonblocking(waker);
    for time in ["the first time", "again"] {
        let consumed = waker.consume();
        assert!(
            consumed.is_ok(),
            "`consume` was called without a pending wake ({time}), and returned {consumed:?}. EAGAIN means that the waker is empty, \
             which is what `consume` should achieve. A loop may call it without a wake, because pollers report \
             outdated events"
        );
    }
    waker.wake().unwrap();
    assert!(is_ready(waker), "after a `consume` without a wake, `wake` has no effect");
}

/// Checks that both ends are nonblocking. It reads their flags, because a call that blocks would hang the test.
#[track_caller]
pub fn is_nonblocking(waker: impl AsFd) {
    for end in ends(&waker) {
        assert!(
            end.nonblocking,
            "descriptor {} ({}), the {} end, lacks O_NONBLOCK: {}",
            end.number,
            end.target,
            if end.writes { "write" } else { "read" },
            if end.writes {
                "a wake into a full waker would wait until the loop reads, and if the loop's own thread wakes it, \
                 forever"
            } else {
                "the last read of `consume` would wait for the next wake"
            }
        );
    }
}

#[track_caller]
pub fn is_close_on_exec(waker: impl AsFd) {
    for end in ends(&waker) {
        let (number, target) = (end.number, end.target);
        assert!(
            end.cloexec,
            "descriptor {number} ({target}) is not close-on-exec, so every program that is started inherits it, and \
             can wake the loop or consume its wakes"
        );
    }
}

/// Runs `new` under the tracer, because another thread may fork and exec between two calls of `new`.
#[track_caller]
pub fn is_close_on_exec_from_the_start(kind: &str) {
    let Some(answer) = traced("as-it-is", &["waker", kind, "calls-of-new"]) else { return };
    let open = answer.lines("call").find(|call| call.contains(" no-cloexec"));
    assert!(
        open.is_none(),
        "`new` made a descriptor that is not close-on-exec: `{}`. If another thread forks and execs right after this call, \
         its program inherits the waker, even if you set the flag later: pass it to the call that makes the descriptor",
        open.unwrap_or_default()
    );
    assert!(answer.0.contains(" cloexec ->"), "`new` made no descriptor:\n{}", answer.0);
}

#[track_caller]
pub fn a_wake_from_another_thread_ends_the_sleep(waker: &impl Waker) {
    let both = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            both.wait();
            waker.wake()
        });
        both.wait();
        assert!(wait(waker, LONG), "another thread called `wake`, and poll did not return within {LONG} ms");
    });
}

/// Runs in the helper, because a waker that blocks or retries forever would hang the test.
#[track_caller]
pub fn a_wake_of_a_full_waker_succeeds(waker: &impl Waker, kind: &str) {
    is_nonblocking(waker);
    let answer = ask(&["waker", kind, "storm"]);
    let (count, first) = answer.line("errors").split_once(' ').expect("a number and the first error");
    assert_eq!(
        count, "0",
        "of 10,000 wakes without a read, {count} failed, the first with: {first}. EAGAIN means that the waker is \
         full, so a wake is already pending: return Ok"
    );
    assert_eq!(
        answer.line("before"),
        "ready",
        "`wake` was called 10,000 times, and the waker is not readable"
    );
    assert_eq!(
        answer.line("after"),
        "silent",
        "the waker was full, and after `consume` it is still readable. It contained more than one buffer: read until \
         EAGAIN"
    );
    assert_eq!(answer.line("again"), "ready", "after the waker was full and consumed, `wake` has no effect");
}

#[track_caller]
pub fn close_and_drop_close_every_descriptor(kind: &str, wanted: &str) {
    let answer = ask(&["waker", kind, "leaks"]);
    let each = answer.line("descriptors-each");
    assert_eq!(
        each, wanted,
        "a waker of this kind should have {wanted} descriptors, and this one has {each}"
    );
    for how in ["closed", "dropped"] {
        let left = answer.line(&format!("descriptors-{how}"));
        assert_eq!(left, "0", "a waker was {how}, and {left} of its descriptors are still open");
    }
}

#[track_caller]
pub fn running_out_of_descriptors_is_an_error(kind: &str) {
    let answer = ask(&["waker", kind, "no-numbers"]);
    let result = answer.line("result");
    assert_eq!(result, "Err EMFILE", "the process had no free descriptor, and `new` returned {result}");
}

/// The result of an interrupted call, as the tracer prints it.
const INTERRUPTED: &str = "-> -4\n";

/// Runs on a simulated kernel, which interrupts calls that Linux does not interrupt.
#[track_caller]
pub fn an_interrupted_call_is_retried(waker: &impl Waker, kind: &str) {
    is_nonblocking(waker);
    let Some(answer) = traced("eintr", &["waker", kind, "calls-of-a-wake"]) else { return };
    assert!(answer.0.contains(INTERRUPTED), "`wake` made no write:\n{}", answer.0);
    assert_eq!(
        answer.line("before"),
        "ready",
        "signals interrupted the first 200 writes of `wake`, and the waker is not readable. EINTR means that nothing was \
         written: retry, as often as it takes"
    );
    let Some(answer) = traced("eintr", &["waker", kind, "calls-of-consume"]) else { return };
    assert!(answer.0.contains(INTERRUPTED), "`consume` made no read:\n{}", answer.0);
    assert_eq!(
        answer.line("after"),
        "silent",
        "signals interrupted the first 200 reads, and `consume` returned with the waker still readable. EINTR does not mean \
         that the waker is empty: retry, as often as it takes"
    );
    let Some(answer) = traced("eintr-again", &["waker", kind, "calls-of-consume-when-full"]) else { return };
    assert_eq!(
        answer.line("after"),
        "silent",
        "the waker was full, and signals interrupted every second read: `consume` returned with the waker still readable. \
         EINTR means the same after a read that succeeded: retry"
    );
}

/// Replaces the waker's descriptor with one that can be neither read nor written, as a bug in other code might.
#[track_caller]
pub fn any_other_error_of_consume_is_returned(waker: &impl Waker) {
    let useless = open("/", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).unwrap();
    replace(waker.as_fd(), &useless);
    let consumed = waker.consume();
    assert_eq!(
        consumed.map_err(|error| error.errno),
        Err(Errno::EBADF),
        "the waker's descriptor cannot be read, and `consume` did not return the error. The poller keeps reporting the \
         descriptor, so a loop that takes it for consumed spins at 100 % of a processor"
    );
}

/// The same for `wake`, whose descriptor is `writer`.
#[track_caller]
pub fn any_other_error_of_wake_is_returned(waker: &impl Waker, writer: BorrowedFd<'_>) {
    replace(writer, &open("/dev/null", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()).unwrap());
    assert_eq!(
        waker.wake().map_err(|error| error.errno),
        Err(Errno::EBADF),
        "the descriptor cannot be written to, and `wake` did not return the error. The caller believes that the loop is \
         woken, and the loop sleeps on"
    );
}

/// Puts a duplicate of `file` at the number of `fd`. The number stays open at every moment, so no other open gets it.
pub fn replace(fd: BorrowedFd<'_>, file: &OwnedFd) {
    // SAFETY: the number stays open, and its owner closes the duplicate later.
    let answer = unsafe { libc::dup3(file.as_raw_fd(), fd.as_raw_fd(), libc::O_CLOEXEC) };
    Errno::result(answer).expect("both are open");
}

/// Writes what a signal handler writes: eight bytes, the number 1 in native byte order.
#[track_caller]
pub fn a_write_to_writer_wakes(waker: &impl Waker, writer: BorrowedFd<'_>) {
    is_nonblocking(waker);
    let written = write(writer, &1_u64.to_ne_bytes());
    assert_eq!(
        written,
        Ok(8),
        "a write of eight bytes to `writer` failed. `writer` should lend the write end"
    );
    assert!(is_ready(waker), "eight bytes were written to `writer`, and the waker is not readable");
    waker.consume().unwrap();
    assert!(!is_ready(waker), "after a write of eight bytes and `consume`, the waker is still readable");
}
