//! A callback that comes round: on a grid of times, which it does not leave.
//!
//! Contract: it runs at start + n periods. When a run takes longer than a period, or the clock jumps, the times that
//! are over are left out, and the next one is on the grid again. It waits for its own end before it is due once more.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use crate::timers::TimerId;
use crate::{IntoOutcome, IoLoop, Outcome};

/// Stops a periodic callback; clones are one. Dropping it does not.
#[derive(Clone)]
pub struct Periodic(Rc<State>);

struct State {
    period: Duration,
    /// When it is due, by the loop's clock.
    due: Cell<Duration>,
    timer: Cell<Option<TimerId>>,
    stopped: Cell<bool>,
    run: RefCell<Run>,
}

type Run = Box<dyn FnMut(&IoLoop) -> Outcome>;

impl IoLoop {
    /// Run this every `period` from now on, for the first time in one period. A period of zero is a nanosecond.
    pub fn call_every<R: IntoOutcome>(
        &self,
        period: Duration,
        mut callback: impl FnMut(&Self) -> R + 'static,
    ) -> Periodic {
        let period = period.max(Duration::from_nanos(1));
        let state = Rc::new(State {
            period,
            due: Cell::new(self.time().saturating_add(period)),
            timer: Cell::default(),
            stopped: Cell::new(false),
            run: RefCell::new(Box::new(move |ioloop| callback(ioloop).into_outcome())),
        });
        arm(&state, self);
        Periodic(state)
    }
}

impl Periodic {
    /// Have it not run any more, also from inside of it. Doing it twice does no harm.
    pub fn stop(&self, ioloop: &IoLoop) {
        self.0.stopped.set(true);
        if let Some(timer) = self.0.timer.take() {
            ioloop.remove_timeout(timer);
        }
    }
}

fn arm(state: &Rc<State>, ioloop: &IoLoop) {
    let own = Rc::clone(state);
    let timer = ioloop.call_at(state.due.get(), move |ioloop| {
        // On the way out, also when the callback panics, the next time is arranged for.
        let _again = Again { state: &own, ioloop };
        (own.run.borrow_mut())(ioloop)
    });
    state.timer.set(Some(timer));
}

struct Again<'a> {
    state: &'a Rc<State>,
    ioloop: &'a IoLoop,
}

impl Drop for Again<'_> {
    fn drop(&mut self) {
        if !self.state.stopped.get() {
            let State { due, period, .. } = &**self.state;
            due.set(next(due.get(), *period, self.ioloop.time()));
            arm(self.state, self.ioloop);
        }
    }
}

/// The first time on the grid after `now`. `due` is on the grid, and over.
fn next(due: Duration, period: Duration, now: Duration) -> Duration {
    let periods = now.saturating_sub(due).as_nanos() / period.as_nanos() + 1;
    let ahead = u64::try_from(periods * period.as_nanos()).unwrap_or(u64::MAX);
    due.saturating_add(Duration::from_nanos(ahead))
}
