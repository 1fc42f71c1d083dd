//! Exercise `nonblocking/pipe`: what the kernel must show.

mod support;

use std::fs::File;
use std::io::{PipeReader, Write};
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc::{O_ACCMODE, O_RDONLY, O_WRONLY};
use nonblocking::pipe;
use support::{a_pipe, ask, empty, fill, held, info, name, not_open, page, refused, same_bytes, traced};

#[test]
fn neither_end_blocks() {
    let (reader, writer) = pipe::pipe().unwrap();
    for (which, end) in [("reading", reader.as_fd()), ("writing", writer.as_fd())] {
        assert!(
            info(end).nonblocking(),
            "the {which} end, {}, blocks. The two ends are two open file descriptions, each with flags of its own",
            name(end)
        );
    }
}

#[test]
fn both_ends_are_close_on_exec() {
    let (reader, writer) = pipe::pipe().unwrap();
    for (which, end) in [("reading", reader.as_fd()), ("writing", writer.as_fd())] {
        assert!(
            info(end).marked,
            "the {which} end, {}, is not close-on-exec: every program started from now on has it too, and a reader \
             does not see the end while somebody has the writing end",
            name(end)
        );
    }
}

#[test]
fn one_call_makes_it_all() {
    let Some(answer) = traced("as-it-is", &["pipe"]) else { return };
    let calls: Vec<&str> = answer.lines("call").collect();
    let made = calls.iter().find(|call| call.starts_with("pipe"));
    let made = made.unwrap_or_else(|| panic!("no pipe was made. The calls: {calls:?}"));
    assert!(
        !made.contains(" unmarked "),
        "a race: `{made}` made the ends, and one moment later another thread may fork and exec, whose program keeps \
         them. pipe2 with O_CLOEXEC marks them in the call that makes them. The calls: {calls:?}"
    );
    assert!(
        calls.len() == 1,
        "{} calls where one does: pipe2 takes O_NONBLOCK beside O_CLOEXEC. The calls: {calls:?}",
        calls.len()
    );
}

#[test]
fn the_reader_comes_first_and_bytes_flow() {
    let (reader, writer) = pipe::pipe().unwrap();
    let modes = [info(&reader).flags.bits() & O_ACCMODE, info(&writer).flags.bits() & O_ACCMODE];
    assert_eq!(
        modes,
        [O_RDONLY, O_WRONLY],
        "the pair is (reader, writer); here the access modes are {modes:?}, where {O_RDONLY} is for reading and \
         {O_WRONLY} for writing"
    );
    assert!(
        !info(&writer).flags.contains(OFlag::O_DIRECT),
        "{} carries packets, not a stream of bytes: O_DIRECT was not asked for",
        name(&writer)
    );
    let mut writer = File::from(writer);
    writer.write_all(b"one ").unwrap();
    writer.write_all(b"pipe").unwrap();
    same_bytes(
        &empty(File::from(reader)),
        b"one pipe",
        "what goes in at the second end comes out of the first",
    );
}

#[test]
fn where_no_number_is_left_there_is_an_error() {
    let answer = ask(&["pipe-without-numbers"]);
    let result = answer.line("result");
    assert!(
        result.starts_with("Err EMFILE "),
        "every number was taken, and `pipe` says {result}: the kernel's EMFILE is for the caller"
    );
}

#[test]
fn capacity_is_what_the_kernel_says() {
    // A new pipe first. It holds 64 KiB as a rule, and two pages where its user has very many pipes.
    for pages in [None, Some(2), Some(1)] {
        let (reader, writer) = a_pipe(OFlag::O_NONBLOCK, true);
        if let Some(pages) = pages {
            fcntl(&reader, FcntlArg::F_SETPIPE_SZ((pages * page()) as i32)).unwrap();
        }
        for end in [reader.as_fd(), writer.as_fd()] {
            assert_eq!(
                pipe::capacity(end).unwrap(),
                held(end),
                "`capacity` of {}: F_GETPIPE_SZ says how much it holds now, no constant does",
                name(end)
            );
        }
    }
}

#[test]
fn set_capacity_answers_with_what_it_became() {
    let page = page();
    for (asked, pages) in
        [(4 * page, 4), (3 * page, 4), (2 * page + 1, 4), (page + 1, 2), (page, 1), (1, 1), (0, 1)]
    {
        let (reader, writer) = a_pipe(OFlag::O_NONBLOCK, true);
        if held(&reader) < 4 * page {
            eprintln!("skipped: this user has so many pipes that new ones are too small to be made smaller");
            return;
        }
        let answer = pipe::set_capacity(&writer, asked).unwrap();
        assert_eq!(
            held(&reader),
            pages * page,
            "{asked} bytes were asked for, and that many does {} hold now",
            name(&reader)
        );
        assert_eq!(
            answer,
            pages * page,
            "{asked} bytes were asked for, the kernel made it {}, a power of two of pages, and `set_capacity` says \
             otherwise: what F_SETPIPE_SZ returns is the answer",
            pages * page
        );
    }
}

#[test]
fn less_than_is_in_it_is_refused() {
    let (reader, writer) = a_pipe(OFlag::O_NONBLOCK, true);
    let written = fill(&writer);
    let before = held(&reader);
    let (errno, text) = refused("one page for a full pipe", pipe::set_capacity(&reader, page()));
    assert_eq!(errno, Errno::EBUSY, "a full pipe cannot be made smaller: {text}");
    says(&text, &reader, &page().to_string(), "less than is in it");
    assert_eq!(held(&reader), before, "the kernel refused, and the capacity changed all the same");
    same_bytes(&empty(&reader), &written, "what was in the pipe stays there");
}

/// A message names the descriptor, the bytes asked for, and what the errno means here.
#[track_caller]
fn says(text: &str, fd: impl AsFd, bytes: &str, reason: &str) {
    let number = fd.as_fd().as_raw_fd();
    for part in [&format!("descriptor {number}"), bytes, reason] {
        assert!(
            text.contains(part),
            "«{text}» does not say «{part}». An errno alone leaves its reader to guess: name the descriptor, the bytes \
             asked for, and what it means for a pipe"
        );
    }
}

#[test]
fn an_ordinary_user_has_a_limit() {
    let answer = ask(&["capacity-above-the-limit"]);
    if let Some(why) = answer.lines("skipped").next() {
        eprintln!("skipped: {why}");
        return;
    }
    let (asked, result) = (answer.line("asked"), answer.line("result"));
    assert!(
        result.starts_with("Err EPERM "),
        "{asked} bytes are more than /proc/sys/fs/pipe-max-size, and `set_capacity` says {result}: the kernel answers \
         EPERM, and does not give less instead"
    );
    for part in ["descriptor ", asked, "pipe-max-size"] {
        assert!(result.contains(part), "«{result}» does not say «{part}»: «not permitted» by what?");
    }
    assert_eq!(answer.line("after"), answer.line("before"), "the kernel refused, and the capacity changed");
}

#[test]
fn what_no_pipe_can_hold_is_refused() {
    // The kernel looks at 32 bits: 4 GiB and one page look like one page, and usize::MAX like all ones.
    let four_gib = 1_usize << 32;
    for asked in [(1 << 31) + 1, four_gib - 1, four_gib, four_gib + page(), usize::MAX] {
        let (reader, _writer): (PipeReader, _) = a_pipe(OFlag::O_NONBLOCK, true);
        let before = held(&reader);
        let result = pipe::set_capacity(&reader, asked);
        assert!(
            result.is_err(),
            "{asked} bytes were asked for, and the answer is {result:?}: F_SETPIPE_SZ takes an `int`, so the upper half \
             of the number was lost on the way"
        );
        let (errno, text) = refused("that", result);
        assert_eq!(errno, Errno::EINVAL, "more than any pipe can hold: {text}");
        says(&text, &reader, &asked.to_string(), "more than a pipe can hold");
        assert_eq!(held(&reader), before, "an error, and the capacity changed all the same");
    }
}

#[test]
fn what_is_not_a_pipe_is_an_error_that_says_so() {
    let file = File::open("/dev/null").unwrap();
    for fd in [file.as_fd(), not_open()] {
        let number = fd.as_raw_fd();
        for (what, (errno, text)) in [
            ("capacity", refused("the capacity of what is no pipe", pipe::capacity(fd))),
            ("set_capacity", refused("a capacity for what is no pipe", pipe::set_capacity(fd, 4096))),
        ] {
            assert_eq!(errno, Errno::EBADF, "`{what}`: {text}");
            let names = text.contains(&number.to_string()) && text.contains("not a pipe");
            assert!(
                names,
                "`{what}` on {}: «{text}». The kernel says EBADF for what is open and not a pipe, too: say so",
                name(fd)
            );
        }
    }
}
