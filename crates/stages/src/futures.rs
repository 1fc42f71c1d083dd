//! What the async server of stage 12 awaits, beside the futures of the loop.

// ANCHOR: futures
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::io::{self, Read, Write};
use std::mem;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use ioloop::{AsyncFd, Sleep};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::program::CHUNK;

/// The result of a future, or `None` if the sleep is over first. The future is dropped then.
// ANCHOR: within
pub async fn within<T>(sleep: Sleep, future: impl Future<Output = T>) -> Option<T> {
    let (mut sleep, mut future) = (pin!(sleep), pin!(future));
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(result) => Poll::Ready(Some(result)),
        Poll::Pending => sleep.as_mut().poll(context).map(|()| None),
    })
    .await
}
// ANCHOR_END: within

/// The result of `main`. Until it is there, each poll also polls `side`.
// ANCHOR: beside
pub async fn beside<T>(side: impl Future<Output = ()>, main: impl Future<Output = T>) -> T {
    let (mut side, mut main) = (pin!(side), pin!(main));
    let mut over = false;
    poll_fn(|context| {
        over = over || side.as_mut().poll(context).is_ready();
        main.as_mut().poll(context)
    })
    .await
}
// ANCHOR_END: beside

/// All bytes until end of file.
pub async fn read_to_end<S>(from: &AsyncFd<S>) -> io::Result<Vec<u8>>
where
    for<'a> &'a S: Read,
{
    let (mut bytes, mut chunk) = (Vec::new(), vec![0; CHUNK]);
    while let taken @ 1.. = from.read(&mut chunk).await? {
        bytes.extend_from_slice(&chunk[..taken]);
    }
    Ok(bytes)
}

/// Copies all bytes until end of file. While `to` takes none, none are read.
pub async fn copy<S, T>(from: &AsyncFd<S>, to: &AsyncFd<T>) -> io::Result<()>
where
    for<'a> &'a S: Read,
    for<'a> &'a T: Write,
{
    let mut chunk = vec![0; CHUNK];
    while let taken @ 1.. = from.read(&mut chunk).await? {
        to.write_all(&chunk[..taken]).await?;
    }
    Ok(())
}

/// A waker for each program whose exit a task awaits. A clone shares the same wakers.
#[derive(Clone, Default)]
pub struct Exits(Rc<RefCell<BTreeMap<Pid, Waker>>>);

/// A program that runs, and the future of its exit. Dropping it before that kills and reaps the program.
// ANCHOR: exit
pub struct Exit {
    pid: Pid,
    reaped: bool,
    exits: Exits,
}

impl Exits {
    /// The exit of a program.
    pub fn of(&self, pid: Pid) -> Exit {
        Exit { pid, reaped: false, exits: self.clone() }
    }

    /// Wakes all tasks that wait, because SIGCHLD does not say which program has exited. Each asks for its own.
    pub fn wake(&self) {
        self.0.take().into_values().for_each(Waker::wake);
    }
}

impl Exit {
    /// Kills the program. Await its exit afterwards.
    pub fn kill(&self) {
        // It cannot fail: until the program is reaped, its pid belongs to it.
        let _ = kill(self.pid, Signal::SIGKILL);
    }
}

impl Future for Exit {
    type Output = nix::Result<WaitStatus>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // First the waker, and then the check. SIGCHLD's handler runs after this poll, so the other order is right, too.
        self.exits.0.borrow_mut().insert(self.pid, context.waker().clone());
        let status = waitpid(self.pid, Some(WaitPidFlag::WNOHANG));
        // After an error, too, the pid may be another process's: see `ending`.
        self.reaped = status != Ok(WaitStatus::StillAlive);
        if self.reaped { Poll::Ready(status) } else { Poll::Pending }
    }
}

impl Drop for Exit {
    fn drop(&mut self) {
        self.exits.0.borrow_mut().remove(&self.pid);
        if !mem::replace(&mut self.reaped, true) {
            self.kill();
            let _ = waitpid(self.pid, None);
        }
    }
}
// ANCHOR_END: exit
// ANCHOR_END: futures
