//! Tests of the exercise `nonblocking/outbox`. Each looks at the bytes that come out of the pipe, and at the counts.

mod support;

#[path = "scenarios/outbox.rs"]
mod scenarios;

use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read, Seek};
use std::os::fd::AsFd;

use arbtest::{arbitrary, arbtest};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nonblocking::Result;
use nonblocking::outbox::{Flushed, Full, Outbox};
use support::{
    a_pipe, a_small_pipe, ask, budget, comes_back, empty, endless, fill, not_open, page, refused, same_bytes,
    stream, traced, waiting,
};
use testing::no_child_is_born;

testing::helper!(|args| support::helper::answer(args, scenarios::run));

/// Pushes bytes that fit. An `unwrap` would print them all.
#[track_caller]
fn push(outbox: &mut Outbox, bytes: &[u8]) {
    let before = outbox.len();
    if let Err(full) = outbox.push(bytes) {
        panic!(
            "{before} bytes were queued, and `push` refused {} more that fit: {full}. A push fits if the limit is not \
             exceeded, and each byte that a flush writes makes room for one",
            bytes.len()
        );
    }
}

/// Flushes into a pipe. If the flush does not return, this empties the pipe.
#[track_caller]
fn flush(outbox: &mut Outbox, reader: &PipeReader, writer: &PipeWriter) -> Result<Flushed> {
    let meaning = "EAGAIN means that the pipe is full. Retrying at once is a busy loop: return WouldBlock, and let the \
                   poller report when there is room";
    comes_back(meaning, || drop(empty(reader)), || outbox.flush(writer))
}

/// Flushes and reads in turn until the outbox is empty, and returns the bytes that came out.
#[track_caller]
fn deliver(outbox: &mut Outbox, reader: &PipeReader, writer: &PipeWriter) -> Vec<u8> {
    let mut arrived = Vec::new();
    // Each turn moves at least a page.
    for _turn in 0..=outbox.len() / page() + 1 {
        let flushed = flush(outbox, reader, writer).unwrap();
        arrived.extend(empty(reader));
        if flushed == Flushed::Empty {
            break;
        }
    }
    arrived
}

#[track_caller]
fn counts(outbox: &Outbox, wanted: usize, when: &str) {
    assert_eq!(
        (outbox.len(), outbox.is_empty(), outbox.wants_write()),
        (wanted, wanted == 0, wanted != 0),
        "{when}, (len, is_empty, wants_write) is wrong. Count the bytes that were pushed but not yet written"
    );
}

#[test]
fn bytes_that_fit_are_written_and_dequeued() {
    let (reader, writer) = a_small_pipe();
    let mut outbox = Outbox::new(1000);
    counts(&outbox, 0, "at the start");
    assert_eq!(
        outbox.flush(&writer),
        Ok(Flushed::Empty),
        "the queue is empty, so `flush` should return Empty without a write"
    );
    assert_eq!(
        outbox.flush(not_open()),
        Ok(Flushed::Empty),
        "the queue is empty, so `flush` should make no call, and the descriptor, which is not open, makes no difference"
    );
    for piece in ["bytes ", "in ", "order"] {
        outbox.push(piece).unwrap();
    }
    counts(&outbox, 14, "after pushing 14 bytes");
    assert_eq!(outbox.room(), 986, "14 bytes are queued, and the limit is 1000");
    assert_eq!(flush(&mut outbox, &reader, &writer), Ok(Flushed::Empty), "the pipe has room for everything");
    counts(&outbox, 0, "after a flush that wrote everything");
    same_bytes(
        &empty(&reader),
        b"bytes in order",
        "bytes should be written in the order in which they were pushed",
    );
}

#[test]
fn only_the_bytes_of_a_push_count() {
    let mut roomy = Vec::with_capacity(1000);
    roomy.extend(b"roomy");
    let mut outbox = Outbox::new(10);
    outbox.push(roomy).unwrap();
    counts(&outbox, 5, "after pushing a vector of 5 bytes that has room for 1000");
    assert_eq!(outbox.room(), 5, "the limit is 10. What a vector could hold is not queued: count its length");
}

#[test]
fn a_full_pipe_would_block() {
    let (reader, writer) = a_small_pipe();
    let before = fill(&writer);
    let mut outbox = Outbox::new(1000);
    outbox.push("waits").unwrap();
    assert_eq!(
        flush(&mut outbox, &reader, &writer),
        Ok(Flushed::WouldBlock),
        "the pipe is full, and an outbox exists for this case. EAGAIN is a normal result: return WouldBlock"
    );
    counts(&outbox, 5, "after a flush into a full pipe");
    same_bytes(&empty(&reader), &before, "a flush into a full pipe should not change the pipe");
    same_bytes(
        &deliver(&mut outbox, &reader, &writer),
        b"waits",
        "the next flush should write the queued bytes",
    );
}

#[test]
fn a_partial_write_continues_where_it_stopped() {
    let (reader, writer) = a_small_pipe();
    let bytes = stream(3 * page() + 100);
    let mut outbox = Outbox::new(bytes.len());
    push(&mut outbox, &bytes);
    assert_eq!(
        flush(&mut outbox, &reader, &writer),
        Ok(Flushed::WouldBlock),
        "`flush` wrote a part of {1} bytes into a pipe of {0}. It must not write that part again, and must keep the \
         rest",
        page(),
        bytes.len()
    );
    counts(&outbox, bytes.len() - page(), "after a write that took one page");
    let arrived = deliver(&mut outbox, &reader, &writer);
    same_bytes(
        &arrived,
        &bytes,
        "after a partial write, `flush` must not write that part again, and must not drop the rest",
    );
    counts(&outbox, 0, "after everything was read");
}

#[test]
fn a_write_may_stop_inside_any_chunk() {
    let page = page();
    let bytes = stream(4 * page);
    // Where the chunks end: within the first page, on its end, beyond it.
    for cuts in [
        [page / 4, page / 2 + 7, 2 * page + 9],
        [page, 2 * page, 3 * page],
        [1, 2, 3],
        [page - 1, page + 1, 2 * page - 1],
    ] {
        let (reader, writer) = a_small_pipe();
        let mut outbox = Outbox::new(bytes.len());
        let mut from = 0;
        for cut in cuts.into_iter().chain([bytes.len()]) {
            push(&mut outbox, &bytes[from..cut]);
            from = cut;
        }
        flush(&mut outbox, &reader, &writer).unwrap();
        let left = bytes.len() - waiting(&reader);
        counts(&outbox, left, "after a write that took a part");
        same_bytes(
            &deliver(&mut outbox, &reader, &writer),
            &bytes,
            "a write of several chunks can end inside one. The rest of that chunk must be written first in the next \
             flush",
        );
    }
}

#[test]
fn a_later_push_is_written_later() {
    let (reader, writer) = a_small_pipe();
    let first = page() + 900;
    let bytes = stream(first + 1000);
    let mut outbox = Outbox::new(bytes.len());
    push(&mut outbox, &bytes[..first]);
    flush(&mut outbox, &reader, &writer).unwrap();
    push(&mut outbox, &bytes[first..]);
    same_bytes(
        &deliver(&mut outbox, &reader, &writer),
        &bytes,
        "the rest of a partial write must be written before later pushes",
    );
}

#[test]
fn a_closed_read_end_is_epipe() {
    let _held = no_child_is_born();
    let (reader, writer) = a_small_pipe();
    drop(reader);
    let mut outbox = Outbox::new(1000);
    outbox.push("too ").unwrap();
    outbox.push("late").unwrap();
    let result = outbox.flush(&writer);
    assert!(
        result.is_err(),
        "the read end is closed, and `flush` returned {result:?}. Return EPIPE, so that the caller closes the \
         connection"
    );
    let (errno, text) = refused("a flush into a pipe without a reader", result);
    assert_eq!(errno, Errno::EPIPE, "{text}");
    counts(&outbox, 8, "after an error");
    let again = outbox.flush(&writer).map_err(|error| error.errno);
    assert_eq!(
        again,
        Err(Errno::EPIPE),
        "the bytes are still queued, so the next flush should return the same error"
    );
}

#[test]
fn an_error_after_a_partial_write_keeps_the_rest() {
    let _held = no_child_is_born();
    let (reader, writer) = a_small_pipe();
    let mut outbox = Outbox::new(page() + 7);
    push(&mut outbox, &stream(page() + 7));
    flush(&mut outbox, &reader, &writer).unwrap();
    drop(reader);
    let (errno, text) = refused("a flush into a pipe without a reader", outbox.flush(&writer));
    assert_eq!(errno, Errno::EPIPE, "{text}");
    counts(&outbox, 7, "after a write of one page, and then an EPIPE");
    let (errno, text) = refused("a flush into a descriptor that is not open", outbox.flush(not_open()));
    assert_eq!(errno, Errno::EBADF, "{text}");
    assert!(text.contains(&i32::MAX.to_string()), "the error does not name the descriptor: {text}");
}

#[test]
fn several_chunks_are_written_in_one_call() {
    // In a SOCK_SEQPACKET socket, each write is a message.
    let (ours, theirs) =
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_NONBLOCK).unwrap();
    let mut outbox = Outbox::new(1000);
    for piece in ["five ", "chunks", " and ", "one ", "call"] {
        outbox.push(piece).unwrap();
    }
    assert_eq!(outbox.flush(&ours), Ok(Flushed::Empty), "there is room for all of it");
    let mut first = [0; 100];
    let length = nix::unistd::read(&theirs, &mut first).unwrap();
    let first = String::from_utf8_lossy(&first[..length]);
    assert!(
        first == "five chunks and one call",
        "the first write wrote only “{first}”. Instead of one system call per chunk, pass several chunks to writev, in \
         order"
    );
}

#[test]
fn more_chunks_than_iov_max_are_written() {
    // A file takes everything in one write, and never returns EAGAIN.
    for size in [1, 5000] {
        let bytes = stream(2500 * size);
        let mut file = File::from(memfd_create("out", MFdFlags::MFD_CLOEXEC).unwrap());
        let mut outbox = Outbox::new(bytes.len());
        for chunk in bytes.chunks(size) {
            push(&mut outbox, chunk);
        }
        let result = outbox.flush(&file);
        assert!(
            result.as_ref().map_err(|error| error.errno) != Err(Errno::EINVAL),
            "2500 chunks were queued, and `flush` returned {result:?}. writev takes at most IOV_MAX slices, which is \
             1024"
        );
        assert_eq!(
            result,
            Ok(Flushed::Empty),
            "2500 chunks were queued, and {} bytes are left, although a file never returns EAGAIN. `flush` should \
             continue until the queue is empty or a write returns EAGAIN",
            outbox.len()
        );
        counts(&outbox, 0, "after everything was written");
        let mut arrived = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut arrived).unwrap();
        same_bytes(&arrived, &bytes, "the calls should write the chunks in order");
    }
}

#[test]
fn a_push_over_the_limit_returns_the_bytes() {
    let mut outbox = Outbox::new(10);
    outbox.push("1234567").unwrap();
    let over = outbox.push("8901");
    assert!(
        over.is_err(),
        "7 bytes were queued, the limit is 10, and `push` accepted 4 more. Without the limit, a slow reader lets the \
         queue use all the memory"
    );
    let wanted = Full { bytes: b"8901".to_vec(), room: 3, limit: 10 };
    assert_eq!(
        over,
        Err(wanted),
        "a push that does not fit should return all the bytes, the room and the limit"
    );
    counts(&outbox, 7, "after a push that did not fit");
    outbox.push("890").unwrap();
    counts(&outbox, 10, "filled to the limit");
    assert_eq!(outbox.push("x").map_err(|full| full.room), Err(0), "the outbox is full, so there is no room");
    let mut large = Outbox::new(300_000);
    push(&mut large, &[7; 100_000]);
    let room = large.push(vec![7; 200_001]).map_err(|full| full.room);
    assert_eq!(
        room,
        Err(200_000),
        "100,000 bytes were queued, and the limit is 300,000. A push of 200,001 bytes should return how many would have fit"
    );
    assert_eq!(Outbox::new(0).push("x").map_err(|full| full.room), Err(0), "a limit of 0 holds nothing");
    let huge = Outbox::new(10).push(vec![7; 11]).unwrap_err();
    assert!(
        huge.bytes.len() > huge.limit,
        "a push of 11 bytes never fits into 10, and the error should contain both numbers"
    );

    let (reader, writer) = a_small_pipe();
    flush(&mut outbox, &reader, &writer).unwrap();
    same_bytes(&empty(&reader), b"1234567890", "`flush` must not write the bytes of a refused push");
}

#[test]
fn written_bytes_make_room() {
    let (reader, writer) = a_small_pipe();
    let page = page();
    let bytes = stream(2 * page + 50);
    let mut outbox = Outbox::new(page + 50);
    push(&mut outbox, &bytes[..page + 50]);
    assert_eq!(outbox.room(), 0, "filled to the limit");
    flush(&mut outbox, &reader, &writer).unwrap();
    assert_eq!(
        outbox.room(),
        page,
        "a write took one page, the front of a chunk, so there should be room for one page"
    );
    push(&mut outbox, &bytes[page + 50..]);
    counts(&outbox, page + 50, "filled to the limit again");
    let mut arrived = empty(&reader);
    arrived.extend(deliver(&mut outbox, &reader, &writer));
    same_bytes(&arrived, &bytes, "the bytes of both pushes should come out in order");
}

#[test]
fn an_empty_push_changes_nothing() {
    let (reader, writer) = a_small_pipe();
    let mut outbox = Outbox::new(5);
    outbox.push("").unwrap();
    counts(&outbox, 0, "after an empty push");
    assert_eq!(flush(&mut outbox, &reader, &writer), Ok(Flushed::Empty), "the queue is empty");
    for piece in ["", "a", "", "", "bcde", ""] {
        assert_eq!(outbox.push(piece), Ok(()), "an empty push always fits, and so do these five bytes");
    }
    counts(&outbox, 5, "after pushes of five bytes in all, and four empty pushes");
    assert_eq!(
        flush(&mut outbox, &reader, &writer),
        Ok(Flushed::Empty),
        "`flush` must not take an empty chunk for a write that returned 0. Do not queue empty pushes"
    );
    same_bytes(&empty(&reader), b"abcde", "five bytes were pushed, in order");
}

#[test]
fn an_interrupted_write_is_retried() {
    for kernel in ["write:1=EINTR", "write:1=EINTR,write:2=EINTR,write:3=EINTR"] {
        let Some(answer) = traced(kernel, &["outbox", "all ", "of it"]) else { return };
        assert_eq!(
            (answer.line("result"), answer.line("left"), answer.line("arrived")),
            ("Ok Empty", "0", "all of it"),
            "{kernel}: a signal interrupted a write before any byte was written. EINTR means: retry at once"
        );
    }
}

#[test]
fn an_interrupted_write_after_others_is_retried() {
    // One-byte chunks, more than one writev takes, so that there is a second write.
    let Some(answer) = traced("write:2=EINTR", &["outbox-in-two-flushes", "2500", "1"]) else { return };
    assert_eq!(
        (answer.line("result"), answer.line("left")),
        ("Ok Empty", "0"),
        "a signal interrupted the second write, and the descriptor has room. EINTR means: retry at once, whatever was \
         written before"
    );
}

#[test]
fn a_short_write_does_not_end_the_flush() {
    let Some(answer) = traced("write:1=4", &["outbox", "all ", "of ", "it"]) else { return };
    // The tracer answers the first write, so these four bytes do not arrive.
    assert_eq!(
        (answer.line("result"), answer.line("left"), answer.line("arrived")),
        ("Ok Empty", "0", "of it"),
        "a write took 4 of 9 bytes, as one does that a signal interrupts, and the pipe has room. A short write says nothing \
         about the next one: write until a write returns EAGAIN"
    );
}

#[test]
fn an_error_after_a_part_loses_and_repeats_nothing() {
    for (kernel, errno) in [("write:2=0", "EIO"), ("write:2=ENOSPC", "ENOSPC"), ("write:2=EIO", "EIO")] {
        // The pipe takes a page, which ends inside a chunk, and the second write fails.
        let length = page() / 4 + 100;
        let Some(answer) = traced(kernel, &["outbox-in-two-flushes", "6", &length.to_string()]) else {
            return;
        };
        let result = answer.line("result");
        assert!(
            result.starts_with(&format!("Err {errno}")),
            "{kernel}: the second write failed, and `flush` returned {result} instead of {errno}"
        );
        let left: usize = answer.line("left").parse().expect("a number of bytes");
        assert_eq!(
            left,
            length * 6 - page(),
            "{kernel}: a write took a page of the bytes, the next one failed, and `len` is wrong. The part that was \
             written is not queued anymore, and the rest still is"
        );
        assert_eq!(
            (answer.line("again"), answer.line("arrived")),
            ("true", "in order"),
            "{kernel}: the next flush should continue where the last successful write stopped, in the middle of a chunk"
        );
    }
}

#[test]
fn a_limit_is_not_allocated() {
    let mut outbox = Outbox::new(usize::MAX);
    assert_eq!(outbox.room(), usize::MAX, "the limit may be any number");
    outbox.push("five.").unwrap();
    counts(&outbox, 5, "after pushing 5 bytes");
    assert_eq!(outbox.room(), usize::MAX - 5);
}

#[test]
fn a_write_of_zero_bytes_is_eio() {
    // No kernel code is known to do this, but write(2) does not forbid it, and a driver might.
    let always: Vec<String> = (1..=3000).map(|turn| format!("write:{turn}=0")).collect();
    let Some(answer) = traced(&always.join(","), &["outbox", "stuck"]) else { return };
    assert!(
        !endless(&answer),
        "write returned 0, and `flush` called it {} times without end. Return EIO instead of retrying",
        answer.lines("call").count()
    );
    let result = answer.line("result");
    assert!(
        result.starts_with("Err "),
        "write returned 0, and `flush` returned {result}. The poller reports the descriptor as writable, so after \
         WouldBlock the loop would spin. Return EIO"
    );
    assert_eq!(answer.line("left"), "5", "no byte was written, so all five should still be queued");
}

#[test]
fn a_flush_into_a_full_pipe_writes_once() {
    let Some(answer) = traced("as-it-is", &["outbox-into-a-full-pipe", "waits"]) else { return };
    let writes = answer.lines("call").filter(|call| call.starts_with("write ")).count();
    assert!(
        !endless(&answer),
        "the pipe was full, and `flush` called write {writes} times in a busy loop, until the tracer stopped it. After \
         EAGAIN, return WouldBlock, and flush again when the poller reports that there is room"
    );
    assert_eq!(answer.line("result"), "Ok WouldBlock");
    let calls: Vec<&str> = answer.lines("call").collect();
    assert!(
        writes == 1 && calls.len() == 1,
        "the pipe was full. After one EAGAIN, `flush` should return WouldBlock: the poller waits for room, for all descriptors \
         together. And the caller has set the flags of the descriptor, which other processes may share. `flush` should only \
         write, once, and its calls were {calls:?}"
    );
}

/// Random pushes, flushes and reads, compared with a count of bytes: the bytes that come out are those that were
/// accepted, in order, and every number is right after every step. A failure prints its seed; `ARBTEST_SEED=0x…` with
/// the test runs that case alone.
#[test]
fn the_outbox_agrees_with_a_model() {
    let all = stream(1 << 21);
    arbtest(|u| {
        let (reader, writer) = a_small_pipe();
        let limit = *u.choose(&[0, 1, 100, 4095, 5000, 20_000, 100_000])?;
        let mut case = Case { all: &all, pushed: 0, arrived: 0, outbox: Outbox::new(limit), limit };
        comes_back(
            "the pipe is full. Return WouldBlock instead of retrying",
            || drop(empty(&reader)),
            || {
                while !u.is_empty() {
                    match u.int_in_range(0..=3)? {
                        0 => case.push(u.int_in_range(0..=50)?),
                        1 => case.push(u.int_in_range(0..=12_000)?),
                        2 => case.flush(&reader, &writer),
                        _ => case.read(&reader, u.int_in_range(1..=2 * page())?),
                    }
                    case.check(&reader);
                }
                // Each turn moves at least one byte, and the model says how many are left.
                for _turn in 0..=case.outbox.len() {
                    if case.outbox.is_empty() {
                        break;
                    }
                    case.read(&reader, page());
                    case.flush(&reader, &writer);
                    case.check(&reader);
                }
                case.read(&reader, page());
                arbitrary::Result::Ok(())
            },
        )?;
        assert_eq!(case.arrived, case.pushed, "every accepted byte should come out exactly once");
        Ok(())
    })
    .size_max(4096)
    .budget_ms(budget(200));
}

/// An outbox, and the model of it: two positions in a stream.
struct Case<'a> {
    /// The stream. Each push is the next part of it.
    all: &'a [u8],
    /// How many bytes of the stream the outbox has accepted.
    pushed: usize,
    /// How many bytes of the stream the reader has read.
    arrived: usize,
    outbox: Outbox,
    limit: usize,
}

impl Case<'_> {
    fn push(&mut self, length: usize) {
        let bytes = &self.all[self.pushed..self.all.len().min(self.pushed + length)];
        let before = self.outbox.len();
        let fits = before + bytes.len() <= self.limit;
        match self.outbox.push(bytes) {
            Ok(()) => {
                assert!(
                    fits,
                    "{before} bytes were queued, the limit is {}, and `push` accepted {} more",
                    self.limit,
                    bytes.len()
                );
                self.pushed += bytes.len();
            }
            Err(full) => {
                assert!(
                    !fits,
                    "{before} bytes were queued, the limit is {}, and `push` refused {} more",
                    self.limit,
                    bytes.len()
                );
                same_bytes(&full.bytes, bytes, "`Full` should contain the bytes of the push");
                assert_eq!(full.room, self.limit - before, "`Full` should say how many bytes would have fit");
            }
        }
    }

    fn flush(&mut self, reader: &PipeReader, writer: &PipeWriter) {
        let before = waiting(reader);
        let flushed = self.outbox.flush(writer).unwrap();
        match flushed {
            Flushed::Empty => assert_eq!(self.outbox.len(), 0, "`flush` returned Empty"),
            Flushed::WouldBlock => {
                assert_ne!(self.outbox.len(), 0, "`flush` returned WouldBlock with an empty queue");
                assert_ne!(waiting(reader), 0, "`flush` returned WouldBlock, and the pipe is empty");
            }
        }
        assert!(waiting(reader) >= before, "a flush removed bytes from the pipe");
    }

    fn read(&mut self, mut reader: &PipeReader, most: usize) {
        let mut bytes = vec![0; most];
        // An empty pipe is fine.
        let length = reader.read(&mut bytes).unwrap_or(0);
        let wanted = &self.all[self.arrived..];
        let meaning =
            format!("the {} bytes before these were right. Bytes should come out in order", self.arrived);
        same_bytes(&bytes[..length], &wanted[..length], &meaning);
        self.arrived += length;
    }

    fn check(&self, reader: &PipeReader) {
        let len = self.outbox.len();
        let elsewhere = self.arrived + waiting(reader.as_fd());
        assert_eq!(
            len + elsewhere,
            self.pushed,
            "{} bytes were accepted, {} were read, {} are in the pipe, and `len` returned {len}",
            self.pushed,
            self.arrived,
            waiting(reader.as_fd())
        );
        assert!(len <= self.limit, "{len} bytes are queued, and the limit is {}", self.limit);
        counts(&self.outbox, len, "after a step of the model");
        assert_eq!(self.outbox.room(), self.limit - len, "`room` should be the limit less `len`");
    }
}

#[test]
fn empty_pushes_fit_always_and_queue_nothing() {
    let mut outbox = Outbox::new(0);
    assert_eq!(outbox.push(""), Ok(()), "an empty push fits even if the limit is 0");
    let (_reader, writer) = a_pipe(OFlag::O_NONBLOCK, true);
    let mut outbox = Outbox::new(10);
    // More than one call of writev takes.
    for _ in 0..2000 {
        outbox.push("").expect("an empty push fits");
    }
    outbox.push("last").expect("there is room");
    assert_eq!(
        outbox.flush(&writer),
        Ok(Flushed::Empty),
        "2000 empty pushes came before four bytes. If each is a chunk, a call writes only empty slices and returns 0. Queue \
         nothing for an empty push"
    );
}

#[test]
fn any_number_of_interruptions_is_retried() {
    let Some(answer) = traced("write:1..200=EINTR", &["outbox", "all ", "of it"]) else { return };
    assert_eq!(
        (answer.line("result"), answer.line("arrived")),
        ("Ok Empty", "all of it"),
        "signals interrupted 200 writes, and no write did anything. Retry after every one of them"
    );
}

#[test]
fn an_interruption_or_an_error_inside_a_chunk_repeats_nothing() {
    for errno in ["EINTR", "ECONNRESET", "ENOBUFS", "EPIPE"] {
        // The first write fills the pipe, inside the second chunk.
        let scenario = ["outbox-in-two-flushes", "2", "3000"];
        let Some(answer) = traced(&format!("write:2={errno}"), &scenario) else { return };
        let result = answer.line("result");
        let right = if errno == "EINTR" { "Ok WouldBlock".into() } else { format!("Err {errno} ") };
        assert!(
            result.starts_with(&right),
            "the second write failed with {errno}, and `flush` returned {result}. Every errno but EAGAIN and EINTR is a \
             failure"
        );
        assert!(
            errno == "EINTR" || result.contains("write") || result.contains("send"),
            "the error does not name the call that failed: {result}"
        );
        assert_eq!(
            answer.0.lines().find(|line| line.starts_with("arrived")),
            Some("arrived in order"),
            "the first write took a part of the second chunk, and the second write failed with {errno}. A failed write \
             takes no bytes, so the queue should be as it was before"
        );
    }
}

#[test]
fn the_error_of_an_empty_write_names_the_descriptor() {
    let Some(answer) = traced("write:1=0", &["outbox", "some"]) else { return };
    let (result, number) = (answer.line("result"), answer.line("number"));
    let named = result.split(|c: char| !c.is_ascii_digit()).any(|word| word == number);
    assert!(
        named,
        "a write to descriptor {number} returned 0, and the error does not name the descriptor: {result}"
    );
}

#[test]
fn a_push_makes_no_system_call() {
    let Some(answer) = traced("as-it-is", &["outbox-push", "some", "more"]) else { return };
    let calls: Vec<&str> = answer.lines("call").collect();
    assert_eq!(answer.line("refused"), "true", "there was no room for the last push");
    assert!(calls.is_empty(), "`push` made the calls {calls:?}. It only queues; `flush` writes");
}

#[test]
fn a_new_outbox_allocates_nothing() {
    assert_eq!(
        ask(&["outbox-new"]).line("allocated"),
        "no",
        "`new` used the memory allocator. A server has an outbox for each connection, and most of them are empty"
    );
}

#[test]
fn a_large_push_is_queued_whole() {
    let mut outbox = Outbox::new(3 << 20);
    let bytes = stream(2 << 20);
    push(&mut outbox, &bytes);
    assert_eq!(outbox.len(), bytes.len(), "one push of 2 MiB was queued, and `len` is another number");
    let mut file = File::from(memfd_create("large", MFdFlags::MFD_CLOEXEC).unwrap());
    assert_eq!(outbox.flush(&file), Ok(Flushed::Empty), "a file takes everything");
    let mut arrived = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut arrived)).unwrap();
    same_bytes(&arrived, &bytes, "one push of 2 MiB should be written whole");
}
