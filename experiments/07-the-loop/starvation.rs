//! A chain of callbacks and a descriptor that is ready, in a loop that empties its queue and in one that does not.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::rc::Rc;

use experiments::{Choice, Lab, Question, Result, ask};
use ioloop::{Events, IoLoop};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::unistd::{read, write};

const CHAIN: usize = 100;
/// A chain that is shown link by link, and longer ones.
const SHORT: usize = 5;
const LONG: usize = 1000;

const QUESTION: Question = Question {
    question: "How many queued callbacks run before the handler of a ready descriptor?",
    setup: "A callback queues a callback, which queues the next one: a chain of a hundred. Meanwhile a \
            descriptor is ready. How many of the hundred run before the descriptor's handler in a loop that \
            runs callbacks until its queue is empty, and how many in a loop that runs only those that were \
            queued when its iteration began?",
    choices: &[
        Choice::new("None in both: a ready descriptor comes first.")
            .because("Both loops run callbacks before they wait for descriptors."),
        Choice::new("One in both: after each callback the loop looks at its descriptors.")
            .because("The first loop looks at its descriptors only when its queue is empty."),
        Choice::new("All hundred in the first, one in the second."),
        Choice::new("All hundred in both: callbacks come before descriptors.")
            .because("The second loop left each added callback for its next iteration, after the handler."),
    ],
    book: 2,
    shows: "Callbacks that add callbacks keep the queue from becoming empty, so a loop that waits for an empty \
            queue does not get to its descriptors. A loop that runs only the callbacks that were queued when its \
            iteration began looks at its descriptors after them. That costs a system call in each iteration.",
    lane: "loop",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let short = (drained(lab, SHORT)?, taken(lab, SHORT)?.0);
        lab.note(format!("a chain of {SHORT}, first loop: {}", row(&short.0)));
        lab.note(format!("a chain of {SHORT}, second loop: {}", row(&short.1)));
        let (first, (second, looks)) = (drained(lab, CHAIN)?, taken(lab, CHAIN)?);
        let [all, some] = [&first, &second].map(|order| before_the_handler(order));
        lab.note(format!(
            "a chain of {CHAIN}: {all} before the handler in the first loop, {some} in the other"
        ));
        lab.note(format!("the second loop did not sleep: {looks} waits, each with a timeout of 0"));
        let [long, still] =
            [drained(lab, LONG)?, taken(lab, LONG)?.0].map(|order| before_the_handler(&order));
        lab.note(format!("a chain of {LONG}: {long} in the first loop, {still} in the other"));
        lab.check(
            long == LONG && still == some,
            "a longer chain delays the handler in the first loop, and not in the second",
        );
        lab.check(
            second.len() == CHAIN + 1 && looks == CHAIN - 1,
            "the second loop runs all hundred: one in each iteration, and it waits after each but the last",
        );
        match (all, some) {
            (0, 0) => Ok(0),
            (1, 1) => Ok(1),
            (CHAIN, 1) => Ok(2),
            (CHAIN, CHAIN) => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

/// What ran.
#[derive(Clone, Copy, PartialEq)]
enum Ran {
    Callback,
    Handler,
}

/// What ran, in order.
type Order = Rc<RefCell<Vec<Ran>>>;

fn row(order: &[Ran]) -> String {
    order.iter().map(|ran| if *ran == Ran::Handler { "handler" } else { "·" }).collect::<Vec<_>>().join(" ")
}

fn before_the_handler(order: &[Ran]) -> usize {
    order.iter().take_while(|ran| **ran == Ran::Callback).count()
}

/// A pipe whose read end is ready: read end, write end.
fn ready(lab: &Lab) -> Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = lab.nonblocking_pipe(4096)?;
    write(&writer, b"x")?;
    Ok((reader, writer))
}

/// The wrong way: run callbacks until none is queued, then wait for descriptors.
fn drained(lab: &Lab, length: usize) -> Result<Vec<Ran>> {
    let (reader, _writer) = ready(lab)?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(&reader, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
    let (queue, order) = (Queue::default(), Order::default());
    // ANCHOR: core
    queue.add(link(&order, length));
    while let Some(callback) = queue.next() {
        callback(&queue);
    }
    if epoll.wait(&mut [EpollEvent::empty()], 0_u8)? == 1 {
        order.borrow_mut().push(Ran::Handler);
    }
    // ANCHOR_END: core
    Ok(order.take())
}

type Callback = Box<dyn FnOnce(&Queue)>;

#[derive(Default)]
struct Queue(RefCell<VecDeque<Callback>>);

impl Queue {
    fn add(&self, callback: Callback) {
        self.0.borrow_mut().push_back(callback);
    }

    fn next(&self) -> Option<Callback> {
        self.0.borrow_mut().pop_front()
    }
}

/// A callback that adds the next one.
fn link(order: &Order, left: usize) -> Callback {
    let order = Rc::clone(order);
    Box::new(move |queue| {
        order.borrow_mut().push(Ran::Callback);
        if left > 1 {
            queue.add(link(&order, left - 1));
        }
    })
}

/// The book's loop. Gives what ran, and how often it looked at its descriptors without sleeping.
fn taken(lab: &Lab, length: usize) -> Result<(Vec<Ran>, usize)> {
    let (reader, _writer) = ready(lab)?;
    let (ioloop, order, looks) = (IoLoop::new()?, Order::default(), Rc::<Cell<usize>>::default());
    let seen = Rc::clone(&order);
    ioloop.add_handler(reader, Events::READ, move |_, reader, _| {
        seen.borrow_mut().push(Ran::Handler);
        read(reader, &mut [0; 8]).map(drop)
    })?;
    let counted = Rc::clone(&looks);
    ioloop.subscribe(move |_, turn| counted.set(counted.get() + usize::from(turn.timeout.is_zero())));
    add_link(&ioloop, &order, length);
    ioloop.start()?;
    Ok((order.take(), looks.get()))
}

/// The same callback, in the book's loop; the last one stops it.
fn add_link(ioloop: &IoLoop, order: &Order, left: usize) {
    let order = Rc::clone(order);
    ioloop.add_callback(move |ioloop| {
        order.borrow_mut().push(Ran::Callback);
        if left > 1 { add_link(ioloop, &order, left - 1) } else { ioloop.stop() }
    });
}
