//! The two returns of fork, and which of them is first.

use std::fs;
use std::process::ExitCode;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use experiments::{Choice, Lab, Question, Result, ask, vary};
use nix::errno::Errno;
use nix::libc;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork, getpid};

const FORKS: u32 = 500;
const SETTING: &str = "/proc/sys/kernel/sched_child_runs_first";

const QUESTION: Question = Question {
    question: "Which process runs first after a fork, parent or child?",
    setup: "fork is called once and returns twice: in the parent with the child's pid, and in the child with \
            0. Which of the two runs first after the fork?",
    choices: &[
        Choice::new("The parent: it is running already, and has the next child to start.")
            .because("When the parent waited at a gate, the child was first: fork sets no order."),
        Choice::new("The child: the parent sleeps until its child has begun.")
            .because("When the child waited at a gate, the parent was first: it did not sleep in fork."),
        Choice::new("The one that /proc/sys/kernel/sched_child_runs_first names.")
            .because("With the gates both orders happened, whatever the file says, if it exists at all."),
        Choice::new("Either: fork sets no order, and the scheduler runs one of them first."),
    ],
    book: 3,
    shows: "After a fork there are two processes, and fork returns in each of them. A program that needs an order \
            must make it: one process waits, at a pipe or an eventfd, until the other one has written to it.",
    lane: "parent",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let setting = fs::read_to_string(SETTING);
        let content = setting.as_ref().map_or("the file does not exist", |value| value.trim());
        lab.note(format!("{SETTING}: {}", vary("answer", content)));

        let plain = count(|| {
            // SAFETY: this process has one thread, so no lock can be held by a thread that the child lacks.
            unsafe { fork() }
        })?;
        lab.note(format!(
            "{FORKS} forks: parent first {}, child first {}",
            vary("n", plain.parent),
            vary("n", plain.child)
        ));
        lab.check(
            plain.values == FORKS,
            "each time fork returned 0 in the child, and the child's pid in the parent",
        );
        let vfork = count(fork_with_vfork_order)?;
        lab.note(format!(
            "{FORKS} with CLONE_VFORK: parent first {}, child first {}",
            vfork.parent, vfork.child
        ));
        lab.check(
            vfork.child == FORKS,
            "with CLONE_VFORK the parent is suspended until the child has exited",
        );

        let child_waits = forced(lab, Waits::Child)?;
        let parent_waits = forced(lab, Waits::Parent)?;
        lab.check(child_waits, "if the child waits at a gate, the parent is first");
        lab.check(parent_waits, "if the parent waits at a gate, the child is first");
        let parent_can = plain.parent > 0 || child_waits;
        let child_can = plain.child > 0 || parent_waits;
        match (parent_can, child_can, setting.as_ref().map(|value| value.trim())) {
            (true, true, _) => Ok(3),
            (true, false, Ok("0")) | (false, true, Ok("1")) => Ok(2),
            (true, false, _) => Ok(0),
            (false, true, _) => Ok(1),
            (false, false, _) => Err("neither was first".into()),
        }
    })
}

/// Memory that parent and children share.
#[derive(Default)]
struct Shared {
    /// How many processes have been here since the fork.
    arrived: AtomicU32,
    /// What `getpid` gives in the child.
    pid: AtomicI32,
    /// In which place the child came.
    child: AtomicU32,
}

impl Shared {
    fn map() -> Result<&'static Self> {
        let size = size_of::<Self>().try_into()?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: without MAP_FIXED the kernel picks a place where nothing else is.
        let start: NonNull<Self> =
            unsafe { mmap_anonymous(None, size, access, MapFlags::MAP_SHARED) }?.cast();
        // SAFETY: a page is aligned for it and large enough, zeroes are valid atomics, and it is never unmapped.
        Ok(unsafe { start.as_ref() })
    }

    /// Which place is this process's, counted from 0?
    fn place(&self) -> u32 {
        self.arrived.fetch_add(1, Ordering::SeqCst)
    }
}

struct Seen {
    parent: u32,
    child: u32,
    /// How many times fork returned the right values.
    values: u32,
}

impl Seen {
    /// Wait for the child, and compare its place with the parent's.
    fn add(&mut self, place: u32, child: Pid, shared: &Shared) -> Result {
        waitpid(child, None)?;
        match (place, shared.child.load(Ordering::SeqCst)) {
            (0, 1) => self.parent += 1,
            (1, 0) => self.child += 1,
            other => return Err(format!("two processes had these places: {other:?}").into()),
        }
        self.values += u32::from(shared.pid.load(Ordering::SeqCst) == child.as_raw());
        Ok(())
    }
}

/// Fork many times, and count which process is first at the line after the fork.
fn count(fork: impl Fn() -> nix::Result<ForkResult>) -> Result<Seen> {
    let shared = Shared::map()?;
    let mut seen = Seen { parent: 0, child: 0, values: 0 };
    for _ in 0..FORKS {
        shared.arrived.store(0, Ordering::SeqCst);
        // ANCHOR: core
        match fork()? {
            ForkResult::Child => {
                shared.child.store(shared.place(), Ordering::SeqCst);
                shared.pid.store(getpid().as_raw(), Ordering::SeqCst);
                // SAFETY: _exit ends the process at once; nothing of it is used afterwards.
                unsafe { libc::_exit(0) }
            }
            ForkResult::Parent { child } => seen.add(shared.place(), child, shared)?,
        }
        // ANCHOR_END: core
    }
    Ok(seen)
}

/// A fork whose parent is suspended, as by vfork(2), but with a copy of the memory for the child.
fn fork_with_vfork_order() -> nix::Result<ForkResult> {
    let (flags, none) = (libc::c_long::from(libc::SIGCHLD | libc::CLONE_VFORK), 0_usize);
    // SAFETY: with these flags, and without a stack, clone(2) is a fork whose parent waits. There is one thread.
    match Errno::result(unsafe { libc::syscall(libc::SYS_clone, flags, none, none, none, none) })? {
        0 => Ok(ForkResult::Child),
        child => Ok(ForkResult::Parent { child: Pid::from_raw(child as libc::pid_t) }),
    }
}

#[derive(PartialEq)]
enum Waits {
    Child,
    Parent,
}

/// Fork with a gate at which one of the two waits until the other has been here. Was that the order?
fn forced(lab: &mut Lab, waits: Waits) -> Result<bool> {
    let shared = Shared::map()?;
    let gate = lab.gate()?;
    let child = lab.fork("child", |lab| {
        if waits == Waits::Child {
            gate.pass()?;
        }
        let place = shared.place();
        lab.note(format!("comes {}", ordinal(place)));
        if waits == Waits::Parent {
            gate.open()?;
        }
        Ok(i32::try_from(place)?)
    })?;
    if waits == Waits::Parent {
        gate.pass()?;
    }
    let place = shared.place();
    lab.note(format!("comes {}", ordinal(place)));
    if waits == Waits::Child {
        gate.open()?;
    }
    let childs = child.answer(lab)?;
    Ok((place, childs) == if waits == Waits::Child { (0, 1) } else { (1, 0) })
}

fn ordinal(place: u32) -> &'static str {
    if place == 0 { "first" } else { "second" }
}
