//! `storm`: a child sends 15,000 signals of three kinds, as fast as it can, to a process that polls.
//!
//! There are ten rounds. At the end of each, the parent has taken everything, and the child sends one signal more. If
//! a signal of the round was left over or this one is lost, `take` returns something else.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::Signal::{self, SIGTERM, SIGUSR1, SIGUSR2};
use nix::sys::signal::{SigSet, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork, getpid, pipe, read, write};
use waker::pipe::Waker;
use waker::signal::SignalWaker;

use super::super::support::helper::outcome::Outcome;
use super::sent::names;

const KINDS: [Signal; 3] = [SIGUSR1, SIGUSR2, SIGTERM];
const ROUNDS: usize = 10;
const SIGNALS: usize = 1500;

/// How long the parent waits for a signal, in milliseconds. One that is later was lost.
const LOST: u16 = 5000;

/// Prints `storm KINDS` and `quiet SENT TAKEN` for each round, and `lost …` if a signal did not wake the poller.
pub fn run() -> Outcome {
    let waker = Waker::new()?;
    let signals = SignalWaker::new(waker.writer(), &KINDS)?;
    let (ours, theirs) = (pipe()?, pipe()?);
    let parent = getpid();
    // SAFETY: this program has one thread, so the child may do everything that the parent may.
    match unsafe { fork() }? {
        ForkResult::Child => {
            drop((ours.1, theirs.0));
            let sent = send(parent, &ours.0, &theirs.1);
            // SAFETY: `_exit` has no preconditions, and it does not run the parent's destructors.
            unsafe { libc::_exit(i32::from(sent.is_err())) }
        }
        ForkResult::Parent { child } => {
            drop((ours.0, theirs.1));
            let outcome = receive(&waker, &signals, &ours.1, &theirs.0);
            drop(ours.1);
            while waitpid(child, None) == Err(Errno::EINTR) {}
            outcome
        }
    }
}

fn send(parent: Pid, go: &OwnedFd, quiet: &OwnedFd) -> nix::Result<()> {
    prctl::set_pdeathsig(libc::SIGKILL.try_into().ok())?;
    for round in 0..ROUNDS {
        // Seven of one kind in a row, so that a different kind comes last in each round.
        for n in 0..SIGNALS {
            kill(parent, KINDS[(n / 7 + round) % 3])?;
        }
        write(quiet, &[0])?;
        if read(go, &mut [0])? == 0 {
            return Ok(());
        }
        kill(parent, KINDS[round % 3])?;
        if read(go, &mut [0])? == 0 {
            return Ok(());
        }
    }
    Ok(())
}

fn receive(waker: &Waker, signals: &SignalWaker, go: &OwnedFd, quiet: &OwnedFd) -> Outcome {
    for round in 0..ROUNDS {
        let mut seen = SigSet::empty();
        loop {
            let [woken, done] = wait([waker.as_fd(), quiet.as_fd()])?;
            waker.consume()?;
            seen.extend(signals.take().iter());
            match (woken, done) {
                (_, true) => break,
                (false, false) => return lost("in the storm"),
                _ => {}
            }
        }
        println!("storm {}", names(&seen));
        while read(quiet, &mut [0]) == Err(Errno::EINTR) {}
        // The child sent every signal before it wrote to `quiet`, so this takes the rest of them.
        waker.consume()?;
        signals.take();
        write(go, &[0])?;
        let [woken] = wait([waker.as_fd()])?;
        waker.consume()?;
        if !woken {
            return lost("after the storm");
        }
        println!("quiet {} {}", KINDS[round % 3], names(&signals.take()));
        write(go, &[0])?;
    }
    Ok(())
}

fn lost(when: &str) -> Outcome {
    println!("lost {when}");
    Ok(())
}

/// Sleeps until a descriptor is readable, and returns which are. None is, if that takes too long.
fn wait<const N: usize>(descriptors: [BorrowedFd<'_>; N]) -> nix::Result<[bool; N]> {
    let mut fds = descriptors.map(|fd| PollFd::new(fd, PollFlags::POLLIN));
    while let Err(errno) = poll(&mut fds, PollTimeout::from(LOST)) {
        if errno != Errno::EINTR {
            return Err(errno);
        }
    }
    Ok(fds.map(|fd| fd.any() == Some(true)))
}
