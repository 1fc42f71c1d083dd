//! Tests of the exercise `cloexec/flags`. Each looks at the descriptor through `/proc`, exec or the tracer.

mod support;

#[path = "scenarios/flags.rs"]
mod scenarios;

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;

use cloexec::flags;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use support::{a_pipe, ask, info, name, set_cloexec, traced};

testing::helper!(|args| support::helper::answer(args, scenarios::run));

#[test]
fn set_makes_the_descriptor_close_on_exec() {
    let (reader, _writer) = a_pipe(false);
    flags::set(&reader).unwrap();
    assert!(
        info(&reader).cloexec,
        "after `set`, /proc/self/fdinfo does not show {} as close-on-exec. Did you use F_SETFL instead of F_SETFD?",
        name(&reader)
    );
}

#[test]
fn clear_makes_the_descriptor_inheritable() {
    let (reader, _writer) = a_pipe(true);
    flags::clear(&reader).unwrap();
    assert!(
        !info(&reader).cloexec,
        "after `clear`, /proc/self/fdinfo still shows {} as close-on-exec. Does `clear` pass F_SETFD the flags without \
         FD_CLOEXEC?",
        name(&reader)
    );
}

#[test]
fn exec_closes_a_descriptor_that_was_set() {
    let reader = a_pipe(false).0;
    flags::set(&reader).unwrap();
    let inherited = inherited(&reader);
    assert!(
        inherited.is_none(),
        "`set` was called on {}, and a program that was started later still has it, as {inherited:?}. execve should \
         have closed it",
        name(&reader)
    );
}

#[test]
fn a_cleared_descriptor_survives_exec() {
    let reader = a_pipe(true).0;
    flags::clear(&reader).unwrap();
    let inherited = inherited(&reader);
    assert!(
        inherited.is_some(),
        "`clear` was called on {}, and a program that was started later does not have it. It should survive execve",
        name(&reader)
    );
}

/// Starts a program, and returns its line about the file of this descriptor, if the program has that file open.
#[track_caller]
fn inherited(fd: impl AsFd) -> Option<String> {
    let object = File::from(fd.as_fd().try_clone_to_owned().unwrap()).metadata().unwrap();
    let identity = format!(" {}:{} ", object.dev(), object.ino());
    ask(&["inherited"]).0.lines().find(|line| line.contains(&identity)).map(str::to_owned)
}

#[test]
fn is_set_agrees_with_the_kernel() {
    for cloexec in [true, false] {
        let (reader, writer) = a_pipe(cloexec);
        let (of_reader, of_writer) = (flags::is_set(&reader).unwrap(), flags::is_set(&writer).unwrap());
        let hint =
            "F_GETFL reads the flags of the open file description, where 1 means O_WRONLY. Use F_GETFD";
        let end = if of_reader == cloexec { name(&writer) } else { name(&reader) };
        assert!(
            of_reader == cloexec && of_writer == cloexec,
            "/proc/self/fdinfo shows {end} as {}, and `is_set` returns the opposite. {hint}",
            if cloexec { "close-on-exec" } else { "not close-on-exec" },
        );
    }
}

#[test]
fn set_and_clear_are_idempotent() {
    for (what, cloexec) in [("set", true), ("clear", false)] {
        let (reader, _writer) = a_pipe(cloexec);
        let done = if cloexec { flags::set(&reader) } else { flags::clear(&reader) };
        done.unwrap();
        assert_eq!(
            info(&reader).cloexec,
            cloexec,
            "`{what}` was called on {} when there was nothing to change, and it inverted the flag. `|` sets a bit and `-` \
             clears it; `^` toggles it",
            name(&reader)
        );
    }
}

#[test]
fn status_flags_and_offset_do_not_change() {
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
            "`{what}` changed more of {} than its close-on-exec flag: status flags 0{:o} became 0{:o}, and offset {} \
             became {}. They belong to the open file description. Did you use F_SETFL, which writes the status flags?",
            name(&file),
            before.flags,
            after.flags,
            before.offset,
            after.offset
        );
    }
}

#[test]
fn a_duplicate_has_its_own_flag() {
    let (reader, _writer) = a_pipe(false);
    let copy = reader.try_clone().unwrap();
    set_cloexec(&copy, false);
    flags::set(&reader).unwrap();
    assert!(info(&reader).cloexec, "`set` was called on {}, and it is not close-on-exec", name(&reader));
    assert!(
        !info(&copy).cloexec,
        "`set` was called on {}, and its duplicate {} is close-on-exec too. Each descriptor has its own flag",
        name(&reader),
        name(&copy)
    );
    flags::set(&copy).unwrap();
    flags::clear(&reader).unwrap();
    assert!(
        info(&copy).cloexec,
        "`clear` was called on {}, and its duplicate {} lost the flag too. Each descriptor has its own flag",
        name(&reader),
        name(&copy)
    );
}

#[test]
fn set_keeps_an_unknown_flag() {
    second_flag("set", 3);
}

#[test]
fn clear_keeps_an_unknown_flag() {
    second_flag("clear", 2);
}

/// Checks which flags F_SETFD writes on a kernel that has a descriptor flag 2 in addition to FD_CLOEXEC, which is 1.
#[track_caller]
fn second_flag(what: &str, wanted: u32) {
    let Some(answer) = traced("second-flag", &[what]) else { return };
    let calls: Vec<&str> = answer.lines("call").collect();
    if calls.iter().any(|call| call.starts_with("ioctl(FIO")) {
        return; // FIOCLEX and FIONCLEX change this one bit
    }
    let written = calls.iter().rev().find_map(|call| call.strip_prefix("fcntl(F_SETFD) ")?.split(' ').next());
    let written: u32 = written.and_then(|value| value.parse().ok()).unwrap_or_else(|| {
        panic!("`{what}` did not call F_SETFD. Its calls: {calls:?}");
    });
    let read = calls.iter().any(|call| call.starts_with("fcntl(F_GETFD)"));
    assert!(
        written & 2 != 0 || read,
        "`{what}` overwrote the descriptor's flags: F_SETFD wrote {written}, and F_GETFD was not called before. On a \
         kernel with a second flag, that flag would be lost. Read the flags with F_GETFD, change one bit, write them \
         back"
    );
    assert!(
        written & 2 != 0,
        "`{what}` lost a flag: F_GETFD returned bit 2 (which no kernel has yet), and F_SETFD wrote {written} without \
         it. `from_bits_truncate` drops unknown bits, and so does `!flag`. Use `from_bits_retain`, and \
         `flags - FdFlag::FD_CLOEXEC`"
    );
    assert_eq!(written, wanted, "`{what}` wrote the wrong flags with F_SETFD. Its calls: {calls:?}");
    let moment = calls.iter().find(|call| {
        call.strip_prefix("fcntl(F_SETFD) ").is_some_and(|rest| !rest.starts_with(&format!("{wanted} ")))
    });
    assert!(
        moment.is_none(),
        "`{what}` called `{}` before it wrote {wanted}. Between the two calls the flags are wrong: if another thread forks and \
         execs then, its program inherits the descriptor, or lacks it. Write once",
        moment.unwrap_or(&"")
    );
}

#[test]
fn a_closed_descriptor_is_ebadf() {
    // SAFETY: no process has a descriptor of this number, because /proc/sys/fs/nr_open is at most 2147483584.
    let closed = unsafe { BorrowedFd::borrow_raw(i32::MAX) };
    for (what, errno) in [
        ("is_set", flags::is_set(closed).map(drop).map_err(|error| error.errno)),
        ("set", flags::set(closed).map_err(|error| error.errno)),
        ("clear", flags::clear(closed).map_err(|error| error.errno)),
    ] {
        assert_eq!(
            errno,
            Err(Errno::EBADF),
            "`{what}` on a descriptor that is not open hides the error of fcntl. Return it with `?`"
        );
    }
}

#[test]
fn is_set_looks_at_one_bit() {
    for (what, wanted) in [("is_set", "Ok Some(true)"), ("is_unset", "Ok Some(false)")] {
        let Some(answer) = traced("second-flag", &["report", what]) else { return };
        assert_eq!(
            answer.line("result"),
            wanted,
            "the file has a second descriptor flag set, as a later kernel may have, and `is_set` returned the wrong value: \
             it compares all flags with one number. Test the bit FD_CLOEXEC with `&` or `contains`"
        );
    }
}

#[test]
fn an_error_names_the_call_and_the_descriptor() {
    for (what, call) in [
        ("is_set", "F_GETFD"),
        ("set", "F_GETFD"),
        ("set", "F_SETFD"),
        ("clear", "F_GETFD"),
        ("clear", "F_SETFD"),
    ] {
        for (errno, why) in [
            (Errno::EBADF, "another thread closed the descriptor"),
            (Errno::EPERM, "a seccomp filter forbids the call"),
        ] {
            let kernel =
                format!("fcntl({call})={errno:?},ioctl(FIOCLEX)={errno:?},ioctl(FIONCLEX)={errno:?}");
            let Some(answer) = traced(&kernel, &["report", what]) else { return };
            // An answer need not make this call: it can use ioctl, or read /proc.
            let failed = format!(" -> -{}", errno as i32);
            let Some(failed) = answer.lines("call").find(|call| call.ends_with(&failed)) else { continue };
            let name = failed.split(['(', ')']).nth(1).unwrap_or(failed);
            let (result, number) = (answer.line("result"), answer.line("number"));
            assert!(
                result.starts_with(&format!("Err {errno:?} ")),
                "{why}, {name} failed with {errno:?}, and `{what}` returned `{result}`. Each call can fail: return the \
                 kernel's errno, whichever it is, with `map_err` and `?`"
            );
            let (named, object) = result.split_once(" on ").unwrap_or_default();
            assert!(
                named.contains(name),
                "{name} failed, and the error of `{what}` names another call: `{result}`. The caller should learn from the \
                 error which call failed"
            );
            assert!(
                object.split(|c: char| !c.is_ascii_digit()).any(|word| word == number),
                "{name} failed on descriptor {number}, and the error of `{what}` does not name the descriptor: `{result}`"
            );
            the_table_is_the_same(what, &answer);
        }
    }
}

#[test]
fn each_call_asks_the_kernel() {
    let (reader, _writer) = a_pipe(false);
    for (what, cloexec) in [("set", true), ("clear", false)] {
        for time in ["first", "second"] {
            let done = if cloexec { flags::set(&reader) } else { flags::clear(&reader) };
            done.unwrap();
            let (seen, said) = (info(&reader).cloexec, flags::is_set(&reader).unwrap());
            assert_eq!(
                (seen, said),
                (cloexec, cloexec),
                "after the {time} `{what}` of {}, the kernel says that close-on-exec is {seen}, and `is_set` says {said}. \
                 Other code may have changed the flag before: remember nothing, and ask the kernel in each call",
                name(&reader)
            );
            set_cloexec(&reader, !cloexec);
            assert_eq!(
                flags::is_set(&reader).unwrap(),
                !cloexec,
                "other code has changed the flag of {} after `{what}`, and `is_set` does not see it. Remember nothing, and \
                 ask the kernel in each call",
                name(&reader)
            );
        }
    }
}

#[test]
fn no_descriptor_is_opened_or_closed() {
    for what in ["is_set", "set", "clear"] {
        the_table_is_the_same(what, &ask(&["run", "report", what]));
    }
}

#[track_caller]
fn the_table_is_the_same(what: &str, answer: &support::Answer) {
    assert_eq!(
        answer.line("open"),
        "same",
        "`{what}` opened a descriptor and left it open, or closed one. It should change one flag of one descriptor"
    );
}
