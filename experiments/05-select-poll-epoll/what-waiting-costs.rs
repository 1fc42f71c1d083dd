//! What a wait costs, by how many descriptors are watched and how many of them are ready.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::ExitCode;
use std::time::Instant;

use experiments::{
    Axis, Choice, Lab, Plot, Question, Result, ask, cannot_ask, is_traced, median, own_time, vary,
};
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use nix::sys::select::{FD_SETSIZE, FdSet, select};
use nix::sys::time::{TimeVal, TimeValLike};
use nix::unistd::{getpid, read, write};

const FEW: usize = 10;
const MANY: usize = 1000;
/// A call that takes this many times as long has grown. 20 to 40 are usual: the cost of a system call differs by machine.
const GROWS: f64 = 5.0;
/// How many are watched in the drawing. A select set has no bit for a number from 1024 on.
const SIZES: [usize; 7] = [10, 30, 100, 300, 1000, 3000, 9000];
/// How many of a thousand are ready in the other one.
const READY: [usize; 7] = [1, 3, 10, 30, 100, 300, 1000];
const RUNS: usize = 9; // of each measurement
/// How many other descriptors this process has open meanwhile.
const OTHERS: usize = 16;

const QUESTION: Question = Question {
    question: "Which of select, poll and epoll takes as long for 1,000 descriptors as for 10?",
    setup: "Ten connections are watched, and one of them is ready. A loop calls select, poll or epoll_wait to learn \
            which one. Then it watches 1,000 connections, one of them ready. Which of the three calls takes about as \
            long as before?",
    choices: &[
        Choice::new("All three, because the kernel knows which connection is ready.")
            .because("select and poll get a list of 1,000 descriptors, and the kernel checks each of them."),
        Choice::new("epoll_wait alone."),
        Choice::new("poll and epoll_wait, because only select is outdated.").because(
            "The kernel goes through poll's list as well: for 1,000, poll took more than five times as long as for 10.",
        ),
        Choice::new("None of them, because the kernel must check 1,000 connections in any case.")
            .because("epoll keeps a list of the ready descriptors, and epoll_wait looks at that list only."),
    ],
    book: 1,
    shows: "All three sleep until something happens. They differ in what one call does. select and poll get the whole \
            list with each call, and the kernel goes through all of it. epoll keeps that list in the kernel, and a \
            second list, which has only the ready descriptors. epoll_wait goes through the second list. If all \
            descriptors are ready, the second list is as long as the first.",
    lane: "loop",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let limit = lab.own_time_is_fine().and_then(|()| raise_limit())?;
        let crowd = (0..MANY).map(|_| idle()).collect::<Result<Vec<_>>>()?;
        both_sleep(lab, &crowd)?;
        write(&crowd[0], &1_u64.to_ne_bytes())?;
        let (few, many) = few_and_many(&crowd)?;
        lab.note(format!("one of {FEW} ready: {}", said(&few)));
        lab.note(format!("one of {MANY} ready: {}", said(&many)));
        let all = with_ready(&crowd, MANY)?;
        lab.note(format!("{MANY} of {MANY} ready: {}", said(&all)));
        if is_traced(getpid())? {
            return Err(cannot_ask("this process is traced, which takes longer than any of the calls"));
        }
        let said = format!("one of {MANY}: poll takes more than {GROWS} times as long as epoll");
        lab.check(many[1] > GROWS * many[2], said);
        lab.check(
            all[2] > GROWS * many[2] && all[2] * 4.0 > all[1],
            "epoll takes longer if more are ready; if all are ready, it saves nothing",
        );
        lab.draw(|| against_watched(crowd, limit))?;
        lab.draw(against_ready)?;
        match [0, 1, 2].map(|i| many[i] > GROWS * few[i]) {
            [false, false, false] => Ok(0),
            [true, true, false] => Ok(1),
            [true, false, false] => Ok(2),
            [true, true, true] => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

/// Raise this process's limit of descriptors as far as permitted. Gives the new limit.
fn raise_limit() -> Result<usize> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let wanted = hard.min((SIZES[SIZES.len() - 1] + 256) as rlim_t);
    if wanted < (MANY + OTHERS) as rlim_t {
        return Err(cannot_ask(format!("this process may have {hard} descriptors, too few to watch {MANY}")));
    }
    setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)?;
    Ok(usize::try_from(wanted)?)
}

/// A descriptor that can be watched and is not ready.
fn idle() -> Result<OwnedFd> {
    Ok(EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?.into())
}

/// Check that poll and select sleep while nothing is ready, however many they watch.
fn both_sleep(lab: &Lab, crowd: &[OwnedFd]) -> Result {
    let (mut polled, set) = (poll_list(crowd), select_set(crowd));
    sleeps(lab, "poll", || poll(&mut polled, 100_u8))?;
    sleeps(lab, "select", || select(None, &mut { set }, None, None, &mut TimeVal::milliseconds(100)))
}

/// One of three calls must sleep, because an emulator translates the kernel's code when it runs for the first time.
fn sleeps(lab: &Lab, name: &str, mut wait: impl FnMut() -> nix::Result<i32>) -> Result {
    let (mut ready, mut slept) = (0, false);
    for _ in 0..3 {
        let (start, before) = (Instant::now(), own_time()?);
        ready += wait()?;
        slept |= (own_time()? - before) * 4 < start.elapsed();
    }
    lab.note(format!("{name} of {MANY}, for 100 ms: {ready} ready"));
    lab.check(ready == 0 && slept, format!("{name} sleeps while none of them is ready"));
    Ok(())
}

fn poll_list(watched: &[OwnedFd]) -> Vec<PollFd<'_>> {
    watched.iter().map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)).collect()
}

fn select_set(watched: &[OwnedFd]) -> FdSet<'_> {
    let mut set = FdSet::new();
    watched.iter().for_each(|fd| set.insert(fd.as_fd()));
    set
}

/// The time of one select. It overwrites its sets with the answer, so each call gets a copy.
fn by_select(watched: &[OwnedFd], ready: usize) -> Result<f64> {
    let set = select_set(watched);
    let highest = watched.iter().map(AsRawFd::as_raw_fd).max().map(|highest| highest + 1);
    typical(watched.len(), || {
        let mut asked = set;
        let seen = select(highest, &mut asked, None, None, &mut TimeVal::zero())?;
        Ok(usize::try_from(seen)? == ready)
    })
}

fn by_poll(watched: &[OwnedFd], ready: usize) -> Result<f64> {
    let mut asked = poll_list(watched);
    typical(watched.len(), || Ok(usize::try_from(poll(&mut asked, 0_u8)?)? == ready))
}

fn by_epoll(watched: &[OwnedFd], ready: usize) -> Result<f64> {
    // ANCHOR: core
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    for (i, fd) in watched.iter().enumerate() {
        epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, i as u64))?;
    }
    let mut events = vec![EpollEvent::empty(); watched.len()];
    typical(ready, || Ok(epoll.wait(&mut events, 0_u8)? == ready))
    // ANCHOR_END: core
}

/// The time of one call in nanoseconds of this process's own time, because other processes may use the core meanwhile:
/// the median of several runs. The more `work` a call has, the fewer calls are made.
fn typical(work: usize, mut call: impl FnMut() -> Result<bool>) -> Result<f64> {
    let calls = (10_000 / work).clamp(2, 500);
    let mut times = [0.0; RUNS];
    for time in &mut times {
        let start = own_time()?;
        for _ in 0..calls {
            if !call()? {
                return Err("other descriptors are ready than should be".into());
            }
        }
        *time = (own_time()? - start).as_nanos() as f64 / calls as f64;
    }
    Ok(median(times))
}

fn said(times: &[f64; 3]) -> String {
    let [select, poll, epoll] = times.map(|ns| vary("µs", format!("{:.2}", ns / 1000.0)));
    format!("select {select} µs, poll {poll} µs, epoll {epoll} µs")
}

fn all_three(watched: &[OwnedFd], ready: usize) -> Result<[f64; 3]> {
    Ok([by_select(watched, ready)?, by_poll(watched, ready)?, by_epoll(watched, ready)?])
}

/// All three, with one of the few ready and with one of all, in turns, so that a disturbance slows both.
fn few_and_many(crowd: &[OwnedFd]) -> Result<([f64; 3], [f64; 3])> {
    let (mut few, mut many) = ([[0.0; RUNS]; 3], [[0.0; RUNS]; 3]);
    for run in 0..RUNS {
        for (times, watched) in [(&mut few, &crowd[..FEW]), (&mut many, crowd)] {
            times.iter_mut().zip(all_three(watched, 1)?).for_each(|(times, now)| times[run] = now);
        }
    }
    Ok((few.map(median), many.map(median)))
}

/// All three, with this many of a thousand ready.
fn with_ready(crowd: &[OwnedFd], ready: usize) -> Result<[f64; 3]> {
    for fd in crowd {
        let _ = read(fd, &mut [0; 8]); // EAGAIN, if it was not ready.
    }
    for fd in &crowd[..ready] {
        write(fd, &1_u64.to_ne_bytes())?;
    }
    all_three(crowd, ready)
}

fn against_watched(mut crowd: Vec<OwnedFd>, limit: usize) -> Result<Plot> {
    let mut times: [Vec<(f64, f64)>; 3] = Default::default();
    with_ready(&crowd, 1)?;
    for n in SIZES.into_iter().filter(|n| n + OTHERS <= limit) {
        while crowd.len() < n {
            crowd.push(idle()?);
        }
        if n + OTHERS < FD_SETSIZE {
            times[0].push((n as f64, by_select(&crowd[..n], 1)?));
        }
        times[1].push((n as f64, by_poll(&crowd[..n], 1)?));
        times[2].push((n as f64, by_epoll(&crowd[..n], 1)?));
    }
    Ok(chart(
        "What one call takes, by the number of descriptors watched, one of them ready",
        "descriptors watched, one of them ready",
        times,
    ))
}

fn against_ready() -> Result<Plot> {
    let crowd = (0..MANY).map(|_| idle()).collect::<Result<Vec<_>>>()?;
    let mut times: [Vec<(f64, f64)>; 3] = Default::default();
    for n in READY {
        let measured = with_ready(&crowd, n)?;
        times.iter_mut().zip(measured).for_each(|(times, ns)| times.push((n as f64, ns)));
    }
    let x = "descriptors ready, of a thousand";
    Ok(chart("What one call takes, by how many of a thousand descriptors are ready", x, times))
}

fn chart(title: &'static str, x: &'static str, times: [Vec<(f64, f64)>; 3]) -> Plot {
    Plot {
        title,
        x: Axis::log(x, "number"),
        y: Axis::log("time of one call", "ns"),
        series: ["select", "poll", "epoll"].into_iter().zip(times).collect(),
    }
}
