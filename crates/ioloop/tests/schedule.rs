//! Timers as a loop runs them: order, canceling, and never early. timers.rs tests the heap.

mod support;

use std::rc::Rc;
use std::time::Duration;

use ioloop::IoLoop;
use support::{Log, on_each, on_each_with_a_fake_clock};

const S: Duration = Duration::from_secs(1);

#[test]
fn equal_deadlines_run_in_the_order_they_were_added() {
    on_each_with_a_fake_clock(|ioloop, _| {
        let log = Log::default();
        for n in 0..100 {
            let log = log.clone();
            ioloop.call_at(S, move |_| log.add(n));
        }
        ioloop.call_at(S, IoLoop::stop);
        ioloop.start().unwrap();
        assert_eq!(log.take(), (0..100).collect::<Vec<_>>());
    });
}

#[test]
fn past_deadlines_run_in_the_next_pass_by_deadline() {
    on_each_with_a_fake_clock(|ioloop, clock| {
        clock.advance(10 * S);
        let log = Log::default();
        for n in [3_u32, 1, 2] {
            let log = log.clone();
            ioloop.call_at(n * S, move |_| log.add(n));
        }
        ioloop.call_at(9 * S, IoLoop::stop);
        ioloop.start().unwrap();
        assert_eq!(log.take(), [1, 2, 3]);
        assert_eq!(ioloop.time(), 10 * S);
    });
}

#[test]
fn a_timer_cancels_another_that_is_due_in_the_same_pass() {
    on_each_with_a_fake_clock(|ioloop, _| {
        let log = Log::default();
        let seen = log.clone();
        let second = Rc::new(std::cell::Cell::new(None));
        let cancel = second.clone();
        ioloop.call_at(S, move |ioloop| ioloop.remove_timeout(cancel.take().unwrap()));
        second.set(Some(ioloop.call_at(S, move |_| seen.add("canceled"))));
        ioloop.call_at(2 * S, IoLoop::stop);
        ioloop.start().unwrap();
        assert_eq!(
            log.take(),
            [""; 0],
            "a timer that was canceled a moment before ran: it was collected already"
        );
    });
}

#[test]
fn canceling_twice_or_after_it_fired_is_harmless() {
    on_each_with_a_fake_clock(|ioloop, _| {
        let log = Log::default();
        let seen = log.clone();
        let fired = ioloop.call_at(S, move |_| seen.add("fired"));
        let canceled = ioloop.call_at(S, |_| ());
        ioloop.remove_timeout(canceled);
        ioloop.remove_timeout(canceled);
        ioloop.call_at(S, IoLoop::stop);
        ioloop.start().unwrap();
        assert_eq!(log.take(), ["fired"]);
        let seen = log.clone();
        ioloop.call_at(2 * S, move |ioloop| {
            seen.add("in its slot");
            ioloop.stop();
        });
        ioloop.remove_timeout(fired);
        ioloop.remove_timeout(canceled);
        ioloop.start().unwrap();
        assert_eq!(
            log.take(),
            ["in its slot"],
            "the id of a timer led to another timer that has its slot now"
        );
    });
}

#[test]
fn a_timer_is_never_early() {
    on_each(|ioloop| {
        for micros in [100, 3100, 4900] {
            let delay = Duration::from_micros(micros);
            let start = ioloop.time();
            ioloop.call_later(delay, IoLoop::stop);
            ioloop.start().unwrap();
            let took = ioloop.time() - start;
            assert!(took >= delay, "a timer of {micros} µs ran after {took:?}");
        }
    });
}

#[test]
fn a_deadline_beyond_the_clock_does_not_overflow() {
    on_each_with_a_fake_clock(|ioloop, _| {
        ioloop.call_later(Duration::MAX, |_| ());
        ioloop.call_at(Duration::MAX, |_| ());
        ioloop.call_later(S, IoLoop::stop);
        ioloop.start().unwrap();
        assert_eq!(ioloop.time(), S);
    });
}

/// 10,000 timers over a day, some canceled, some late because the clock jumps.
#[test]
fn in_a_day_none_is_early_and_none_is_lost() {
    on_each_with_a_fake_clock(|ioloop, clock| {
        let mut seed = 1_u64;
        let mut random = move |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        let log = Log::default();
        let mut wanted = Vec::new();
        for _ in 0..10_000 {
            let deadline = Duration::from_millis(random(86_400_000));
            let log = log.clone();
            let timer = ioloop.call_at(deadline, move |ioloop| log.add((deadline, ioloop.time())));
            if random(10) == 0 { ioloop.remove_timeout(timer) } else { wanted.push(deadline) }
        }
        wanted.sort();
        for _ in 0..100 {
            let (at, jump) =
                (Duration::from_millis(random(86_400_000)), Duration::from_millis(random(60_000)));
            let clock = clock.clone();
            ioloop.call_at(at, move |_| clock.advance(jump));
        }
        ioloop.call_at(Duration::from_secs(2 * 86_400), IoLoop::stop);
        ioloop.start().unwrap();
        let fired = log.take();
        assert_eq!(fired.len(), wanted.len(), "timers were lost, or ran twice");
        let other = fired.iter().zip(&wanted).find(|((deadline, _), wanted)| deadline != *wanted);
        assert!(other.is_none(), "out of order, or one lost and one run twice: {other:?}");
        let early = fired.iter().find(|(deadline, now)| now < deadline);
        assert!(early.is_none(), "early: {early:?}");
    });
}

#[test]
fn a_closed_loop_forgets_its_timers_and_takes_no_more() {
    on_each(|ioloop| {
        let held = Rc::new(());
        let holding = || {
            let held = (Rc::clone(&held), ioloop.clone());
            move |_: &IoLoop| drop(held)
        };
        ioloop.call_later(S, holding());
        ioloop.close();
        assert_eq!(Rc::strong_count(&held), 1, "a timer that will never run keeps its captures");
        let timer = ioloop.call_later(S, holding());
        ioloop.call_every(S, holding_again(&held, ioloop));
        assert_eq!(
            Rc::strong_count(&held),
            1,
            "a timer that was added after the close keeps its captures forever, including the loop"
        );
        ioloop.remove_timeout(timer);
    });
}

#[test]
fn a_closed_loop_forgets_its_callbacks() {
    on_each(|ioloop| {
        let held = Rc::new(());
        let holds = Rc::clone(&held);
        ioloop.add_callback(move |_| drop(holds));
        ioloop.close();
        assert_eq!(Rc::strong_count(&held), 1, "a callback that will never run keeps its captures");
    });
}

/// A close drops everything that the loop has, and a value that is dropped can call the loop.
#[test]
fn a_value_dropped_by_a_close_can_add_nothing_more() {
    struct Adds(IoLoop, Rc<()>);

    impl Drop for Adds {
        fn drop(&mut self) {
            let [callback, timer, task] = [(); 3].map(|()| Rc::clone(&self.1));
            self.0.add_callback(move |_| drop(callback));
            self.0.call_later(S, move |_| drop(timer));
            self.0.spawn(async move { drop(task) });
        }
    }

    on_each(|ioloop| {
        let held = Rc::new(());
        let adds = || Adds(ioloop.clone(), Rc::clone(&held));
        let (callback, timer, task) = (adds(), adds(), adds());
        ioloop.add_callback(move |_| drop(callback));
        ioloop.call_later(S, move |_| drop(timer));
        ioloop.spawn(async move { drop(task) });
        ioloop.close();
        assert_eq!(
            Rc::strong_count(&held),
            1,
            "a value that the close dropped added something to the loop, which is kept"
        );
    });
}

/// The rest of the callbacks, and of the due timers.
#[test]
fn callbacks_and_timers_after_the_close_do_not_run() {
    for closes in ["callback", "timer"] {
        on_each(|ioloop| {
            let log = Log::default();
            let run = |who: &'static str| {
                let log = log.clone();
                move |ioloop: &IoLoop| {
                    log.add(who);
                    if who == closes {
                        ioloop.close();
                    }
                }
            };
            for _ in 0..2 {
                ioloop.add_callback(run("callback"));
                ioloop.call_at(Duration::ZERO, run("timer"));
            }
            ioloop.start().unwrap();
            let wanted =
                if closes == "callback" { &["callback"][..] } else { &["callback", "callback", "timer"] };
            assert_eq!(log.take(), wanted, "the first {closes} closed the loop, so the others must not run");
        });
    }
}

fn holding_again(held: &Rc<()>, ioloop: &IoLoop) -> impl FnMut(&IoLoop) + 'static {
    let held = (Rc::clone(held), ioloop.clone());
    move |_| {
        let _ = &held;
    }
}
