//! Thousands of descriptors that are ready, and a first handler that removes all others. Failures, while standard error
//! has no reader.

use std::cell::{Cell, RefCell};
use std::fs::{File, read_dir};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::time::Duration;

use ioloop::poller::Kind;
use ioloop::{Config, Events, IoLoop, Token};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use nix::unistd::{dup2_stderr, pipe};

use super::support::{Outcome, turns};

const MANY: usize = 2500;

pub fn many(poller: Kind) -> Outcome {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    let ioloop = IoLoop::with(Config { poller, ..Config::default() })?;
    let open = || read_dir("/proc/self/fd").map(Iterator::count);
    let before = open()?;
    // select has room for numbers below 1024.
    let limit = if poller == Kind::Select { hard.min(1024) } else { hard };
    let many = MANY.min(usize::try_from(limit)? - before - 20);

    let tokens: Rc<RefCell<Vec<Token>>> = Rc::default();
    let ran = Rc::new(Cell::new(0));
    for _ in 0..many {
        let ready = EventFd::from_value_and_flags(1, EfdFlags::EFD_CLOEXEC)?;
        let (all, ran) = (Rc::clone(&tokens), Rc::clone(&ran));
        let handler = move |ioloop: &IoLoop, _: &mut EventFd, _| {
            ran.set(ran.get() + 1);
            all.take().into_iter().for_each(|token| ioloop.remove_handler(token));
        };
        let token = ioloop.add_handler(ready, Events::READ, handler)?;
        tokens.borrow_mut().push(token);
    }
    turns(&ioloop, 10);
    println!("ran {}", ran.get());
    println!("left {} descriptors", open()? - before);
    Ok(())
}

pub fn unheard(poller: Kind) -> Outcome {
    testing::ignore_sigpipe();
    let (reader, writer) = pipe()?;
    drop(reader);
    dup2_stderr(&writer)?;
    let ioloop = IoLoop::with(Config { poller, ..Config::default() })?;
    let ready = EventFd::from_value_and_flags(1, EfdFlags::EFD_CLOEXEC)?;
    ioloop.add_callback(|_| Err::<(), _>("the error of a callback"));
    ioloop.call_later(Duration::ZERO, |_| Err::<(), _>("the error of a timer"));
    ioloop.add_handler(ready, Events::READ | Events::ONESHOT, |ioloop, _, _| {
        ioloop.add_callback(IoLoop::stop);
        Err::<(), _>("the error of a handler")
    })?;
    println!("start {:?}", ioloop.start());
    Ok(())
}

/// More descriptors are registered than the soft limit on open files allows by now.
pub fn limited(poller: Kind) -> Outcome {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let ioloop = IoLoop::with(Config { poller, ..Config::default() })?;
    let mut ready = Vec::new();
    for _ in 0..8 {
        ready.push(EventFd::from_flags(EfdFlags::EFD_CLOEXEC)?);
    }
    let last = ready.pop().ok_or("none was made")?;
    for ready in ready {
        ioloop.add_handler(ready, Events::READ, |_, _, _| ())?;
    }
    let said = |what: ioloop::Result<()>| what.map_or_else(|error| error.to_string(), |()| "Ok".into());
    setrlimit(Resource::RLIMIT_NOFILE, 8, hard)?;
    println!("added {}", said(ioloop.add_handler(last, Events::READ, |_, _, _| ()).map(drop)));
    setrlimit(Resource::RLIMIT_NOFILE, 3, hard)?;
    println!("start {}", said(ioloop.turn(Duration::ZERO).map(drop)));
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard)?;
    ioloop.add_callback(IoLoop::stop);
    println!("again {}", said(ioloop.start()));
    Ok(())
}

/// No descriptor is left.
pub fn full(poller: Kind) -> Outcome {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let ioloop = IoLoop::with(Config { poller, ..Config::default() })?;
    let ready = EventFd::from_value_and_flags(1, EfdFlags::EFD_CLOEXEC)?;
    let file = File::open("/proc/self/exe")?;
    setrlimit(Resource::RLIMIT_NOFILE, file.as_raw_fd() as rlim_t + 1, hard)?;
    if let Ok(free) = File::open("/dev/null") {
        return Err(format!("descriptor {} was free", free.as_raw_fd()).into());
    }
    let ran = Rc::new(Cell::new(0));
    let counted = Rc::clone(&ran);
    let said =
        |what: ioloop::Result<Token>| what.map_or_else(|error| format!("{:?}", error.errno), |_| "Ok".into());
    let handler = move |_: &IoLoop, _: &mut EventFd, _| counted.set(counted.get() + 1);
    println!("pipe {}", said(ioloop.add_handler(ready, Events::READ, handler)));
    println!("file {}", said(ioloop.add_handler(file, Events::READ, |_, _, _| ())));
    ioloop.turn(Duration::ZERO)?;
    println!("ran {}", ran.get());
    Ok(())
}
