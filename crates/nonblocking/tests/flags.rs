//! Exercise `nonblocking/flags`: what the kernel must show.

mod support;

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nonblocking::flags;
use support::{a_pipe, ask_with, fill, info, name, not_open, refused, traced, words};

const NONE: OFlag = OFlag::empty();

#[test]
fn set_makes_it_nonblocking() {
    let (reader, _writer) = a_pipe(NONE, true);
    flags::set(&reader).unwrap();
    assert!(
        info(&reader).nonblocking(),
        "after `set`, /proc/self/fdinfo does not show {} as nonblocking: F_SETFD where F_SETFL was meant?",
        name(&reader)
    );
}

#[test]
fn clear_makes_it_block_again() {
    let (reader, _writer) = a_pipe(OFlag::O_NONBLOCK, true);
    flags::clear(&reader).unwrap();
    assert!(
        !info(&reader).nonblocking(),
        "after `clear`, /proc/self/fdinfo still shows {} as nonblocking: was anything written with F_SETFL?",
        name(&reader)
    );
}

#[test]
fn empty_and_full_pipes_say_so_at_once() {
    let (mut reader, mut writer) = a_pipe(NONE, true);
    flags::set(&reader).unwrap();
    flags::set(&writer).unwrap();
    assert!(
        info(&reader).nonblocking() && info(&writer).nonblocking(),
        "one end still blocks, and would for ever"
    );
    let read = reader.read(&mut [0; 10]).expect_err("nothing was written").kind();
    assert_eq!(read, ErrorKind::WouldBlock, "reading from an empty pipe that must not block");
    fill(&writer);
    let written = writer.write(b"one more").expect_err("there is no room").kind();
    assert_eq!(written, ErrorKind::WouldBlock, "writing to a full pipe that must not block");
}

#[test]
fn is_set_says_what_the_kernel_has() {
    for (nonblocking, marked) in [(true, true), (true, false), (false, true), (false, false)] {
        let wanted = if nonblocking { OFlag::O_NONBLOCK } else { NONE };
        let (reader, writer) = a_pipe(wanted | OFlag::O_APPEND, marked);
        for end in [reader.as_fd(), writer.as_fd()] {
            assert_eq!(
                flags::is_set(end).unwrap(),
                nonblocking,
                "/proc/self/fdinfo shows {} with {}, {}close-on-exec, and `is_set` says otherwise. F_GETFD answers \
                 for the descriptor, which has close-on-exec and nothing else; F_GETFL is the one, and O_NONBLOCK one \
                 bit of its answer",
                name(end),
                words(info(end).flags),
                if marked { "" } else { "not " },
            );
        }
    }
}

#[test]
fn doing_it_twice_changes_nothing() {
    for (what, nonblocking) in [("set", true), ("clear", false)] {
        let (reader, _writer) = a_pipe(if nonblocking { OFlag::O_NONBLOCK } else { NONE }, true);
        change(what, &reader);
        assert_eq!(
            info(&reader).nonblocking(),
            nonblocking,
            "`{what}` was not needed for {}, and turned its flag round: `|` and `&!` set and clear, `^` toggles",
            name(&reader)
        );
    }
}

#[track_caller]
fn change(what: &str, fd: impl AsFd) {
    let done = if what == "set" { flags::set(fd) } else { flags::clear(fd) };
    done.unwrap();
}

#[test]
fn other_status_flags_stay() {
    for (what, start) in [("set", NONE), ("clear", OFlag::O_NONBLOCK)] {
        for others in [OFlag::O_APPEND, OFlag::O_ASYNC, OFlag::O_APPEND | OFlag::O_ASYNC, NONE] {
            let (reader, _writer) = a_pipe(start | others, true);
            let before = info(&reader).flags;
            change(what, &reader);
            let after = info(&reader).flags;
            assert!(
                after == before ^ OFlag::O_NONBLOCK,
                "`{what}` was to change O_NONBLOCK of {} and nothing else: it had {}, and has {}. F_SETFL writes all \
                 the flags that it can: what was there before has to be read with F_GETFL and written again",
                name(&reader),
                words(before),
                words(after)
            );
        }
    }
}

#[test]
fn close_on_exec_stays() {
    for marked in [true, false] {
        for (what, start) in [("set", NONE), ("clear", OFlag::O_NONBLOCK)] {
            let (reader, _writer) = a_pipe(start, marked);
            change(what, &reader);
            assert_eq!(
                info(&reader).marked,
                marked,
                "`{what}` changed the close-on-exec flag of {}, which F_SETFD writes. It is a flag of the descriptor; \
                 O_NONBLOCK is one of the open file description",
                name(&reader)
            );
        }
    }
}

#[test]
fn a_duplicate_shares_it() {
    let (reader, _writer) = a_pipe(NONE, true);
    let copy = reader.try_clone().unwrap();
    flags::set(&reader).unwrap();
    assert!(
        flags::is_set(&copy).unwrap() && info(&copy).nonblocking(),
        "{} was set, and its duplicate {} still blocks: both have one open file description",
        name(&reader),
        name(&copy)
    );
    flags::clear(&copy).unwrap();
    assert!(
        !flags::is_set(&reader).unwrap() && !info(&reader).nonblocking(),
        "{} was cleared, and {}, of which it is a duplicate, was not",
        name(&copy),
        name(&reader)
    );
}

#[test]
fn a_child_shares_it() {
    let (reader, _writer) = a_pipe(NONE, true);
    for (what, nonblocking) in [("set", true), ("clear", false)] {
        let theirs = OwnedFd::from(reader.try_clone().unwrap());
        let answer = ask_with(&["flags-of-stdin", what], theirs.into());
        assert_eq!(answer.line("result"), "Ok ()", "`{what}` failed in a child, on its standard input");
        assert_eq!(
            info(&reader).nonblocking(),
            nonblocking,
            "a child called `{what}` on its standard input, which is our {}: parent and child share the open file \
             description, so the parent has to see it",
            name(&reader)
        );
    }
}

#[test]
fn the_other_end_and_one_opened_anew_have_their_own() {
    let (reader, writer) = a_pipe(NONE, true);
    // The same pipe once more, and not a duplicate: opened by the kernel's name for it.
    let path = format!("/proc/self/fd/{}", reader.as_raw_fd());
    let anew = OpenOptions::new().read(true).open(path).unwrap();
    flags::set(&reader).unwrap();
    assert!(info(&reader).nonblocking(), "{} was set and still blocks", name(&reader));
    for other in [writer.as_fd(), anew.as_fd()] {
        assert!(
            !flags::is_set(other).unwrap() && !info(other).nonblocking(),
            "{} was set, and {} too, which is the same pipe in an open file description of its own",
            name(&reader),
            name(other)
        );
    }
}

/// A status flag that no kernel has yet, as the helper's tracer shows it.
const UNKNOWN: u32 = 1 << 29;

#[test]
fn set_gives_an_unknown_flag_back() {
    unknown_flag("set", OFlag::O_APPEND | OFlag::O_NONBLOCK);
}

#[test]
fn clear_gives_an_unknown_flag_back() {
    unknown_flag("clear", OFlag::O_APPEND);
}

/// On a kernel with one more status flag, on a descriptor that has it and O_APPEND: what does F_SETFL write?
#[track_caller]
fn unknown_flag(what: &str, wanted: OFlag) {
    let Some(answer) = traced("status-flag", &["flags", what]) else { return };
    let calls: Vec<&str> = answer.lines("call").collect();
    if calls.iter().any(|call| call.starts_with("ioctl(FIONBIO)")) {
        return; // changes the one bit and no other
    }
    let written =
        calls.iter().rev().find_map(|call| call.strip_prefix("fcntl(F_SETFL) 0")?.split(' ').next());
    let written = written.and_then(|value| u32::from_str_radix(value, 8).ok()).unwrap_or_else(|| {
        panic!("`{what}` never called F_SETFL. Its calls: {calls:?}");
    });
    let read = calls.iter().any(|call| call.starts_with("fcntl(F_GETFL)"));
    assert!(read, "`{what}` wrote 0{written:o} with F_SETFL without a look at what was there");
    assert!(
        written & UNKNOWN != 0,
        "`{what}` lost a flag: F_GETFL answered with bit 0{UNKNOWN:o} set, which no kernel has yet, and F_SETFL wrote \
         0{written:o}. OFlag::from_bits_truncate drops bits that it does not know; from_bits_retain keeps them"
    );
    let changeable = (OFlag::O_APPEND | OFlag::O_ASYNC | OFlag::O_NONBLOCK | OFlag::O_DIRECT).bits() as u32;
    assert_eq!(
        written & changeable,
        wanted.bits() as u32,
        "`{what}` wrote 0{written:o} with F_SETFL. Its calls: {calls:?}"
    );
}

#[test]
fn a_closed_descriptor_is_an_error_that_names_it() {
    let closed = not_open();
    for (what, (errno, text)) in [
        ("is_set", refused("is_set, on a descriptor that is not open,", flags::is_set(closed))),
        ("set", refused("set, on a descriptor that is not open,", flags::set(closed))),
        ("clear", refused("clear, on a descriptor that is not open,", flags::clear(closed))),
    ] {
        assert_eq!(errno, Errno::EBADF, "`{what}` on a descriptor that is not open: {text}");
        let number = closed.as_raw_fd().to_string();
        assert!(text.contains(&number), "`{what}`: the message does not say which descriptor: {text}");
    }
}
