//! The futures of stage 12 that are made by hand keep the contract between poll and wake.

use std::future::Future;
use std::pin::Pin;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;
use stages::futures::{Exit, Exits};

// The programs that are started inherit them.
testing::begin!();

/// Counts the wakes of a task.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Wakes {
    fn poll(self: &Arc<Self>, exit: &mut Exit) -> Poll<nix::Result<WaitStatus>> {
        Pin::new(exit).poll(&mut Context::from_waker(&Waker::from(Arc::clone(self))))
    }
}

/// The exit of a program that runs until its input is closed, which is returned.
#[expect(clippy::zombie_processes, reason = "the exit reaps it")]
fn running(exits: &Exits) -> (Exit, std::process::ChildStdin) {
    let program = Command::new("cat").stdin(Stdio::piped()).spawn().expect("cat starts");
    let exit = exits.of(Pid::from_raw(program.id().cast_signed()));
    (exit, program.stdin.expect("a pipe"))
}

#[test]
fn an_exit_that_is_polled_again_replaces_its_waker() {
    let exits = Exits::default();
    let (mut exit, _input) = running(&exits);
    let [first, last] = [(); 2].map(|()| Arc::<Wakes>::default());
    for _ in 0..100 {
        assert!(first.poll(&mut exit).is_pending(), "the program runs");
    }
    assert_eq!(Arc::strong_count(&first), 2, "after a hundred polls, one clone of the waker must be kept");
    assert!(last.poll(&mut exit).is_pending(), "the program runs");
    exits.wake();
    let woken = [&first, &last].map(|wakes| wakes.0.load(Ordering::Relaxed));
    assert_eq!(woken, [0, 1], "only the waker of the last poll is woken, once");
}

#[test]
fn a_dropped_exit_leaves_no_waker_and_the_others_wait_on() {
    let exits = Exits::default();
    let ((mut dropped, _input), (mut kept, input)) = (running(&exits), running(&exits));
    let [gone, stays] = [(); 2].map(|()| Arc::<Wakes>::default());
    assert!(gone.poll(&mut dropped).is_pending() && stays.poll(&mut kept).is_pending(), "both programs run");
    drop(dropped);
    assert_eq!(Arc::strong_count(&gone), 1, "an exit that was dropped leaves its waker in the list");
    exits.wake();
    assert_eq!(stays.0.load(Ordering::Relaxed), 1, "the other one is woken");
    drop(input);
    let status = loop {
        if let Poll::Ready(status) = stays.poll(&mut kept) {
            break status.expect("it is a child");
        }
        std::thread::yield_now();
    };
    assert!(matches!(status, WaitStatus::Exited(_, 0)), "{status:?}");
    drop(kept);
    assert_eq!(Arc::strong_count(&stays), 1, "an exit that is over leaves its waker in the list");
}
