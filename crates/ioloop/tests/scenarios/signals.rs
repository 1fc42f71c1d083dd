//! `signals WHAT`: owners of signals, without a loop, and signals that this process sends itself.

use std::cell::Cell;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use ioloop::signals::Signals;
use ioloop::{IoLoop, Result};
use nix::libc::c_int;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal::{self, *};
use nix::sys::signal::{SigHandler, raise, signal};
use waker::eventfd::Waker;

use super::support::Outcome;

/// Prints what it saw; `took …` is what `take` returned: the owner, and the signal.
pub fn run(what: &str) -> Outcome {
    // By default a signal that has no owner, where it should have one, would kill this process.
    for kind in [SIGUSR1, SIGUSR2, SIGTERM] {
        // SAFETY: the handler only increments a counter.
        unsafe { signal(kind, SigHandler::Handler(previous)) }?;
    }
    match what {
        "heard" => heard(),
        "removed" | "cleared" => given_back(what),
        "many" => many(),
        "two-writers" => two_writers(),
        "late" => late(),
        "neighbors" => neighbors(),
        "old-token" => old_token(),
        "refused" => refused(),
        "drop-removed" | "drop-cleared" | "drop-refused" => dropped(what),
        "loop" => on_a_loop(),
        _ => Err(format!("nothing is called {what}").into()),
    }
}

/// What `take` returns.
type Taken = Vec<(Signal, Rc<&'static str>)>;

/// As the loop does: drain the waker, and then take the signals.
fn take(signals: &Signals<&'static str>, waker: &Waker) -> Result<String> {
    take_and_keep(signals, waker, &mut Vec::new())
}

/// The same, and keep the pairs, as the loop does until the callbacks have run.
fn take_and_keep(signals: &Signals<&'static str>, waker: &Waker, kept: &mut Taken) -> Result<String> {
    waker.consume()?;
    let taken = signals.take();
    let mut came: Vec<_> = taken.iter().map(|(signal, who)| format!("{who}:{signal}")).collect();
    kept.extend(taken);
    came.sort_unstable();
    Ok(if came.is_empty() { "nothing".into() } else { came.join(" ") })
}

fn heard() -> Outcome {
    let (signals, waker) = (Signals::default(), Waker::new()?);
    let mut kept = Vec::new();
    signals.add(waker.writer(), &[SIGUSR1, SIGUSR2], "one")?;
    signals.add(waker.writer(), &[SIGTERM], "other")?;
    println!("took-at-first {}", take(&signals, &waker)?);
    for sent in
        [&[SIGUSR2][..], &[SIGTERM], &[SIGUSR1, SIGUSR1, SIGUSR1], &[SIGUSR1, SIGTERM, SIGUSR2], &[SIGTERM]]
    {
        sent.iter().try_for_each(|signal| raise(*signal))?;
        let names: Vec<_> = sent.iter().map(|signal| signal.as_str()).collect();
        println!("sent {}", names.join(" "));
        println!("took {}", take_and_keep(&signals, &waker, &mut kept)?);
        println!("then {}", take_and_keep(&signals, &waker, &mut kept)?);
    }
    Ok(())
}

/// Signals that a process may handle, and that the kernel does not send to this one.
const MANY: [Signal; 16] = [
    SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGPIPE, SIGTERM, SIGCONT, SIGTTIN, SIGTTOU, SIGURG, SIGXCPU,
    SIGXFSZ, SIGPROF, SIGWINCH, SIGIO,
];

/// Eight owners of one signal each, and one owner of eight. All signals come; then all owners go.
fn many() -> Outcome {
    for kind in MANY {
        // SAFETY: the handler only increments a counter.
        unsafe { signal(kind, SigHandler::Handler(previous)) }?;
    }
    let (signals, waker) = (Signals::default(), Waker::new()?);
    let (single, together) = MANY.split_at(MANY.len() / 2);
    for kind in single {
        signals.add(waker.writer(), &[*kind], "single")?;
    }
    signals.add(waker.writer(), together, "together")?;
    MANY.into_iter().try_for_each(raise)?;
    let took = take(&signals, &waker)?;
    for (owner, kinds) in [("single", single), ("together", together)] {
        let missing = kinds.iter().filter(|kind| !took.contains(&format!("{owner}:{kind}")));
        println!("{owner} {}", kinds.len() - missing.count());
    }
    signals.clear();
    MANY.into_iter().try_for_each(raise)?;
    println!("previous {}", CALLS.load(Ordering::SeqCst));
    Ok(())
}

/// Two owners with a waker each. Prints `woken OWNER`, whose waker became ready, after each of two signals.
fn two_writers() -> Outcome {
    let (signals, wakers) = (Signals::default(), [Waker::new()?, Waker::new()?]);
    for (waker, kind) in wakers.iter().zip([SIGUSR1, SIGUSR2]) {
        signals.add(waker.writer(), &[kind], "owner")?;
    }
    for kind in [SIGUSR2, SIGUSR1] {
        raise(kind)?;
        let is_ready = |waker: &&Waker| {
            let mut fds = [PollFd::new(waker.as_fd(), PollFlags::POLLIN)];
            poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready == 1)
        };
        let woken = wakers.iter().zip(["first", "second"]).filter(|(waker, _)| is_ready(waker));
        println!("woken {}", woken.map(|(_, name)| name).collect::<Vec<_>>().join(" "));
        wakers.iter().try_for_each(Waker::consume)?;
        signals.take();
    }
    Ok(())
}

static CALLS: AtomicU32 = AtomicU32::new(0);

extern "C" fn previous(_: c_int) {
    CALLS.fetch_add(1, Ordering::SeqCst);
}

fn given_back(how: &str) -> Outcome {
    let (signals, waker) = (Signals::default(), Waker::new()?);
    let one = signals.add(waker.writer(), &[SIGUSR1], "one")?;
    let other = signals.add(waker.writer(), &[SIGTERM], "other")?;
    match how {
        "removed" => [one, other].into_iter().for_each(|token| signals.remove(token)),
        _ => signals.clear(),
    }
    raise(SIGUSR1)?;
    raise(SIGTERM)?;
    println!("previous {}", CALLS.load(Ordering::SeqCst));
    println!("took {}", take(&signals, &waker)?);
    match signals.add(waker.writer(), &[SIGUSR1, SIGTERM], "next") {
        Ok(_) => println!("again Ok"),
        Err(error) => println!("again {error}"),
    }
    Ok(())
}

fn late() -> Outcome {
    let (signals, waker) = (Signals::default(), Waker::new()?);
    let one = signals.add(waker.writer(), &[SIGUSR1], "one")?;
    raise(SIGUSR1)?;
    signals.remove(one);
    println!("took {}", take(&signals, &waker)?);
    Ok(())
}

/// A signal of one owner is pending while other owners are added and removed.
fn neighbors() -> Outcome {
    let (signals, waker) = (Signals::default(), Waker::new()?);
    signals.add(waker.writer(), &[SIGUSR1], "one")?;
    raise(SIGUSR1)?;
    let other = signals.add(waker.writer(), &[SIGTERM], "other")?;
    println!("came {}", take(&signals, &waker)?);
    raise(SIGUSR1)?;
    signals.remove(other);
    println!("left {}", take(&signals, &waker)?);
    Ok(())
}

fn old_token() -> Outcome {
    let (signals, waker) = (Signals::default(), Waker::new()?);
    let old = signals.add(waker.writer(), &[SIGUSR1], "one")?;
    signals.remove(old);
    signals.add(waker.writer(), &[SIGUSR2], "other")?;
    signals.remove(old);
    println!("free {}", signals.add(waker.writer(), &[SIGUSR2], "third").is_ok());
    let (signals, waker) = (Signals::default(), Waker::new()?);
    let old = signals.add(waker.writer(), &[SIGTERM], "one")?;
    signals.clear();
    signals.add(waker.writer(), &[SIGTERM], "other")?;
    signals.remove(old);
    println!("free-when-cleared {}", signals.add(waker.writer(), &[SIGTERM], "third").is_ok());
    Ok(())
}

fn refused() -> Outcome {
    let (signals, waker) = (Signals::default(), Waker::new()?);
    let carried = Rc::new("the owner that is refused");
    signals.add(waker.writer(), &[SIGUSR1], Rc::new("one"))?;
    for (word, last) in [("owned", SIGUSR1), ("unheard-of", SIGKILL)] {
        let add = || signals.add(waker.writer(), &[SIGUSR2, last], Rc::clone(&carried));
        match catch_unwind(AssertUnwindSafe(add)) {
            Ok(Ok(_)) => println!("{word} Ok"),
            Ok(Err(error)) => println!("{word} {:?} {error}", error.errno),
            Err(_) => println!("{word} panic"),
        }
    }
    println!("kept {}", Rc::strong_count(&carried) - 1);
    raise(SIGUSR1)?;
    waker.consume()?;
    println!("took {}", signals.take().len());
    println!("free {}", signals.add(waker.writer(), &[SIGUSR2], Rc::new("other")).is_ok());
    Ok(())
}

/// Registers another owner for the signal when it is dropped: dropping a handler can run any code.
struct Leaving(Option<Box<dyn FnOnce()>>);

impl Drop for Leaving {
    fn drop(&mut self) {
        if let Some(leave) = self.0.take() {
            leave();
        }
    }
}

fn dropped(how: &str) -> Outcome {
    let (signals, waker): (Rc<Signals<Leaving>>, _) = (Rc::default(), Rc::new(Waker::new()?));
    let leaving = {
        let (signals, waker) = (Rc::clone(&signals), Rc::clone(&waker));
        Leaving(Some(Box::new(move || {
            let next = signals.add(waker.writer(), &[SIGUSR1], Leaving(None));
            println!("next {}", next.map_or_else(|error| error.to_string(), |_| "Ok".into()));
        })))
    };
    let done = catch_unwind(AssertUnwindSafe(|| -> Result<()> {
        match how {
            "drop-refused" => drop(signals.add(waker.writer(), &[SIGUSR1, SIGKILL], leaving)),
            "drop-removed" => signals.remove(signals.add(waker.writer(), &[SIGUSR1], leaving)?),
            _ => signals.add(waker.writer(), &[SIGUSR1], leaving).map(|_| signals.clear())?,
        }
        Ok(())
    }));
    println!("ended {}", if done.is_ok_and(|done| done.is_ok()) { "well" } else { "in a panic" });
    // An owner that was added while the others were cleared stays.
    raise(SIGUSR1)?;
    println!("took {}", signals.take().len());
    Ok(())
}

/// The handler removes itself the second time.
fn on_a_loop() -> Outcome {
    let ioloop = IoLoop::new()?;
    let (times, token) = (Cell::new(0), Rc::new(Cell::new(None)));
    let own = Rc::clone(&token);
    let added = ioloop.add_signal_handler(&[SIGUSR1], move |ioloop, kind| {
        times.set(times.get() + 1);
        println!("time {}", times.get());
        if times.get() < 2 {
            return raise(kind);
        }
        own.take().into_iter().for_each(|own| ioloop.remove_signal_handler(own));
        ioloop.stop();
        raise(kind)
    })?;
    token.set(Some(added));
    raise(SIGUSR1)?;
    ioloop.start()?;
    println!("previous {}", CALLS.load(Ordering::SeqCst));
    Ok(())
}
