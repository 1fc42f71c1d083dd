//! Exercise `ioloop/timers`: what the timers of a loop must do. Time is a number here, so no test sleeps.

#[path = "support/counting.rs"]
mod counting;

use std::collections::BTreeMap;
use std::time::Duration;

use counting::bytes;
use ioloop::timers::{TimerId, Timers};

const S: Duration = Duration::from_secs(1);
const NS: Duration = Duration::from_nanos(1);

/// The values of the timers that are due and not canceled, in order: one pass, as the loop makes it.
fn pass<T>(timers: &mut Timers<T>, now: Duration) -> Vec<T> {
    timers.collect(|| now);
    std::iter::from_fn(|| timers.next_due()).collect()
}

/// Numbers in no order, the same in each run.
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
        "a timer was due a nanosecond before its deadline: was the deadline rounded down?"
    );
}

#[test]
fn a_timer_is_due_at_its_deadline() {
    let mut timers = Timers::default();
    timers.add(S, "timer");
    assert_eq!(
        pass(&mut timers, S),
        ["timer"],
        "the time is the deadline, and the timer is not due: the loop would wait with a timeout of zero, again and \
         again"
    );
}

#[test]
fn due_timers_come_by_deadline() {
    let mut timers = Timers::default();
    for n in [3_u32, 1, 7, 4, 2, 6, 5, 9, 8] {
        timers.add(n * S, n);
    }
    assert_eq!(
        pass(&mut timers, 7 * S),
        [1, 2, 3, 4, 5, 6, 7],
        "the timers that are due after 7 s, by deadline"
    );
    assert_eq!(pass(&mut timers, 60 * S), [8, 9], "and the rest, a pass later");
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
        "a hundred timers with the same deadline: they run in the order in which they were added"
    );
}

/// More than 65,536 since the program began.
#[test]
fn equal_deadlines_keep_their_order_however_many_timers_there_were() {
    let mut timers = Timers::default();
    let many = if cfg!(miri) { 300 } else { 70_000 };
    for n in 0..many {
        timers.add(S, n);
    }
    assert!(
        pass(&mut timers, S).into_iter().eq(0..many),
        "{many} timers with the same deadline, not in the order in which they were added: how wide is the count that \
         orders them?"
    );
}

#[test]
fn a_reused_slot_does_not_change_the_order() {
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
        "timers with equal deadlines are ordered by their slots, instead of by when they were added"
    );
}

#[test]
fn a_timer_added_after_collect_waits_for_the_next_pass() {
    let mut timers = Timers::default();
    timers.add(S, "first");
    timers.collect(|| S);
    timers.add(S, "added by the first");
    let ran: Vec<_> = std::iter::from_fn(|| timers.next_due()).collect();
    assert_eq!(ran, ["first"]);
    assert_eq!(timers.nearest(), Some(S), "a timer that is added while others run comes in the next pass");
    assert_eq!(pass(&mut timers, S), ["added by the first"]);
}

#[test]
fn only_collected_timers_are_handed_out() {
    let mut timers = Timers::default();
    timers.add(S, "waits");
    assert_eq!(timers.next_due(), None, "a timer that is not due was handed out");
    assert_eq!(pass(&mut timers, S), ["waits"]);
    assert_eq!(timers.next_due(), None, "a timer was handed out twice");
}

#[test]
fn a_canceled_timer_is_never_due() {
    let mut timers = Timers::default();
    let ids: Vec<_> = (0..10).map(|n| timers.add(S, n)).collect();
    for id in ids.iter().step_by(2) {
        timers.cancel(*id);
    }
    assert_eq!(pass(&mut timers, S), [1, 3, 5, 7, 9], "every other timer was canceled");
}

#[test]
fn canceling_returns_the_value_once() {
    let mut timers = Timers::default();
    let waits = timers.add(S, "waits");
    assert_eq!(timers.cancel(waits), Some("waits"));
    assert_eq!(timers.cancel(waits), None, "canceled twice");
    let ran = timers.add(S, "ran");
    pass(&mut timers, S);
    assert_eq!(timers.cancel(ran), None, "canceled after it ran");
}

#[test]
fn a_collected_timer_can_still_be_canceled() {
    let mut timers = Timers::default();
    timers.add(S, "first");
    let second = timers.add(S, "second");
    timers.collect(|| S);
    assert_eq!(timers.next_due(), Some("first"));
    assert_eq!(
        timers.cancel(second),
        Some("second"),
        "the first timer to run cancels the second one, which was collected already and has yet to run"
    );
    assert_eq!(timers.next_due(), None, "a timer that was canceled a moment before would run");
}

#[test]
fn a_timer_in_the_slot_of_a_canceled_one_waits_for_its_own_deadline() {
    let mut timers = Timers::default();
    timers.add(S, "first");
    let second = timers.add(S, "second");
    timers.collect(|| S);
    assert_eq!(timers.cancel(second), Some("second"));
    timers.add(10 * S, "in the second's slot");
    let ran: Vec<_> = std::iter::from_fn(|| timers.next_due()).collect();
    assert_eq!(
        ran,
        ["first"],
        "a collected timer was canceled, and a timer in 10 s got its slot: it was handed out after 1 s. Does \
         `next_due` compare the generation?"
    );
    assert_eq!(pass(&mut timers, 10 * S), ["in the second's slot"]);
}

#[test]
fn collected_timers_outlive_a_pass_that_ended_early() {
    let mut timers = Timers::default();
    for (deadline, n) in [(S, 1), (S, 2), (S, 3), (2 * S, 4), (10 * S, 5)] {
        timers.add(deadline, n);
    }
    timers.collect(|| S);
    assert_eq!(timers.next_due(), Some(1));
    // The first timer failed, and the hook panicked, which ended the pass. The loop is started again.
    assert_eq!(
        pass(&mut timers, 2 * S),
        [2, 3, 4],
        "a panic ended the pass after the first of three timers, and the next `collect` forgot the other two, or put \
         the later timer before them"
    );
}

#[test]
fn collect_reads_no_clock_for_an_empty_heap() {
    let mut timers = Timers::default();
    let reads = |timers: &mut Timers<_>| {
        let mut reads = 0;
        timers.collect(|| {
            reads += 1;
            S
        });
        reads
    };
    assert_eq!(reads(&mut timers), 0, "`collect` read the clock, and there has never been a timer");
    timers.add(S, "timer");
    assert_eq!(reads(&mut timers), 1, "`collect` reads the clock once a pass, however many timers there are");
    assert_eq!(timers.next_due(), Some("timer"));
    assert_eq!(reads(&mut timers), 0, "`collect` read the clock, and every timer has run");
}

/// `is_past` may return false for any deadline. If it returns true, the loop does not cancel a timer with this deadline.
#[test]
fn a_timer_that_waits_or_is_collected_is_not_past() {
    let mut timers = Timers::default();
    timers.add(S, "left");
    timers.add(2 * S, "waits");
    for deadline in [S, 2 * S] {
        assert!(!timers.is_past(deadline), "a timer waits for {deadline:?}, and `is_past` returned true");
    }
    timers.collect(|| S + NS);
    assert!(
        !timers.is_past(S),
        "a timer was collected and not handed out, and `is_past` returned true: it can still be canceled"
    );
    // It stays collected, and an earlier one is collected behind it.
    timers.add(Duration::ZERO, "earlier");
    assert!(
        !timers.is_past(Duration::ZERO),
        "a timer was added with a deadline in the past, and `is_past` returned true"
    );
    timers.collect(|| S + NS);
    assert!(
        !timers.is_past(Duration::ZERO),
        "a timer was collected behind one that an earlier pass had left, and `is_past` returned true"
    );
    let ran: Vec<_> = std::iter::from_fn(|| timers.next_due()).collect();
    assert_eq!(ran, ["left", "earlier"]);
    assert!(!timers.is_past(2 * S), "a timer waits, the others were handed out, and `is_past` returned true");
}

#[test]
fn canceling_a_timer_that_is_gone_frees_nothing() {
    let mut timers = Timers::default();
    let (ran, canceled) = (timers.add(S, 0), timers.add(2 * S, 0));
    assert_eq!(pass(&mut timers, S), [0]);
    for _ in 0..3 {
        timers.cancel(canceled);
        timers.cancel(ran);
    }
    for n in 1..=6 {
        timers.add(3 * S, n);
    }
    assert_eq!(
        pass(&mut timers, 3 * S),
        [1, 2, 3, 4, 5, 6],
        "two timers were gone, and were canceled again; six timers were added afterwards, and only these ran. Did two of \
         them get the same slot?"
    );
}

/// Timers that wait, that are collected and that are canceled, after any number of others: in one of these runs
/// the real loop's counter is used up, and it gives all timers new orders.
#[test]
fn timers_behave_the_same_however_many_came_before() {
    for before in [0, 1000].into_iter().chain(4085..4100) {
        let mut timers = Timers::default();
        for _ in 0..before {
            timers.add(Duration::ZERO, "before");
        }
        assert_eq!(pass(&mut timers, Duration::ZERO).len(), before);
        let gone = timers.add(20 * S, "gone");
        timers.cancel(gone);
        let mut add = |deadline, words| timers.add(deadline, words);
        let [_, second, _] = ["a", "b", "c"].map(|words| add(S, words));
        let _ = ["d", "e"].map(|words| add(10 * S, words));
        timers.collect(|| S);
        let first = timers.next_due();
        timers.cancel(second);
        let _ = ["f", "g", "h"].map(|words| timers.add(10 * S, words));
        let mut ran: Vec<_> = first.into_iter().chain(std::iter::from_fn(|| timers.next_due())).collect();
        assert_eq!(ran, ["a", "c"], "the timers that were collected after 1 s; {before} timers came before");
        let last = timers.add(10 * S, "canceled");
        timers.add(10 * S, "i");
        assert_eq!(timers.cancel(last), Some("canceled"), "{before} timers came before");
        ran = pass(&mut timers, 10 * S);
        assert_eq!(
            ran,
            ["d", "e", "f", "g", "h", "i"],
            "the timers of 10 s, some added before others had run and some after; {before} timers came before"
        );
        assert_eq!((pass(&mut timers, 30 * S), timers.len()), (vec![], 0), "{before} timers came before");
    }
}

#[test]
fn an_id_never_leads_to_another_timer() {
    let mut timers = Timers::default();
    // A timer can go in four ways: it ran, was canceled when collected, was canceled and met in the heap, or was
    // compacted away.
    let ran = timers.add(S, 0);
    pass(&mut timers, S);
    let collected = timers.add(S, 0);
    timers.collect(|| S);
    timers.cancel(collected);
    let met = timers.add(S, 0);
    timers.cancel(met);
    pass(&mut timers, S);
    // A live timer is the first in the heap, so that none of these is met.
    timers.add(2 * S, 0);
    let compacted: Vec<_> = (0..1000).map(|_| timers.add(9 * S, 0)).collect();
    for id in &compacted {
        timers.cancel(*id);
    }
    pass(&mut timers, S);
    // Other timers have all of their slots now.
    for n in 0..2000 {
        timers.add(2 * S, n);
    }
    let gone = [(ran, "ran"), (collected, "was canceled when it was collected"), (met, "was canceled")];
    let gone: Vec<_> =
        gone.into_iter().chain(compacted.into_iter().map(|id| (id, "was compacted away"))).collect();
    for (gone, how) in &gone {
        assert_eq!(
            timers.cancel(*gone),
            None,
            "the id of a timer that {how} led to another timer that has its slot now"
        );
    }
    timers.collect(|| 2 * S);
    for (gone, how) in gone {
        assert_eq!(
            timers.cancel(gone),
            None,
            "with the id of a timer that {how}, `cancel` returned another timer, which has its slot now and was collected"
        );
    }
    let ran = std::iter::from_fn(|| timers.next_due()).count();
    assert_eq!(ran, 2001, "none of the other timers changed");
}

#[test]
fn a_new_timer_is_not_due_at_the_deadline_of_a_canceled_one() {
    let mut timers = Timers::default();
    let soon = timers.add(S, "soon");
    timers.cancel(soon);
    timers.add(10 * S, "late");
    assert!(
        pass(&mut timers, S).is_empty(),
        "a timer in 10 s was due after 1 s: it got the slot of a canceled timer, whose node is still in the heap"
    );
    assert_eq!(pass(&mut timers, 10 * S), ["late"]);
}

#[test]
fn nearest_is_a_live_timer() {
    let mut timers = Timers::default();
    assert_eq!(timers.nearest(), None, "there is no timer");
    assert!(timers.is_empty());
    let first = timers.add(S, 1);
    let second = timers.add(2 * S, 2);
    timers.add(3 * S, 3);
    assert_eq!(timers.nearest(), Some(S));
    timers.cancel(first);
    timers.cancel(second);
    assert_eq!(timers.nearest(), Some(3 * S), "the loop would wake for a timer that was canceled");
    pass(&mut timers, 3 * S);
    assert_eq!(timers.nearest(), None, "all timers have run");
    assert!(timers.is_empty());
}

#[test]
fn many_tombstones_are_compacted_away() {
    for left in [0, 1] {
        let mut timers = Timers::default();
        for _ in 0..left {
            timers.add(Duration::ZERO, 0);
        }
        timers.collect(|| Duration::ZERO);
        timers.add(S, 0);
        let ids: Vec<_> = (1..=10_000).map(|n| timers.add(2 * S, n)).collect();
        assert!(ids.into_iter().all(|id| timers.cancel(id).is_some()));
        assert_eq!(pass(&mut timers, Duration::ZERO).len(), left);
        assert_eq!(
            timers.len(),
            1,
            "{left} timers were left in the queue. 10,000 of 10,001 others were canceled, and all or some of their nodes \
             stay until the deadline. Is it `collect` that compacts, whatever the queue has? If an earlier step compacts \
             some, the rest are too few for `collect`"
        );
        assert_eq!(timers.nearest(), Some(S), "compacting lost the live timer");
    }
}

/// A panic of the hook can end a pass early.
#[test]
fn what_a_pass_has_left_in_the_queue_comes_first_and_counts_for_nothing() {
    let mut timers = Timers::default();
    for n in 0..600 {
        timers.add(5 * S, n);
    }
    timers.collect(|| 5 * S);
    let canceled: Vec<_> = (0..600).map(|n| timers.add(9 * S, n)).collect();
    for n in 0..400 {
        timers.add(7 * S, n);
    }
    assert_eq!(
        timers.len(),
        1000,
        "600 timers are in the queue, and 1000 wait in the heap: `len` counts the heap's nodes only"
    );
    assert_eq!(
        timers.nearest(),
        Some(7 * S),
        "the timers that were due at 5 s are in the queue, and no longer wait: `nearest` is for the sleep, after the queue is empty"
    );
    assert!(canceled.into_iter().all(|id| timers.cancel(id).is_some()));
    timers.add(3 * S, 600);
    timers.collect(|| 5 * S);
    assert_eq!(
        timers.len(),
        400,
        "600 of 1001 nodes in the heap were tombstones, more than half, and they are still there. What is in the queue is no part \
         of the heap"
    );
    let ran: Vec<_> = std::iter::from_fn(|| timers.next_due()).collect();
    assert!(
        ran.into_iter().eq(0..=600),
        "a pass has left 600 timers in the queue. A timer that was added since has an earlier deadline, and still comes behind them: \
         `collect` appends"
    );
}

#[test]
fn canceling_leaves_a_tombstone() {
    let mut timers = Timers::default();
    let ids: Vec<_> = (0..2000).map(|n| timers.add(2 * S, n)).collect();
    assert!(ids.into_iter().all(|id| timers.cancel(id).is_some()));
    assert_eq!(
        timers.len(),
        2000,
        "canceling searched the heap, which costs more the more timers there are. Or it compacted the heap, which is \
         the task of `collect`, once a pass"
    );
    assert!(!timers.is_empty());
    timers.add(S, 0);
    assert_eq!(timers.nearest(), Some(S));
    assert_eq!(
        timers.len(),
        2001,
        "a live timer is first, and 2000 tombstones are behind it: `nearest` drops the tombstones before the live timer \
         only. Compacting is the task of `collect`, once a pass"
    );
}

#[test]
fn a_few_tombstones_stay() {
    let mut timers = Timers::default();
    timers.add(S, 0);
    let ids: Vec<_> = (0..512).map(|n| timers.add(2 * S, n)).collect();
    assert!(ids.into_iter().all(|id| timers.cancel(id).is_some()));
    pass(&mut timers, Duration::ZERO);
    assert_eq!(timers.len(), 513, "512 tombstones are few: compacting the heap costs more than it saves");
    let one_more = timers.add(2 * S, 0);
    timers.cancel(one_more);
    pass(&mut timers, Duration::ZERO);
    assert_eq!(timers.len(), 1, "513 tombstones are more than 512, and more than half of the nodes");
}

#[test]
fn tombstones_up_to_half_of_the_heap_stay() {
    let mut timers = Timers::default();
    let ids: Vec<_> = (0..10_000).map(|n| timers.add(2 * S, n)).collect();
    // The first timer is live, so that none of the tombstones is met on the way.
    for id in &ids[5000..] {
        timers.cancel(*id);
    }
    pass(&mut timers, Duration::ZERO);
    assert_eq!(
        timers.len(),
        10_000,
        "half of the nodes is not more than half: if the heap is compacted too often, each cancel pays for all live \
         timers"
    );
    timers.cancel(ids[4999]);
    pass(&mut timers, Duration::ZERO);
    assert_eq!(timers.len(), 4999, "more than 512, and more than half: now the heap is compacted");
}

#[test]
fn tombstones_compacted_away_are_not_counted() {
    let mut timers = Timers::default();
    timers.add(S, 0);
    // The second time there are few tombstones.
    for (tombstones, left) in [(600, 1), (512, 513)] {
        let ids: Vec<_> = (0..tombstones).map(|n| timers.add(2 * S, n)).collect();
        assert!(ids.into_iter().all(|id| timers.cancel(id).is_some()));
        pass(&mut timers, Duration::ZERO);
        assert_eq!(
            timers.len(),
            left,
            "{tombstones} timers were canceled beside a live one. 600 tombstones are compacted away; 512 more are few, \
             unless the 600 are still counted: then each later pass compacts in vain"
        );
    }
}

/// On its way to the nearest live timer, `nearest` drops the tombstones before it.
#[test]
fn tombstones_dropped_by_nearest_are_not_counted() {
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
        "500 tombstones are few. 600 others were dropped before by `nearest`: are they still counted?"
    );
}

#[test]
fn only_tombstones_in_the_heap_are_counted() {
    for ends_early in [true, false] {
        let mut timers = Timers::default();
        let ids: Vec<_> = (0..600).map(|n| timers.add(S, n)).collect();
        timers.collect(|| S);
        assert!(ids.into_iter().all(|id| timers.cancel(id).is_some()));
        if !ends_early {
            assert_eq!(timers.next_due(), None, "all collected timers were canceled");
        }
        timers.add(2 * S, 0);
        let ids: Vec<_> = (0..500).map(|n| timers.add(3 * S, n)).collect();
        assert!(ids.into_iter().all(|id| timers.cancel(id).is_some()));
        pass(&mut timers, S);
        assert_eq!(
            timers.len(),
            501,
            "600 timers were canceled after they were collected, and are counted as if each had a tombstone in the heap"
        );
    }
}

#[test]
fn canceling_a_timer_that_is_gone_counts_nothing() {
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
        "one tombstone is in the heap, and 1200 calls to cancel are counted: the heap is compacted each time in vain"
    );
}

#[test]
fn compacting_keeps_live_timers_and_their_order() {
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
        "after compacting, the id of a live timer leads nowhere: it was removed with the canceled ones, or moved to \
         another slot"
    );
    let mut wanted: Vec<_> = wanted.into_iter().map(|(_, carried)| carried).collect();
    wanted.retain(|(deadline, _)| *deadline > 0);
    wanted.sort_unstable();
    let ran = pass(&mut timers, 1000 * S);
    assert_eq!(ran.len(), wanted.len(), "a live timer was removed with the canceled ones");
    assert!(ran == wanted, "after compacting, timers are out of order: the rest must be made a heap again");
}

#[test]
fn compacting_keeps_the_order_of_equal_deadlines() {
    let mut timers = Timers::default();
    let ids: Vec<_> = (0..1000).map(|_| timers.add(S, "canceled")).collect();
    timers.add(2 * S, "before compacting");
    assert!(ids.into_iter().all(|id| timers.cancel(id).is_some()));
    timers.collect(|| Duration::ZERO);
    timers.add(2 * S, "after compacting");
    assert_eq!(
        pass(&mut timers, 2 * S),
        ["before compacting", "after compacting"],
        "of two timers with one deadline, the later one came first: compacting resets the count of tombstones, but not \
         the counter for the order"
    );
}

#[test]
fn an_old_id_stays_old_however_often_its_slot_is_reused() {
    let mut timers = Timers::default();
    let old = timers.add(S, 0);
    timers.cancel(old);
    pass(&mut timers, S);
    for n in 1..if cfg!(miri) { 300 } else { 70_000 } {
        let new = timers.add(S, n);
        assert_eq!(
            timers.cancel(old),
            None,
            "after {n} other timers in its slot, an old id cancels one of them"
        );
        assert_eq!(timers.cancel(new), Some(n));
        pass(&mut timers, S);
    }
}

/// Some thousand timers at a time, and all of them are gone before the next are added.
#[test]
fn timers_that_are_gone_take_no_memory() {
    type Goes = fn(&mut Timers<u64>, Vec<TimerId>);
    const MANY: u64 = if cfg!(miri) { 1000 } else { 4000 };
    let ways: [(&str, Goes); 4] = [
        ("ran", |timers, _| assert_eq!(pass(timers, S).len() as u64, MANY)),
        ("was canceled when it was collected", |timers, ids| {
            timers.collect(|| S);
            assert!(ids.into_iter().all(|id| timers.cancel(id).is_some()));
            // As the loop does. What the queue keeps of them may stay until then.
            assert!(timers.next_due().is_none());
        }),
        ("was canceled, and met by `nearest`", |timers, ids| {
            // Few enough at a time that the heap is not compacted.
            for ids in ids.chunks(500) {
                assert!(ids.iter().all(|id| timers.cancel(*id).is_some()));
                timers.nearest();
            }
        }),
        ("was compacted away", |timers, ids| {
            assert!(ids.into_iter().all(|id| timers.cancel(id).is_some()));
            timers.collect(|| Duration::ZERO);
        }),
    ];
    for (how, goes) in ways {
        let mut timers = Timers::default();
        // A live timer that is last, or first where tombstones must not be met.
        timers.add(if how == "was compacted away" { S / 2 } else { 2 * S }, 0);
        let mut turn = || {
            let ids = (0..MANY).map(|n| timers.add(S, n)).collect();
            goes(&mut timers, ids);
            bytes()
        };
        let before = (0..2).map(|_| turn()).max().unwrap();
        let after = (0..18).map(|_| turn()).last().unwrap();
        assert!(
            after <= 2 * before,
            "at most {MANY} timers at a time took {before} bytes at first and {after} later: the slot of a timer that {how} is \
             not reused"
        );
    }
}

#[test]
fn compacting_restores_the_heap_for_any_number_left() {
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
        assert_eq!(timers.len(), living, "the others were canceled, and the heap is compacted");
        wanted.sort_unstable();
        assert_eq!(
            pass(&mut timers, S),
            wanted,
            "{living} timers are left after compacting, and are out of order: each node with a child, including the \
             last such node, must be sifted down"
        );
    }
}

#[test]
fn a_deadline_beyond_64_bits_does_not_overflow() {
    let mut timers = Timers::default();
    timers.add(Duration::MAX, "never");
    timers.add(Duration::from_nanos(u64::MAX) + 2 * NS, "never");
    timers.add(S, "soon");
    let ran = pass(&mut timers, 1000 * S);
    assert_eq!(ran, ["soon"], "a deadline beyond 64 bits of nanoseconds became an early one");
    let ran = pass(&mut timers, Duration::MAX);
    assert_eq!(
        ran, ["never"; 2],
        "at `Duration::MAX` every timer is due: this is how a loop that is closed takes out its timers"
    );
}

#[test]
fn long_deadlines_are_exact() {
    for bit in 0..=64 {
        let deadline = Duration::from_nanos(u64::try_from((1_u128 << bit) - 1).unwrap());
        let mut timers = Timers::default();
        timers.add(deadline, "timer");
        assert_eq!(
            timers.nearest(),
            Some(deadline),
            "one timer waits, with a deadline that fits into {bit} bits of nanoseconds: `nearest` must return it. Only a \
             deadline beyond 64 bits may be replaced"
        );
        if let Some(before) = deadline.checked_sub(NS) {
            assert!(
                pass(&mut timers, before).is_empty(),
                "a timer whose deadline is {deadline:?} was due a nanosecond before it. How many bits does the node keep?"
            );
        }
        assert_eq!(
            pass(&mut timers, deadline),
            ["timer"],
            "a timer is not due at its deadline, {deadline:?}"
        );
    }
}

/// Any operations in any order: the timers do the same as a sorted map, which is slow and obvious.
#[test]
fn timers_behave_like_a_sorted_map() {
    let (mut timers, mut seed, mut now) = (Timers::default(), 7, 0);
    let mut model: BTreeMap<(u64, u64), TimerId> = BTreeMap::new();
    for n in 0..if cfg!(miri) { 500 } else { 5_000 } {
        match random(&mut seed, 16) {
            0..8 => {
                let deadline = now + random(&mut seed, 300);
                model.insert((deadline, n), timers.add(Duration::from_millis(deadline), (deadline, n)));
            }
            8..14 if !model.is_empty() => {
                let which = random(&mut seed, model.len() as u64) as usize;
                let (key, id) = model.iter().nth(which).map(|(key, id)| (*key, *id)).unwrap();
                model.remove(&key);
                assert_eq!(timers.cancel(id), Some(key), "step {n}: canceling a timer that waits");
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
                "step {n}, {now} ms: the timers that are due"
            );
        }
        let nearest = model.keys().next().map(|(deadline, _)| Duration::from_millis(*deadline));
        assert_eq!(timers.nearest(), nearest, "step {n}: the nearest");
    }
}
