//! Which descriptors epoll watches, and which it refuses.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};
use std::process::ExitCode;

use experiments::{Choice, Lab, Question, Result, ask, events, vary};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::select::{FdSet, select};
use nix::sys::stat::{SFlag, fstat};
use nix::sys::time::{TimeVal, TimeValLike};
use nix::unistd::write;

const QUESTION: Question = Question {
    question: "Can epoll watch a file, /dev/null, or another epoll?",
    setup: "A loop adds its standard input to an epoll. In tests, standard input is a terminal or a pipe. Then a user \
            starts the program with a file as input, and another user with /dev/null. Another program adds an epoll \
            to an epoll. Which of the three can epoll watch?",
    choices: &[
        Choice::new("All three: every descriptor can be watched, and a file is always ready.")
            .because("epoll_ctl refused both the file and /dev/null with EPERM."),
        Choice::new(
            "The file and /dev/null, which are always ready. An epoll that watches an epoll is refused.",
        )
        .because("The file and /dev/null are refused. An epoll is refused only in a circle, or in a row of more than five."),
        Choice::new("The epoll alone: epoll_ctl refuses the file and /dev/null."),
        Choice::new("None: epoll is for sockets and pipes.")
            .because("epoll also accepts an epoll, an eventfd and some files in /proc."),
    ],
    book: 2,
    shows: "epoll can watch a descriptor whose file can notify it when the file becomes ready. A file on a disk \
            cannot, so epoll refuses it. poll and select report such a file as ready at once, although a read may \
            wait for the disk. An epoll can notify another epoll: it is ready while it has an event to report.",
    lane: "loop",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let file = lab.file(b"some text")?;
        let (regular, directory) = (row(lab, "a file", &file)?, row(lab, "a directory", File::open("/")?)?);
        let null = row(lab, "/dev/null", File::options().read(true).write(true).open("/dev/null")?)?;
        lab.check(
            [&regular, &directory, &null].iter().all(|seen| seen.epoll == Err(Errno::EPERM)),
            "epoll refuses a file, a directory and /dev/null: EPERM",
        );
        lab.check(
            [&regular, &directory, &null]
                .iter()
                .all(|seen| seen.poll == (true, true) && seen.select == (true, true)),
            "poll and select accept these, and report them as readable and writable",
        );
        let mounts = File::open("/proc/self/mounts")?;
        let is_regular = SFlag::from_bits_truncate(fstat(&mounts)?.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG;
        let seen = row(lab, "/proc/self/mounts", &mounts)?;
        lab.check(
            is_regular && seen.epoll.is_ok(),
            "epoll accepts a regular file that can notify it, as /proc/self/mounts can",
        );
        let counter = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?;
        let idle = row(lab, "an eventfd that holds 0", &counter)?;
        lab.check(idle.poll == (false, true), "an eventfd that holds 0 is writable and not readable");
        let levels = nested(lab)?;
        match (regular.epoll.is_ok(), null.epoll.is_ok(), levels > 1) {
            (true, true, true) => Ok(0),
            (true, true, false) => Ok(1),
            (false, false, true) => Ok(2),
            (false, false, false) => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

/// What each of the three reports of a descriptor: readable, and writable.
struct Seen {
    epoll: nix::Result<EpollFlags>,
    poll: (bool, bool),
    select: (bool, bool),
}

fn row(lab: &Lab, name: &str, fd: impl AsFd) -> Result<Seen> {
    let both = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT;
    let epoll = epoll()?;
    let mut event = [EpollEvent::empty()];
    // ANCHOR: core
    let by_epoll = match epoll.add(&fd, EpollEvent::new(both, 0)) {
        Ok(()) => Ok(if epoll.wait(&mut event, 0_u8)? > 0 { event[0].events() } else { EpollFlags::empty() }),
        Err(error) => Err(error),
    };
    let mut asked = [PollFd::new(fd.as_fd(), PollFlags::POLLIN | PollFlags::POLLOUT)];
    poll(&mut asked, 0_u8)?;
    // ANCHOR_END: core
    let answer = asked[0].revents().unwrap_or(PollFlags::empty());
    let by_poll = (answer.contains(PollFlags::POLLIN), answer.contains(PollFlags::POLLOUT));
    let mut set = FdSet::new();
    set.insert(fd.as_fd());
    let (mut readable, mut writable) = (set, set);
    select(fd.as_fd().as_raw_fd() + 1, &mut readable, &mut writable, None, &mut TimeVal::zero())?;
    let by_select = (readable.contains(fd.as_fd()), writable.contains(fd.as_fd()));
    lab.note(format!(
        "{name}: epoll {}, poll {}, select {}",
        by_epoll.map_or_else(|error| format!("{error:?}"), events),
        said(by_poll),
        said(by_select)
    ));
    Ok(Seen { epoll: by_epoll, poll: by_poll, select: by_select })
}

fn said(answer: (bool, bool)) -> &'static str {
    match answer {
        (true, true) => "IN|OUT",
        (true, false) => "IN",
        (false, true) => "OUT",
        (false, false) => "nothing",
    }
}

/// Let an epoll watch an eventfd, another epoll watch this one, and so on. Gives how many epolls are possible.
fn nested(lab: &Lab) -> Result<usize> {
    let counter = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?;
    let mut row = vec![epoll()?];
    // First, because kernels before 6.17 do not count an epoll that watches nothing.
    row[0].add(&counter, readable())?;
    let refused = loop {
        let outer = epoll()?;
        match outer.add(&row[row.len() - 1].0, readable()) {
            Ok(()) => row.push(outer),
            Err(error) => break error,
        }
        if row.len() > 100 {
            return Err("a hundred epolls watch one another".into());
        }
    };
    // EINVAL before Linux 6.17 and the stable updates of August 2025, ELOOP since.
    let said = vary("ELOOP or EINVAL", format!("{refused:?}"));
    lab.note(format!("a row of epolls, each watching the one before: {}, then {said}", row.len()));
    let (innermost, outermost) = (&row[0], &row[row.len() - 1]);
    let before = outermost.wait(&mut [EpollEvent::empty()], 0_u8)?;
    write(&counter, &1_u64.to_ne_bytes())?;
    let after = outermost.wait(&mut [EpollEvent::empty()], 0_u8)?;
    lab.note(format!("the first watches an eventfd; waits with the last: {before}, after a write {after}"));
    lab.check((before, after) == (0, 1), "an epoll is ready while it has an event to report");
    let cycle = innermost.add(&outermost.0, readable());
    let itself = innermost.add(&innermost.0, readable());
    lab.note(format!(
        "let the first watch the last: {}; let an epoll watch itself: {}",
        done(cycle),
        done(itself)
    ));
    lab.check(
        row.len() == 5 && matches!(refused, Errno::ELOOP | Errno::EINVAL),
        "in a row of epolls, each watching the one before, the sixth is refused",
    );
    lab.check(
        cycle == Err(Errno::ELOOP) && itself == Err(Errno::EINVAL),
        "a circle is refused with ELOOP, and an epoll that should watch itself with EINVAL",
    );
    Ok(row.len())
}

fn done(outcome: nix::Result<()>) -> String {
    outcome.map_or_else(|error| format!("{error:?}"), |()| "works".into())
}

fn epoll() -> Result<Epoll> {
    Ok(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?)
}

fn readable() -> EpollEvent {
    EpollEvent::new(EpollFlags::EPOLLIN, 0)
}
