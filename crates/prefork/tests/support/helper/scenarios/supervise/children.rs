//! What the children do, and the page of memory and the pipe that they and their parent have in common.

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

/// The same in the parent and in every child.
pub struct Shared {
    page: &'static Page,
    end: (PipeReader, PipeWriter),
}

#[derive(Default)]
struct Page {
    lives: [AtomicUsize; 32],
    ready: AtomicUsize,
    seen: AtomicUsize,
}

impl Shared {
    /// Made once, and there until the process ends.
    pub fn new() -> &'static Self {
        let length = NonZero::new(size_of::<Page>()).expect("a page is not empty");
        let (both, shared) = (ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED);
        // SAFETY: the kernel chooses where, and what was there stays.
        let memory = unsafe { mmap_anonymous(None, length, both, shared) }.expect("there is memory");
        // SAFETY: it is mapped until the process ends, aligned to a page, and zeros are a valid `Page`; everything
        // in it is atomic.
        let page = unsafe { memory.cast().as_ref() };
        Box::leak(Box::new(Self { page, end: pipe().expect("there are descriptors") }))
    }

    /// How many lives did this task have before this one?
    pub fn next_life(&self, task: usize) -> usize {
        self.page.lives[task].fetch_add(1, Ordering::SeqCst)
    }

    /// One more child waits to be told. How many do so now?
    pub fn ready(&self) -> usize {
        self.page.ready.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub fn wait_for_ready(&self, children: usize) {
        while self.page.ready.load(Ordering::SeqCst) < children {
            sleep(Duration::from_millis(1));
        }
    }

    /// A count of what one process sees and another waits for.
    pub fn seen(&self) -> &AtomicUsize {
        &self.page.seen
    }

    /// One of those in [`Shared::wait_to_end`] goes on.
    pub fn let_one_end(&self) {
        (&self.end.1).write_all(&[0]).expect("a byte has room in a pipe");
    }

    pub fn wait_to_end(&self) {
        (&self.end.0).read_exact(&mut [0]).expect("the pipe is open here");
    }
}

/// What a child does when it is told to end.
#[derive(Clone, Copy)]
pub enum Doing {
    /// Ends with 0.
    Ends,
    /// The same; but if nobody tells it within three seconds, it ends with 4.
    EndsUntold,
    /// Ends with 0 after the supervisor has seen another one's end.
    EndsLate,
    /// Ends with 3.
    Fails,
    /// Does not end.
    Ignores,
    /// Is stopped, and does not even notice.
    IsStopped,
    /// Has nothing against it: what the signal does by default.
    Dies,
}

impl Doing {
    pub fn parse(name: &str) -> Self {
        match name {
            "ends" => Self::Ends,
            "ends-late" => Self::EndsLate,
            "fails" => Self::Fails,
            "ignores" => Self::Ignores,
            "is-stopped" => Self::IsStopped,
            _ => Self::Dies,
        }
    }
}

/// Wait for SIGTERM or SIGINT, and do what this child does then. The last to wait sends one to the supervisor. A
/// successor, which there should not be, ends at once.
pub fn wait_to_be_told(task: usize, doings: &[Doing], send: Option<Signal>, shared: &Shared) -> i32 {
    if shared.next_life(task) > 0 {
        return 0;
    }
    let doing = doings[task];
    let signals = (!matches!(doing, Doing::Dies)).then(|| Signals::take().expect("there are descriptors"));
    if shared.ready() == doings.len()
        && let Some(signal) = send
    {
        kill(getppid(), signal).expect("the supervisor is there");
    }
    if let Doing::IsStopped = doing {
        raise(Signal::SIGSTOP).expect("a process can stop itself");
    }
    let Some(signals) = signals else {
        loop {
            pause();
        }
    };
    let patience =
        if let Doing::EndsUntold = doing { PollTimeout::from(3000_u16) } else { PollTimeout::NONE };
    let _ = poll(&mut [PollFd::new(signals.as_fd(), PollFlags::POLLIN)], patience);
    let Some(signal) = signals.next().expect("it can be read") else { return 4 };
    println!("told {task} {signal}");
    match doing {
        Doing::Ends | Doing::EndsUntold => 0,
        Doing::EndsLate => {
            shared.wait_to_end();
            0
        }
        Doing::Fails => 3,
        _ => loop {
            pause();
        },
    }
}

/// End as a script says: `2`, or `SIGKILL`.
pub fn end(how: &str) -> i32 {
    match how.parse::<Signal>() {
        Ok(signal) => {
            raise(signal).expect("a process can signal itself");
            98
        }
        Err(_) => how.parse().expect("an exit code or a signal"),
    }
}

/// Live for a while, and end well.
pub fn idle() -> i32 {
    sleep(Duration::from_millis(400));
    0
}

/// std's sleep, for the few things that are about time itself.
pub fn sleep(time: Duration) {
    std::thread::sleep(time);
}
