//! A hundred thousand canceled timers behind one that is live: how long their nodes stay in the heap.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use experiments::{Axis, Choice, Plot, Question, Result, ask, vary};
use ioloop::timers::Timers;

const MANY: usize = 100_000;
/// The timeout of a request that is answered at once.
const TIMEOUT: Duration = Duration::from_secs(3600);
/// The deadline of the live timer.
const BEFORE: Duration = Duration::from_secs(1800);
/// Tornado's rule, and the loop's: more than this, and more than half of the heap.
const FEW: usize = 512;

const QUESTION: Question = Question {
    question: "How long do canceled timers stay in the heap of a loop?",
    setup: "A heap of timers has one live timer. A hundred thousand timers with later deadlines are set and \
            canceled. A canceled timer stays in the heap as a tombstone. How many nodes does the heap get if \
            tombstones are dropped only at its top, and how many if the heap is compacted when it has more than \
            512 tombstones and they are more than half of its nodes?",
    choices: &[
        Choice::new("1 in both: a canceled timer leaves the heap at once.")
            .because("A canceled timer stays in the heap as a tombstone: the first heap kept every node."),
        Choice::new("100001 in the first, and 1 in the second, which is compacted each time.")
            .because("The second heap is compacted only above 512 tombstones, so it grew to 514 nodes."),
        Choice::new("100001 in the first, and at most 514 in the second."),
        Choice::new("50001 in both: no heap keeps more tombstones than half of its nodes.")
            .because("The first heap does not count its tombstones, and the second had 514 at most."),
    ],
    book: 2,
    shows: "A tombstone leaves the heap when it gets to the top, after all timers before it have run or were canceled. \
            Compacting removes tombstones earlier. It visits every node, so the loop waits until more than half of \
            the nodes are tombstones: then it visits fewer than two nodes for each tombstone that it removes.",
    lane: "loop",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let (mut lazy, mut compacted) = (Lazy::default(), Compacted::default());
        lazy.add(BEFORE);
        compacted.0.add(BEFORE, ());
        let mut most = 0;
        for _ in 0..MANY {
            lazy.request();
            most = most.max(compacted.request());
        }
        lab.note(format!("{MANY} timers were set and canceled, and one is live"));
        let left = lazy.heap.len();
        lab.note(format!("first heap, tombstones dropped at the top: {left} nodes"));
        lab.note(format!("second heap, compacted: {} nodes now, {most} at most", compacted.0.len()));
        lab.check(lazy.nearest() == compacted.0.nearest(), "the nearest deadline is the same in both heaps");
        let (dropped, took) = lazy.run_the_first()?;
        lab.note(format!(
            "first heap, the live timer has run: drops {dropped} nodes in {} ms",
            vary("ms", took.as_millis())
        ));
        lab.check(dropped == MANY, "without compacting, one iteration drops all tombstones at once");
        let (few, nodes) = few_stay();
        lab.note(format!("second heap: 1 live, {few} canceled: {nodes} nodes"));
        lab.check(nodes == few + 1, "512 tombstones stay, although only one node is not a tombstone");
        let (lives, before, after) = half_stays();
        lab.note(format!("second heap: {lives} live, {lives} canceled: {before} nodes; one more: {after}"));
        lab.check(
            before == 2 * lives && after == lives,
            "if half of the nodes are tombstones they stay; with one more, all are removed",
        );
        lab.draw(chart)?;
        match (left, most) {
            (1, 1) => Ok(0),
            (n, 1 | 2) if n == MANY + 1 => Ok(1),
            (n, most) if n == MANY + 1 && most <= FEW + 2 => Ok(2),
            (n, most) if n == MANY / 2 + 1 && most == n => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

/// The heap without the rule: a tombstone stays until it gets to the top.
#[derive(Default)]
struct Lazy {
    heap: BinaryHeap<Reverse<(Duration, usize)>>,
    canceled: HashSet<usize>,
    next: usize,
}

impl Lazy {
    fn add(&mut self, deadline: Duration) -> usize {
        self.next += 1;
        self.heap.push(Reverse((deadline, self.next)));
        self.next
    }

    fn cancel(&mut self, timer: usize) {
        self.canceled.insert(timer);
    }

    // ANCHOR: core
    fn nearest(&mut self) -> Option<Duration> {
        while let Some(Reverse((deadline, timer))) = self.heap.peek().copied() {
            if !self.canceled.remove(&timer) {
                return Some(deadline);
            }
            self.heap.pop();
        }
        None
    }
    // ANCHOR_END: core
}

impl Lazy {
    /// Set and cancel a timer, and run an iteration. Gives how many nodes there are then.
    fn request(&mut self) -> usize {
        let timer = self.add(TIMEOUT);
        self.cancel(timer);
        self.nearest();
        self.heap.len()
    }

    /// The live timer has run. How many nodes does the next look drop, and how long does that take?
    fn run_the_first(&mut self) -> Result<(usize, Duration)> {
        self.heap.pop().ok_or("no timer is live")?;
        let (nodes, start) = (self.heap.len(), Instant::now());
        self.nearest();
        Ok((nodes - self.heap.len(), start.elapsed()))
    }
}

/// The loop's own.
#[derive(Default)]
struct Compacted(Timers<()>);

impl Compacted {
    /// Set and cancel a timer, and run an iteration. Gives how many nodes there were before that.
    fn request(&mut self) -> usize {
        let timer = self.0.add(TIMEOUT, ());
        self.0.cancel(timer);
        let nodes = self.0.len();
        self.turn();
        nodes
    }

    fn turn(&mut self) {
        self.0.collect(|| Duration::ZERO);
    }
}

/// The most tombstones that are too few to compact, and the nodes after an iteration.
fn few_stay() -> (usize, usize) {
    let mut timers = Compacted::default();
    timers.0.add(BEFORE, ());
    for _ in 0..FEW {
        timers.request();
    }
    (FEW, timers.0.len())
}

/// Cancel exactly half of many timers, and then one more. Gives how many are live, and the nodes each time.
fn half_stays() -> (usize, usize, usize) {
    const LIVES: usize = 1000;
    let mut timers = Compacted::default();
    for _ in 0..LIVES {
        timers.0.add(BEFORE, ());
    }
    for _ in 0..LIVES {
        timers.request();
    }
    let before = timers.0.len();
    timers.request();
    (LIVES, before, timers.0.len())
}

/// The nodes of both heaps while timers are set and canceled.
fn chart() -> Result<Plot> {
    let (mut lazy, mut compacted) = (Lazy::default(), Compacted::default());
    lazy.add(BEFORE);
    compacted.0.add(BEFORE, ());
    let (mut all, mut some) = (Vec::new(), Vec::new());
    let steps: Vec<usize> = (0..)
        .map(|i| (10_f64.powf(f64::from(i) / 6.0)).round() as usize)
        .take_while(|n| *n <= MANY)
        .collect();
    let mut done = 0;
    for step in steps {
        let (mut nodes, mut most) = (0, 0);
        while done < step {
            nodes = lazy.request();
            most = most.max(compacted.request());
            done += 1;
        }
        if most > 0 {
            all.push((step as f64, nodes as f64));
            some.push((step as f64, most as f64));
        }
    }
    Ok(Plot {
        title: "Nodes of a heap with one live timer, by how many timers were set and canceled",
        x: Axis::log("timers set and canceled", "number"),
        y: Axis::log("nodes in the heap", "number"),
        series: vec![("dropped at the top", all), ("compacted", some)],
    })
}
