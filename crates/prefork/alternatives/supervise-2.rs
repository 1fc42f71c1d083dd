//! Another way for `prefork/supervise`: running children, due starts and pauses are in collections of their own, and poll(2) waits.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpid, getppid};

use crate::fork::fork;
use crate::policy::after;
use crate::{Child, Ended, Error, Event, Failed, Lifeline, Policy, Result, Signals};

type Outcome = std::result::Result<Ended, Failed>;

/// The task of this process. Written once, in the child.
static TASK: OnceLock<usize> = OnceLock::new();

/// The task of this process, counted from 0.
pub fn task() -> Option<usize> {
    TASK.get().copied()
}

/// Fork the children, restart those that fail, and return when the last one has exited.
pub fn supervise(policy: &Policy, work: impl Fn(usize) -> i32, mut on_event: impl FnMut(Event)) -> Outcome {
    if let Some(task) = task() {
        return Err(Error::on("supervise", format_args!("task {task}"))(Errno::EBUSY).into());
    }
    let children = NonZero::new(policy.children)
        .or_else(|| std::thread::available_parallelism().ok())
        .map_or(1, NonZero::get);
    let mut family = Family {
        policy,
        running: BTreeMap::new(),
        due: (0..children).map(|task| (Instant::now(), task)).collect(),
        pauses: BTreeMap::new(),
        restarts: 0,
        ending: None,
        signals: Some(Signals::take()?),
    };
    loop {
        family.start_those_due(&work, &mut on_event);
        if family.running.is_empty() && family.due.is_empty() {
            return family.ending.take().map_or(Ok(Ended::Done), |ending| ending.outcome);
        }
        family.wait()?;
        family.read_signals(&mut on_event)?;
        family.reap(&mut on_event)?;
        family.kill_the_slow(&mut on_event)?;
    }
}

struct Running {
    child: Child,
    since: Instant,
    _lifeline: Option<OwnedFd>,
}

struct Ending {
    outcome: Outcome,
    /// `None` once the children were killed.
    kill_at: Option<Instant>,
}

struct Family<'a> {
    policy: &'a Policy,
    running: BTreeMap<usize, Running>,
    /// When to start which task.
    due: BTreeSet<(Instant, usize)>,
    /// The pause before the last restart of each task that was restarted.
    pauses: BTreeMap<usize, Duration>,
    restarts: usize,
    ending: Option<Ending>,
    signals: Option<Signals>,
}

impl Family<'_> {
    fn start_those_due(&mut self, work: &impl Fn(usize) -> i32, on_event: &mut impl FnMut(Event)) {
        let now = Instant::now();
        while let Some(&(at, task)) = self.due.first()
            && at <= now
        {
            self.due.remove(&(at, task));
            match self.start(task, work) {
                Ok(pid) => on_event(match self.pauses.get(&task) {
                    None => Event::Started { task, pid },
                    Some(&pause) => Event::Restarted { task, pid, pause },
                }),
                Err(error) => self.end(Signal::SIGTERM, Err(error.into()), on_event),
            }
        }
    }

    fn start(&mut self, task: usize, work: &impl Fn(usize) -> i32) -> Result<Pid> {
        let parent = getpid();
        let mut lifeline = Some(Lifeline::new()?);
        let child = fork(|| {
            let _ = TASK.set(task);
            self.running.clear();
            self.signals.take().into_iter().for_each(Signals::drop_in_child);
            let signaled = prctl::set_pdeathsig(Signal::SIGKILL).is_ok();
            let held = lifeline.take().is_some_and(|lifeline| lifeline.hold().is_ok());
            let is_orphan = ![0, parent.as_raw()].contains(&getppid().as_raw());
            if is_orphan || !(signaled || held) { 1 } else { work(task) }
        })?;
        let pid = child.pid();
        let _lifeline = lifeline.map(Lifeline::keep);
        self.running.insert(task, Running { child, since: Instant::now(), _lifeline });
        Ok(pid)
    }

    fn wait(&self) -> Result<()> {
        let kill_at = self.ending.as_ref().and_then(|ending| ending.kill_at);
        let next = self.due.first().map(|(at, _)| *at).into_iter().chain(kill_at).min();
        let timeout = next.map_or(PollTimeout::NONE, |next| {
            // Rounded up: a time that is too short by less than a millisecond would spin.
            let left = next.saturating_duration_since(Instant::now()).as_nanos().div_ceil(1_000_000);
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        });
        let mut watched = Vec::with_capacity(self.running.len() + 1);
        watched.extend(self.signals.iter().map(|signals| PollFd::new(signals.as_fd(), PollFlags::POLLIN)));
        watched.extend(self.running.values().map(|each| PollFd::new(each.child.as_fd(), PollFlags::POLLIN)));
        match poll(&mut watched, timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(Error::on("poll", "the children")(errno)),
        }
    }

    fn read_signals(&mut self, on_event: &mut impl FnMut(Event)) -> Result<()> {
        while let Some(signals) = &self.signals
            && let Some(signal) = signals.next()?
        {
            self.end(signal, Ok(Ended::Stopped(signal)), on_event);
        }
        Ok(())
    }

    fn end(&mut self, signal: Signal, outcome: Outcome, on_event: &mut impl FnMut(Event)) {
        if let Some(ending) = &mut self.ending {
            if ending.kill_at.is_some() {
                ending.kill_at = Some(Instant::now());
            }
            return;
        }
        self.ending = Some(Ending { outcome, kill_at: Some(after(self.policy.grace)) });
        self.due.clear();
        on_event(Event::Stopping { signal });
        for each in self.running.values() {
            let _ = each.child.signal(signal);
        }
    }

    fn reap(&mut self, on_event: &mut impl FnMut(Event)) -> Result<()> {
        let tasks: Vec<usize> = self.running.keys().copied().collect();
        for task in tasks {
            let Some(each) = self.running.get_mut(&task) else { continue };
            let Some(status) = each.child.try_wait()? else { continue };
            let (pid, age) = (each.child.pid(), each.since.elapsed());
            self.running.remove(&task);
            self.read_signals(on_event)?;
            on_event(Event::Exited { task, pid, status });
            if status.is_success() || self.ending.is_some() {
                continue;
            }
            if self.restarts >= self.policy.max_restarts {
                on_event(Event::GaveUp { restarts: self.restarts });
                self.end(Signal::SIGTERM, Err(Failed::TooManyRestarts(self.restarts)), on_event);
                continue;
            }
            self.restarts += 1;
            let last = self.pauses.get(&task).copied().unwrap_or_default();
            let pause = if age >= self.policy.min_uptime {
                Duration::ZERO
            } else if last.is_zero() {
                self.policy.pause
            } else {
                last.saturating_add(last)
            };
            let pause = pause.min(self.policy.max_pause);
            self.pauses.insert(task, pause);
            self.due.insert((after(pause), task));
        }
        Ok(())
    }

    fn kill_the_slow(&mut self, on_event: &mut impl FnMut(Event)) -> Result<()> {
        let Some(ending) = &mut self.ending else { return Ok(()) };
        if ending.kill_at.is_none_or(|at| at > Instant::now()) {
            return Ok(());
        }
        ending.kill_at = None;
        for (task, each) in &self.running {
            each.child.signal(Signal::SIGKILL)?;
            on_event(Event::Killed { task: *task, pid: each.child.pid() });
        }
        Ok(())
    }
}

impl Drop for Family<'_> {
    fn drop(&mut self) {
        // One that has changed its user cannot be signaled, and is not waited for.
        self.running.retain(|_, each| each.child.signal(Signal::SIGKILL).is_ok());
        for each in self.running.values_mut() {
            let _ = each.child.wait();
        }
    }
}
