//! The whole: any operations on a loop, in any order: the loop does what a simple model of it does. On every poller.
//!
//! Callbacks and timers are added, sent the way other threads send them, and canceled; they add others, cancel, remove
//! and stop. Pipes are registered under one number or several, level-triggered or as a oneshot, and removed; numbers
//! are reused at once. After each iteration the test compares what ran with what the model ran, and checks that removed
//! pipes are closed.

#[path = "support/simulated.rs"]
mod simulated;
mod support;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::rc::Rc;
use std::time::Duration;

use arbtest::arbitrary::{Result, Unstructured};
use arbtest::arbtest;
use ioloop::poller::Kind;
use ioloop::timers::TimerId;
use ioloop::{Clock, Config, Current, Events, FakeClock, IoLoop, Outcome, Token};
use nix::errno::Errno;
use simulated::{Action, LAST, Ran, Simulated, TURN, Watch};

/// State of the callbacks. It is thread-local, so that callbacks that are sent the way other threads send them have it
/// too.
#[derive(Default)]
struct World {
    ran: Vec<Ran>,
    ids: BTreeMap<u32, TimerId>,
    tokens: BTreeMap<u32, Token>,
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::default();
}

fn world<T>(with: impl FnOnce(&mut World) -> T) -> T {
    WORLD.with_borrow_mut(with)
}

/// Logs that a callback or a timer ran, and does its action.
fn runs(ran: Ran, action: Action) -> impl FnOnce(&IoLoop) + Send {
    move |ioloop| {
        if !matches!(ran, Ran::Callback(TURN | LAST)) {
            world(|world| world.ran.push(ran));
        }
        match action {
            Action::Nothing => {}
            Action::Add(name) => ioloop.add_callback(runs(Ran::Callback(name), Action::Nothing)),
            Action::AddTimer(name, delay) => add_timer(ioloop, name, delay, Action::Nothing),
            Action::Cancel(name) => ioloop.remove_timeout(world(|world| world.ids[&name])),
            Action::Remove(name) => ioloop.remove_handler(world(|world| world.tokens[&name])),
            Action::Stop => ioloop.stop(),
            Action::OneTurnMore => ioloop.add_callback(runs(Ran::Callback(LAST), Action::Stop)),
        }
    }
}

fn add_timer(ioloop: &IoLoop, name: u32, delay: Duration, action: Action) {
    let id = ioloop.call_later(delay, runs(Ran::Timer(name), action));
    world(|world| world.ids.insert(name, id));
}

struct Model {
    ioloop: IoLoop,
    clock: FakeClock,
    simulated: Simulated,
    /// The next name.
    names: u32,
    /// By the name of the handler. The model holds them too, to check them: the number is free when both are dropped.
    sources: BTreeMap<u32, Rc<PipeReader>>,
    writers: BTreeMap<u32, PipeWriter>,
}

impl Model {
    fn new(poller: Kind) -> Self {
        WORLD.take();
        let clock = FakeClock::default();
        let config = Config { poller, clock: Clock::Fake(clock.clone()), make_current: Current::No };
        let (ioloop, simulated) = (IoLoop::with(config).unwrap(), Simulated::default());
        ioloop.handle_callback_exception(|_, failure| panic!("{failure}"));
        Self { ioloop, clock, simulated, names: LAST, sources: BTreeMap::new(), writers: BTreeMap::new() }
    }

    fn name(&mut self) -> u32 {
        self.names += 1;
        self.names
    }

    fn do_something(&mut self, random: &mut Unstructured<'_>) -> Result<()> {
        match random.int_in_range(0..=15)? {
            0 => self.add_callback(random)?,
            1 => self.send(random)?,
            2 | 3 => self.add_a_timer(random)?,
            4 => self.cancel(random)?,
            5 | 6 if self.sources.len() < 20 => self.watch_a_new_pipe(random)?,
            7 if self.sources.len() < 20 => self.watch_a_duplicate(random)?,
            8 => self.remove(random)?,
            9 => self.update(random)?,
            14 => self.pause_or_resume(random)?,
            10 | 11 => self.write(random)?,
            12 => self.stop(random)?,
            13 => {
                let time = Duration::from_millis(random.int_in_range(0..=3)?);
                self.clock.advance(time);
                self.simulated.now += time;
            }
            _ => self.turn(),
        }
        self.removed_pipes_are_closed();
        Ok(())
    }

    fn add_callback(&mut self, random: &mut Unstructured<'_>) -> Result<()> {
        let (name, action) = (self.name(), self.action(random)?);
        self.ioloop.add_callback(runs(Ran::Callback(name), action));
        self.simulated.queued.push((name, action));
        Ok(())
    }

    /// Between iterations no loop is current, so this callback goes the way of other threads.
    fn send(&mut self, random: &mut Unstructured<'_>) -> Result<()> {
        let (name, action) = (self.name(), self.action(random)?);
        self.ioloop.handle().add_callback(runs(Ran::Callback(name), action)).unwrap();
        self.simulated.sent.push((name, action));
        Ok(())
    }

    fn add_a_timer(&mut self, random: &mut Unstructured<'_>) -> Result<()> {
        let (name, action) = (self.name(), self.action(random)?);
        let delay = Duration::from_millis(random.int_in_range(0..=5)?);
        add_timer(&self.ioloop, name, delay, action);
        self.simulated.add_timer(name, delay, action);
        Ok(())
    }

    fn action(&mut self, random: &mut Unstructured<'_>) -> Result<Action> {
        Ok(match random.int_in_range(0..=9)? {
            0 => Action::Add(self.name()),
            1 => Action::AddTimer(self.name(), Duration::from_millis(random.int_in_range(0..=2)?)),
            2 => pick(random, self.a_timer())?.map_or(Action::Nothing, Action::Cancel),
            3 => pick(random, self.a_token())?.map_or(Action::Nothing, Action::Remove),
            4 => Action::Stop,
            _ => Action::Nothing,
        })
    }

    /// Includes timers and handlers that are gone: operations on those must have no effect.
    fn a_timer(&self) -> Vec<u32> {
        world(|world| world.ids.keys().copied().collect())
    }

    fn a_token(&self) -> Vec<u32> {
        world(|world| world.tokens.keys().copied().collect())
    }

    fn cancel(&mut self, random: &mut Unstructured<'_>) -> Result<()> {
        if let Some(name) = pick(random, self.a_timer())? {
            self.ioloop.remove_timeout(world(|world| world.ids[&name]));
            self.simulated.cancel(name);
        }
        Ok(())
    }

    fn watch_a_new_pipe(&mut self, random: &mut Unstructured<'_>) -> Result<()> {
        let (reader, writer) = support::a_pipe();
        let pipe = self.name();
        self.writers.insert(pipe, writer);
        self.simulated.pipes.insert(pipe, 0);
        self.watch(pipe, reader, true, random.ratio(1, 4)?);
        Ok(())
    }

    /// The same file under another number.
    fn watch_a_duplicate(&mut self, random: &mut Unstructured<'_>) -> Result<()> {
        let there: Vec<u32> = self.sources.keys().copied().collect();
        if let Some(name) = pick(random, there)? {
            let duplicate = self.sources[&name].try_clone().unwrap();
            self.watch(self.simulated.watches[&name].pipe, duplicate, false, random.ratio(1, 4)?);
        }
        Ok(())
    }

    fn watch(&mut self, pipe: u32, reader: PipeReader, reads: bool, removes_itself: bool) {
        let (name, source) = (self.name(), Rc::new(reader));
        let handler = move |ioloop: &IoLoop, source: &mut Rc<PipeReader>, _| -> Outcome {
            world(|world| world.ran.push(Ran::Handler(name)));
            if reads {
                (&**source).read_exact(&mut [0])?;
            }
            if removes_itself {
                let held = Rc::clone(source);
                ioloop.remove_handler(world(|world| world.tokens[&name]));
                assert_eq!(Rc::strong_count(&held), 3, "a handler and its source exist while it runs");
            }
            Ok(())
        };
        let token = self.ioloop.add_handler(Rc::clone(&source), Events::READ, handler).unwrap();
        world(|world| world.tokens.insert(name, token));
        self.sources.insert(name, source);
        self.simulated.watches.insert(
            name,
            Watch { pipe, on: true, oneshot: false, wanted: true, paused: false, reads, removes_itself },
        );
    }

    fn remove(&mut self, random: &mut Unstructured<'_>) -> Result<()> {
        if let Some(name) = pick(random, self.a_token())? {
            self.ioloop.remove_handler(world(|world| world.tokens[&name]));
            self.simulated.remove(name);
        }
        Ok(())
    }

    fn update(&mut self, random: &mut Unstructured<'_>) -> Result<()> {
        if let Some(name) = pick(random, self.a_token())? {
            let (on, oneshot) = (random.arbitrary()?, random.arbitrary()?);
            let mut interest = if on { Events::READ } else { Events::empty() };
            interest.set(Events::ONESHOT, oneshot);
            let updated = self.ioloop.update_handler(world(|world| world.tokens[&name]), interest);
            match self.simulated.watches.get_mut(&name) {
                Some(watch) => (watch.on, watch.oneshot, watch.wanted) = (on, oneshot, on),
                None => {
                    assert_eq!(updated.map_err(|error| error.errno), Err(Errno::ENOENT), "no handler has it");
                }
            }
        }
        Ok(())
    }

    /// Of what was removed, too: that is no error.
    fn pause_or_resume(&mut self, random: &mut Unstructured<'_>) -> Result<()> {
        if let Some(name) = pick(random, self.a_token())? {
            let (pause, token) = (random.arbitrary()?, world(|world| world.tokens[&name]));
            if pause {
                self.ioloop.pause_handler(token).unwrap();
            } else {
                self.ioloop.resume_handler(token).unwrap();
            }
            if let Some(watch) = self.simulated.watches.get_mut(&name) {
                if watch.paused && !pause {
                    watch.on = watch.wanted;
                }
                watch.paused = pause;
            }
        }
        Ok(())
    }

    fn write(&mut self, random: &mut Unstructured<'_>) -> Result<()> {
        if let Some(pipe) = pick(random, self.writers.keys().copied().collect())? {
            (&self.writers[&pipe]).write_all(b"x").unwrap();
            *self.simulated.pipes.get_mut(&pipe).unwrap() += 1;
        }
        Ok(())
    }

    fn stop(&mut self, random: &mut Unstructured<'_>) -> Result<()> {
        if random.arbitrary()? {
            self.ioloop.stop();
        } else {
            self.ioloop.handle().stop().unwrap();
        }
        self.simulated.stopped = true;
        Ok(())
    }

    /// One iteration that polls for events and one that does not, unless a stop comes before; on the loop and on the
    /// model.
    fn turn(&mut self) {
        // If it was stopped early, the end of another iteration may be left.
        if self.simulated.queued.iter().all(|(name, _)| *name != LAST) {
            self.ioloop.add_callback(runs(Ran::Callback(TURN), Action::OneTurnMore));
            self.simulated.queued.push((TURN, Action::OneTurnMore));
        }
        self.ioloop.start().unwrap();
        self.simulated.start();
        let mut ran = world(|world| std::mem::take(&mut world.ran));
        // The kernel chooses the order in which it reports descriptors.
        for neighbors in ran.chunk_by_mut(|one, other| is_handler(one) && is_handler(other)) {
            neighbors.sort();
        }
        assert_eq!(ran, std::mem::take(&mut self.simulated.ran), "what ran, and what the model ran");
    }

    fn removed_pipes_are_closed(&mut self) {
        let watches = &self.simulated.watches;
        self.sources.retain(|name, source| {
            let gone = !watches.contains_key(name);
            let count = Rc::strong_count(source);
            assert_eq!(
                count,
                if gone { 1 } else { 2 },
                "the source of {name} has another owner, although its handler is gone: {gone}"
            );
            !gone
        });
        self.writers.retain(|pipe, _| self.simulated.pipes.contains_key(pipe));
    }

    /// The end of everything.
    fn close(mut self) {
        self.ioloop.close();
        self.ioloop.add_callback(runs(Ran::Callback(TURN + 2), Action::Nothing));
        self.ioloop.handle().add_callback(runs(Ran::Callback(TURN + 2), Action::Nothing)).unwrap();
        let added = self.ioloop.add_handler(support::a_pipe().0, Events::READ, |_, _, _| ());
        assert_eq!(added.map_err(|error| error.errno), Err(Errno::EBADF), "the loop is closed");
        self.clock.advance(Duration::from_secs(1));
        self.ioloop.start().unwrap();
        assert_eq!(
            world(|world| std::mem::take(&mut world.ran)),
            [],
            "a callback, timer or handler of a closed loop ran"
        );
        self.simulated = Simulated::default();
        self.removed_pipes_are_closed();
    }
}

fn is_handler(ran: &Ran) -> bool {
    matches!(ran, Ran::Handler(_))
}

fn pick(random: &mut Unstructured<'_>, names: Vec<u32>) -> Result<Option<u32>> {
    Ok(if names.is_empty() { None } else { Some(*random.choose(&names)?) })
}

fn holds_on(poller: Kind) {
    arbtest(|random| {
        let mut model = Model::new(poller);
        while !random.is_empty() {
            model.do_something(random)?;
        }
        model.turn();
        model.removed_pipes_are_closed();
        model.close();
        Ok(())
    })
    .budget_ms(1500);
}

#[test]
fn epoll_does_what_the_model_says() {
    testing::needs!(descriptors(256));
    holds_on(Kind::Epoll);
}

#[test]
fn poll_does_what_the_model_says() {
    holds_on(Kind::Poll);
}

#[test]
fn select_does_what_the_model_says() {
    testing::needs!(descriptors(256));
    holds_on(Kind::Select);
}
