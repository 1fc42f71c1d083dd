//! A loop without descriptors, sleeps or memory to reuse: what the real one must do, written as simply as possible.
//!
//! A pipe is a count of bytes, and everything that is made has a unique name, by which it is looked up.

use std::collections::BTreeMap;
use std::mem;
use std::time::Duration;

/// What ran: the callback, the timer, or the handler of that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ran {
    Callback(u32),
    Timer(u32),
    Handler(u32),
}

/// What a callback or a timer does when it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Nothing,
    /// Add a callback of that name.
    Add(u32),
    /// Add a timer of that name, due in so long.
    AddTimer(u32, Duration),
    Cancel(u32),
    Remove(u32),
    Stop,
    /// Add the callback [`LAST`], which stops the loop.
    OneTurnMore,
}

/// The names of the callbacks that make the loop iterate twice, and sleep once. They do not count as having run.
pub const TURN: u32 = 0;
pub const LAST: u32 = 1;

#[derive(Debug)]
pub struct Watch {
    pub pipe: u32,
    pub on: bool,
    pub oneshot: bool,
    /// What it was registered for last: a oneshot that fired is off, and is on again after a pause.
    pub wanted: bool,
    pub paused: bool,
    /// One handler of a pipe reads a byte each time; the others only look.
    pub reads: bool,
    pub removes_itself: bool,
}

#[derive(Debug, Default)]
pub struct Simulated {
    pub now: Duration,
    pub queued: Vec<(u32, Action)>,
    /// Sent the way other threads send. The loop sees them after it has looked at its waker.
    pub sent: Vec<(u32, Action)>,
    /// By deadline, and among equals in the order in which they came.
    timers: BTreeMap<(Duration, usize), (u32, Action)>,
    timers_so_far: usize,
    /// How many bytes are in them.
    pub pipes: BTreeMap<u32, usize>,
    pub watches: BTreeMap<u32, Watch>,
    pub stopped: bool,
    pub ran: Vec<Ran>,
}

impl Simulated {
    pub fn start(&mut self) {
        while !mem::take(&mut self.stopped) {
            self.callbacks_and_timers();
            if mem::take(&mut self.stopped) {
                return;
            }
            self.handlers();
        }
    }

    fn callbacks_and_timers(&mut self) {
        let due: Vec<_> =
            self.timers.keys().copied().take_while(|(deadline, _)| *deadline <= self.now).collect();
        for (name, action) in mem::take(&mut self.queued) {
            if name > LAST {
                self.ran.push(Ran::Callback(name));
            }
            self.perform(action);
        }
        for timer in due {
            // A callback that ran before may have canceled it.
            if let Some((name, action)) = self.timers.remove(&timer) {
                self.ran.push(Ran::Timer(name));
                self.perform(action);
            }
        }
    }

    fn handlers(&mut self) {
        self.queued.append(&mut self.sent);
        let ready = |watch: &&mut Watch| watch.on && !watch.paused && self.pipes[&watch.pipe] > 0;
        let ready: Vec<u32> =
            self.watches.iter_mut().filter(|(_, watch)| ready(watch)).map(|(name, _)| *name).collect();
        for name in ready {
            self.ran.push(Ran::Handler(name));
            let watch = self.watches.get_mut(&name).expect("only the handler removes itself");
            watch.on &= !watch.oneshot;
            *self.pipes.get_mut(&watch.pipe).expect("the pipe is registered") -= usize::from(watch.reads);
            if watch.removes_itself {
                self.remove(name);
            }
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Nothing => {}
            Action::Add(name) => self.queued.push((name, Action::Nothing)),
            Action::AddTimer(name, delay) => self.add_timer(name, delay, Action::Nothing),
            Action::Cancel(name) => self.cancel(name),
            Action::Remove(name) => self.remove(name),
            Action::Stop => self.stopped = true,
            Action::OneTurnMore => self.queued.push((LAST, Action::Stop)),
        }
    }

    pub fn add_timer(&mut self, name: u32, delay: Duration, action: Action) {
        self.timers_so_far += 1;
        self.timers.insert((self.now + delay, self.timers_so_far), (name, action));
    }

    pub fn cancel(&mut self, name: u32) {
        self.timers.retain(|_, (timer, _)| *timer != name);
    }

    pub fn remove(&mut self, name: u32) {
        self.watches.remove(&name);
        let watches = &self.watches;
        // A pipe is closed with its last handler.
        self.pipes.retain(|pipe, _| watches.values().any(|watch| watch.pipe == *pipe));
    }
}
