//! Exercise `nonblocking/outbox`: what must come out at the other end.

mod support;

use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read, Seek};
use std::os::fd::AsFd;

use arbtest::{arbitrary, arbtest};
use nix::errno::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nonblocking::Result;
use nonblocking::outbox::{Flushed, Full, Outbox};
use support::{
    a_small_pipe, comes_back, empty, endless, fill, not_open, page, refused, same_bytes, stream, traced,
    waiting,
};
use testing::no_child_is_born;

/// Flush into a pipe. If that goes round in circles, the pipe is emptied.
#[track_caller]
fn flush(outbox: &mut Outbox, reader: &PipeReader, writer: &PipeWriter) -> Result<Flushed> {
    let meaning = "EAGAIN means that the pipe is full. Tried again at once, it is a busy loop: say WouldBlock, and \
                   the poller says when there is room";
    comes_back(meaning, || drop(empty(reader)), || outbox.flush(writer))
}

/// Take turns with a reader until everything is through, and give what came out.
#[track_caller]
fn deliver(outbox: &mut Outbox, reader: &PipeReader, writer: &PipeWriter) -> Vec<u8> {
    let mut arrived = Vec::new();
    // Each turn moves a page at the least.
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
        "{when}, (len, is_empty, wants_write) is wrong: what counts is bytes that were pushed and not yet taken"
    );
}

#[test]
fn what_fits_is_written_and_gone() {
    let (reader, writer) = a_small_pipe();
    let mut outbox = Outbox::new(1000);
    counts(&outbox, 0, "at the start");
    assert_eq!(
        outbox.flush(&writer),
        Ok(Flushed::Empty),
        "nothing is queued, so there is nothing to wait for"
    );
    for piece in ["bytes ", "in ", "order"] {
        outbox.push(piece).unwrap();
    }
    counts(&outbox, 14, "after pushing 14 bytes");
    assert_eq!(outbox.room(), 986, "14 of 1000 bytes are queued");
    assert_eq!(flush(&mut outbox, &reader, &writer), Ok(Flushed::Empty), "the pipe has room for everything");
    counts(&outbox, 0, "after a flush that wrote everything");
    same_bytes(&empty(&reader), b"bytes in order", "first pushed, first out");
}

#[test]
fn a_full_pipe_is_no_error() {
    let (reader, writer) = a_small_pipe();
    let before = fill(&writer);
    let mut outbox = Outbox::new(1000);
    outbox.push("waits").unwrap();
    assert_eq!(
        flush(&mut outbox, &reader, &writer),
        Ok(Flushed::WouldBlock),
        "the pipe is full, which is what an outbox is for: EAGAIN is an answer, not an error"
    );
    counts(&outbox, 5, "after a flush into a full pipe");
    same_bytes(&empty(&reader), &before, "a flush into a full pipe writes nothing");
    same_bytes(&deliver(&mut outbox, &reader, &writer), b"waits", "what did not fit goes the next time");
}

#[test]
fn a_partial_write_goes_on_where_it_stopped() {
    let (reader, writer) = a_small_pipe();
    let bytes = stream(3 * page() + 100);
    let mut outbox = Outbox::new(bytes.len());
    outbox.push(&bytes[..]).unwrap();
    assert_eq!(
        flush(&mut outbox, &reader, &writer),
        Ok(Flushed::WouldBlock),
        "a pipe of {} bytes was offered {}. What it takes must not go again, and what it left must not be lost",
        page(),
        bytes.len()
    );
    counts(&outbox, bytes.len() - page(), "after a write that took one page");
    let arrived = deliver(&mut outbox, &reader, &writer);
    same_bytes(
        &arrived,
        &bytes,
        "a write may take a part. What it took must not go again, and what it left must not be lost",
    );
    counts(&outbox, 0, "after everything was read");
}

#[test]
fn a_write_may_stop_in_the_middle_of_any_chunk() {
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
            outbox.push(&bytes[from..cut]).unwrap();
            from = cut;
        }
        flush(&mut outbox, &reader, &writer).unwrap();
        let left = bytes.len() - waiting(&reader);
        counts(&outbox, left, "after a write that took a part");
        same_bytes(
            &deliver(&mut outbox, &reader, &writer),
            &bytes,
            "a write of several chunks may end inside one: what is left of it comes first the next time",
        );
    }
}

#[test]
fn what_is_pushed_later_comes_later() {
    let (reader, writer) = a_small_pipe();
    let first = page() + 900;
    let bytes = stream(first + 1000);
    let mut outbox = Outbox::new(bytes.len());
    outbox.push(&bytes[..first]).unwrap();
    flush(&mut outbox, &reader, &writer).unwrap();
    outbox.push(&bytes[first..]).unwrap();
    same_bytes(
        &deliver(&mut outbox, &reader, &writer),
        &bytes,
        "what a write left goes before what came after",
    );
}

#[test]
fn a_reader_that_went_away_is_an_error() {
    let _held = no_child_is_born();
    let (reader, writer) = a_small_pipe();
    drop(reader);
    let mut outbox = Outbox::new(1000);
    outbox.push("too ").unwrap();
    outbox.push("late").unwrap();
    let result = outbox.flush(&writer);
    assert!(
        result.is_err(),
        "nobody can ever read it, and the caller hears {result:?}: EPIPE says that the connection is to be closed"
    );
    let (errno, text) = refused("a pipe without a reader", result);
    assert_eq!(errno, Errno::EPIPE, "{text}");
    counts(&outbox, 8, "after an error");
    let again = outbox.flush(&writer).map_err(|error| error.errno);
    assert_eq!(again, Err(Errno::EPIPE), "what was not taken stays queued, and the error stays the same");
}

#[test]
fn an_error_after_a_part_keeps_the_count() {
    let _held = no_child_is_born();
    let (reader, writer) = a_small_pipe();
    let mut outbox = Outbox::new(page() + 7);
    outbox.push(stream(page() + 7)).unwrap();
    flush(&mut outbox, &reader, &writer).unwrap();
    drop(reader);
    let (errno, text) = refused("a pipe without a reader", outbox.flush(&writer));
    assert_eq!(errno, Errno::EPIPE, "{text}");
    counts(&outbox, 7, "after one page was taken and then nobody was left to read");
    let (errno, text) = refused("what is not open", outbox.flush(not_open()));
    assert_eq!(errno, Errno::EBADF, "{text}");
    assert!(text.contains(&i32::MAX.to_string()), "the message does not say which descriptor: {text}");
}

#[test]
fn several_chunks_go_in_one_call() {
    // In a socket that keeps messages apart, each write is a message.
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
        "the first write was «{first}», and not all that was queued: one system call a chunk, where writev takes \
         several in order"
    );
}

#[test]
fn more_chunks_than_one_call_takes() {
    // A file takes everything at once, however much it is.
    for size in [1, 5000] {
        let bytes = stream(2500 * size);
        let mut file = File::from(memfd_create("out", MFdFlags::MFD_CLOEXEC).unwrap());
        let mut outbox = Outbox::new(bytes.len());
        for chunk in bytes.chunks(size) {
            outbox.push(chunk).unwrap();
        }
        let result = outbox.flush(&file);
        assert!(
            result.as_ref().map_err(|error| error.errno) != Err(Errno::EINVAL),
            "2500 chunks were queued, and the kernel said {result:?}: writev takes IOV_MAX slices and no more, \
             which is 1024 here"
        );
        assert_eq!(
            result,
            Ok(Flushed::Empty),
            "2500 chunks were queued and {} bytes are left, though a file never says EAGAIN: flush ends when nothing \
             is left, or when the kernel says so",
            outbox.len()
        );
        counts(&outbox, 0, "after everything was written");
        let mut arrived = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut arrived).unwrap();
        same_bytes(&arrived, &bytes, "call after call, in order");
    }
}

#[test]
fn the_limit_is_kept_and_the_bytes_come_back() {
    let mut outbox = Outbox::new(10);
    outbox.push("1234567").unwrap();
    let over = outbox.push("8901");
    assert!(
        over.is_err(),
        "7 of 10 bytes were queued, and 4 more were taken: a slow reader eats all the memory"
    );
    let wanted = Full { bytes: b"8901".to_vec(), room: 3, limit: 10 };
    assert_eq!(over, Err(wanted), "a push that does not fit gives everything back, and says what would fit");
    counts(&outbox, 7, "after a push that did not fit");
    outbox.push("890").unwrap();
    counts(&outbox, 10, "filled to the limit");
    assert_eq!(outbox.push("x").map_err(|full| full.room), Err(0), "there is room for nothing");
    assert_eq!(Outbox::new(0).push("x").map_err(|full| full.room), Err(0), "a limit of 0 holds nothing");
    let huge = Outbox::new(10).push(vec![7; 11]).unwrap_err();
    assert!(
        huge.bytes.len() > huge.limit,
        "this one will never fit, and the error has what it takes to see that"
    );

    let (reader, writer) = a_small_pipe();
    flush(&mut outbox, &reader, &writer).unwrap();
    same_bytes(&empty(&reader), b"1234567890", "what was refused must not come out");
}

#[test]
fn what_was_taken_makes_room() {
    let (reader, writer) = a_small_pipe();
    let page = page();
    let bytes = stream(2 * page + 50);
    let mut outbox = Outbox::new(page + 50);
    outbox.push(&bytes[..page + 50]).unwrap();
    assert_eq!(outbox.room(), 0, "filled to the limit");
    flush(&mut outbox, &reader, &writer).unwrap();
    assert_eq!(
        outbox.room(),
        page,
        "one page was taken, in the middle of a chunk, and there is room for one more"
    );
    outbox.push(&bytes[page + 50..]).unwrap();
    counts(&outbox, page + 50, "filled to the limit again");
    let mut arrived = empty(&reader);
    arrived.extend(deliver(&mut outbox, &reader, &writer));
    same_bytes(&arrived, &bytes, "what came before the room and what came after it");
}

#[test]
fn a_push_of_nothing_changes_nothing() {
    let (reader, writer) = a_small_pipe();
    let mut outbox = Outbox::new(5);
    outbox.push("").unwrap();
    counts(&outbox, 0, "after a push of no bytes");
    assert_eq!(flush(&mut outbox, &reader, &writer), Ok(Flushed::Empty), "no bytes are queued");
    for piece in ["", "a", "", "", "bcde", ""] {
        assert_eq!(outbox.push(piece), Ok(()), "no bytes always fit, and these five do");
    }
    counts(&outbox, 5, "after five bytes and four times none");
    assert_eq!(
        flush(&mut outbox, &reader, &writer),
        Ok(Flushed::Empty),
        "an empty chunk must not look like a write that took nothing"
    );
    same_bytes(&empty(&reader), b"abcde", "five bytes were pushed");
}

#[test]
fn an_interrupted_write_is_tried_again() {
    for kernel in ["write:1=EINTR", "write:1=EINTR,write:2=EINTR,write:3=EINTR"] {
        let Some(answer) = traced(kernel, &["outbox", "all ", "of it"]) else { return };
        assert_eq!(
            (answer.line("result"), answer.line("left"), answer.line("arrived")),
            ("Ok Empty", "0", "all of it"),
            "{kernel}: a signal came before anything was written. EINTR says try again, now"
        );
    }
}

#[test]
fn a_write_that_takes_nothing_is_not_tried_for_ever() {
    // The kernel promises no such thing, and forbids none: a driver may do it.
    let always: Vec<String> = (1..=3000).map(|turn| format!("write:{turn}=0")).collect();
    let Some(answer) = traced(&always.join(","), &["outbox", "stuck"]) else { return };
    assert!(
        !endless(&answer),
        "write took nothing and gave no reason, and flush called it {} times: it would go on for ever",
        answer.lines("call").count()
    );
    let result = answer.line("result");
    assert!(
        result.starts_with("Err "),
        "write took nothing and gave no reason, and flush says {result}: the poller says that it can be written to, so \
         «would block» goes round in circles too"
    );
    assert_eq!(answer.line("left"), "5", "nothing was taken");
}

#[test]
fn a_full_pipe_is_asked_once_a_flush() {
    let Some(answer) = traced("as-it-is", &["outbox-into-a-full-pipe", "waits"]) else { return };
    let writes = answer.lines("call").filter(|call| call.starts_with("write ")).count();
    assert!(
        !endless(&answer),
        "the pipe was full, and flush called write {writes} times, until it was stopped: a busy loop. EAGAIN means: \
         come back when the poller says that there is room"
    );
    assert_eq!(answer.line("result"), "Ok WouldBlock");
    assert_eq!(writes, 1, "one EAGAIN is answer enough; the calls: {:?}", answer.0);
}

/// Random pushes, flushes and reads against a count of bytes: what comes out is what was accepted, in order,
/// and every number is right at every step. A failure prints its seed; `ARBTEST_SEED=0x…` with the test runs
/// that case alone.
#[test]
fn it_agrees_with_a_model() {
    let all = stream(1 << 21);
    arbtest(|u| {
        let (reader, writer) = a_small_pipe();
        let limit = *u.choose(&[0, 1, 100, 4095, 5000, 20_000, 100_000])?;
        let mut case = Case { all: &all, pushed: 0, arrived: 0, outbox: Outbox::new(limit), limit };
        comes_back(
            "the pipe is full, and that is no reason to go round",
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
                // Each turn moves at least one byte; the model says how many there are.
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
        assert_eq!(case.arrived, case.pushed, "what was accepted comes out, all of it and once");
        Ok(())
    })
    .size_max(4096)
    .budget_ms(200);
}

/// An outbox, and what is known of it.
struct Case<'a> {
    /// The stream of which the pushes are parts, one after the other.
    all: &'a [u8],
    /// How far into it: all that was accepted.
    pushed: usize,
    /// And how far its reader has come.
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
                assert!(fits, "{before} of {} were queued, and {} more were taken", self.limit, bytes.len());
                self.pushed += bytes.len();
            }
            Err(full) => {
                assert!(!fits, "{before} of {} were queued, and {} were refused", self.limit, bytes.len());
                assert_eq!(
                    (&full.bytes[..], full.room),
                    (bytes, self.limit - before),
                    "what a full one gives back"
                );
            }
        }
    }

    fn flush(&mut self, reader: &PipeReader, writer: &PipeWriter) {
        let before = waiting(reader);
        let flushed = self.outbox.flush(writer).unwrap();
        match flushed {
            Flushed::Empty => assert_eq!(self.outbox.len(), 0, "it says that everything is gone"),
            Flushed::WouldBlock => {
                assert_ne!(self.outbox.len(), 0, "it says that something is left");
                assert_ne!(waiting(reader), 0, "the pipe is empty, and it says that there was no room");
            }
        }
        assert!(waiting(reader) >= before, "nobody read meanwhile");
    }

    fn read(&mut self, mut reader: &PipeReader, most: usize) {
        let mut bytes = vec![0; most];
        // Nothing there is no failure.
        let length = reader.read(&mut bytes).unwrap_or(0);
        let wanted = &self.all[self.arrived..];
        let meaning =
            format!("of {} bytes read before, all were right. First pushed, first out", self.arrived);
        same_bytes(&bytes[..length], &wanted[..length], &meaning);
        self.arrived += length;
    }

    fn check(&self, reader: &PipeReader) {
        let len = self.outbox.len();
        let elsewhere = self.arrived + waiting(reader.as_fd());
        assert_eq!(
            len + elsewhere,
            self.pushed,
            "{} bytes were accepted, {} were read, {} are in the pipe, and `len` says {len}",
            self.pushed,
            self.arrived,
            waiting(reader.as_fd())
        );
        assert!(len <= self.limit, "{len} bytes are queued where {} is the limit", self.limit);
        counts(&self.outbox, len, "at some point");
        assert_eq!(self.outbox.room(), self.limit - len, "`room` is what is left of the limit");
    }
}
