//! A loop whose epoll descriptor refers to another file.

use std::cell::Cell;
use std::fs::{File, read_dir, read_link};
use std::mem::ManuallyDrop;
use std::os::fd::{FromRawFd, OwnedFd};
use std::rc::Rc;

use ioloop::poller::Kind;
use ioloop::{Config, IoLoop};
use nix::unistd::dup2;

use super::support::Outcome;

/// A callback that counts itself, and adds the next one.
fn chain(ioloop: &IoLoop, ran: &Rc<Cell<usize>>) {
    let ran = Rc::clone(ran);
    ioloop.add_callback(move |ioloop| {
        ran.set(ran.get() + 1);
        chain(ioloop, &ran);
    });
}

pub fn run() -> Outcome {
    let ioloop = IoLoop::with(Config { poller: Kind::Epoll, ..Config::default() })?;
    let null = File::open("/dev/null")?;
    let entries = read_dir("/proc/self/fd")?.flatten();
    let number = |name: std::ffi::OsString| name.to_str()?.parse().ok();
    let epolls = entries.filter(|entry| {
        read_link(entry.path()).is_ok_and(|link| link.to_string_lossy().contains("[eventpoll]"))
    });
    // The newest one.
    let number: i32 = epolls.filter_map(|entry| number(entry.file_name())).max().ok_or("an epoll")?;
    // SAFETY: the loop owns the descriptor, which only gets another file here.
    let mut epoll = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(number) });
    let kept = epoll.try_clone()?;
    dup2(&null, &mut epoll)?;
    let callbacks = Rc::new(Cell::new(0));
    chain(&ioloop, &callbacks);
    let records = Rc::new(Cell::new(0));
    let counted = Rc::clone(&records);
    ioloop.subscribe(move |_, _| counted.set(counted.get() + 1));
    let started = ioloop.start().map_err(|error| error.errno);
    println!("callbacks {}", callbacks.get());
    println!("records {}", records.get());
    dup2(&kept, &mut epoll)?;
    ioloop.add_callback(IoLoop::stop);
    let again = ioloop.start().map_err(|error| error.errno);
    let word = |result: Result<(), nix::errno::Errno>| {
        result.map_or_else(|errno| format!("{errno:?}"), |()| "Ok".into())
    };
    println!("start {}, and then {}", word(started), word(again));
    Ok(())
}
