//! Periodic callbacks: a callback that runs on a fixed grid of times.
//!
//! Contract: the callback is due at start + n periods. If a run takes longer than a period, or the clock jumps, the missed
//! times are skipped, and the next run is on the grid again. The next timer starts after the callback has returned.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use crate::failure::{drop_caught, guarded};
use crate::timers::TimerId;
use crate::{IntoOutcome, IoLoop, Origin, Outcome};

/// Stops a periodic callback. Clones refer to the same callback, and dropping them does not stop it.
#[derive(Clone)]
pub struct Periodic(Rc<State>);

struct State {
    period: Duration,
    /// The next deadline, by the loop's clock.
    due: Cell<Duration>,
    timer: Cell<Option<TimerId>>,
    stopped: Cell<bool>,
    run: RefCell<Run>,
    /// Starts the next timer: [`arm`] for the type of the callback.
    arm: fn(&Rc<State>, &IoLoop),
}

type Run = Box<dyn FnMut(&IoLoop) -> Outcome>;

impl IoLoop {
    /// Run a callback every `period`, for the first time one period from now. A period of zero counts as a nanosecond.
    pub fn call_every<F: FnMut(&Self) -> R + 'static, R: IntoOutcome>(
        &self,
        period: Duration,
        mut callback: F,
    ) -> Periodic {
        let period = period.max(Duration::from_nanos(1));
        let state = Rc::new(State {
            period,
            due: Cell::new(self.time().saturating_add(period)),
            timer: Cell::default(),
            stopped: Cell::new(false),
            run: RefCell::new(Box::new(move |ioloop| callback(ioloop).into_outcome())),
            arm: arm::<F>,
        });
        arm::<F>(&state, self);
        Periodic(state)
    }
}

impl Periodic {
    /// Stop the callback. It may stop itself. Stopping it twice does nothing.
    pub fn stop(&self, ioloop: &IoLoop) {
        self.0.stopped.set(true);
        if let Some(timer) = self.0.timer.take() {
            ioloop.remove_timeout(timer);
        }
    }
}

/// Start the next timer. The type of the closure has `F` in its name, which a tracer gets.
#[allow(clippy::extra_unused_type_parameters, reason = "only the name uses it")]
fn arm<F: 'static>(state: &Rc<State>, ioloop: &IoLoop) {
    let own = Rc::clone(state);
    let timer = ioloop.call_at(state.due.get(), move |ioloop| {
        let ran = guarded(|| {
            // A guard, so that the next timer starts even if the callback panics.
            let _again = Again { state: &own, ioloop };
            (own.run.borrow_mut())(ioloop)
        });
        // If the callback was stopped, this may drop it.
        ioloop.report_each(Origin::Timer, [ran, drop_caught(own)]);
    });
    state.timer.set(Some(timer));
}

/// Starts the next timer when it is dropped, unless the callback was stopped.
struct Again<'a> {
    state: &'a Rc<State>,
    ioloop: &'a IoLoop,
}

impl Drop for Again<'_> {
    fn drop(&mut self) {
        if !self.state.stopped.get() {
            let State { due, period, .. } = &**self.state;
            due.set(next(due.get(), *period, self.ioloop.time()));
            (self.state.arm)(self.state, self.ioloop);
        }
    }
}

/// The first time on the grid after `now`. `due` is a time on the grid that has passed.
fn next(due: Duration, period: Duration, now: Duration) -> Duration {
    let periods = now.saturating_sub(due).as_nanos() / period.as_nanos() + 1;
    let ahead = u64::try_from(periods * period.as_nanos()).unwrap_or(u64::MAX);
    due.saturating_add(Duration::from_nanos(ahead))
}
