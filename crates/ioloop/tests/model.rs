//! Whatever is done to a loop, in whatever order: it does what a simple model of it says. On every poller.
//!
//! The model knows which pipes have a byte, which are watched and for what, which callbacks are queued and which
//! timers wait. After each turn of the loop, what ran is compared with what the model says must have run.

mod support;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::rc::Rc;
use std::time::Duration;

use arbtest::arbitrary::{Result, Unstructured};
use arbtest::arbtest;
use ioloop::poller::Kind;
use ioloop::timers::TimerId;
use ioloop::{Clock, Config, Events, FakeClock, IoLoop, Token};

/// What ran.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Ran {
    Callback(u32),
    Timer(u32),
    /// The handler of the pipe of that name.
    Handler(u32),
}

type Log = Rc<RefCell<Vec<Ran>>>;

struct Model {
    ioloop: IoLoop,
    clock: FakeClock,
    ran: Log,
    /// The next name: whatever is made gets one that nothing else ever had.
    names: u32,
    queued: Vec<u32>,
    /// By deadline, and among equals in the order of their names.
    timers: BTreeSet<(Duration, u32)>,
    ids: BTreeMap<u32, (Duration, TimerId)>,
    pipes: BTreeMap<u32, Pipe>,
    /// Ids and tokens of what is gone: nothing done with them may have an effect.
    gone: Vec<TimerId>,
    removed: Vec<Token>,
}

struct Pipe {
    token: Token,
    watched: bool,
    bytes: usize,
    writer: PipeWriter,
    reader: Rc<PipeReader>,
}

impl Model {
    fn new(poller: Kind) -> Self {
        let clock = FakeClock::default();
        let config = Config { poller, clock: Clock::Fake(clock.clone()), make_current: Some(false) };
        Self {
            ioloop: IoLoop::with(config).unwrap(),
            clock,
            ran: Log::default(),
            names: 0,
            queued: Vec::new(),
            timers: BTreeSet::new(),
            ids: BTreeMap::new(),
            pipes: BTreeMap::new(),
            gone: Vec::new(),
            removed: Vec::new(),
        }
    }

    fn name(&mut self) -> u32 {
        self.names += 1;
        self.names
    }

    fn do_something(&mut self, random: &mut Unstructured<'_>) -> Result<()> {
        match random.int_in_range(0..=10)? {
            0 => self.add_callback(),
            1 => {
                let delay = Duration::from_millis(random.int_in_range(0..=5)?);
                self.add_timer(delay);
            }
            2 => self.cancel(random)?,
            3 | 4 if self.pipes.len() < 20 => self.add_pipe(),
            5 => self.remove(random)?,
            6 => self.watch(random)?,
            7 => self.write(random)?,
            8 => self.use_what_is_gone(random)?,
            9 => self.clock.advance(Duration::from_millis(random.int_in_range(0..=3)?)),
            _ => self.turn(),
        }
        Ok(())
    }

    fn add_callback(&mut self) {
        let (name, ran) = (self.name(), Rc::clone(&self.ran));
        self.ioloop.add_callback(move |_| ran.borrow_mut().push(Ran::Callback(name)));
        self.queued.push(name);
    }

    fn add_timer(&mut self, delay: Duration) {
        let (name, ran) = (self.name(), Rc::clone(&self.ran));
        let deadline = self.ioloop.time() + delay;
        let id = self.ioloop.call_at(deadline, move |_| ran.borrow_mut().push(Ran::Timer(name)));
        self.timers.insert((deadline, name));
        self.ids.insert(name, (deadline, id));
    }

    fn cancel(&mut self, random: &mut Unstructured<'_>) -> Result<()> {
        let names: Vec<u32> = self.ids.keys().copied().collect();
        if !names.is_empty() {
            let name = *random.choose(&names)?;
            let (deadline, id) = self.ids.remove(&name).unwrap();
            self.timers.remove(&(deadline, name));
            self.ioloop.remove_timeout(id);
            self.gone.push(id);
        }
        Ok(())
    }

    fn add_pipe(&mut self) {
        let (reader, writer) = support::a_pipe();
        let (name, ran, reader) = (self.name(), Rc::clone(&self.ran), Rc::new(reader));
        let source = Rc::clone(&reader);
        // The model holds the reader too, so that it can look; the number is free again when both let go.
        let token = self.ioloop.add_handler(source, Events::READ, move |_, reader: &Rc<PipeReader>, _| {
            let mut reader: &PipeReader = reader;
            reader.read_exact(&mut [0])?;
            ran.borrow_mut().push(Ran::Handler(name));
            Ok::<_, std::io::Error>(())
        });
        self.pipes.insert(name, Pipe { token: token.unwrap(), watched: true, bytes: 0, writer, reader });
    }

    fn pick(&self, random: &mut Unstructured<'_>) -> Result<Option<u32>> {
        let names: Vec<u32> = self.pipes.keys().copied().collect();
        Ok(if names.is_empty() { None } else { Some(*random.choose(&names)?) })
    }

    /// Numbers are used again at once: the next pipe gets these.
    fn remove(&mut self, random: &mut Unstructured<'_>) -> Result<()> {
        if let Some(name) = self.pick(random)? {
            let pipe = self.pipes.remove(&name).unwrap();
            self.ioloop.remove_handler(pipe.token);
            self.removed.push(pipe.token);
            assert_eq!(
                Rc::strong_count(&pipe.reader),
                1,
                "the loop keeps the source of a handler that was removed"
            );
        }
        Ok(())
    }

    fn watch(&mut self, random: &mut Unstructured<'_>) -> Result<()> {
        if let Some(name) = self.pick(random)? {
            let pipe = self.pipes.get_mut(&name).unwrap();
            pipe.watched = random.arbitrary()?;
            let interest = if pipe.watched { Events::READ } else { Events::empty() };
            self.ioloop.update_handler(pipe.token, interest).unwrap();
        }
        Ok(())
    }

    fn write(&mut self, random: &mut Unstructured<'_>) -> Result<()> {
        if let Some(name) = self.pick(random)? {
            let pipe = self.pipes.get_mut(&name).unwrap();
            pipe.writer.write_all(b"x").unwrap();
            pipe.bytes += 1;
        }
        Ok(())
    }

    fn use_what_is_gone(&mut self, random: &mut Unstructured<'_>) -> Result<()> {
        if !self.gone.is_empty() {
            self.ioloop.remove_timeout(*random.choose(&self.gone)?);
        }
        if !self.removed.is_empty() {
            let token = *random.choose(&self.removed)?;
            self.ioloop.remove_handler(token);
            assert!(
                self.ioloop.update_handler(token, Events::READ).is_err(),
                "a token that is nobody's was updated"
            );
        }
        Ok(())
    }

    /// One iteration, with a look for events, and what the model says of it.
    fn turn(&mut self) {
        let now = self.ioloop.time();
        let callbacks = std::mem::take(&mut self.queued);
        let mut wanted: Vec<Ran> = callbacks.into_iter().map(Ran::Callback).collect();
        while let Some((deadline, name)) =
            self.timers.first().copied().filter(|(deadline, _)| *deadline <= now)
        {
            self.timers.remove(&(deadline, name));
            let (_, id) = self.ids.remove(&name).unwrap();
            self.gone.push(id);
            wanted.push(Ran::Timer(name));
        }
        let mut handlers = Vec::new();
        for (name, pipe) in self.pipes.iter_mut().filter(|(_, pipe)| pipe.watched && pipe.bytes > 0) {
            pipe.bytes -= 1;
            handlers.push(Ran::Handler(*name));
        }
        // The stop is the last callback: it comes before the second sleep. The first does not last, as it is queued.
        self.ioloop.add_callback(|ioloop| ioloop.add_callback(IoLoop::stop));
        self.ioloop.start().unwrap();
        let mut ran = self.ran.take();
        // In which order descriptors are reported is the kernel's affair.
        let from = ran.iter().position(|ran| matches!(ran, Ran::Handler(_))).unwrap_or(ran.len());
        let to = ran[from..]
            .iter()
            .position(|ran| !matches!(ran, Ran::Handler(_)))
            .map_or(ran.len(), |n| from + n);
        ran[from..to].sort();
        wanted.extend(handlers);
        assert_eq!(ran, wanted);
    }
}

fn holds_on(poller: Kind) {
    arbtest(|random| {
        let mut model = Model::new(poller);
        while !random.is_empty() {
            model.do_something(random)?;
        }
        model.turn();
        Ok(())
    })
    .budget_ms(1500);
}

#[test]
fn epoll_does_what_the_model_says() {
    holds_on(Kind::Epoll);
}

#[test]
fn poll_does_what_the_model_says() {
    holds_on(Kind::Poll);
}

#[test]
fn select_does_what_the_model_says() {
    holds_on(Kind::Select);
}
