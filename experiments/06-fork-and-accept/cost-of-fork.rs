//! What a fork costs a process, and a start with Command, as its memory grows.

use std::num::NonZero;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::ptr::NonNull;
use std::time::Duration;
use std::{fs, io};

use experiments::{Axis, Choice, Lab, Plot, Question, Result, ask, cannot_ask, own_time, vary};
use nix::errno::Errno;
use nix::libc::{self, c_long, c_void};
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous, munmap};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, SysconfVar, fork, sysconf};

const MIB: usize = 1 << 20;
const PAGE: usize = 4096;
const LARGE: usize = 256;
/// The largest process that is drawn, in MiB, if there is memory for it.
const LARGEST: usize = 1024;
/// How many times each call is measured. The least counts: disturbance makes a call slower, never faster.
const TIMES: usize = 5;

const QUESTION: Question = Question {
    question: "What does fork cost a process that uses much memory?",
    setup: "A process uses 1 MiB of memory, and later 256 MiB. Each time it forks a child that does nothing, \
            and starts a program with std's Command. Which of the two takes longer the second time?",
    choices: &[
        Choice::new("Neither: memory is copied when it is written to, and neither process writes.")
            .because("The pages are not copied, but the page table is, and it has grown."),
        Choice::new("The fork, which copies the page table. Command does not."),
        Choice::new("Both: starting a program is a fork and then an exec.")
            .because("Command lends its child the memory until exec, and copies no page table."),
        Choice::new("Command, because a new program needs memory of its own. The fork does not.")
            .because("The fork took longer: it copies the page table, which Command does not."),
    ],
    book: 1,
    shows: "fork copies no page, but it copies the page table, which has an entry for each page in use. \
            Command lends its child the memory until exec and copies no table; with a pre_exec closure it \
            has to fork.",
    lane: "parent",
    roles: &[("nothing", |_| Ok(0))],
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        if sysconf(SysconfVar::PAGE_SIZE)? != Some(PAGE as c_long) {
            return Err(cannot_ask(format!("a page does not have {PAGE} bytes here")));
        }
        if available()? < 2 * LARGE {
            return Err(cannot_ask("this machine has less than 256 MiB of memory to spare"));
        }
        let [small_tables, large_tables] = [tables_of_child(lab, 1)?, tables_of_child(lab, LARGE)?];
        let [small, large] = costs(lab)?;
        // An entry has 8 bytes. Half of that is enough, because a part of the table may have existed before.
        let entries = (LARGE - 1) * MIB / PAGE * 8 / 1024;
        lab.check(
            large_tables > small_tables + entries / 2,
            "the new child has a page table for all of its parent's memory",
        );
        let grows = |cost: fn(&Costs) -> Duration| cost(&large) > 4 * cost(&small);
        lab.check(grows(|costs| costs.pre_exec), "Command with a pre_exec closure takes longer, too");
        let nothing = nothing(lab)?;
        lab.draw(|| chart(nothing))?;
        Ok(match (grows(|costs| costs.fork), grows(|costs| costs.command)) {
            (false, false) => 0,
            (true, false) => 1,
            (true, true) => 2,
            (false, true) => 3,
        })
    })
}

/// The size of the page tables of a child whose parent uses `size` MiB of memory, in KiB.
fn tables_of_child(lab: &mut Lab, size: usize) -> Result<usize> {
    let _memory = Memory::in_use(size)?;
    lab.note(format!("use {size} MiB of memory"));
    let gate = lab.gate()?;
    let child = lab.fork("child", |_| gate.pass().map(|()| 0))?;
    let tables = tables(&child.pid().to_string())?;
    lab.note(format!("the child's page tables: {} KiB", vary("n", tables)));
    gate.open()?;
    child.status(lab)?;
    Ok(tables)
}

/// What the process spends, in its own time: other processes may use the core meanwhile.
struct Costs {
    fork: Duration,
    command: Duration,
    pre_exec: Duration,
}

/// The costs with 1 MiB of memory and with 256 MiB. They are measured in turns, so that a machine that becomes slower
/// in between does not make the second size look expensive.
fn costs(lab: &Lab) -> Result<[Costs; 2]> {
    let (mut plain, mut pre_exec) = (nothing(lab)?, nothing(lab)?);
    // SAFETY: the closure does nothing, which is safe between a fork and an exec.
    unsafe { pre_exec.pre_exec(|| Ok(())) };
    let mut costs =
        [const { Costs { fork: Duration::MAX, command: Duration::MAX, pre_exec: Duration::MAX } }; 2];
    for _ in 0..TIMES {
        for (size, least) in [1, LARGE].into_iter().zip(&mut costs) {
            let _memory = Memory::in_use(size)?;
            least.fork = least.fork.min(time_fork()?);
            least.command = least.command.min(time_command(&mut plain)?);
            least.pre_exec = least.pre_exec.min(time_command(&mut pre_exec)?);
        }
    }
    lab.note(format!("measure three ways with both sizes in turns, {TIMES} times each"));
    for (size, Costs { fork, command, pre_exec }) in [1, LARGE].into_iter().zip(&costs) {
        for (what, cost) in [("fork", fork), ("Command", command), ("Command with pre_exec", pre_exec)] {
            lab.note(format!("{size} MiB: {what}: {} µs", vary("n", cost.as_micros())));
        }
    }
    Ok(costs)
}

// ANCHOR: time_fork
fn time_fork() -> Result<Duration> {
    let start = own_time()?;
    // SAFETY: this process has one thread, so no lock can be held by a thread that the child lacks.
    match unsafe { fork() }? {
        // SAFETY: _exit ends the process at once; nothing of it is used afterwards.
        ForkResult::Child => unsafe { libc::_exit(0) },
        ForkResult::Parent { child } => {
            let cost = own_time()? - start;
            waitpid(child, None)?;
            Ok(cost)
        }
    }
}
// ANCHOR_END: time_fork

fn time_command(command: &mut Command) -> Result<Duration> {
    let start = own_time()?;
    let mut child = command.spawn()?;
    let cost = own_time()? - start;
    child.wait()?;
    Ok(cost)
}

/// A program that exits at once.
fn nothing(lab: &Lab) -> Result<Command> {
    let mut command = lab.program("nothing", &[])?;
    command.stdin(Stdio::null());
    Ok(command)
}

fn least(mut time: impl FnMut() -> Result<Duration>) -> Result<Duration> {
    (0..TIMES).try_fold(Duration::MAX, |least, _| Ok(least.min(time()?)))
}

/// A range of addresses, which get memory where they are written to.
struct Memory {
    start: NonNull<c_void>,
    length: usize,
}

impl Memory {
    fn map(mib: usize, advice: MmapAdvise) -> Result<Self> {
        let length = mib * MIB;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let size = NonZero::new(length).ok_or("no length")?;
        // SAFETY: without MAP_FIXED the kernel picks a place where nothing else is.
        let start = unsafe { mmap_anonymous(None, size, access, MapFlags::MAP_PRIVATE) }
            .map_err(|error| cannot_ask(format!("{mib} MiB of memory cannot be mapped: {error}")))?;
        let memory = Self { start, length };
        // EINVAL: a kernel that has no huge pages.
        // SAFETY: the advice is about the mapping made above, and changes the size of its pages, not its content.
        match unsafe { madvise(start, length, advice) } {
            Ok(()) | Err(Errno::EINVAL) => Ok(memory),
            Err(error) => Err(error.into()),
        }
    }

    /// This many MiB of memory in pages of 4 KiB, each of which has been written to.
    fn in_use(mib: usize) -> Result<Self> {
        let mut memory = Self::map(mib, MmapAdvise::MADV_NOHUGEPAGE)?;
        memory.fill(mib);
        Ok(memory)
    }

    /// Write to every page of the first `mib` MiB.
    fn fill(&mut self, mib: usize) {
        let length = self.length.min(mib * MIB);
        // SAFETY: the mapping is this object's alone, longer than that, and zeroed by the kernel.
        let bytes = unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().cast::<u8>(), length) };
        bytes.iter_mut().step_by(PAGE).for_each(|byte| *byte = 1);
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the mapping is this object's, and no reference to it is left.
        let _ = unsafe { munmap(self.start, self.length) };
    }
}

fn chart(mut nothing: Command) -> Result<Plot> {
    let most = LARGEST.min(available()? / 4);
    let sizes = || std::iter::successors(Some(1), |size| Some(size * 4)).take_while(|size| *size <= most);
    let point = |size: usize, cost: Duration| (size as f64, cost.as_secs_f64() * 1e6);
    let [mut forks, mut commands, mut huge] = [const { Vec::new() }; 3];
    let mut memory = Memory::map(most, MmapAdvise::MADV_NOHUGEPAGE)?;
    for size in sizes() {
        memory.fill(size);
        forks.push(point(size, least(time_fork)?));
        commands.push(point(size, least(|| time_command(&mut nothing))?));
    }
    drop(memory);
    let mut memory = Memory::map(most, MmapAdvise::MADV_HUGEPAGE)?;
    for size in sizes() {
        memory.fill(size);
        huge.push(point(size, least(time_fork)?));
    }
    Ok(Plot {
        title: "The time of a fork and of a start with Command, in processes of different sizes",
        x: Axis::log("memory in use", "MiB"),
        y: Axis::log("time that the call takes", "µs"),
        series: vec![("fork", forks), ("Command", commands), ("fork, huge pages", huge)],
    })
}

fn tables(pid: &str) -> Result<usize> {
    kib(&format!("/proc/{pid}/status"), "VmPTE:")
}

/// How much memory is available, in MiB: on the machine, and to this control group.
fn available() -> Result<usize> {
    let machine = kib("/proc/meminfo", "MemAvailable:")? / 1024;
    let group = fs::read_to_string("/sys/fs/cgroup/memory.max").unwrap_or_default();
    Ok(group.trim().parse().map_or(machine, |bytes: usize| machine.min(bytes / MIB)))
}

/// A line of /proc that ends in kB.
fn kib(path: &str, name: &str) -> Result<usize> {
    let text = fs::read_to_string(path)?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .ok_or_else(|| io::Error::other(format!("no {name} in {path}")))?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}
