//! Two threads that each store to one variable and then load the other, with different memory orderings.

use std::hint::spin_loop;
use std::ops::Deref;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use experiments::{Choice, Failure, Lab, Question, Result, ask, cannot_ask, vary};
use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// How many times each way is tried.
const ROUNDS: usize = 5_000;
/// How many pairs of variables the two threads go through in each round: one for each bit of a number. They go in
/// opposite directions, so that they meet.
const AT_ONCE: usize = 64;
/// Under load a round may take a few milliseconds, so time is limited too.
const LONGEST: Duration = Duration::from_secs(2);
/// Stands for a round: the sender should end.
const END: usize = usize::MAX;

const QUESTION: Question = Question {
    question: "With which orderings can a thread and a loop miss each other's store?",
    setup: "A thread stores an item and then reads a flag: is a wake pending? At the same time the loop clears the \
            flag and then looks for the item. With which orderings does it happen that both read the old \
            value, so that the thread finds the flag set and the loop finds no item?",
    choices: &[
        Choice::new("With none: each thread's accesses take effect in the order of the program.")
            .because("With Relaxed both read the old value: a load overtook the store before it."),
        Choice::new("With Relaxed only: Release and Acquire keep a thread's accesses in order.")
            .because("With Release stores and Acquire loads both read the old value, too."),
        Choice::new(
            "With Relaxed, and with Release and Acquire; not with SeqCst, nor with a swap of the flag.",
        ),
        Choice::new("With all of them: another core sees a store only some time later.")
            .because("With SeqCst, and with a swap, at least one of the two read the new value, every time."),
    ],
    book: 2,
    shows: "A processor may keep a store in a buffer while the next load already reads memory. Release and Acquire \
            permit that. SeqCst does not, and neither does a swap of the flag: the second of two swaps reads what the \
            first one wrote, so its thread sees everything that the other thread did before.",
    lane: "process",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let cores = two_cores()?;
        let relaxed = tried(lab, "Relaxed", &stores_and_loads(Relaxed, Relaxed), &cores)?;
        let ordered = tried(lab, "Release and Acquire", &stores_and_loads(Release, Acquire), &cores)?;
        let sequential = tried(lab, "SeqCst", &stores_and_loads(SeqCst, SeqCst), &cores)?;
        let swapped = tried(lab, "swaps with AcqRel", &swaps(), &cores)?;
        lab.check(sequential == 0, "SeqCst: in no round did both read the old value");
        lab.check(swapped == 0, "a swap on both sides: in no round did both read the old value");
        match [relaxed, ordered, sequential + swapped].map(|missed| missed > 0) {
            [true, true, false] => Ok(2),
            [true, true, true] => Ok(3),
            // What Relaxed permits a processor need not do, so this proves nothing about the orderings.
            _ => Err(cannot_ask("this processor, or its load, did not let both threads read the old value")),
        }
    })
}

/// On cache lines of their own, so that neither comes with the other.
#[repr(align(128))]
struct Apart<T>(T);

impl<T> Deref for Apart<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

struct Shared {
    item: Apart<AtomicBool>,
    flag: Apart<AtomicBool>,
}

impl Shared {
    const fn new() -> Self {
        Self { item: Apart(AtomicBool::new(false)), flag: Apart(AtomicBool::new(true)) }
    }

    /// A wake is pending, and no item is there.
    fn reset(&self) {
        self.item.store(false, Relaxed);
        self.flag.store(true, Relaxed);
    }
}

/// What the two threads do: each stores, and returns whether it read the old value.
struct Way<T, L> {
    sender: T,
    event_loop: L,
}

/// `storing` is `Relaxed`, `Release` or `SeqCst`, and `loading` is `Relaxed`, `Acquire` or `SeqCst`.
fn stores_and_loads(storing: Ordering, loading: Ordering) -> Way<impl Side, impl Side> {
    // ANCHOR: stores
    let sender = move |shared: &Shared| {
        shared.item.store(true, storing); // an item is there
        shared.flag.load(loading) // true: a wake is pending, so this thread makes none
    };
    let event_loop = move |shared: &Shared| {
        shared.flag.store(false, storing); // no wake is pending
        let found = shared.item.load(loading); // is an item there?
        !found // true: no item is there, so the loop sleeps
    };
    // ANCHOR_END: stores
    Way { sender, event_loop }
}

trait Side: Fn(&Shared) -> bool + Sync {}
impl<F: Fn(&Shared) -> bool + Sync> Side for F {}

fn swaps() -> Way<impl Side, impl Side> {
    // ANCHOR: swaps
    let sender = |shared: &Shared| {
        shared.item.store(true, Relaxed); // an item is there
        shared.flag.swap(true, AcqRel) // returns the value before: was a wake pending?
    };
    let event_loop = |shared: &Shared| {
        shared.flag.swap(false, AcqRel); // no wake is pending
        !shared.item.load(Relaxed)
    };
    // ANCHOR_END: swaps
    Way { sender, event_loop }
}

/// Let both sides run at the same time, many times. Gives how many times both read the old value.
fn tried(lab: &Lab, how: &str, way: &Way<impl Side, impl Side>, cores: &[CpuSet; 2]) -> Result<usize> {
    let shared: [Shared; AT_ONCE] = [const { Shared::new() }; AT_ONCE];
    // The number of the round that has begun, and of the one that the sender has ended.
    let [begun, ended] = [const { Apart(AtomicUsize::new(0)) }; 2];
    let senders = Apart(AtomicU64::new(0));
    let until = Instant::now() + LONGEST;
    let (mut rounds, mut missed) = (0, 0);
    thread::scope(|scope| {
        let sender = scope.spawn(|| {
            sched_setaffinity(Pid::from_raw(0), &cores[1])?;
            for round in 1.. {
                await_round(&begun, round);
                if begun.load(Acquire) == END {
                    break;
                }
                senders.store(old(shared.iter().enumerate().rev(), &way.sender), Relaxed);
                ended.store(round, Release);
            }
            Ok::<_, Errno>(())
        });
        sched_setaffinity(Pid::from_raw(0), &cores[0])?;
        while rounds < ROUNDS && Instant::now() < until && !sender.is_finished() {
            rounds += 1;
            shared.iter().for_each(Shared::reset);
            begun.store(rounds, Release);
            let ours = old(shared.iter().enumerate(), &way.event_loop);
            while !sender.is_finished() && ended.load(Acquire) < rounds {
                thread::yield_now();
            }
            missed += (ours & senders.load(Relaxed)).count_ones() as usize;
        }
        begun.store(END, Release);
        sender.join().map_err(|_| "the thread panicked")?.map_err(Failure::from)
    })?;
    let count = if missed == 0 { "0".to_owned() } else { vary("n", missed) };
    lab.note(format!("{how}: both read the old value, {count} times of {}", vary("n", rounds * AT_ONCE)));
    Ok(missed)
}

/// Run one side on each pair of variables. Gives a bit for each old value that it read.
fn old<'a>(pairs: impl Iterator<Item = (usize, &'a Shared)>, side: &impl Side) -> u64 {
    pairs.fold(0, |bits, (i, pair)| bits | u64::from(side(pair)) << i)
}

/// Spin until the other side has come that far: a sleep would be too slow for the two to meet.
fn await_round(counter: &AtomicUsize, round: usize) {
    let mut spins = 0_u32;
    while counter.load(Acquire) < round {
        spins += 1;
        if spins.is_multiple_of(10_000) {
            thread::yield_now();
        }
        spin_loop();
    }
}

/// Two of the cores that this process may use, so that the two threads really run at the same time.
fn two_cores() -> Result<[CpuSet; 2]> {
    let allowed = sched_getaffinity(Pid::from_raw(0))?;
    let mut cores = (0..CpuSet::count()).filter(|core| allowed.is_set(*core).unwrap_or(false));
    let mut next = || {
        let core = cores.next().ok_or_else(|| {
            cannot_ask("two threads have to run at the same time, and this process has one core")
        })?;
        let mut set = CpuSet::new();
        set.set(core)?;
        Ok::<_, Failure>(set)
    };
    Ok([next()?, next()?])
}
