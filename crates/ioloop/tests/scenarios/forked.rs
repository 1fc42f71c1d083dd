//! `forked POLLER`: a process forks, and then each side makes a loop. Both register the reader of one pipe. `forked-with-a-loop
//! POLLER`: other code than our `fork` forks a process that has a loop, and the child closes its copy.

use std::cell::Cell;
use std::error::Error;
use std::io::{PipeReader, PipeWriter, Write, pipe};
use std::rc::Rc;
use std::time::Duration;

use ioloop::poller::Kind;
use ioloop::{Config, Events, IoLoop};
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::ForkResult;
use prefork::fork::fork;

use super::support::{Outcome, turns};

pub fn run(poller: Kind) -> Outcome {
    let (shared, mut to_child) = pipe()?;
    let (ready, to_parent) = pipe()?;
    let of_child = (shared.try_clone()?, to_parent.try_clone()?);
    let mut child = fork(|| {
        let (shared, to_parent) = of_child;
        in_child(poller, shared, to_parent).map_or_else(
            |error| {
                eprintln!("{error}");
                1
            },
            |()| 0,
        )
    })?;
    drop(to_parent);

    let ioloop = IoLoop::with(Config { poller, ..Config::default() })?;
    let signals = Rc::new(Cell::new(0));
    let counted = Rc::clone(&signals);
    ioloop.add_signal_handler(&[Signal::SIGUSR1], move |_, _| counted.set(counted.get() + 1))?;
    let shared = ioloop.add_handler(shared, Events::READ, |_, _, _| println!("event in the parent"))?;
    ioloop.add_handler(ready, Events::READ, move |ioloop, _, _| {
        ioloop.remove_handler(shared);
        ioloop.stop();
    })?;
    ioloop.start()?;
    to_child.write_all(b"x")?;
    child.signal(Signal::SIGUSR1)?;
    println!("ended {:?}", child.wait()?);
    turns(&ioloop, 5);
    println!("parent {} signals", signals.get());
    Ok(())
}

/// Until a timer, an event and a signal have come.
fn in_child(poller: Kind, shared: PipeReader, mut to_parent: impl Write) -> Outcome {
    let ioloop = IoLoop::with(Config { poller, ..Config::default() })?;
    let missing = Rc::new(Cell::new(3));
    let came = move |ioloop: &IoLoop, what: &str| {
        println!("{what} in the child");
        missing.set(missing.get() - 1);
        if missing.get() == 0 {
            ioloop.stop();
        }
    };
    let (timer, event, signal) = (came.clone(), came.clone(), came);
    ioloop.call_later(Duration::from_millis(1), move |ioloop| timer(ioloop, "timer"));
    ioloop.add_handler(shared, Events::READ | Events::ONESHOT, move |ioloop, _, _| event(ioloop, "event"))?;
    ioloop.add_signal_handler(&[Signal::SIGUSR1], move |ioloop, _| signal(ioloop, "signal"))?;
    to_parent.write_all(b"r")?;
    ioloop.start()?;
    Ok(())
}

pub fn with_a_loop(poller: Kind) -> Outcome {
    let (ioloop, writers) = waiting(poller, "parent")?;
    ioloop.turn(Duration::ZERO)?;
    // SAFETY: a helper has one thread.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Child => {
            ioloop.close();
            drop(ioloop);
            let ended = waiting(poller, "child").and_then(|(ioloop, writers)| come(&ioloop, writers));
            // SAFETY: ends the process, without the exit handlers of its parent.
            unsafe { nix::libc::_exit(ended.map_or(1, |()| 0)) }
        }
        ForkResult::Parent { child } => match waitpid(child, None)? {
            WaitStatus::Exited(_, code) => println!("ended {code}"),
            other => println!("ended {other:?}"),
        },
    }
    come(&ioloop, writers)
}

/// A loop that waits for a byte with a handler, for another one with a task, and for a signal.
fn waiting(poller: Kind, whose: &'static str) -> Result<(IoLoop, [PipeWriter; 2]), Box<dyn Error>> {
    let ioloop = IoLoop::with(Config { poller, ..Config::default() })?;
    let ((reader, writer), (watched, its_writer)) = (pipe()?, pipe()?);
    let handler = move |_: &IoLoop, _: &mut PipeReader, _| println!("{whose} event");
    ioloop.add_handler(reader, Events::READ | Events::ONESHOT, handler)?;
    let watched = ioloop.watch(watched)?;
    ioloop.spawn(async move {
        watched.readable().await?;
        println!("{whose} task");
        Ok::<_, ioloop::Error>(())
    });
    ioloop.add_signal_handler(&[Signal::SIGUSR1], move |_, _| println!("{whose} signal"))?;
    Ok((ioloop, [writer, its_writer]))
}

/// Let everything come that the loop waits for.
fn come(ioloop: &IoLoop, mut writers: [PipeWriter; 2]) -> Outcome {
    writers.iter_mut().try_for_each(|writer| writer.write_all(b"x"))?;
    raise(Signal::SIGUSR1)?;
    turns(ioloop, 5);
    Ok(())
}
