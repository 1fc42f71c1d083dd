//! Exercise `ioloop/timers`: what the timers of a loop must do. Time is a number here, and nobody sleeps.

#[path = "support/counting.rs"]
mod counting;

use std::collections::BTreeMap;
use std::time::Duration;

use counting::bytes;
use ioloop::timers::{TimerId, Timers};

const S: Duration = Duration::from_secs(1);
const NS: Duration = Duration::from_nanos(1);

/// What is due now, and carries something still, in its order: a pass as the loop makes it.
fn pass<T>(timers: &mut Timers<T>, now: Duration) -> Vec<T> {
    timers.collect(|| now);
    std::iter::from_fn(|| timers.next_due()).collect()
}

/// Numbers without an order, the same ones in each run.
fn random(seed: &mut u64, below: u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) % below
}

#[test]
fn nothing_is_due_before_its_deadline() {
    let mut timers = Timers::default();
    timers.add(S + Duration::from_nanos(900_900), "timer");
    let early = pass(&mut timers, S + Duration::from_nanos(900_900) - NS);
    assert!(
        early.is_empty(),
        "a timer was due a nanosecond before its deadline: rounded down on its way in?"
    );
}

#[test]
fn at_its_deadline_it_is_due() {
    let mut timers = Timers::default();
    timers.add(S, "timer");
    assert_eq!(
        pass(&mut timers, S),
        ["timer"],
        "the time is the deadline, and the timer is not due: the loop would sleep for no time at all, again and again"
    );
}

#[test]
fn all_that_is_due_comes_by_deadline() {
    let mut timers = Timers::default();
    for n in [3_u32, 1, 7, 4, 2, 6, 5, 9, 8] {
        timers.add(n * S, n);
    }
    assert_eq!(pass(&mut timers, 7 * S), [1, 2, 3, 4, 5, 6, 7], "due after 7 s, by deadline");
    assert_eq!(pass(&mut timers, 60 * S), [8, 9], "and what was left, a pass later");
}

#[test]
fn equal_deadlines_come_in_the_order_they_were_added() {
    let mut timers = Timers::default();
    for n in 0..100 {
        timers.add(S, n);
    }
    assert_eq!(
        pass(&mut timers, S),
        (0..100).collect::<Vec<_>>(),
        "a hundred timers for the same moment: first come, first served"
    );
}

#[test]
fn a_place_that_is_used_again_changes_no_order() {
    let mut timers = Timers::default();
    for n in 0..10 {
        timers.add(S, n);
    }
    pass(&mut timers, S);
    for n in 0..10 {
        timers.add(2 * S, n);
    }
    assert_eq!(
        pass(&mut timers, 2 * S),
        (0..10).collect::<Vec<_>>(),
        "the order among equals is that of the places they got, and not that of their coming"
    );
}

#[test]
fn a_timer_that_is_added_after_the_collecting_waits_for_the_next_pass() {
    let mut timers = Timers::default();
    timers.add(S, "first");
    timers.collect(|| S);
    timers.add(S, "added by the first");
    let ran: Vec<_> = std::iter::from_fn(|| timers.next_due()).collect();
    assert_eq!(ran, ["first"]);
    assert_eq!(timers.nearest(), Some(S), "what is added while others run is there afterwards");
    assert_eq!(pass(&mut timers, S), ["added by the first"]);
}

#[test]
fn only_what_was_collected_can_be_taken() {
    let mut timers = Timers::default();
    timers.add(S, "waits");
    assert_eq!(timers.next_due(), None, "a timer that is not due was taken");
    assert_eq!(pass(&mut timers, S), ["waits"]);
    assert_eq!(timers.next_due(), None, "a timer was taken twice");
}

#[test]
fn a_cancelled_timer_is_never_due() {
    let mut timers = Timers::default();
    let ids: Vec<_> = (0..10).map(|n| timers.add(S, n)).collect();
    for id in ids.iter().step_by(2) {
        timers.cancel(*id);
    }
    assert_eq!(pass(&mut timers, S), [1, 3, 5, 7, 9], "every other one was cancelled");
}

#[test]
fn cancelling_gives_back_what_it_carried_once() {
    let mut timers = Timers::default();
    let waits = timers.add(S, "waits");
    assert_eq!(timers.cancel(waits), Some("waits"));
    assert_eq!(timers.cancel(waits), None, "cancelled twice");
    let ran = timers.add(S, "ran");
    pass(&mut timers, S);
    assert_eq!(timers.cancel(ran), None, "cancelled after it ran");
}

#[test]
fn a_timer_that_was_collected_can_still_be_cancelled() {
    let mut timers = Timers::default();
    timers.add(S, "first");
    let second = timers.add(S, "second");
    timers.collect(|| S);
    assert_eq!(timers.next_due(), Some("first"));
    assert_eq!(
        timers.cancel(second),
        Some("second"),
        "the first one to run cancels the second, which was collected already and has yet to run"
    );
    assert_eq!(timers.next_due(), None, "a timer that was cancelled a moment before would run");
}

#[test]
fn an_id_never_leads_to_another_timer() {
    let mut timers = Timers::default();
    // Gone in each way that there is: run, cancelled when collected, cancelled and met in the heap, swept out.
    let ran = timers.add(S, 0);
    pass(&mut timers, S);
    let collected = timers.add(S, 0);
    timers.collect(|| S);
    timers.cancel(collected);
    let met = timers.add(S, 0);
    timers.cancel(met);
    pass(&mut timers, S);
    // One that lives is the first in the heap, so that none of these is met.
    timers.add(2 * S, 0);
    let swept: Vec<_> = (0..1000).map(|_| timers.add(9 * S, 0)).collect();
    for id in &swept {
        timers.cancel(*id);
    }
    pass(&mut timers, S);
    // All of their places are somebody else's now.
    for n in 0..2000 {
        timers.add(2 * S, n);
    }
    let gone = [(ran, "ran"), (collected, "was cancelled when it was collected"), (met, "was cancelled")];
    let gone: Vec<_> = gone.into_iter().chain(swept.into_iter().map(|id| (id, "was swept out"))).collect();
    for (gone, how) in &gone {
        assert_eq!(
            timers.cancel(*gone),
            None,
            "the id of a timer that {how} led to another that has its place now"
        );
    }
    timers.collect(|| 2 * S);
    for (gone, how) in gone {
        assert_eq!(
            timers.cancel(gone),
            None,
            "the id of a timer that {how} cancelled or took another that has its place now, and was collected"
        );
    }
    let ran = std::iter::from_fn(|| timers.next_due()).count();
    assert_eq!(ran, 2001, "none of the others was touched");
}

#[test]
fn a_new_timer_is_not_due_at_the_time_of_a_cancelled_one() {
    let mut timers = Timers::default();
    let soon = timers.add(S, "soon");
    timers.cancel(soon);
    timers.add(10 * S, "late");
    assert!(
        pass(&mut timers, S).is_empty(),
        "a timer of 10 s was due after 1: it was given the place of a cancelled one, to which the heap still led"
    );
    assert_eq!(pass(&mut timers, 10 * S), ["late"]);
}

#[test]
fn the_nearest_is_one_that_lives() {
    let mut timers = Timers::default();
    assert_eq!(timers.nearest(), None, "there is none");
    let first = timers.add(S, 1);
    let second = timers.add(2 * S, 2);
    timers.add(3 * S, 3);
    assert_eq!(timers.nearest(), Some(S));
    timers.cancel(first);
    timers.cancel(second);
    assert_eq!(timers.nearest(), Some(3 * S), "the loop would wake for a timer that was cancelled");
    pass(&mut timers, 3 * S);
    assert_eq!(timers.nearest(), None, "all have run");
}

#[test]
fn many_that_are_cancelled_are_swept_out() {
    let mut timers = Timers::default();
    timers.add(S, 0);
    let ids: Vec<_> = (1..=10_000).map(|n| timers.add(2 * S, n)).collect();
    assert!(ids.into_iter().all(|id| timers.cancel(id).is_some()));
    assert!(pass(&mut timers, Duration::ZERO).is_empty());
    assert_eq!(
        timers.len(),
        1,
        "10,000 of 10,001 were cancelled, and are kept until their time, or some of them. Was it `collect` that swept? \
         What is swept out before is not counted in it, and the rest is few"
    );
    assert_eq!(timers.nearest(), Some(S), "sweeping has lost the one that lives");
}

#[test]
fn cancelling_only_marks() {
    let mut timers = Timers::default();
    let ids: Vec<_> = (0..2000).map(|n| timers.add(2 * S, n)).collect();
    assert!(ids.into_iter().all(|id| timers.cancel(id).is_some()));
    assert_eq!(
        timers.len(),
        2000,
        "cancelling has searched the heap: it costs the more, the more timers there are. Or it has swept, which is \
         for `collect` to do, once a pass"
    );
    assert!(!timers.is_empty());
}

#[test]
fn a_few_that_are_cancelled_stay() {
    let mut timers = Timers::default();
    timers.add(S, 0);
    let ids: Vec<_> = (0..512).map(|n| timers.add(2 * S, n)).collect();
    assert!(ids.into_iter().all(|id| timers.cancel(id).is_some()));
    pass(&mut timers, Duration::ZERO);
    assert_eq!(timers.len(), 513, "512 marks are few: sweeping them out costs more than it gives");
}

#[test]
fn up_to_half_of_them_stay() {
    let mut timers = Timers::default();
    let ids: Vec<_> = (0..10_000).map(|n| timers.add(2 * S, n)).collect();
    // The first one is alive, so that none of them is met on the way.
    for id in &ids[5000..] {
        timers.cancel(*id);
    }
    pass(&mut timers, Duration::ZERO);
    assert_eq!(
        timers.len(),
        10_000,
        "half is not more than half: swept too often, each cancel pays for all that live"
    );
    timers.cancel(ids[4999]);
    pass(&mut timers, Duration::ZERO);
    assert_eq!(timers.len(), 4999, "more than 512, and more than half: now they are swept out");
}

#[test]
fn what_was_swept_out_is_counted_no_more() {
    let mut timers = Timers::default();
    timers.add(S, 0);
    // The second time there are few.
    for (marks, left) in [(600, 1), (500, 501)] {
        let ids: Vec<_> = (0..marks).map(|n| timers.add(2 * S, n)).collect();
        assert!(ids.into_iter().all(|id| timers.cancel(id).is_some()));
        pass(&mut timers, Duration::ZERO);
        assert_eq!(
            timers.len(),
            left,
            "{marks} were cancelled beside one that lives. 600 are swept out; 500 more are few, unless the 600 are \
             still counted: then each pass from now on sweeps for nothing"
        );
    }
}

/// On its way to the nearest that lives, `nearest` drops the marks before it.
#[test]
fn marks_that_were_met_are_counted_no_more() {
    let mut timers = Timers::default();
    let ids: Vec<_> = (0..600).map(|n| timers.add(S, n)).collect();
    timers.add(2 * S, 0);
    assert!(ids.into_iter().all(|id| timers.cancel(id).is_some()));
    assert_eq!(timers.nearest(), Some(2 * S));
    let ids: Vec<_> = (0..500).map(|n| timers.add(3 * S, n)).collect();
    assert!(ids.into_iter().all(|id| timers.cancel(id).is_some()));
    pass(&mut timers, S);
    assert_eq!(
        timers.len(),
        501,
        "500 are few. 600 others were cancelled before, and `nearest` has met them: are they counted still?"
    );
}

#[test]
fn only_marks_in_the_heap_are_counted() {
    let mut timers = Timers::default();
    let ids: Vec<_> = (0..600).map(|n| timers.add(S, n)).collect();
    timers.collect(|| S);
    assert!(ids.into_iter().all(|id| timers.cancel(id).is_some()));
    timers.add(2 * S, 0);
    let ids: Vec<_> = (0..500).map(|n| timers.add(3 * S, n)).collect();
    assert!(ids.into_iter().all(|id| timers.cancel(id).is_some()));
    pass(&mut timers, S);
    assert_eq!(
        timers.len(),
        501,
        "600 were cancelled when they were collected already, and are counted as if the heap had a mark for each"
    );
}

#[test]
fn cancelling_what_is_gone_counts_nothing() {
    let mut timers = Timers::default();
    let ran = timers.add(Duration::ZERO, 0);
    pass(&mut timers, Duration::ZERO);
    timers.add(S, 1);
    let marked = timers.add(2 * S, 2);
    for _ in 0..600 {
        timers.cancel(marked);
        timers.cancel(ran);
    }
    pass(&mut timers, Duration::ZERO);
    assert_eq!(
        timers.len(),
        2,
        "one mark is in the heap, and 1200 calls to cancel are counted: it is swept each time for nothing"
    );
}

#[test]
fn sweeping_loses_none_that_lives_and_keeps_the_order() {
    let mut timers = Timers::default();
    let mut seed = 1;
    let mut wanted = Vec::new();
    for n in 0..4000_u32 {
        let deadline = random(&mut seed, 1000) as u32;
        let id = timers.add(deadline * S, (deadline, n));
        if n % 4 == 0 {
            wanted.push((id, (deadline, n)));
        } else {
            timers.cancel(id);
        }
    }
    pass(&mut timers, Duration::ZERO);
    let (id, carried) = wanted.swap_remove(500);
    assert_eq!(
        timers.cancel(id),
        Some(carried),
        "after the sweep, the id of a timer that lives leads nowhere: it was swept out with the cancelled ones, or \
         moved to another place"
    );
    let mut wanted: Vec<_> = wanted.into_iter().map(|(_, carried)| carried).collect();
    wanted.retain(|(deadline, _)| *deadline > 0);
    wanted.sort_unstable();
    let ran = pass(&mut timers, 1000 * S);
    assert_eq!(ran.len(), wanted.len(), "a timer that lives was swept out with the cancelled ones");
    assert!(
        ran == wanted,
        "after the sweep, timers are out of order: what is left has to be made a heap again"
    );
}

#[test]
fn after_a_sweep_whoever_comes_later_is_later() {
    let mut timers = Timers::default();
    let ids: Vec<_> = (0..1000).map(|_| timers.add(S, "cancelled")).collect();
    timers.add(2 * S, "before the sweep");
    assert!(ids.into_iter().all(|id| timers.cancel(id).is_some()));
    timers.collect(|| Duration::ZERO);
    timers.add(2 * S, "after it");
    assert_eq!(
        pass(&mut timers, 2 * S),
        ["before the sweep", "after it"],
        "two for one moment, and the later one came first: what a sweep sets to 0 is the count of marks, not that of \
         who came when"
    );
}

#[test]
fn an_old_id_stays_old_however_often_its_place_is_used() {
    let mut timers = Timers::default();
    let old = timers.add(S, 0);
    timers.cancel(old);
    pass(&mut timers, S);
    for n in 1..if cfg!(miri) { 300 } else { 70_000 } {
        let new = timers.add(S, n);
        assert_eq!(timers.cancel(old), None, "after {n} others in its place, an old id cancels one of them");
        assert_eq!(timers.cancel(new), Some(n));
        pass(&mut timers, S);
    }
}

/// A thousand at a time, and each thousand is gone before the next comes.
#[test]
fn whoever_is_gone_takes_no_room() {
    type Goes = fn(&mut Timers<u64>, Vec<TimerId>);
    let ways: [(&str, Goes); 4] = [
        ("ran", |timers, _| assert_eq!(pass(timers, S).len(), 1000)),
        ("was cancelled when it was collected", |timers, ids| {
            timers.collect(|| S);
            assert!(ids.into_iter().all(|id| timers.cancel(id).is_some()));
        }),
        ("was cancelled, and met by `nearest`", |timers, ids| {
            // Few enough at a time, so that none is swept out.
            for ids in ids.chunks(500) {
                assert!(ids.iter().all(|id| timers.cancel(*id).is_some()));
                timers.nearest();
            }
        }),
        ("was swept out", |timers, ids| {
            assert!(ids.into_iter().all(|id| timers.cancel(id).is_some()));
            timers.collect(|| Duration::ZERO);
        }),
    ];
    for (how, goes) in ways {
        let mut timers = Timers::default();
        // It lives, and is last, or first where marks are not to be met.
        timers.add(if how == "was swept out" { S / 2 } else { 2 * S }, 0);
        let mut turn = || {
            let ids = (0..1000).map(|n| timers.add(S, n)).collect();
            goes(&mut timers, ids);
            bytes()
        };
        let before = (0..5).map(|_| turn()).max().unwrap();
        let after = (0..if cfg!(miri) { 15 } else { 60 }).map(|_| turn()).last().unwrap();
        assert!(
            after <= 2 * before,
            "never more than a thousand timers at a time took {before} bytes at first and {after} later: the place \
             of one that {how} is not used again"
        );
    }
}

#[test]
fn however_many_are_left_by_a_sweep_they_are_a_heap() {
    let mut seed = 5;
    for living in (1..100).step_by(if cfg!(miri) { 33 } else { 1 }) {
        let mut timers = Timers::default();
        let mut wanted = Vec::new();
        for n in 0..1000 {
            let deadline = random(&mut seed, 1000);
            let id = timers.add(Duration::from_millis(1 + deadline), (deadline, n));
            if n % 10 == 0 && wanted.len() < living {
                wanted.push((deadline, n));
            } else {
                timers.cancel(id);
            }
        }
        assert!(pass(&mut timers, Duration::ZERO).is_empty());
        assert_eq!(timers.len(), living, "the others were cancelled, and are swept out");
        wanted.sort_unstable();
        assert_eq!(
            pass(&mut timers, S),
            wanted,
            "{living} were left by a sweep, and are out of order: each node that has a child, the last one too, has to \
             be put below it"
        );
    }
}

#[test]
fn one_that_cannot_be_waited_for_is_no_overflow() {
    let mut timers = Timers::default();
    timers.add(Duration::MAX, "never");
    timers.add(Duration::from_nanos(u64::MAX) + 2 * NS, "never");
    timers.add(S, "soon");
    let ran = pass(&mut timers, 1000 * S);
    assert_eq!(ran, ["soon"], "a deadline beyond 64 bits of nanoseconds has become an early one");
}

/// Whatever is done to them, in whatever order: the same as with a sorted map, which is slow and obvious.
#[test]
fn they_do_what_a_sorted_map_does() {
    let (mut timers, mut seed, mut now) = (Timers::default(), 7, 0);
    let mut model: BTreeMap<(u64, u64), TimerId> = BTreeMap::new();
    for n in 0..if cfg!(miri) { 500 } else { 20_000 } {
        match random(&mut seed, 16) {
            0..8 => {
                let deadline = now + random(&mut seed, 300);
                model.insert((deadline, n), timers.add(Duration::from_millis(deadline), (deadline, n)));
            }
            8..14 if !model.is_empty() => {
                let which = random(&mut seed, model.len() as u64) as usize;
                let (key, id) = model.iter().nth(which).map(|(key, id)| (*key, *id)).unwrap();
                model.remove(&key);
                assert_eq!(timers.cancel(id), Some(key), "step {n}: cancelling one that waits");
            }
            _ => now += random(&mut seed, 20),
        }
        if n % 8 == 0 {
            let later = model.split_off(&(now + 1, 0));
            let wanted: Vec<_> = model.into_keys().collect();
            model = later;
            assert_eq!(
                pass(&mut timers, Duration::from_millis(now)),
                wanted,
                "step {n}, {now} ms: what is due"
            );
        }
        let nearest = model.keys().next().map(|(deadline, _)| Duration::from_millis(*deadline));
        assert_eq!(timers.nearest(), nearest, "step {n}: the nearest");
    }
}
