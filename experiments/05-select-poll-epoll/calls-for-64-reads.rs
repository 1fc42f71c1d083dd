//! The system calls in which a loop reads many connections: with poll, with epoll and with io_uring.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::ExitCode;

use experiments::{Choice, Lab, Question, Result, ask, cannot_ask};
use io_uring::types::Fd;
use io_uring::{IoUring, opcode};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc::{SYS_getppid, SYS_read};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::{getppid, pipe2, read, write};

const MANY: usize = 64;
const MESSAGE: &[u8; 7] = b"message";

/// Room for one message. Each connection has a buffer of its own.
type Buffer = [u8; 16];

const QUESTION: Question = Question {
    question: "How many system calls read 64 connections, with epoll and with io_uring?",
    setup: "64 connections have a message each. One loop has registered them with epoll: it waits once, and reads \
            each connection once. Another loop puts 64 read requests into the queue of an io_uring, and then submits \
            them and waits for the results. How many system calls does each loop make?",
    choices: &[
        Choice::new("65 with epoll, and 65 with io_uring.")
            .because("A request to io_uring is written into memory that the loop shares with the kernel."),
        Choice::new("65 with epoll, and 64 with io_uring, which needs no wait.")
            .because("One call submits all requests of the queue, not one request."),
        Choice::new("65 with epoll, and 1 with io_uring."),
        Choice::new("2 with epoll, and 1 with io_uring.").because(
            "epoll_wait reports all 64 connections in one call, but the loop still reads each by itself.",
        ),
    ],
    book: 2,
    shows: "poll and epoll report readiness, and the loop then makes one call for each read. A request to io_uring is \
            a whole read: the descriptor, the buffer and the length. One call submits as many requests as the queue \
            holds, the kernel carries them out, and writes their results into memory that it shares with the loop. A \
            request can also wait for its bytes. Then the result appears without any call, and until it does, only \
            the kernel may use the buffer.",
    lane: "loop",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        drop(ring()?);
        let with_poll = calls(lab, "poll", by_poll)?;
        let with_epoll = calls(lab, "epoll", by_epoll)?;
        let with_ring = calls(lab, "io_uring", by_ring)?;
        lab.check(with_poll == with_epoll, "poll and epoll: one wait, and one read for each connection");
        let with_data_later = calls(lab, "waiting", waiting)?;
        lab.check(
            with_data_later == 0,
            "waiting: 64 requests wait for their messages, and the results come without a call",
        );
        file(lab)?;
        closed(lab)?;
        match (with_epoll, with_ring) {
            (65, 65) => Ok(0),
            (65, 64) => Ok(1),
            (65, 1) => Ok(2),
            (2, 1) => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

/// A ring with room for a request for each connection, or why there is none.
fn ring() -> Result<IoUring> {
    IoUring::new(MANY as u32).map_err(|error| match error.raw_os_error().map(Errno::from_raw) {
        // No such call; the sysctl, or a filter; before Linux 5.12, too little memory may be locked: `ulimit -l`.
        Some(errno @ (Errno::ENOSYS | Errno::EPERM | Errno::EACCES | Errno::ENOMEM)) => {
            let level =
                fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or("not there".into());
            let level = level.trim();
            cannot_ask(format!("io_uring_setup fails with {errno:?}; kernel.io_uring_disabled is {level}"))
        }
        _ => error.into(),
    })
}

/// The connections of a loop, their peers, and a buffer for each.
struct Connections {
    ours: Vec<OwnedFd>,
    peers: Vec<OwnedFd>,
    buffers: Vec<Buffer>,
}

impl Connections {
    fn new() -> Result<Self> {
        let mut all = Self { ours: Vec::new(), peers: Vec::new(), buffers: vec![[0; 16]; MANY] };
        for _ in 0..MANY {
            // Blocking: some kernels answer a request to read a nonblocking descriptor with EAGAIN at once.
            let (ours, peer) =
                socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC)?;
            all.ours.push(ours);
            all.peers.push(peer);
        }
        Ok(all)
    }

    /// Let each peer send a message.
    fn send(&self) -> Result {
        for peer in &self.peers {
            write(peer, MESSAGE)?;
        }
        Ok(())
    }
}

/// Lets the peers send, and reads all connections.
type Way = fn(&mut Connections) -> Result;

/// A system call that does nothing. What is between two of them is counted.
fn marker() {
    getppid();
}

/// Read 64 messages in a child. Gives the number of its system calls from one marker to the other.
fn calls(lab: &mut Lab, name: &str, way: Way) -> Result<usize> {
    let (received, calls) = lab.traced(name, |_| {
        let mut connections = Connections::new()?;
        way(&mut connections)?;
        Ok(i32::try_from(connections.buffers.iter().filter(|buffer| buffer.starts_with(MESSAGE)).count())?)
    })?;
    let between = calls.split(|call| call.number == SYS_getppid).nth(1).ok_or("there is no marker")?;
    let reads = between.iter().filter(|call| call.number == SYS_read).count();
    lab.note(format!("{name}: {reads} read, {} other", between.len() - reads));
    lab.check(usize::try_from(received)? == MANY, format!("{name}: all {MANY} messages are read"));
    Ok(between.len())
}

fn by_poll(connections: &mut Connections) -> Result {
    connections.send()?;
    let Connections { ours, buffers, .. } = connections;
    let mut list: Vec<PollFd> = ours.iter().map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)).collect();
    marker();
    poll(&mut list, PollTimeout::NONE)?;
    for ((entry, fd), buffer) in list.iter().zip(&*ours).zip(buffers) {
        if entry.any() == Some(true) {
            read(fd, buffer)?;
        }
    }
    marker();
    Ok(())
}

fn by_epoll(connections: &mut Connections) -> Result {
    connections.send()?;
    let Connections { ours, buffers, .. } = connections;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    for (i, fd) in ours.iter().enumerate() {
        epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, i as u64))?;
    }
    let mut events = [EpollEvent::empty(); MANY];
    marker();
    let count = epoll.wait(&mut events, EpollTimeout::NONE)?;
    for event in &events[..count] {
        let i = event.data() as usize;
        read(&ours[i], &mut buffers[i])?;
    }
    marker();
    Ok(())
}

fn by_ring(connections: &mut Connections) -> Result {
    connections.send()?;
    let Connections { ours, buffers, .. } = connections;
    let mut ring = ring()?;
    marker();
    // ANCHOR: core
    for (fd, buffer) in ours.iter().zip(buffers) {
        request(&mut ring, fd, buffer)?;
    }
    ring.submit_and_wait(MANY)?;
    let results = ring.completion().filter(|done| done.result() == 7).count();
    // ANCHOR_END: core
    marker();
    if results == MANY { Ok(()) } else { Err(format!("{results} good results of {MANY}").into()) }
}

/// Write a request to read into the ring's queue. It is no call: the queue is memory of this process and of the kernel.
// ANCHOR: request
fn request(ring: &mut IoUring, fd: impl AsFd, buffer: &mut Buffer) -> Result {
    let fd = Fd(fd.as_fd().as_raw_fd());
    let read = opcode::Read::new(fd, buffer.as_mut_ptr(), buffer.len() as u32);
    // SAFETY: the callers keep the buffer until the result has come.
    unsafe { ring.submission().push(&read.build()) }?;
    Ok(())
}
// ANCHOR_END: request

/// Submit the requests before there is anything to read.
fn waiting(connections: &mut Connections) -> Result {
    let mut ring = ring()?;
    for (fd, buffer) in connections.ours.iter().zip(&mut connections.buffers) {
        request(&mut ring, fd, buffer)?;
    }
    ring.submit()?;
    let before = ring.completion().len();
    connections.send()?;
    marker();
    let results = ring.completion().filter(|done| done.result() == 7).count();
    marker();
    if (before, results) == (0, MANY) {
        Ok(())
    } else {
        Err(format!("{before}, then {results} results").into())
    }
}

/// A file, which epoll refuses.
fn file(lab: &Lab) -> Result {
    let (file, mut ring, mut buffer) = (lab.file(MESSAGE)?, ring()?, [0; 16]);
    let watched =
        Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?.add(&file, EpollEvent::new(EpollFlags::EPOLLIN, 0));
    request(&mut ring, &file, &mut buffer)?;
    let read = result(&mut ring)?;
    lab.note(format!("a file: epoll {watched:?}, io_uring {read:?}"));
    lab.check(
        watched == Err(Errno::EPERM) && buffer.starts_with(MESSAGE),
        "io_uring reads a file, which epoll refuses to watch",
    );
    Ok(())
}

/// A read that has not come to its end when its descriptor is closed.
fn closed(lab: &Lab) -> Result {
    let ((reader, writer), mut ring, mut buffer) = (pipe2(OFlag::O_CLOEXEC)?, ring()?, [0; 16]);
    request(&mut ring, &reader, &mut buffer)?;
    ring.submit()?;
    drop(reader);
    write(&writer, MESSAGE)?;
    let read = result(&mut ring)?;
    lab.note(format!("a pipe: submit, close, then write: {read:?}"));
    lab.check(buffer.starts_with(MESSAGE), "a request keeps the pipe open when its descriptor is closed");
    Ok(())
}

/// The result of one request.
fn result(ring: &mut IoUring) -> Result<nix::Result<i32>> {
    ring.submit_and_wait(1)?;
    let done = ring.completion().next().ok_or("no request is complete")?.result();
    Ok(if done < 0 { Err(Errno::from_raw(-done)) } else { Ok(done) })
}
