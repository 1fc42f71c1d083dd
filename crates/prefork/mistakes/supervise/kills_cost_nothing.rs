//! Mistake: a restart after a signal is not counted.
//! Caught by: restarts_are_counted_for_all_children_together
//! Message: whoever is killed has failed too

use std::num::NonZero;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::time::TimeSpec;
use nix::unistd::{getpid, getppid};

use crate::family::after;
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
/// Meanwhile SIGTERM and SIGINT are this function's, in a thread that has to be the only one: see [`fork`]. The first
/// to come is passed on to the children, and the next ends the grace period.
///
/// # Errors
/// [`Failed::TooManyRestarts`]; `EBUSY` where forking is not possible or this is a supervisor's child; `EMFILE`, `EAGAIN`
/// and the others of fork(2); `ECHILD` where SIGCHLD is ignored. The children have ended before it comes back.
pub fn supervise(
    policy: &Policy,
    work: impl Fn(usize) -> i32,
    tell: impl FnMut(Event),
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
    Supervisor { policy, work, tell, tasks, restarts: 0, stop: None, signals }.run()
}

struct Task {
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

struct Stop {
    outcome: std::result::Result<Ended, Failed>,
    /// When whoever is left is killed; nothing once that is done.
    deadline: Option<Instant>,
}

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
    fn run(&mut self) -> std::result::Result<Ended, Failed> {
        loop {
            for task in 0..self.tasks.len() {
                if let Err(error) = self.start_if_due(task) {
                    // The others have done nothing wrong, and may finish what they are doing.
                    self.stop(Signal::SIGTERM, Err(error.into()));
                }
            }
            if self.tasks.iter().all(|task| matches!(task.state, State::Over)) {
                return self.stop.take().map_or(Ok(Ended::Done), |stop| stop.outcome);
            }
            self.sleep()?;
            self.stop_if_told()?;
            for task in 0..self.tasks.len() {
                self.reap_if_ended(task)?;
            }
            self.kill_if_overdue()?;
        }
    }

    fn start_if_due(&mut self, task: usize) -> Result<()> {
        let Task { state: State::Waiting { due, again }, pause } = self.tasks[task] else { return Ok(()) };
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
        self.tasks[task].state = State::Running { child, born: Instant::now() };
        (self.tell)(if again { Event::Restarted { task, pid, pause } } else { Event::Started { task, pid } });
        Ok(())
    }

    /// Until a signal comes, a child ends, or something is due.
    fn sleep(&self) -> Result<()> {
        let due = |task: &Task| if let State::Waiting { due, .. } = task.state { Some(due) } else { None };
        let next =
            self.tasks.iter().filter_map(due).chain(self.stop.as_ref().and_then(|stop| stop.deadline)).min();
        let left = next.map(|next| TimeSpec::from(next.saturating_duration_since(Instant::now())));
        let fds = self.tasks.iter().filter_map(Task::child).map(AsFd::as_fd);
        let fds = fds.chain(self.signals.as_ref().map(AsFd::as_fd));
        let mut fds: Vec<PollFd<'_>> = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        match ppoll(&mut fds, left, None) {
            // Then there is nothing to be seen yet, and the next round looks again.
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(Error::on("ppoll", "the children")(errno)),
        }
    }

    fn stop_if_told(&mut self) -> Result<()> {
        while let Some(signal) = self.signals.as_ref().map_or(Ok(None), Signals::next)? {
            self.stop(signal, Ok(Ended::Stopped(signal)));
        }
        Ok(())
    }

    /// Tell the children to end. Told a second time, they are not waited for any longer.
    fn stop(&mut self, signal: Signal, outcome: std::result::Result<Ended, Failed>) {
        if let Some(Stop { deadline, .. }) = &mut self.stop {
            *deadline = deadline.map(|_| Instant::now());
            return;
        }
        self.stop = Some(Stop { outcome, deadline: Some(after(self.policy.grace)) });
        (self.tell)(Event::Stopping { signal });
        for task in &mut self.tasks {
            match task.child() {
                // It may have ended by now: then that is seen in a moment.
                Some(child) => drop(child.signal(signal)),
                None => task.state = State::Over,
            }
        }
    }

    fn reap_if_ended(&mut self, task: usize) -> Result<()> {
        let State::Running { child, born } = &mut self.tasks[task].state else { return Ok(()) };
        let Some(status) = child.try_wait()? else { return Ok(()) };
        let (pid, age) = (child.pid(), born.elapsed());
        self.tasks[task].state = State::Over;
        // Ctrl-C is for parent and children at one time. Whoever ended of it has not failed, and by now it is here.
        self.stop_if_told()?;
        (self.tell)(Event::Exited { task, pid, status });
        if status.is_success() || self.stop.is_some() {
            return Ok(());
        }
        if self.restarts == self.policy.max_restarts {
            (self.tell)(Event::GaveUp { restarts: self.restarts });
            self.stop(Signal::SIGTERM, Err(Failed::TooManyRestarts(self.restarts)));
            return Ok(());
        }
        if let crate::status::Status::Exited(_) = status {
            self.restarts += 1;
        }
        let Task { state, pause } = &mut self.tasks[task];
        *pause = match *pause {
            _ if age >= self.policy.young => Duration::ZERO,
            Duration::ZERO => self.policy.pause.min(self.policy.longest_pause),
            last => last.saturating_mul(2).min(self.policy.longest_pause),
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
            (self.tell)(Event::Killed { task, pid: child.pid() });
        }
        Ok(())
    }
}

impl Task {
    fn child(&self) -> Option<&Child> {
        if let State::Running { child, .. } = &self.state { Some(child) } else { None }
    }
}

/// However it ends, with an error or with a panic of `tell`'s: the children end before it.
impl<W, T> Drop for Supervisor<'_, W, T> {
    fn drop(&mut self) {
        // One that has become another user's cannot be killed, and would be waited for without end.
        self.tasks.retain(|task| task.child().is_some_and(|child| child.signal(Signal::SIGKILL).is_ok()));
        for task in &mut self.tasks {
            if let State::Running { child, .. } = &mut task.state {
                let _ = child.wait();
            }
        }
    }
}
