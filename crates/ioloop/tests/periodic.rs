//! A periodic callback stays on its grid.

mod support;

use std::cell::OnceCell;
use std::rc::Rc;
use std::time::Duration;

use ioloop::{IoLoop, Periodic};
use support::{Log, on_each_with_a_fake_clock};

const S: Duration = Duration::from_secs(1);

#[test]
fn it_runs_at_every_period() {
    on_each_with_a_fake_clock(|ioloop, _| {
        let log = Log::default();
        let seen = log.clone();
        ioloop.call_every(10 * S, move |ioloop| seen.add(ioloop.time().as_secs()));
        ioloop.call_at(45 * S, IoLoop::stop);
        ioloop.start().unwrap();
        assert_eq!(log.take(), [10, 20, 30, 40]);
    });
}

#[test]
fn an_overrun_skips_runs_and_keeps_the_grid() {
    on_each_with_a_fake_clock(|ioloop, clock| {
        let log = Log::default();
        let (seen, clock) = (log.clone(), clock.clone());
        ioloop.call_every(10 * S, move |ioloop| {
            seen.add(ioloop.time().as_secs());
            if seen.len() == 2 {
                clock.advance(25 * S);
            }
        });
        ioloop.call_at(75 * S, IoLoop::stop);
        ioloop.start().unwrap();
        assert_eq!(log.take(), [10, 20, 50, 60, 70], "a run from 20 to 45 misses 30 and 40, so 50 is next");
    });
}

#[test]
fn a_panic_does_not_end_it_and_stop_does() {
    on_each_with_a_fake_clock(|ioloop, _| {
        let log = Log::default();
        let seen = log.clone();
        ioloop.handle_callback_exception(|_, _| ());
        let periodic = ioloop.call_every(S, move |ioloop| {
            seen.add(ioloop.time().as_secs());
            assert!(seen.len() != 2);
        });
        let stop = periodic.clone();
        ioloop.call_at(3 * S + S / 2, move |ioloop| stop.stop(ioloop));
        ioloop.call_at(10 * S, IoLoop::stop);
        ioloop.start().unwrap();
        assert_eq!(log.take(), [1, 2, 3]);
        periodic.stop(ioloop);
    });
}

#[test]
fn it_can_be_stopped_from_inside() {
    on_each_with_a_fake_clock(|ioloop, _| {
        let log = Log::default();
        let (seen, own) = (log.clone(), Rc::new(OnceCell::<Periodic>::new()));
        let itself = Rc::clone(&own);
        let periodic = ioloop.call_every(S, move |ioloop| {
            seen.add(ioloop.time().as_secs());
            if seen.len() == 2 {
                itself.get().unwrap().stop(ioloop);
            }
        });
        own.set(periodic).ok().unwrap();
        ioloop.call_at(10 * S, IoLoop::stop);
        ioloop.start().unwrap();
        assert_eq!(log.take(), [1, 2], "its second run stopped it");
    });
}

#[test]
fn a_period_of_zero_is_a_nanosecond() {
    on_each_with_a_fake_clock(|ioloop, _| {
        let log = Log::default();
        let seen = log.clone();
        ioloop.call_every(Duration::ZERO, move |ioloop| {
            seen.add(ioloop.time().as_nanos());
            if seen.len() == 3 {
                ioloop.stop();
            }
        });
        ioloop.start().unwrap();
        assert_eq!(log.take(), [1, 2, 3]);
    });
}

#[test]
fn a_run_that_ends_on_the_grid_waits_for_the_next_time() {
    on_each_with_a_fake_clock(|ioloop, clock| {
        let log = Log::default();
        let (seen, clock) = (log.clone(), clock.clone());
        ioloop.call_every(10 * S, move |ioloop| {
            seen.add(ioloop.time().as_secs());
            if seen.len() == 1 {
                clock.advance(20 * S);
            }
        });
        ioloop.call_at(55 * S, IoLoop::stop);
        ioloop.start().unwrap();
        assert_eq!(
            log.take(),
            [10, 40, 50],
            "a run from 10 to 30 misses 20, and 30 is now instead of later, so 40 is next"
        );
    });
}
