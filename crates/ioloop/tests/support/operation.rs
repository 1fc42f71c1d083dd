//! What the tests of tasks and of run_sync share: a loop that does not hang, and a future that counts its polls.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use ioloop::IoLoop;

use super::{Log, on_each_with_a_fake_clock};

/// On each poller, with a fake clock. By that clock a thousand iterations take weeks: a result that has not come by
/// then does not come, and the loop is stopped.
#[track_caller]
pub fn on_each_for_weeks(test: impl Fn(&IoLoop)) {
    on_each_with_a_fake_clock(|ioloop, _| {
        let count = Cell::new(0);
        ioloop.subscribe(move |ioloop, _| {
            count.set(count.get() + 1);
            if count.get() == 1000 {
                ioloop.stop();
            }
        });
        test(ioloop);
    });
}

/// A future that counts its polls, keeps its waker, and finishes on request. Clones share one state.
#[derive(Clone, Default)]
pub struct Operation(Rc<State>);

#[derive(Default)]
pub struct State {
    polls: Cell<usize>,
    waker: RefCell<Option<Waker>>,
    over: Cell<bool>,
}

impl Future for Operation {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.0.polls.set(self.polls() + 1);
        self.0.waker.replace(Some(context.waker().clone()));
        if self.0.over.get() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Operation {
    pub fn polls(&self) -> usize {
        self.0.polls.get()
    }

    pub fn waker(&self) -> Waker {
        self.0.waker.borrow().clone().expect("the future was polled, so it has a waker")
    }

    pub fn end(&self) {
        self.0.over.set(true);
        self.waker().wake();
    }

    /// Does anything besides the test still hold it?
    pub fn is_kept(&self) -> bool {
        Rc::strong_count(&self.0) > 1
    }
}

/// The failures that the loop reports from now on.
pub fn failures(ioloop: &IoLoop) -> Log<String> {
    let log = Log::default();
    let seen = log.clone();
    ioloop.handle_callback_exception(move |_, failure| seen.add(failure.to_string()));
    log
}
