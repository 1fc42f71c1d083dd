//! What a waker costs, in memory and in time: a pipe compared with an eventfd.

use std::os::fd::OwnedFd;
use std::process::ExitCode;

use experiments::{Axis, Choice, Lab, Plot, Question, Result, ask, cannot_ask, own_time, vary};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc::{c_long, dev_t, ino_t};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::stat::fstat;
use nix::unistd::{SysconfVar, read, sysconf, write};

/// As many wakes as fit into a pipe.
const WAKES: usize = 65536;
const PAGE: usize = 4096;

const QUESTION: Question = Question {
    question: "How much memory do 65536 undrained wakes take, in a pipe and in an eventfd?",
    setup: "A busy loop is woken 65536 times before it drains its waker. What does the waker hold then if it is \
            a pipe, and what if it is an eventfd?",
    choices: &[
        Choice::new("Both hold one bit: if the bit is set, another wake changes nothing.")
            .because("Each wake left a byte in the pipe, and added 1 to the eventfd's number."),
        Choice::new("The pipe 65536 bytes; the eventfd 65536 numbers of 8 bytes each, so 512 KiB.")
            .because("An eventfd is one number, to which each wake adds 1."),
        Choice::new(
            "The pipe 4096 bytes, because it takes no more than one page; the eventfd a number of 8 \
                     bytes.",
        )
        .because("The pipe took all 65536 bytes, in 16 pages."),
        Choice::new("The pipe 65536 bytes, in 16 pages of memory; the eventfd a number of 8 bytes."),
    ],
    book: 3,
    shows: "A pipe stores each byte, and takes another page of memory when the bytes need one. An eventfd stores one \
            number, and a wake only adds to it. A pipe also needs two descriptors and an inode of its own, the \
            kernel's record of a file. In time the two differ less, because each wake of either is one system call.",
    lane: "process",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        if sysconf(SysconfVar::PAGE_SIZE)? != Some(PAGE as c_long) {
            return Err(cannot_ask(format!("a page does not have {PAGE} bytes here")));
        }
        let before = lab.descriptors()?.len();
        let pipe = Waker::pipe(lab)?;
        let with_pipe = lab.descriptors()?.len();
        let eventfd = Waker::eventfd()?;
        let with_both = lab.descriptors()?.len();
        let [two, one] = [with_pipe - before, with_both - with_pipe];
        lab.note(format!("make a pipe: {two} descriptors; make an eventfd: {one}"));
        lab.check((two, one) == (2, 1), "a pipe is two descriptors, an eventfd is one");
        let alike =
            [pipe.inode()? == Waker::pipe(lab)?.inode()?, eventfd.inode()? == Waker::eventfd()?.inode()?];
        lab.check(alike == [false, true], "each pipe has an inode of its own; all eventfds share one");
        let in_pipe = fill(lab, &pipe)?;
        let in_eventfd = fill(lab, &eventfd)?;
        lab.check(in_eventfd.number == Some(WAKES as u64), "the eventfd's number counts the wakes");
        for waker in [&pipe, &eventfd] {
            let ns = waker.time(1)?.round();
            lab.note(format!("{}: a wake and its drain take {} ns", waker.name, vary("ns", ns)));
        }
        lab.draw(|| time(&[&pipe, &eventfd]))?;
        match (in_pipe.bytes, in_pipe.pages, in_eventfd.bytes) {
            (1, ..) if in_eventfd.number == Some(1) => Ok(0),
            (WAKES, _, bytes) if bytes == 8 * WAKES => Ok(1),
            (PAGE, _, 8) => Ok(2),
            (WAKES, Some(16), 8) => Ok(3),
            _ => Err(format!("none of the choices: {in_pipe:?}, {in_eventfd:?}").into()),
        }
    })
}

struct Waker {
    name: &'static str,
    reader: OwnedFd,
    /// The write end of a pipe; an eventfd is written through the descriptor that is read.
    writer: Option<OwnedFd>,
}

/// What a waker held when it was drained.
#[derive(Debug)]
struct Held {
    bytes: usize,
    /// Of a pipe: how many pages the bytes were in.
    pages: Option<usize>,
    /// Of an eventfd: what it had counted.
    number: Option<u64>,
}

impl Waker {
    fn pipe(lab: &Lab) -> Result<Self> {
        let (reader, writer) = lab.nonblocking_pipe(i32::try_from(WAKES)?)?;
        Ok(Self { name: "pipe", reader, writer: Some(writer) })
    }

    fn eventfd() -> Result<Self> {
        let counter = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?;
        Ok(Self { name: "eventfd", reader: counter.into(), writer: None })
    }

    // ANCHOR: core
    fn wake(&self, times: usize) -> nix::Result<()> {
        (0..times).try_for_each(|_| match &self.writer {
            Some(writer) => write(writer, &[0]).map(drop),
            // An eventfd, which has one descriptor to read from and to write to.
            None => write(&self.reader, &1_u64.to_ne_bytes()).map(drop),
        })
    }
    // ANCHOR_END: core

    /// Read all that is there: a read that does not fill the buffer has taken the last of it. Gives how many bytes
    /// there were, and the first eight of them as a number.
    fn drain(&self) -> nix::Result<(usize, u64)> {
        let mut buffer = [0; PAGE];
        let mut bytes = 0;
        loop {
            let n = match read(&self.reader, &mut buffer) {
                Err(Errno::EAGAIN) => 0,
                other => other?,
            };
            bytes += n;
            if n < PAGE {
                let number = u64::from_ne_bytes(*buffer.first_chunk().expect("a page is longer"));
                return Ok((bytes, number));
            }
        }
    }

    /// The pages that a pipe's bytes are in, counted by 1, 2, 4 and so on: the kernel makes it no smaller than that.
    fn pages(&self) -> Result<Option<usize>> {
        let Some(writer) = &self.writer else { return Ok(None) };
        let mut pages = 1;
        loop {
            match fcntl(writer, FcntlArg::F_SETPIPE_SZ(i32::try_from(pages * PAGE)?)) {
                Err(Errno::EBUSY) => pages *= 2,
                other => {
                    other?;
                    break;
                }
            }
        }
        fcntl(writer, FcntlArg::F_SETPIPE_SZ(i32::try_from(WAKES)?))?;
        Ok(Some(pages))
    }

    fn inode(&self) -> Result<(dev_t, ino_t)> {
        let stat = fstat(&self.reader)?;
        Ok((stat.st_dev, stat.st_ino))
    }

    /// The time of a wake, with its share of a drain that comes after this many wakes: the median, in nanoseconds of
    /// this process's own time, because other processes may use the core meanwhile.
    fn time(&self, wakes: usize) -> Result<f64> {
        let rounds = (256 / wakes).max(1);
        let mut times = Vec::new();
        for _ in 0..9 {
            let start = own_time()?;
            for _ in 0..rounds {
                self.wake(wakes)?;
                self.drain()?;
            }
            times.push((own_time()? - start).as_nanos() as f64 / (rounds * wakes) as f64);
        }
        times.sort_by(f64::total_cmp);
        Ok(times[times.len() / 2])
    }
}

/// Wake a loop that does not drain its waker, then see what the waker holds.
fn fill(lab: &Lab, waker: &Waker) -> Result<Held> {
    waker.wake(WAKES)?;
    let pages = waker.pages()?;
    let (bytes, first) = waker.drain()?;
    let number = waker.writer.is_none().then_some(first);
    let in_what = match pages {
        Some(pages) => format!("{bytes} bytes, in {pages} pages"),
        None => format!("{bytes} bytes, the number {first}"),
    };
    lab.note(format!("{WAKES} wakes of the {}: it holds {in_what}", waker.name));
    Ok(Held { bytes, pages, number })
}

/// The time of a wake, when many share a drain.
fn time(wakers: &[&Waker]) -> Result<Plot> {
    let series = wakers.iter().map(|waker| -> Result<_> {
        let points = steps().map(|wakes| Ok((wakes as f64, waker.time(wakes)?)));
        Ok((waker.name, points.collect::<Result<_>>()?))
    });
    Ok(Plot {
        title: "The time of a wake and its share of the drain, with a pipe and with an eventfd",
        x: Axis::log("wakes before each drain", "number"),
        y: Axis::linear("time of a wake and its share of the drain", "ns"),
        series: series.collect::<Result<_>>()?,
    })
}

/// From 1 to as many wakes as fit into the pipe, each four times as many.
fn steps() -> impl Iterator<Item = usize> {
    std::iter::successors(Some(1), |n| Some(n * 4)).take_while(|n| *n <= WAKES)
}
