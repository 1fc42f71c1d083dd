//! Exercise `nonblocking/drain`: what the kernel must show.

mod support;

use std::fs::File;
use std::io::{PipeReader, PipeWriter, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Mutex;

use arbtest::arbtest;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nonblocking::Result;
use nonblocking::drain::{Stop, drain};
use support::{
    a_pipe, comes_back, fill, not_open, refused, reset_behind, same_bytes, stream, traced, try_ask, waiting,
};
use testing::no_child_is_born;

const PLENTY: usize = 1 << 24;

/// Drain a pipe whose writing end stays open, and give what was read. If that goes round in circles, the
/// writing end is closed.
#[track_caller]
fn from_open(reader: &PipeReader, writer: PipeWriter, limit: usize) -> (Result<Stop>, Vec<u8>) {
    let writer = Mutex::new(Some(writer));
    let close = || drop(writer.lock().unwrap().take());
    let mut read = Vec::new();
    let meaning = "EAGAIN means that nothing is there now. Tried again at once, it is a busy loop";
    let stop = comes_back(meaning, close, || drain(reader, &mut read, limit));
    (stop, read)
}

#[test]
fn an_empty_pipe_would_block() {
    let (reader, writer) = a_pipe(OFlag::O_NONBLOCK, true);
    let (stop, read) = from_open(&reader, writer, PLENTY);
    assert!(
        stop != Ok(Stop::EndOfFile),
        "nothing is there yet, and the writing end is open: EAGAIN is not the end of file, 0 bytes are"
    );
    assert_eq!(stop, Ok(Stop::WouldBlock), "nothing is there now; for a nonblocking read that is no error");
    assert!(read.is_empty(), "nothing was written, and {} bytes came out", read.len());
}

#[test]
fn a_pipe_without_writers_is_at_its_end() {
    let _held = no_child_is_born();
    let (reader, writer) = a_pipe(OFlag::O_NONBLOCK, true);
    drop(writer);
    let mut read = Vec::new();
    let stop = drain(&reader, &mut read, PLENTY).unwrap();
    assert_eq!(
        stop,
        Stop::EndOfFile,
        "read gave 0 bytes, which says that nobody is left who could write. Whoever takes it for «nothing now» asks \
         the poller again and again, and it says «ready» each time"
    );
}

#[test]
fn all_there_is_comes_out() {
    let (reader, writer) = a_pipe(OFlag::O_NONBLOCK, true);
    let written = fill(&writer);
    let (stop, read) = from_open(&reader, writer, PLENTY);
    same_bytes(&read, &written, "one read takes what fits into its buffer, and drain takes all there is");
    assert_eq!(stop, Ok(Stop::WouldBlock), "all was read, and the writing end is open");
    assert_eq!(waiting(&reader), 0, "something is left in the pipe");
}

#[test]
fn what_was_written_before_the_end_comes_out_before_it() {
    let _held = no_child_is_born();
    let (reader, writer) = a_pipe(OFlag::O_NONBLOCK, true);
    let written = fill(&writer);
    drop(writer);
    let mut read = Vec::new();
    let stop = drain(&reader, &mut read, PLENTY).unwrap();
    same_bytes(&read, &written, "bytes written before the close are still in the pipe, and come first");
    assert_eq!(stop, Stop::EndOfFile, "all was read, and nobody is left who could write");
}

#[test]
fn a_short_read_is_not_the_end() {
    let _held = no_child_is_born();
    // In a pipe with O_DIRECT each write is a packet, and each read takes one at most. See pipe(2).
    for open in [true, false] {
        let (reader, mut writer) = a_pipe(OFlag::O_NONBLOCK | OFlag::O_DIRECT, true);
        for packet in ["short ", "reads"] {
            writer.write_all(packet.as_bytes()).unwrap();
        }
        let (stop, read) = if open {
            from_open(&reader, writer, PLENTY)
        } else {
            drop(writer);
            let mut read = Vec::new();
            (drain(&reader, &mut read, PLENTY), read)
        };
        same_bytes(
            &read,
            b"short reads",
            "a read that gives less than it was asked for says nothing about what comes next; EAGAIN and 0 do",
        );
        let wanted = if open { Stop::WouldBlock } else { Stop::EndOfFile };
        assert_eq!(
            stop,
            Ok(wanted),
            "the writing end is {}: only one more read tells",
            if open { "open" } else { "closed" }
        );
    }
}

#[test]
fn the_limit_is_kept_to_the_byte() {
    for limit in [1, 100, 4095, 4096, 4097, 10_000] {
        let (reader, writer) = a_pipe(OFlag::O_NONBLOCK, true);
        let written = fill(&writer);
        if written.len() <= limit {
            eprintln!("skipped: this user has so many pipes that new ones hold {} bytes", written.len());
            return;
        }
        let (stop, read) = from_open(&reader, writer, limit);
        assert!(
            read.len() <= limit,
            "{} bytes were read where {limit} were the limit: ask for no more than is left of it",
            read.len()
        );
        same_bytes(&read, &written[..limit], "all that the limit allows was to be read");
        assert_eq!(stop, Ok(Stop::Limit), "{limit} bytes were read, and there was more");
        assert_eq!(waiting(&reader), written.len() - limit, "the rest was to stay in the pipe");
    }
}

#[test]
fn with_a_limit_of_nothing_nothing_is_read() {
    let (reader, mut writer) = a_pipe(OFlag::O_NONBLOCK, true);
    writer.write_all(b"stays").unwrap();
    let (stop, read) = from_open(&reader, writer, 0);
    assert_eq!(
        stop,
        Ok(Stop::Limit),
        "a read of 0 bytes gives 0, and that 0 is not the end of file: with nothing left of the limit, do not read"
    );
    assert_eq!((read.len(), waiting(&reader)), (0, 5), "bytes read, and bytes left in the pipe");
}

#[test]
fn the_limit_may_be_as_high_as_it_gets() {
    let (reader, mut writer) = a_pipe(OFlag::O_NONBLOCK, true);
    writer.write_all(b"few").unwrap();
    // Whoever makes a buffer of that size panics here.
    let (stop, read) = from_open(&reader, writer, usize::MAX);
    assert_eq!((stop, &read[..]), (Ok(Stop::WouldBlock), &b"few"[..]), "a limit is not a size");
}

#[test]
fn a_source_without_end_is_left_at_the_limit() {
    let answer = without_end("300000");
    assert_eq!(answer, ("Ok Limit".into(), "300000".into()), "/dev/zero always has more");
}

/// Drain a source that always has more, in the helper, which has little memory.
#[track_caller]
fn without_end(limit: &str) -> (String, String) {
    let answer = try_ask(&["drain-without-end", limit]).unwrap_or_else(|words| {
        let meaning = if words.contains("memory allocation of") {
            "drain read until the memory was used up: a source that is faster than its reader keeps it for ever"
        } else {
            "drain never came to say why it stopped"
        };
        panic!("the limit was {limit} bytes, and {meaning}.\n{words}")
    });
    (answer.line("result").into(), answer.line("length").into())
}

#[test]
fn what_was_in_the_buffer_stays_and_does_not_count() {
    let (reader, mut writer) = a_pipe(OFlag::O_NONBLOCK, true);
    writer.write_all(b" and new").unwrap();
    let mut read = b"old".to_vec();
    let stop = drain(&reader, &mut read, 8).unwrap();
    same_bytes(
        &read,
        b"old and new",
        "bytes are appended to what the caller had, and the limit is for what is read",
    );
    assert_eq!(stop, Stop::Limit, "8 bytes were the limit, and 8 were read");
}

#[test]
fn an_interrupted_read_is_tried_again() {
    for (kernel, end, wanted) in [
        ("read:1=EINTR", "open", "Ok WouldBlock"),
        ("read:2=EINTR", "open", "Ok WouldBlock"),
        ("read:1=EINTR,read:2=EINTR,read:4=EINTR", "closed", "Ok EndOfFile"),
    ] {
        let Some(answer) = traced(kernel, &["drain", "1000", end, "all ", "of it"]) else { return };
        let result = answer.line("result");
        assert!(
            !result.contains("EINTR"),
            "a signal came while reading, and drain says {result}: EINTR means that nothing was read yet. Try again"
        );
        assert_eq!(
            (result, answer.line("read")),
            (wanted, "all of it"),
            "{kernel}, with the writing end {end}: EINTR is neither the end nor «nothing now»: try again"
        );
    }
}

#[test]
fn what_was_read_before_an_error_is_kept() {
    let _held = no_child_is_born();
    let socket = reset_behind(b"before the reset");
    let mut read = b"> ".to_vec();
    let (errno, text) = refused("a connection that was reset", drain(&socket, &mut read, PLENTY));
    assert_eq!(errno, Errno::ECONNRESET, "the peer left with bytes unread, so the socket was reset: {text}");
    same_bytes(
        &read,
        b"> before the reset",
        "what came before the error is the caller's: nobody can read it a second time",
    );
}

#[test]
fn an_error_names_the_descriptor() {
    let folder = File::open("/").unwrap();
    for (fd, errno) in [(folder.as_fd(), Errno::EISDIR), (not_open(), Errno::EBADF)] {
        let mut read = Vec::new();
        let (seen, text) = refused("what cannot be read", drain(fd, &mut read, PLENTY));
        assert_eq!(seen, errno, "{text}");
        let number = fd.as_raw_fd().to_string();
        assert!(text.contains(&number), "the message does not say which descriptor: {text}");
    }
}

/// Random writes, drains with random limits: what came out is what went in, and each stop has its reason.
/// A failure prints its seed; `ARBTEST_SEED=0x…` with the test runs that case alone.
#[test]
fn nothing_is_lost_between_one_drain_and_the_next() {
    let _held = no_child_is_born();
    let all = stream(1 << 20);
    arbtest(|u| {
        let (reader, writer) = a_pipe(OFlag::O_NONBLOCK, true);
        let writer = Mutex::new(Some(writer));
        let close = || drop(writer.lock().unwrap().take());
        let mut read = Vec::new();
        let written = comes_back("EAGAIN, tried again at once, is a busy loop", close, || {
            let mut written = 0;
            while !u.is_empty() && written < all.len() {
                let offered = u.int_in_range(1..=20_000)?.min(all.len() - written);
                // No room is no failure: then there is something to drain.
                let taken = writer.lock().unwrap().as_ref().map(|mut w| w.write(&all[written..][..offered]));
                written += taken.and_then(std::io::Result::ok).unwrap_or(0);
                let (limit, before) = (u.int_in_range(0..=30_000)?, read.len());
                let stop = drain(&reader, &mut read, limit).unwrap();
                let (came, left) = (read.len() - before, waiting(&reader));
                let right = match stop {
                    Stop::Limit => came == limit,
                    Stop::WouldBlock => came < limit && left == 0,
                    Stop::EndOfFile => false,
                };
                assert!(right, "{stop:?} with {came} bytes of {limit} read and {left} left in an open pipe");
            }
            Ok(written)
        })?;
        close();
        assert_eq!(drain(&reader, &mut read, usize::MAX), Ok(Stop::EndOfFile), "nobody writes any more");
        same_bytes(&read, &all[..written], "what one drain left is for the next");
        Ok(())
    })
    .size_max(4096)
    .budget_ms(150);
}
