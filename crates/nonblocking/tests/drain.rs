//! Tests of the exercise `nonblocking/drain`. Each looks at the bytes that were read, the bytes that are left, and
//! the reason for stopping.

mod support;

#[path = "scenarios/drain.rs"]
mod scenarios;

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
    a_pipe, budget, comes_back, fill, not_open, refused, reset_behind, same_bytes, stream, traced, try_ask,
    waiting,
};
use testing::no_child_is_born;

testing::helper!(|args| support::helper::answer(args, scenarios::run));

const PLENTY: usize = 1 << 24;

/// Drains a pipe whose write end stays open, and returns the bytes. If the drain does not return, this closes the
/// write end.
#[track_caller]
fn from_open(reader: &PipeReader, writer: PipeWriter, limit: usize) -> (Result<Stop>, Vec<u8>) {
    let writer = Mutex::new(Some(writer));
    let close = || drop(writer.lock().unwrap().take());
    let mut read = Vec::new();
    let meaning =
        "EAGAIN means that the pipe is empty now. Retrying at once is a busy loop; return WouldBlock";
    let stop = comes_back(meaning, close, || drain(reader, &mut read, limit));
    (stop, read)
}

#[test]
fn an_empty_pipe_would_block() {
    let (reader, writer) = a_pipe(OFlag::O_NONBLOCK, true);
    let (stop, read) = from_open(&reader, writer, PLENTY);
    assert!(
        stop != Ok(Stop::EndOfFile),
        "the pipe is empty and its write end is open, and `drain` returned EndOfFile. EAGAIN does not mean end of \
         file; a read of 0 bytes does"
    );
    assert_eq!(
        stop,
        Ok(Stop::WouldBlock),
        "the pipe is empty now. For a nonblocking read, EAGAIN is a normal result: return WouldBlock"
    );
    assert!(read.is_empty(), "no bytes were written, and `drain` appended {}", read.len());
}

#[test]
fn a_pipe_without_writers_is_at_end_of_file() {
    let _held = no_child_is_born();
    let (reader, writer) = a_pipe(OFlag::O_NONBLOCK, true);
    drop(writer);
    let mut read = Vec::new();
    let stop = drain(&reader, &mut read, PLENTY).unwrap();
    assert_eq!(
        stop,
        Stop::EndOfFile,
        "read returned 0, because every write end is closed. If you take it for WouldBlock, the loop registers the \
         descriptor again, the poller reports it at once, and the loop spins"
    );
}

#[test]
fn drain_reads_everything() {
    let (reader, writer) = a_pipe(OFlag::O_NONBLOCK, true);
    let written = fill(&writer);
    let (stop, read) = from_open(&reader, writer, PLENTY);
    same_bytes(
        &read,
        &written,
        "one read returns at most one buffer. `drain` should read until EAGAIN, end of file or the limit",
    );
    assert_eq!(stop, Ok(Stop::WouldBlock), "everything was read, and the write end is open");
    assert_eq!(waiting(&reader), 0, "`drain` left bytes in the pipe");
}

#[test]
fn bytes_come_before_end_of_file() {
    let _held = no_child_is_born();
    let (reader, writer) = a_pipe(OFlag::O_NONBLOCK, true);
    let written = fill(&writer);
    drop(writer);
    let mut read = Vec::new();
    let stop = drain(&reader, &mut read, PLENTY).unwrap();
    same_bytes(
        &read,
        &written,
        "bytes that were written before the close are still in the pipe, before end of file",
    );
    assert_eq!(stop, Stop::EndOfFile, "everything was read, and the write end is closed");
}

#[test]
fn a_short_read_does_not_end_the_drain() {
    let _held = no_child_is_born();
    // In a pipe with O_DIRECT, each write is a packet, and each read returns at most one packet. See pipe(2). A packet of
    // one byte is not cut off, however small the buffer is.
    for open in [true, false] {
        let (reader, mut writer) = a_pipe(OFlag::O_NONBLOCK | OFlag::O_DIRECT, true);
        for packet in b"reads" {
            writer.write_all(&[*packet]).unwrap();
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
            b"reads",
            "a read that returns less than it was asked for says nothing about the next read. Only EAGAIN and 0 do",
        );
        let wanted = if open { Stop::WouldBlock } else { Stop::EndOfFile };
        assert_eq!(
            stop,
            Ok(wanted),
            "the write end is {}, and only one more read can find that out",
            if open { "open" } else { "closed" }
        );
    }
}

#[test]
fn the_limit_is_exact() {
    for limit in [1, 100, 4095, 4096, 4097, 10_000] {
        let (reader, writer) = a_pipe(OFlag::O_NONBLOCK, true);
        let written = fill(&writer);
        if written.len() <= limit {
            testing::skip!("this user has so many pipes that a new one holds only {} bytes", written.len());
        }
        let (stop, read) = from_open(&reader, writer, limit);
        assert!(
            read.len() <= limit,
            "{} bytes were read, more than the limit of {limit}. Ask each read for no more than is left of the limit",
            read.len()
        );
        same_bytes(&read, &written[..limit], "`drain` should read as much as the limit allows");
        assert_eq!(stop, Ok(Stop::Limit), "{limit} bytes were read, and there are more");
        assert_eq!(waiting(&reader), written.len() - limit, "the remaining bytes should stay in the pipe");
    }
}

#[test]
fn a_limit_of_zero_reads_nothing() {
    let (reader, mut writer) = a_pipe(OFlag::O_NONBLOCK, true);
    writer.write_all(b"stays").unwrap();
    let (stop, read) = from_open(&reader, writer, 0);
    assert_eq!(
        stop,
        Ok(Stop::Limit),
        "a read into an empty buffer returns 0, and that 0 does not mean end of file. Do not read if the limit is \
         used up"
    );
    assert_eq!(
        (read.len(), waiting(&reader)),
        (0, 5),
        "the bytes that were read, and the bytes left in the pipe"
    );
}

#[test]
fn the_limit_may_be_usize_max() {
    let (reader, mut writer) = a_pipe(OFlag::O_NONBLOCK, true);
    writer.write_all(b"few").unwrap();
    // A `drain` that makes a buffer of that size panics here.
    let (stop, read) = from_open(&reader, writer, usize::MAX);
    assert_eq!(
        (stop, &read[..]),
        (Ok(Stop::WouldBlock), &b"few"[..]),
        "three bytes were in the pipe. The limit is not the size of a buffer"
    );
    let (reader, mut writer) = a_pipe(OFlag::O_NONBLOCK, true);
    writer.write_all(b"few").unwrap();
    let (_, read) = from_open(&reader, writer, 256 << 20);
    assert!(
        read.capacity() < 128 << 20,
        "the limit was 256 MiB, three bytes were in the pipe, and the vector has room for {} bytes. Make room for what comes, and \
         not for the limit",
        read.capacity()
    );
}

#[test]
fn an_endless_source_stops_at_the_limit() {
    let answer = without_end("300000");
    assert_eq!(answer, ("Ok Limit".into(), "300000".into()), "/dev/zero always has more bytes");
}

/// Drains a source that always has more bytes, in the helper, whose memory is limited.
#[track_caller]
fn without_end(limit: &str) -> (String, String) {
    let answer = try_ask(&["drain-without-end", limit]).unwrap_or_else(|words| {
        let meaning = if words.contains("memory allocation of") {
            "`drain` read until the memory was used up. Without the limit, a fast writer keeps it running forever"
        } else {
            "`drain` did not return"
        };
        panic!("the limit was {limit} bytes, and {meaning}.\n{words}")
    });
    (answer.line("result").into(), answer.line("length").into())
}

#[test]
fn the_buffers_old_bytes_are_kept_and_not_counted() {
    let (reader, mut writer) = a_pipe(OFlag::O_NONBLOCK, true);
    writer.write_all(b" and new").unwrap();
    let mut read = b"old".to_vec();
    let stop = drain(&reader, &mut read, 8).unwrap();
    same_bytes(
        &read,
        b"old and new",
        "`drain` should append to the caller's bytes, and the limit should count only bytes that it reads",
    );
    assert_eq!(stop, Stop::Limit, "the limit was 8 bytes, and 8 were read");
}

#[test]
fn an_interrupted_read_is_retried() {
    for (kernel, end, wanted) in [
        ("read:1=EINTR", "open", "Ok WouldBlock"),
        ("read:2=EINTR", "open", "Ok WouldBlock"),
        ("read:1=EINTR,read:2=EINTR,read:4=EINTR", "closed", "Ok EndOfFile"),
    ] {
        let Some(answer) = traced(kernel, &["drain", "1000", end, "all ", "of it"]) else { return };
        let result = answer.line("result");
        assert!(
            !result.contains("EINTR"),
            "a signal interrupted a read, and `drain` returned {result}. EINTR means that no bytes were read yet: retry"
        );
        assert_eq!(
            (result, answer.line("read")),
            (wanted, "all of it"),
            "{kernel}, with the write end {end}: EINTR means neither end of file nor WouldBlock. Retry the read"
        );
    }
}

#[test]
fn bytes_before_an_error_are_kept() {
    let _held = no_child_is_born();
    let socket = reset_behind(b"before the reset");
    let mut read = b"> ".to_vec();
    let (errno, text) = refused("a connection that was reset", drain(&socket, &mut read, PLENTY));
    assert_eq!(
        errno,
        Errno::ECONNRESET,
        "the peer closed with unread bytes, so the socket was reset: {text}"
    );
    same_bytes(
        &read,
        b"> before the reset",
        "bytes that were read before the error cannot be read again. Append them to `into` before you return the error",
    );
}

#[test]
fn an_error_names_the_descriptor() {
    let folder = File::open("/").unwrap();
    for (fd, errno) in [(folder.as_fd(), Errno::EISDIR), (not_open(), Errno::EBADF)] {
        let mut read = Vec::new();
        let (seen, text) = refused("a descriptor that cannot be read", drain(fd, &mut read, PLENTY));
        assert_eq!(seen, errno, "{text}");
        let number = fd.as_raw_fd().to_string();
        assert!(text.contains(&number), "the error does not name the descriptor: {text}");
    }
}

/// Random writes, and drains with random limits: the bytes that come out are those that went in, and each reason for
/// stopping is right. A failure prints its seed; `ARBTEST_SEED=0x…` with the test runs that case alone.
#[test]
fn no_byte_is_lost_between_two_drains() {
    let _held = no_child_is_born();
    let all = stream(1 << 20);
    arbtest(|u| {
        let (reader, writer) = a_pipe(OFlag::O_NONBLOCK, true);
        let writer = Mutex::new(Some(writer));
        let close = || drop(writer.lock().unwrap().take());
        let mut read = Vec::new();
        let written = comes_back("retrying at once on EAGAIN is a busy loop", close, || {
            let mut written = 0;
            while !u.is_empty() && written < all.len() {
                let offered = u.int_in_range(1..=20_000)?.min(all.len() - written);
                // A full pipe is fine: the drain below makes room.
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
                assert!(
                    right,
                    "`drain` returned {stop:?} after {came} bytes, with a limit of {limit} and {left} bytes left in \
                     an open pipe"
                );
            }
            Ok(written)
        })?;
        close();
        assert_eq!(drain(&reader, &mut read, usize::MAX), Ok(Stop::EndOfFile), "the write end is closed");
        same_bytes(&read, &all[..written], "the next drain should read the bytes that one drain left");
        Ok(())
    })
    .size_max(4096)
    .budget_ms(budget(150));
}

#[test]
fn any_number_of_interruptions_is_retried() {
    let Some(answer) = traced("read:1..200=EINTR", &["drain", "1000", "open", "all of it"]) else { return };
    assert_eq!(
        (answer.line("result"), answer.line("read")),
        ("Ok WouldBlock", "all of it"),
        "signals interrupted 200 reads, and no read did anything. Retry after every one of them"
    );
}

#[test]
fn an_interruption_does_not_change_the_limit() {
    for kernel in ["read:2=EINTR", "read:2..3=EINTR,read:5=EINTR"] {
        let Some(answer) = traced(kernel, &["drain-without-end", "300000"]) else { return };
        assert_eq!(
            (answer.line("result"), answer.line("length")),
            ("Ok Limit", "300000"),
            "{kernel}: a signal interrupted a read after others had read bytes. They still count"
        );
    }
}

#[test]
fn a_limit_of_zero_makes_no_call() {
    let Some(answer) = traced("as-it-is", &["drain", "0", "open"]) else { return };
    let calls: Vec<&str> = answer.lines("call").collect();
    assert_eq!(
        (answer.line("result"), &calls[..]),
        ("Ok Limit", &[][..]),
        "with a limit of 0, `drain` should return Limit without a system call"
    );
}

#[test]
fn drain_only_reads() {
    let Some(answer) = traced("as-it-is", &["drain", "1000", "open", "some"]) else { return };
    let other = answer.lines("call").find(|call| !call.starts_with("read "));
    assert!(
        other.is_none(),
        "`drain` called {other:?}. It should neither wait nor change a flag: the caller knows already that there is \
         something to read, and every process that shares the description shares the flag"
    );
}

#[test]
fn any_other_errno_is_returned() {
    for errno in ["EIO", "ENOMEM", "ECONNRESET", "EOPNOTSUPP"] {
        let Some(answer) = traced(&format!("read:2..9={errno}"), &["drain", "1000", "open", "kept"]) else {
            return;
        };
        let result = answer.line("result");
        assert!(
            result.starts_with(&format!("Err {errno} ")),
            "a read failed with {errno}, and `drain` returned {result}. Every errno but EAGAIN and EINTR is a failure"
        );
        let words = result.split(" on ").next().unwrap_or_default();
        assert!(
            ["read", "recv"].iter().any(|call| words.contains(call)),
            "the error does not name the call that failed: {result}"
        );
        assert_eq!(
            answer.line("read"),
            "kept",
            "the bytes before the error should be in the buffer, and no others"
        );
    }
}

#[test]
fn a_large_limit_is_reached() {
    let limit = 12 << 20;
    assert_eq!(
        without_end(&limit.to_string()),
        ("Ok Limit".into(), limit.to_string()),
        "/dev/zero always has more bytes, so a drain ends at its limit, and nowhere before"
    );
}

#[test]
fn a_limit_has_64_bits() {
    // On a machine of 32 bits there is no such limit.
    let Ok(limit) = usize::try_from(1_u64 << 32) else { return };
    let (reader, mut writer) = a_pipe(OFlag::O_NONBLOCK, true);
    writer.write_all(b"few").unwrap();
    let (stop, read) = from_open(&reader, writer, limit);
    assert_eq!(
        (stop, &read[..]),
        (Ok(Stop::WouldBlock), &b"few"[..]),
        "the limit was 4 GiB, of which the lower 32 bits are 0. Keep it in a usize"
    );
}
