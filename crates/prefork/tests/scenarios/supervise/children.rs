//! What the supervised children do, and the memory page and the pipe that they share with their parent.

use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::num::NonZero;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
use nix::sys::signal::{Signal, kill, raise};
use nix::unistd::{getppid, pause};
use prefork::Signals;

/// Memory and a pipe that the parent and all its children share.
pub struct Shared {
    page: &'static Page,
    release: (PipeReader, PipeWriter),
}

#[derive(Default)]
struct Page {
    lives: [AtomicUsize; 32],
    ready: AtomicUsize,
    seen: AtomicUsize,
}

impl Shared {
    /// Map the page and open the pipe. Both stay until the process exits.
    pub fn new() -> &'static Self {
        let length = NonZero::new(size_of::<Page>()).expect("a page is not empty");
        let (both, shared) = (ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED);
        // SAFETY: the kernel chooses an address that is free.
        let memory = unsafe { mmap_anonymous(None, length, both, shared) }.expect("there is memory");
        // SAFETY: the mapping lives until the process exits and is page-aligned; zeros are a valid `Page`, and all of
        // its fields are atomic.
        let page = unsafe { memory.cast().as_ref() };
        Box::leak(Box::new(Self { page, release: pipe().expect("there are descriptors") }))
    }

    /// Count one more child of this task. Returns how many there were before.
    pub fn next_life(&self, task: usize) -> usize {
        self.page.lives[task].fetch_add(1, Ordering::SeqCst)
    }

    /// Count one more child that is ready for a signal. Returns how many there are now.
    pub fn ready(&self) -> usize {
        self.page.ready.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub fn wait_for_ready(&self, children: usize) {
        while self.page.ready.load(Ordering::SeqCst) < children {
            sleep(Duration::from_millis(1));
        }
    }

    /// A counter that one process increments and another one waits for.
    pub fn seen(&self) -> &AtomicUsize {
        &self.page.seen
    }

    /// Release one of the children in [`Shared::wait_for_release`].
    pub fn release_one(&self) {
        (&self.release.1).write_all(&[0]).expect("the pipe has room for a byte");
    }

    pub fn wait_for_release(&self) {
        (&self.release.0).read_exact(&mut [0]).expect("this process holds the write end open");
    }
}

/// How a child reacts to SIGTERM or SIGINT.
#[derive(Clone, Copy)]
pub enum Reaction {
    /// Exits with 0.
    Exits,
    /// Exits with 0 after a signal. Without one, it exits with 4 after three seconds.
    ExitsUnsignaled,
    /// Exits with 0 once the supervisor has seen another child's exit.
    ExitsLate,
    /// Exits with 3.
    Fails,
    /// Keeps running.
    Ignores,
    /// Is stopped by SIGSTOP before the signal arrives.
    IsStopped,
    /// Leaves the default action, so the signal kills it.
    Dies,
}

impl Reaction {
    pub fn parse(name: &str) -> Self {
        match name {
            "exits" => Self::Exits,
            "exits-late" => Self::ExitsLate,
            "fails" => Self::Fails,
            "ignores" => Self::Ignores,
            "is-stopped" => Self::IsStopped,
            _ => Self::Dies,
        }
    }
}

/// Wait for SIGTERM or SIGINT, and react to it. The last child to be ready sends `send` to the supervisor. A restarted
/// child exits with 0 at once: these scenarios should not have one.
pub fn wait_for_signal(task: usize, reactions: &[Reaction], send: Option<Signal>, shared: &Shared) -> i32 {
    if shared.next_life(task) > 0 {
        return 0;
    }
    let reaction = reactions[task];
    let signals =
        (!matches!(reaction, Reaction::Dies)).then(|| Signals::take().expect("there are descriptors"));
    if shared.ready() == reactions.len()
        && let Some(signal) = send
    {
        kill(getppid(), signal).expect("the supervisor is running");
    }
    if let Reaction::IsStopped = reaction {
        raise(Signal::SIGSTOP).expect("a process can stop itself");
    }
    let Some(signals) = signals else {
        loop {
            pause();
        }
    };
    let timeout = if let Reaction::ExitsUnsignaled = reaction {
        PollTimeout::from(3000_u16)
    } else {
        PollTimeout::NONE
    };
    let _ = poll(&mut [PollFd::new(signals.as_fd(), PollFlags::POLLIN)], timeout);
    let Some(signal) = signals.next().expect("a signalfd can be read") else { return 4 };
    println!("got {task} {signal}");
    match reaction {
        Reaction::Exits | Reaction::ExitsUnsignaled => 0,
        Reaction::ExitsLate => {
            shared.wait_for_release();
            0
        }
        Reaction::Fails => 3,
        _ => loop {
            pause();
        },
    }
}

/// End as a script says: `2` is an exit code, `SIGKILL` a signal that the child sends to itself.
pub fn end(how: &str) -> i32 {
    match how.parse::<Signal>() {
        Ok(signal) => {
            raise(signal).expect("a process can signal itself");
            98
        }
        Err(_) => how.parse().expect("an exit code or a signal"),
    }
}

/// std's sleep, for the scenarios that test time itself.
pub fn sleep(time: Duration) {
    std::thread::sleep(time);
}
