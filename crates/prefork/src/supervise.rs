//! Supervising children: restarting those that fail, and stopping all of them with their parent.
//!
//! Contract: each child has a task, which is a number, and its replacement gets the same one. A child that fails is
//! restarted, up to a limit, and after a growing pause if it failed at once. SIGTERM and SIGINT are forwarded, and
//! children still running after the grace period are killed. No child outlives its parent, however the parent ends, and
//! even if the child drops its privileges or closes every descriptor; for a child that does both, see [`Lifeline`].
//! The supervisor waits only for its own children, and signals no process that it has reaped.

use std::num::NonZero;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::time::TimeSpec;
use nix::unistd::{Pid, getpid, getppid};

use crate::fork::fork;
use crate::policy::after;
use crate::{Child, Ended, Error, Event, Failed, Lifeline, Policy, Result, Signals};

// ANCHOR: supervise
/// This process's task plus one; 0 in a process that no supervisor forked.
static TASK: AtomicUsize = AtomicUsize::new(0);

/// The task of this process, counted from 0. A process that a child forks inherits it. `None` in any other process.
pub fn task() -> Option<usize> {
    TASK.load(Ordering::Relaxed).checked_sub(1)
}

/// Fork the children, restart those that fail, and return when the last one has exited. Each child calls `work` with
/// its task and exits with the code that `work` returns; 0 means success. `on_event` gets each [`Event`].
///
/// Meanwhile SIGTERM and SIGINT are blocked in the calling thread, which must be the only one: see [`fork`]. The first
/// of them is forwarded to the children, and the second one ends the grace period. No child is left when it returns,
/// except after `EPERM`: a child that may not be killed, because it now runs as another user, dies with its lifeline.
///
/// # Errors
/// - [`Failed::TooManyRestarts`] if a child fails when [`Policy::max_restarts`] restarts have been used.
/// - [`Failed::Call`] with `EBUSY` in a child of a supervisor, with errors of [`fork`], signalfd(2) and ppoll(2), with
///   `ECHILD` if other code has reaped a child, and with the error of a SIGKILL that fails, `EPERM` for example.
pub fn supervise(
    policy: &Policy,
    work: impl Fn(usize) -> i32,
    on_event: impl FnMut(Event),
) -> std::result::Result<Ended, Failed> {
    if let Some(task) = task() {
        return Err(Error::on("supervise", format_args!("the child of task {task}"))(Errno::EBUSY).into());
    }
    let children = match policy.children {
        0 => std::thread::available_parallelism().map_or(1, NonZero::get),
        some => some,
    };
    let now = || State::Waiting { due: Instant::now(), again: false };
    let tasks = (0..children).map(|_| Task { state: now(), pause: Duration::ZERO }).collect();
    let signals = Some(Signals::take()?);
    Supervisor { policy, work, on_event, tasks, restarts: 0, stop: None, signals }.run()
}

struct Task {
    state: State,
    /// The delay of this task's last restart.
    pause: Duration,
}

enum State {
    /// Its child is forked when `due` has come; `again` says that it is a restart.
    Waiting { due: Instant, again: bool },
    /// Its child was forked at `started`. The child dies when the lifeline is closed.
    Running { child: Child, started: Instant, _lifeline: Option<OwnedFd> },
    /// It gets no further child.
    Finished,
}

struct Stop {
    outcome: std::result::Result<Ended, Failed>,
    /// When the children that are left get SIGKILL; `None` once they have got it.
    deadline: Option<Instant>,
}

struct Supervisor<'a, W, T> {
    policy: &'a Policy,
    work: W,
    on_event: T,
    tasks: Vec<Task>,
    restarts: usize,
    stop: Option<Stop>,
    /// `None` only in a child.
    signals: Option<Signals>,
}

impl<W: Fn(usize) -> i32, T: FnMut(Event)> Supervisor<'_, W, T> {
    fn run(&mut self) -> std::result::Result<Ended, Failed> {
        loop {
            for task in 0..self.tasks.len() {
                if let Err(error) = self.start_if_due(task) {
                    // The other children did not fail, so they may finish their work.
                    self.stop(Signal::SIGTERM, Err(error.into()));
                }
            }
            if self.tasks.iter().all(|task| matches!(task.state, State::Finished)) {
                return self.stop.take().map_or(Ok(Ended::Done), |stop| stop.outcome);
            }
            self.sleep()?;
            self.stop_if_signaled()?;
            for task in 0..self.tasks.len() {
                self.reap_if_exited(task)?;
            }
            self.kill_if_overdue()?;
        }
    }

    fn start_if_due(&mut self, task: usize) -> Result<()> {
        let Task { state: State::Waiting { due, again }, pause } = self.tasks[task] else { return Ok(()) };
        if due > Instant::now() {
            return Ok(());
        }
        let (parent, mut lifeline) = (getpid(), Some(Lifeline::new()?));
        let Self { tasks, signals, work, .. } = self;
        let child = fork(|| {
            TASK.store(task + 1, Ordering::Relaxed);
            // Close the copies of the siblings' pidfds and lifelines, and of the parent's signalfd.
            tasks.clear();
            if let Some(signals) = signals.take() {
                signals.drop_in_child();
            }
            if dies_with(parent, lifeline.take()) { work(task) } else { 1 }
        })?;
        let pid = child.pid();
        let _lifeline = lifeline.map(Lifeline::keep);
        self.tasks[task].state = State::Running { child, started: Instant::now(), _lifeline };
        let event = if again { Event::Restarted { task, pid, pause } } else { Event::Started { task, pid } };
        (self.on_event)(event);
        Ok(())
    }

    /// Sleep until a signal arrives, a child exits, or a restart or the end of the grace period is due.
    fn sleep(&self) -> Result<()> {
        let due = |task: &Task| if let State::Waiting { due, .. } = task.state { Some(due) } else { None };
        let next =
            self.tasks.iter().filter_map(due).chain(self.stop.as_ref().and_then(|stop| stop.deadline)).min();
        let left = next.map(|next| TimeSpec::from(next.saturating_duration_since(Instant::now())));
        let fds = self.tasks.iter().filter_map(Task::child).map(AsFd::as_fd);
        let fds = fds.chain(self.signals.as_ref().map(AsFd::as_fd));
        let mut fds: Vec<PollFd<'_>> = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        match ppoll(&mut fds, left, None) {
            // The next round of `run` checks everything again, and sleeps again if nothing has happened.
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(Error::on("ppoll", "the children")(errno)),
        }
    }

    fn stop_if_signaled(&mut self) -> Result<()> {
        while let Some(signal) = self.signals.as_ref().map_or(Ok(None), Signals::next)? {
            self.stop(signal, Ok(Ended::Stopped(signal)));
        }
        Ok(())
    }

    /// Send the children this signal and start the grace period. A second call ends the grace period.
    fn stop(&mut self, signal: Signal, outcome: std::result::Result<Ended, Failed>) {
        if let Some(Stop { deadline, .. }) = &mut self.stop {
            // Without a deadline the children have got SIGKILL already, and must not get it again.
            *deadline = deadline.map(|_| Instant::now());
            return;
        }
        self.stop = Some(Stop { outcome, deadline: Some(after(self.policy.grace)) });
        (self.on_event)(Event::Stopping { signal });
        for task in &mut self.tasks {
            match task.child() {
                // The signal fails if the child has exited by now; `reap_if_exited` handles that.
                Some(child) => drop(child.signal(signal)),
                None => task.state = State::Finished,
            }
        }
    }

    fn reap_if_exited(&mut self, task: usize) -> Result<()> {
        let State::Running { child, started, .. } = &mut self.tasks[task].state else { return Ok(()) };
        let Some(status) = child.try_wait()? else { return Ok(()) };
        let (pid, age) = (child.pid(), started.elapsed());
        self.tasks[task].state = State::Finished;
        // Ctrl-C signals parent and children together. A child that it killed has not failed, so look for it first.
        self.stop_if_signaled()?;
        (self.on_event)(Event::Exited { task, pid, status });
        if status.is_success() || self.stop.is_some() {
            return Ok(());
        }
        if self.restarts == self.policy.max_restarts {
            (self.on_event)(Event::GaveUp { restarts: self.restarts });
            self.stop(Signal::SIGTERM, Err(Failed::TooManyRestarts(self.restarts)));
            return Ok(());
        }
        self.restarts += 1;
        let Task { state, pause } = &mut self.tasks[task];
        *pause = match *pause {
            _ if age >= self.policy.min_uptime => Duration::ZERO,
            Duration::ZERO => self.policy.pause.min(self.policy.max_pause),
            last => last.saturating_mul(2).min(self.policy.max_pause),
        };
        *state = State::Waiting { due: after(*pause), again: true };
        Ok(())
    }

    fn kill_if_overdue(&mut self) -> Result<()> {
        let overdue = |stop: &mut Stop| stop.deadline.take_if(|deadline| *deadline <= Instant::now());
        if self.stop.as_mut().and_then(overdue).is_none() {
            return Ok(());
        }
        for (task, child) in self.tasks.iter().enumerate().filter_map(|(n, task)| Some((n, task.child()?))) {
            child.signal(Signal::SIGKILL)?;
            (self.on_event)(Event::Killed { task, pid: child.pid() });
        }
        Ok(())
    }
}

/// In a child: let the kernel kill this process when its parent dies. Returns `false` if it has died already, or if the
/// kernel permits neither way.
fn dies_with(parent: Pid, lifeline: Option<Lifeline>) -> bool {
    // The kernel forgets the first way when the child changes its user, and the second with the descriptor.
    let asked = prctl::set_pdeathsig(Signal::SIGKILL).is_ok();
    let held = lifeline.is_some_and(|lifeline| lifeline.hold().is_ok());
    // The signal does not come if the parent died before. A parent outside of this PID namespace has the id 0.
    (asked || held) && [parent, Pid::from_raw(0)].contains(&getppid())
}

impl Task {
    fn child(&self) -> Option<&Child> {
        if let State::Running { child, .. } = &self.state { Some(child) } else { None }
    }
}

/// Kills and reaps the children that are left, after an error and after a panic of `on_event`.
impl<W, T> Drop for Supervisor<'_, W, T> {
    fn drop(&mut self) {
        // A child that now runs as another user cannot be signaled, and waiting for it could take forever. It dies with
        // its lifeline, if it has kept that.
        self.tasks.retain(|task| task.child().is_some_and(|child| child.signal(Signal::SIGKILL).is_ok()));
        for task in &mut self.tasks {
            if let State::Running { child, .. } = &mut task.state {
                let _ = child.wait();
            }
        }
    }
}
// ANCHOR_END: supervise
