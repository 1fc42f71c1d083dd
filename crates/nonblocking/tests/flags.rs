//! Tests of the exercise `nonblocking/flags`. Each looks at the status flags through `/proc`, reads and writes, or at
//! the calls that changed them.

mod support;

#[path = "scenarios/flags.rs"]
mod scenarios;

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nonblocking::flags;
use support::{a_pipe, ask, ask_with, fill, info, name, not_open, refused, traced, words};

testing::helper!(|args| support::helper::answer(args, scenarios::run));

const NONE: OFlag = OFlag::empty();

#[test]
fn set_makes_the_description_nonblocking() {
    let (reader, _writer) = a_pipe(NONE, true);
    flags::set(&reader).unwrap();
    assert!(
        info(&reader).nonblocking(),
        "after `set`, /proc/self/fdinfo does not show {} as nonblocking. Did you use F_SETFD instead of F_SETFL?",
        name(&reader)
    );
}

#[test]
fn clear_makes_the_description_blocking() {
    let (reader, _writer) = a_pipe(OFlag::O_NONBLOCK, true);
    flags::clear(&reader).unwrap();
    assert!(
        !info(&reader).nonblocking(),
        "after `clear`, /proc/self/fdinfo still shows {} as nonblocking. Does `clear` pass F_SETFL the flags without \
         O_NONBLOCK?",
        name(&reader)
    );
}

#[test]
fn empty_and_full_pipes_return_eagain() {
    let (mut reader, mut writer) = a_pipe(NONE, true);
    flags::set(&reader).unwrap();
    flags::set(&writer).unwrap();
    assert!(
        info(&reader).nonblocking() && info(&writer).nonblocking(),
        "`set` was called on both ends of a pipe, and one of them still blocks"
    );
    let read = reader.read(&mut [0; 10]).expect_err("the pipe is empty").kind();
    assert_eq!(read, ErrorKind::WouldBlock, "a read from an empty nonblocking pipe should fail with EAGAIN");
    fill(&writer);
    let written = writer.write(b"one more").expect_err("the pipe is full").kind();
    assert_eq!(written, ErrorKind::WouldBlock, "a write to a full nonblocking pipe should fail with EAGAIN");
}

#[test]
fn is_set_agrees_with_the_kernel() {
    for (nonblocking, cloexec) in [(true, true), (true, false), (false, true), (false, false)] {
        let wanted = if nonblocking { OFlag::O_NONBLOCK } else { NONE };
        let (reader, writer) = a_pipe(wanted | OFlag::O_APPEND, cloexec);
        for end in [reader.as_fd(), writer.as_fd()] {
            assert_eq!(
                flags::is_set(end).unwrap(),
                nonblocking,
                "/proc/self/fdinfo shows {} with {}, {}close-on-exec, and `is_set` returns the opposite. F_GETFD \
                 reads the flags of the descriptor, which has only close-on-exec. Use F_GETFL, and test one bit of \
                 its result, O_NONBLOCK",
                name(end),
                words(info(end).flags),
                if cloexec { "" } else { "not " },
            );
        }
    }
}

#[test]
fn set_and_clear_are_idempotent() {
    for (what, nonblocking) in [("set", true), ("clear", false)] {
        let (reader, _writer) = a_pipe(if nonblocking { OFlag::O_NONBLOCK } else { NONE }, true);
        change(what, &reader);
        assert_eq!(
            info(&reader).nonblocking(),
            nonblocking,
            "the flag of {} was already as `{what}` should leave it, and `{what}` inverted it. `|` sets a bit, `-` \
             clears it, and `^` toggles it",
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
fn other_status_flags_do_not_change() {
    for (what, start) in [("set", NONE), ("clear", OFlag::O_NONBLOCK)] {
        for others in [OFlag::O_APPEND, OFlag::O_ASYNC, OFlag::O_APPEND | OFlag::O_ASYNC, NONE] {
            let (reader, _writer) = a_pipe(start | others, true);
            let before = info(&reader).flags;
            change(what, &reader);
            let after = info(&reader).flags;
            assert!(
                after == before ^ OFlag::O_NONBLOCK,
                "`{what}` should change only O_NONBLOCK of {}, which had {} and now has {}. F_SETFL overwrites all \
                 the flags that it can change: read them with F_GETFL, change one bit, write them back",
                name(&reader),
                words(before),
                words(after)
            );
        }
    }
}

#[test]
fn close_on_exec_does_not_change() {
    for cloexec in [true, false] {
        for (what, start) in [("set", NONE), ("clear", OFlag::O_NONBLOCK)] {
            let (reader, _writer) = a_pipe(start, cloexec);
            change(what, &reader);
            assert_eq!(
                info(&reader).cloexec,
                cloexec,
                "`{what}` changed the close-on-exec flag of {}. F_SETFD writes the flags of the descriptor; \
                 O_NONBLOCK is a flag of the open file description",
                name(&reader)
            );
        }
    }
}

#[test]
fn a_duplicate_shares_the_flag() {
    let (reader, _writer) = a_pipe(NONE, true);
    let copy = reader.try_clone().unwrap();
    flags::set(&reader).unwrap();
    assert!(
        flags::is_set(&copy).unwrap() && info(&copy).nonblocking(),
        "`set` was called on {}, and its duplicate {} still blocks. Duplicates share the open file description",
        name(&reader),
        name(&copy)
    );
    flags::clear(&copy).unwrap();
    assert!(
        !flags::is_set(&reader).unwrap() && !info(&reader).nonblocking(),
        "`clear` was called on {}, and its duplicate {} is still nonblocking. Duplicates share the open file \
         description",
        name(&copy),
        name(&reader)
    );
}

#[test]
fn a_child_shares_the_flag() {
    let (reader, _writer) = a_pipe(NONE, true);
    for (what, nonblocking) in [("set", true), ("clear", false)] {
        let theirs = OwnedFd::from(reader.try_clone().unwrap());
        let answer = ask_with(&["flags-of-stdin", what], theirs.into());
        assert_eq!(answer.line("result"), "Ok ()", "`{what}` failed in a child, on its standard input");
        assert_eq!(
            info(&reader).nonblocking(),
            nonblocking,
            "a child called `{what}` on its standard input, which is a duplicate of {}, and the parent does not see \
             the change. Parent and child share the open file description",
            name(&reader)
        );
    }
}

#[test]
fn another_open_file_description_has_its_own_flag() {
    let (reader, writer) = a_pipe(NONE, true);
    // Opening the pipe by its name below /proc makes a new open file description, where a duplicate would share one.
    let path = format!("/proc/self/fd/{}", reader.as_raw_fd());
    let anew = OpenOptions::new().read(true).open(path).unwrap();
    flags::set(&reader).unwrap();
    assert!(info(&reader).nonblocking(), "`set` was called on {}, and it still blocks", name(&reader));
    for other in [writer.as_fd(), anew.as_fd()] {
        assert!(
            !flags::is_set(other).unwrap() && !info(other).nonblocking(),
            "`set` was called on {}, and {} is nonblocking too. It is the same pipe, but another open file \
             description, which has its own flags",
            name(&reader),
            name(other)
        );
    }
}

/// The status flag of the simulated kernel, which no real kernel has yet.
const UNKNOWN: u32 = 1 << 29;

#[test]
fn set_keeps_an_unknown_flag() {
    unknown_flag("set", OFlag::O_APPEND | OFlag::O_NONBLOCK);
}

#[test]
fn clear_keeps_an_unknown_flag() {
    unknown_flag("clear", OFlag::O_APPEND);
}

/// Checks which flags F_SETFL writes, for a description that has O_APPEND and a status flag that nix does not know.
#[track_caller]
fn unknown_flag(what: &str, wanted: OFlag) {
    let Some(answer) = traced("status-flag", &["flags", what]) else { return };
    let calls: Vec<&str> = answer.lines("call").collect();
    let written: Vec<u32> = calls
        .iter()
        .filter_map(|call| call.strip_prefix("fcntl(F_SETFL) 0")?.split(' ').next())
        .map(|value| u32::from_str_radix(value, 8).expect("the tracer prints flags in octal"))
        .collect();
    let one_bit = calls.iter().any(|call| call.starts_with("ioctl(FIONBIO)"));
    assert!(one_bit || !written.is_empty(), "`{what}` did not call F_SETFL. Its calls: {calls:?}");
    // Each of them: between two calls, other code that shares the description sees what the first one wrote.
    for written in written {
        let read = calls.iter().any(|call| call.starts_with("fcntl(F_GETFL)"));
        assert!(
            read,
            "`{what}` wrote 0{written:o} with F_SETFL, and F_GETFL was not called before. Read the flags, change one bit, \
             write them back"
        );
        assert!(
            written & UNKNOWN != 0,
            "`{what}` lost a flag: F_GETFL returned bit 0{UNKNOWN:o} (which no kernel has yet), and F_SETFL wrote \
             0{written:o} without it. OFlag::from_bits_truncate drops a bit that nix has no name for, and so does `!` in \
             `flags & !OFlag::O_NONBLOCK`. from_bits_retain keeps it, and so does `flags - OFlag::O_NONBLOCK`"
        );
        let changeable =
            (OFlag::O_APPEND | OFlag::O_ASYNC | OFlag::O_NONBLOCK | OFlag::O_DIRECT).bits() as u32;
        assert_eq!(
            written & changeable,
            wanted.bits() as u32,
            "`{what}` wrote the wrong flags with F_SETFL, 0{written:o}. Only O_NONBLOCK may change, and no other flag \
             for a moment: until the next call, a write by other code would not append. Its calls: {calls:?}"
        );
    }
}

#[test]
fn a_closed_descriptor_is_ebadf() {
    let closed = not_open();
    for (what, (errno, text)) in [
        ("is_set", refused("`is_set` on a descriptor that is not open", flags::is_set(closed))),
        ("set", refused("`set` on a descriptor that is not open", flags::set(closed))),
        ("clear", refused("`clear` on a descriptor that is not open", flags::clear(closed))),
    ] {
        assert_eq!(errno, Errno::EBADF, "`{what}` on a descriptor that is not open: {text}");
        let number = closed.as_raw_fd().to_string();
        assert!(text.contains(&number), "the error of `{what}` does not name the descriptor: {text}");
    }
}

#[test]
fn packets_and_access_times_do_not_change() {
    let (packets, _writer) = a_pipe(OFlag::O_DIRECT, true);
    // F_SETFL may set O_NOATIME on a file of the same user.
    let file = memfd_create("times", MFdFlags::MFD_CLOEXEC).unwrap();
    fcntl(&file, FcntlArg::F_SETFL(OFlag::O_NOATIME)).unwrap();
    for what in ["set", "clear"] {
        for (fd, flag) in [(packets.as_fd(), OFlag::O_DIRECT), (file.as_fd(), OFlag::O_NOATIME)] {
            change(what, fd);
            assert!(
                info(fd).flags.contains(flag),
                "`{what}` cleared {flag:?} of {}. F_SETFL writes every flag that it can change: write back all that \
                 F_GETFL returned",
                name(fd)
            );
        }
    }
}

#[test]
fn a_flag_that_cannot_be_changed_is_an_error() {
    // A descriptor with O_PATH has flags that can be read and not changed. See open(2).
    let path = OpenOptions::new().read(true).custom_flags(OFlag::O_PATH.bits()).open("/").unwrap();
    assert_eq!(flags::is_set(&path), Ok(false), "the flags of a descriptor with O_PATH can be read");
    let error =
        flags::set(&path).expect_err("F_SETFL and FIONBIO fail with EBADF on a descriptor with O_PATH");
    assert_eq!(error.errno, Errno::EBADF, "{error}");
    assert!(
        error.object.contains(&path.as_raw_fd().to_string()),
        "the error of `set` does not name the descriptor: {error}"
    );
    assert!(
        !error.operation.is_empty() && !error.operation.contains("F_GETFL"),
        "F_GETFL succeeded, and the error of `set` blames it: {error}. Name the call that failed"
    );
    for (what, error) in [
        ("is_set", flags::is_set(not_open()).err()),
        ("set", flags::set(not_open()).err()),
        ("clear", flags::clear(not_open()).err()),
    ] {
        let error = error.expect("the descriptor is not open");
        assert!(
            !error.operation.is_empty() && !error.operation.contains("F_SETFL"),
            "the descriptor is not open, so F_GETFL failed, and the error of `{what}` blames another call: {error}"
        );
    }
}

#[test]
fn no_descriptor_is_left_open() {
    for what in ["is_set", "set", "clear"] {
        let answer = ask(&["flags", what]);
        assert_eq!(answer.line("opened"), "0", "`{what}` left a descriptor open");
        let again = answer.line("opened-again");
        assert_eq!(
            again, "0",
            "a second call of `{what}`, which has nothing to change, left a descriptor open. Do all paths of the function \
             close what it opens?"
        );
    }
}
