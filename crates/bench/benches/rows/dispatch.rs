//! An event that is dispatched: 1000 descriptors are ready, and nothing is read. Beside a minimal loop on epoll with boxed
//! handlers in a slab.

use std::cell::Cell;
use std::hint::black_box;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use bench::{Clock, Turns, in_turns, quartiles};
use ioloop::{Config, Current, Events, IoLoop};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::EventFd;

use crate::table::Row;

const READY: usize = 1000;

/// Events for which each runs at a time, so that the start and the end of the loop do not count.
const EVENTS: usize = 10 * READY;

/// Where the kernel and the allocator put what belongs to a descriptor moves the ratio of one pair of loops by some
/// hundredths. So there are so many pairs, and in half of them ours is made first.
const PAIRS: usize = 24;

pub fn rows() -> Vec<Row> {
    let of_pairs: Vec<Turns> = (0..PAIRS).map(pair).collect();
    let all = |figure: fn(&Turns) -> f64| quartiles(&mut of_pairs.iter().map(figure).collect::<Vec<_>>());
    let [ratio, bare, ours] =
        [all(|turns| turns.ratio[1]), all(|turns| turns.bare[1]), all(|turns| turns.ours[1])];
    let name = format!("{EVENTS} events of descriptors that are ready, nothing read, beside boxes in a slab");
    vec![Row::at_most(name, Turns { ratio, bare, ours, pairs: PAIRS }, 1.03)]
}

fn pair(number: usize) -> Turns {
    let (mut minimal, (ioloop, count)) = if number.is_multiple_of(2) {
        let ours = ours();
        (Minimal::new(), ours)
    } else {
        (Minimal::new(), ours())
    };
    let run = || {
        count.set(0);
        ioloop.start().expect("it runs");
    };
    in_turns(Clock::Thread, Duration::from_millis(200), || minimal.run(), run)
}

fn ready() -> OwnedFd {
    EventFd::from_value(1).expect("an eventfd").into()
}

fn ours() -> (IoLoop, Rc<Cell<usize>>) {
    let ioloop = IoLoop::with(Config { make_current: Current::No, ..Config::default() }).expect("a loop");
    let count = Rc::new(Cell::new(0));
    for _ in 0..READY {
        let count = Rc::clone(&count);
        let handler = move |ioloop: &IoLoop, source: &mut OwnedFd, _| {
            black_box(source);
            count.set(count.get() + 1);
            if count.get() == EVENTS {
                ioloop.stop();
            }
        };
        ioloop.add_handler(ready(), Events::READ, handler).expect("room");
    }
    (ioloop, count)
}

type Handler = Box<dyn FnMut(&mut bool, u32)>;

/// What a loop cannot do without: a handler is found by its token, and taken out while it runs, since it may remove itself.
struct Minimal {
    epoll: Epoll,
    slots: Vec<(u32, Option<Handler>)>,
    events: Vec<EpollEvent>,
    count: Rc<Cell<usize>>,
}

impl Minimal {
    fn new() -> Self {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).expect("an epoll");
        let count = Rc::new(Cell::new(0));
        let mut slots = Vec::new();
        for index in 0..READY {
            let (source, count) = (ready(), Rc::clone(&count));
            epoll.add(&source, EpollEvent::new(EpollFlags::EPOLLIN, index as u64)).expect("room");
            let handler = move |stopped: &mut bool, _: u32| {
                black_box(&source);
                count.set(count.get() + 1);
                *stopped |= count.get() == EVENTS;
            };
            slots.push((0, Some(Box::new(handler) as Handler)));
        }
        Self { epoll, slots, events: vec![EpollEvent::empty(); 512], count }
    }

    fn run(&mut self) {
        self.count.set(0);
        let mut stopped = false;
        while !stopped {
            let ready = self.epoll.wait(&mut self.events, EpollTimeout::NONE).expect("an event");
            for event in &self.events[..ready] {
                let (index, generation) = (event.data() as u32 as usize, (event.data() >> 32) as u32);
                let Some((now, slot)) = self.slots.get_mut(index) else { continue };
                if *now != generation {
                    continue;
                }
                let Some(mut handler) = slot.take() else { continue };
                handler(&mut stopped, event.events().bits() as u32);
                let (now, slot) = &mut self.slots[index];
                if *now == generation {
                    *slot = Some(handler);
                }
            }
        }
    }
}
