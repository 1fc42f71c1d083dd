//! Some children, restarted when they fail, and stopped with their parent.
//!
//! Contract: each child has a number, its task, and whoever replaces it has the same. One that ends well is not
//! replaced, one that fails is, until that has happened too often; one that fails at once only after a pause, and
//! each time a longer one. SIGTERM and SIGINT are passed on, and who has not ended after the grace period is killed.
//! No child outlives its parent, however that ends. No child of somebody else is waited for, and no process is
//! signalled that was waited for.

use std::num::NonZero;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{getpid, getppid};

use crate::fork::fork;
use crate::{Child, Ended, Error, Event, Failed, Policy, Result, Signals};

/// Plus one; 0 in a process that is nobody's task.
static TASK: AtomicUsize = AtomicUsize::new(0);

/// The task of this process: 0 for the first child, and so on. Nothing in a process that no supervisor started.
pub fn task() -> Option<usize> {
    TASK.load(Ordering::Relaxed).checked_sub(1)
}

/// Start the children, and come back when the last of them has ended. A child runs `work` with its task, and ends
/// with the code that this gives: 0 is well. `tell` hears of what happens.
///
/// Meanwhile SIGTERM and SIGINT are this function's, in the calling thread. It has to be the only one: see [`fork`].
///
/// # Errors
/// [`Failed::TooManyRestarts`]; `EBUSY` where forking is not possible or this is a supervisor's child itself;
/// `EAGAIN` and the others of fork(2), `EMFILE` with no number left for a child's descriptor.
// ANCHOR: supervise
pub fn supervise(
    policy: &Policy,
    work: impl Fn(usize) -> i32,
    tell: impl FnMut(Event),
) -> std::result::Result<Ended, Failed> {
    if let Some(task) = task() {
        return Err(Error::on("supervise", format_args!("the child of task {task}"))(Errno::EBUSY).into());
    }
    let children = match policy.children {
        0 => thread::available_parallelism().map_or(1, NonZero::get),
        some => some,
    };
    let now = Instant::now();
    let task = |task| Task { task, state: State::Waiting { due: now, again: false }, pause: Duration::ZERO };
    let signals = Signals::take()?;
    let mut supervisor = Supervisor {
        policy,
        work,
        tell,
        tasks: (0..children).map(task).collect(),
        restarts: 0,
        stop: None,
        signals: Some(signals),
    };
    supervisor.run()
}
// ANCHOR_END: supervise

// ANCHOR: state
struct Task {
    task: usize,
    state: State,
    /// What the last restart waited for.
    pause: Duration,
}

enum State {
    /// To be started then.
    Waiting { due: Instant, again: bool },
    /// Since then.
    Running { child: Child, born: Instant },
    /// For good.
    Over,
}

/// The children are to end.
struct Stop {
    outcome: std::result::Result<Ended, Failed>,
    /// When whoever is left is killed; nothing once that is done.
    deadline: Option<Instant>,
}
// ANCHOR_END: state

struct Supervisor<'a, W, T> {
    policy: &'a Policy,
    work: W,
    tell: T,
    tasks: Vec<Task>,
    restarts: usize,
    stop: Option<Stop>,
    /// Always there, except in a child.
    signals: Option<Signals>,
}

impl<W: Fn(usize) -> i32, T: FnMut(Event)> Supervisor<'_, W, T> {
    // ANCHOR: run
    fn run(&mut self) -> std::result::Result<Ended, Failed> {
        loop {
            for index in 0..self.tasks.len() {
                self.start_if_due(index)?;
            }
            if self.tasks.iter().all(|task| matches!(task.state, State::Over)) {
                return self.stop.take().map_or(Ok(Ended::Done), |stop| stop.outcome);
            }
            self.sleep()?;
            while let Some(signal) = self.signals.as_ref().map_or(Ok(None), Signals::next)? {
                self.stop(signal, Ok(Ended::Stopped(signal)));
            }
            for index in 0..self.tasks.len() {
                self.reap_if_ended(index)?;
            }
            self.kill_if_overdue()?;
        }
    }
    // ANCHOR_END: run

    // ANCHOR: start
    fn start_if_due(&mut self, index: usize) -> Result<()> {
        let Task { task, state: State::Waiting { due, again }, pause } = self.tasks[index] else {
            return Ok(());
        };
        if due > Instant::now() {
            return Ok(());
        }
        let parent = getpid();
        let Self { tasks, signals, work, .. } = self;
        let child = fork(|| {
            TASK.store(task + 1, Ordering::Relaxed);
            // Killed with its parent, be that by SIGKILL. A parent that has ended already sends nothing.
            if prctl::set_pdeathsig(Signal::SIGKILL).is_err() || getppid() != parent {
                return 1;
            }
            // The descriptors of its siblings, and of its parent's signals, are not its own.
            tasks.clear();
            if let Some(signals) = signals.take() {
                signals.leave();
            }
            work(task)
        })?;
        let pid = child.pid();
        self.tasks[index].state = State::Running { child, born: Instant::now() };
        (self.tell)(if again { Event::Restarted { task, pid, pause } } else { Event::Started { task, pid } });
        Ok(())
    }
    // ANCHOR_END: start

    /// Until a signal comes, a child ends, or something is due.
    fn sleep(&self) -> Result<()> {
        let times = self.tasks.iter().filter_map(|task| match task.state {
            State::Waiting { due, .. } => Some(due),
            _ => None,
        });
        let next = times.chain(self.stop.as_ref().and_then(|stop| stop.deadline)).min();
        let timeout = next.map_or(PollTimeout::NONE, |next| {
            // Up, never down: a wait that ends too early is followed by waits of no time at all.
            let left = next.saturating_duration_since(Instant::now()).as_nanos().div_ceil(1_000_000);
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        });
        let fds = self.tasks.iter().filter_map(|task| match &task.state {
            State::Running { child, .. } => Some(child.as_fd()),
            _ => None,
        });
        let fds = fds.chain(self.signals.as_ref().map(AsFd::as_fd));
        let mut fds: Vec<PollFd<'_>> = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        match poll(&mut fds, timeout) {
            // Then there is nothing to be seen yet, and the next round looks again.
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(Error::on("poll", "the children")(errno)),
        }
    }

    /// Tell the children to end. Told a second time, they are not waited for any longer.
    // ANCHOR: stop
    fn stop(&mut self, signal: Signal, outcome: std::result::Result<Ended, Failed>) {
        let now = Instant::now();
        if let Some(stop) = &mut self.stop {
            stop.deadline = stop.deadline.map(|_| now);
            return;
        }
        self.stop = Some(Stop { outcome, deadline: Some(now + self.policy.grace) });
        (self.tell)(Event::Stopping { signal });
        for task in &mut self.tasks {
            match &task.state {
                // It may have ended by now: then that is seen in a moment.
                State::Running { child, .. } => drop(child.signal(signal)),
                _ => task.state = State::Over,
            }
        }
    }
    // ANCHOR_END: stop

    // ANCHOR: reap
    fn reap_if_ended(&mut self, index: usize) -> Result<()> {
        let Task { task, ref mut state, ref mut pause } = self.tasks[index];
        let State::Running { child, born } = state else { return Ok(()) };
        let Some(status) = child.try_wait()? else { return Ok(()) };
        let (pid, age) = (child.pid(), born.elapsed());
        *state = State::Over;
        (self.tell)(Event::Exited { task, pid, status });
        if status.is_success() || self.stop.is_some() {
            return Ok(());
        }
        if self.restarts == self.policy.max_restarts {
            (self.tell)(Event::GaveUp { restarts: self.restarts });
            self.stop(Signal::SIGTERM, Err(Failed::TooManyRestarts(self.policy.max_restarts)));
            return Ok(());
        }
        self.restarts += 1;
        *pause = match *pause {
            _ if age >= self.policy.young => Duration::ZERO,
            Duration::ZERO => self.policy.pause.min(self.policy.longest_pause),
            last => last.saturating_mul(2).min(self.policy.longest_pause),
        };
        *state = State::Waiting { due: Instant::now() + *pause, again: true };
        Ok(())
    }
    // ANCHOR_END: reap

    fn kill_if_overdue(&mut self) -> Result<()> {
        let Some(deadline) = self.stop.as_mut().map(|stop| &mut stop.deadline) else { return Ok(()) };
        if deadline.is_none_or(|deadline| deadline > Instant::now()) {
            return Ok(());
        }
        *deadline = None;
        for Task { task, state, .. } in &self.tasks {
            if let State::Running { child, .. } = state {
                child.signal(Signal::SIGKILL)?;
                (self.tell)(Event::Killed { task: *task, pid: child.pid() });
            }
        }
        Ok(())
    }
}

/// However it ends, with an error or with a panic of `tell`'s: the children end before it.
impl<W, T> Drop for Supervisor<'_, W, T> {
    fn drop(&mut self) {
        for task in &mut self.tasks {
            if let State::Running { child, .. } = &mut task.state {
                let _ = child.signal(Signal::SIGKILL);
                let _ = child.wait();
            }
        }
    }
}
