//! Exercise `cloexec/flags`: what the kernel must show.

mod support;

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;

use cloexec::flags;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use support::{a_pipe, ask, info, mark, name, traced};

#[test]
fn set_marks_the_descriptor() {
    let (reader, _writer) = a_pipe(false);
    flags::set(&reader).unwrap();
    assert!(
        info(&reader).marked,
        "after `set`, /proc/self/fdinfo does not show {} as close-on-exec: F_SETFL where F_SETFD was meant?",
        name(&reader)
    );
}

#[test]
fn clear_unmarks_the_descriptor() {
    let (reader, _writer) = a_pipe(true);
    flags::clear(&reader).unwrap();
    assert!(
        !info(&reader).marked,
        "after `clear`, /proc/self/fdinfo still shows {} as close-on-exec: was anything written with F_SETFD?",
        name(&reader)
    );
}

#[test]
fn a_marked_descriptor_is_gone_after_exec() {
    let reader = a_pipe(false).0;
    flags::set(&reader).unwrap();
    let born = born_with(&reader);
    assert!(born.is_none(), "{} was marked, and is {born:?} in a program after exec", name(&reader));
}

#[test]
fn a_cleared_descriptor_survives_exec() {
    let reader = a_pipe(true).0;
    flags::clear(&reader).unwrap();
    let born = born_with(&reader);
    assert!(born.is_some(), "{} was cleared, and a program that was started does not have it", name(&reader));
}

/// What the descriptor's object is called in a program started now, if that has it.
#[track_caller]
fn born_with(fd: impl AsFd) -> Option<String> {
    let object = File::from(fd.as_fd().try_clone_to_owned().unwrap()).metadata().unwrap();
    let identity = format!(" {}:{} ", object.dev(), object.ino());
    ask(&["born-with"]).0.lines().find(|line| line.contains(&identity)).map(str::to_owned)
}

#[test]
fn is_set_says_what_the_kernel_has() {
    for marked in [true, false] {
        let (reader, writer) = a_pipe(marked);
        let (of_reader, of_writer) = (flags::is_set(&reader).unwrap(), flags::is_set(&writer).unwrap());
        let hint =
            "F_GETFL answers for the open file description, where 1 means O_WRONLY; F_GETFD is the one";
        let end = if of_reader == marked { name(&writer) } else { name(&reader) };
        assert!(
            of_reader == marked && of_writer == marked,
            "/proc/self/fdinfo shows {end} as {}, and `is_set` says otherwise. {hint}",
            if marked { "close-on-exec" } else { "not close-on-exec" },
        );
    }
}

#[test]
fn doing_it_twice_changes_nothing() {
    for (what, marked) in [("set", true), ("clear", false)] {
        let (reader, _writer) = a_pipe(marked);
        let done = if marked { flags::set(&reader) } else { flags::clear(&reader) };
        done.unwrap();
        assert_eq!(
            info(&reader).marked,
            marked,
            "`{what}` was not needed for {}, and turned its flag round: `|` and `&!` set and clear, `^` toggles",
            name(&reader)
        );
    }
}

#[test]
fn status_flags_and_offset_stay() {
    let mut file = File::from(memfd_create("status", MFdFlags::empty()).unwrap());
    fcntl(&file, FcntlArg::F_SETFL(OFlag::O_APPEND | OFlag::O_NONBLOCK)).unwrap();
    file.seek(SeekFrom::Start(3)).unwrap();
    for what in ["set", "clear"] {
        let before = info(&file);
        let done = if what == "set" { flags::set(&file) } else { flags::clear(&file) };
        done.unwrap();
        let after = info(&file);
        assert!(
            (after.flags, after.offset) == (before.flags, before.offset),
            "`{what}` changed more of {} than its close-on-exec flag: status flags 0{:o} became 0{:o}, offset {} \
             became {}. Those belong to the open file description, and F_SETFL writes them",
            name(&file),
            before.flags,
            after.flags,
            before.offset,
            after.offset
        );
    }
}

#[test]
fn a_duplicate_has_a_flag_of_its_own() {
    let (reader, _writer) = a_pipe(false);
    let copy = reader.try_clone().unwrap();
    mark(&copy, false);
    flags::set(&reader).unwrap();
    assert!(info(&reader).marked, "{} was set and is not marked", name(&reader));
    assert!(
        !info(&copy).marked,
        "{} was set, and its duplicate {} is marked too",
        name(&reader),
        name(&copy)
    );
    flags::set(&copy).unwrap();
    flags::clear(&reader).unwrap();
    assert!(info(&copy).marked, "{} was cleared, and its duplicate {} too", name(&reader), name(&copy));
}

#[test]
fn set_gives_a_second_flag_back() {
    second_flag("set", 3);
}

#[test]
fn clear_gives_a_second_flag_back() {
    second_flag("clear", 2);
}

/// On a kernel with a descriptor flag 2 beside FD_CLOEXEC, which is 1: what does F_SETFD write?
#[track_caller]
fn second_flag(what: &str, wanted: u32) {
    let Some(answer) = traced("second-flag", &[what]) else { return };
    let calls: Vec<&str> = answer.lines("call").collect();
    if calls.iter().any(|call| call.starts_with("ioctl(FIO")) {
        return; // changes the one bit and no other
    }
    let written = calls.iter().rev().find_map(|call| call.strip_prefix("fcntl(F_SETFD) ")?.split(' ').next());
    let written: u32 = written.and_then(|value| value.parse().ok()).unwrap_or_else(|| {
        panic!("`{what}` never called F_SETFD. Its calls: {calls:?}");
    });
    let read = calls.iter().any(|call| call.starts_with("fcntl(F_GETFD)"));
    assert!(
        written & 2 != 0 || read,
        "`{what}` overwrote the descriptor's flags: F_SETFD wrote {written} without a look at what was there. \
         A kernel with a second flag loses it: read with F_GETFD, change one bit, write"
    );
    assert!(
        written & 2 != 0,
        "`{what}` lost a flag: F_GETFD answered with bit 2 set, which no kernel has yet, and F_SETFD wrote {written}. \
         FdFlag::from_bits_truncate drops bits that it does not know; from_bits_retain keeps them"
    );
    assert_eq!(written, wanted, "`{what}` wrote the wrong flags with F_SETFD. Its calls: {calls:?}");
}

#[test]
fn a_closed_descriptor_is_an_error() {
    // SAFETY: no process has this number (/proc/sys/fs/nr_open is at most 2147483584), so it is nobody's.
    let closed = unsafe { BorrowedFd::borrow_raw(i32::MAX) };
    for (what, errno) in [
        ("is_set", flags::is_set(closed).map(drop).map_err(|error| error.errno)),
        ("set", flags::set(closed).map_err(|error| error.errno)),
        ("clear", flags::clear(closed).map_err(|error| error.errno)),
    ] {
        assert_eq!(
            errno,
            Err(Errno::EBADF),
            "`{what}` on a descriptor that is not open keeps the error to itself"
        );
    }
}
