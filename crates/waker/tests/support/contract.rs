//! What every waker must do, whatever it is made of. Each exercise's tests name these one by one.

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

/// What these functions are given.
pub trait Waker: Wake + AsFd + Send + Sync {}
impl<W: Wake + AsFd + Send + Sync> Waker for W {}

#[track_caller]
pub fn a_wake_makes_it_ready(waker: &impl Waker) {
    assert!(!is_ready(waker), "nobody has woken it yet, and a poller already finds it ready");
    waker.wake().unwrap();
    assert!(
        is_ready(waker),
        "it was woken, and a poller that watches it does not find it ready: does `as_fd` lend the end to read from, \
         and was anything written to the other one?"
    );
}

#[track_caller]
pub fn a_consumed_wake_is_gone(waker: &impl Waker) {
    cannot_block(waker);
    waker.wake().unwrap();
    waker.consume().unwrap();
    assert!(
        !is_ready(waker),
        "it was woken and consumed, and is still ready: whoever polls it never sleeps again, and spins"
    );
}

#[track_caller]
pub fn many_wakes_are_one_readiness(waker: &impl Waker) {
    cannot_block(waker);
    for wakes in [3, 1000, 9999] {
        (0..wakes).for_each(|_| waker.wake().unwrap());
        assert!(is_ready(waker), "it was woken {wakes} times, and is not ready");
        waker.consume().unwrap();
        assert!(
            !is_ready(waker),
            "{wakes} wakes were consumed, and it is still ready: `consume` stopped before everything was taken out, so \
             the loop comes round once for each piece of it"
        );
    }
}

#[track_caller]
pub fn it_can_be_woken_again(waker: &impl Waker) {
    cannot_block(waker);
    for round in 1..=3 {
        waker.wake().unwrap();
        assert!(is_ready(waker), "wake number {round}, after {} were consumed, was not seen", round - 1);
        waker.consume().unwrap();
        assert!(!is_ready(waker), "wake number {round} was consumed, and it is still ready");
    }
}

#[track_caller]
pub fn consuming_without_a_wake_does_nothing(waker: &impl Waker) {
    cannot_block(waker);
    for time in ["the first time", "again"] {
        let consumed = waker.consume();
        assert!(
            consumed.is_ok(),
            "there was nothing to consume, {time}, and that was an error: {consumed:?}. EAGAIN says that nothing is \
             left, which is what `consume` is after. Pollers report what is no longer so"
        );
    }
    waker.wake().unwrap();
    assert!(is_ready(waker), "after a `consume` that found nothing, a wake was not seen");
}

/// No end blocks. What would block has to be found out without blocking.
#[track_caller]
pub fn cannot_block(waker: impl AsFd) {
    for end in ends(&waker) {
        assert!(
            end.nonblocking,
            "descriptor {} ({}), which is {}, has no O_NONBLOCK: {}",
            end.number,
            end.target,
            if end.writes { "written to" } else { "read from" },
            if end.writes {
                "a wake that finds no room would sleep until the loop reads, and a thread that wakes its own loop for \
                 ever"
            } else {
                "reading until nothing is left would sleep there"
            }
        );
    }
}

#[track_caller]
pub fn it_is_closed_on_exec(waker: impl AsFd) {
    for end in ends(&waker) {
        let (number, target) = (end.number, end.target);
        assert!(
            end.marked,
            "descriptor {number} ({target}) is not close-on-exec: every program that is started gets one, and can wake \
             the loop or empty its waker"
        );
    }
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
        assert!(wait(waker, LONG), "another thread woke it, and the poll slept on for {LONG} ms");
    });
}

/// In a process of its own, since a waker that blocks or tries again for ever would never give up.
#[track_caller]
pub fn a_full_waker_is_no_error(waker: &impl Waker, kind: &str) {
    cannot_block(waker);
    let answer = ask(&["waker", kind, "storm"]);
    let (count, first) = answer.line("errors").split_once(' ').expect("a number and the first error");
    assert_eq!(
        count, "0",
        "of 200,000 wakes with nobody reading, {count} failed, the first with: {first}. EAGAIN on a wake says that one \
         is pending already, which is all that was wanted"
    );
    assert_eq!(answer.line("before"), "ready", "it was woken 200,000 times, and is not ready");
    assert_eq!(
        answer.line("after"),
        "silent",
        "it was full and was consumed, and is still ready: what is in it is more than one buffer"
    );
    assert_eq!(answer.line("again"), "ready", "it was filled and emptied, and cannot be woken any more");
}

#[track_caller]
pub fn it_leaves_no_descriptor_behind(kind: &str, wanted: &str) {
    let answer = ask(&["waker", kind, "leaks"]);
    let each = answer.line("descriptors-each");
    assert_eq!(each, wanted, "a waker of this kind has {wanted} descriptors, and this one has {each}");
    for how in ["closed", "dropped"] {
        let left = answer.line(&format!("descriptors-{how}"));
        assert_eq!(left, "0", "a waker was {how}, and {left} of its descriptors are still open");
    }
}

#[track_caller]
pub fn without_a_number_left_it_is_an_error(kind: &str) {
    let answer = ask(&["waker", kind, "no-numbers"]);
    let result = answer.line("result");
    assert_eq!(result, "Err EMFILE", "no descriptor could be made, and `new` answers {result}");
}

/// How a call ends that is interrupted.
const INTERRUPTED: &str = "-> -4\n";

/// The kernel that is played here interrupts calls that today's Linux does not: see the helper's `kernel`.
#[track_caller]
pub fn an_interrupted_call_is_made_again(waker: &impl Waker, kind: &str) {
    cannot_block(waker);
    let Some(answer) = traced("eintr", &["waker", kind, "calls-of-wakes"]) else { return };
    assert!(answer.0.contains(INTERRUPTED), "`wake` wrote nothing:\n{}", answer.0);
    assert_eq!(answer.line("before"), "ready", "the write of a wake was interrupted, and nobody is woken");
    let Some(answer) = traced("eintr", &["waker", kind, "calls-of-consume"]) else { return };
    assert!(answer.0.contains(INTERRUPTED), "`consume` read nothing:\n{}", answer.0);
    assert_eq!(
        answer.line("after"),
        "silent",
        "a read was interrupted, and `consume` left the rest in there: EINTR says to try again, not that nothing is left"
    );
}

/// Its descriptor is replaced with one that can be neither read nor written: a bug somewhere else in the program.
#[track_caller]
pub fn another_error_is_reported(waker: &impl Waker) {
    let useless = open("/", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).unwrap();
    replace(waker.as_fd(), &useless);
    let consumed = waker.consume();
    assert_eq!(
        consumed.map_err(|error| error.errno),
        Err(Errno::EBADF),
        "the waker's descriptor cannot be read any more, and `consume` does not say so: a loop that finds it ready, \
         and is told that it was consumed, spins at 100 % of a processor"
    );
}

/// Put a copy of `file` at the number of `fd`, which is open at every moment, so nobody else gets the number.
pub fn replace(fd: BorrowedFd<'_>, file: &OwnedFd) {
    // SAFETY: the number is open and stays with its owner, who closes the copy one day.
    let answer = unsafe { libc::dup3(file.as_raw_fd(), fd.as_raw_fd(), libc::O_CLOEXEC) };
    Errno::result(answer).expect("both are open");
}

/// What a signal handler does: it writes eight bytes, a one in the machine's own order.
#[track_caller]
pub fn the_writer_wakes_too(waker: &impl Waker, writer: BorrowedFd<'_>) {
    cannot_block(waker);
    let written = write(writer, &1_u64.to_ne_bytes());
    assert_eq!(written, Ok(8), "`writer` lends the descriptor to write to, and eight bytes do not go there");
    assert!(is_ready(waker), "eight bytes were written to `writer`, and the waker is not ready");
    waker.consume().unwrap();
    assert!(!is_ready(waker), "eight bytes of a signal handler were consumed, and it is still ready");
}
