//! Tests of the exercise `cloexec/open`. Each looks at the new descriptor through `/proc`, or at the calls that made
//! it.

mod support;

#[path = "scenarios/open.rs"]
mod scenarios;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use cloexec::open;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc::{O_ACCMODE, O_CLOEXEC, O_NONBLOCK, O_RDONLY, O_WRONLY};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{AddressFamily, SockType, getsockopt, sockopt};
use nix::sys::stat::Mode;
use support::{a_pipe, ask, info, name, traced};

testing::helper!(|args| support::helper::answer(args, scenarios::run));

#[track_caller]
fn is_close_on_exec(fd: &OwnedFd, what: &str) {
    assert!(
        info(fd).cloexec,
        "{what}: {} is not close-on-exec, so every program that is started from now on inherits it",
        name(fd)
    );
}

/// Checks that the scenario's calls that make descriptors also set close-on-exec. A line of `call` is like
/// `openat flags=02000000 mode=0 cloexec -> 3` or, for a call that should have set the flag, `pipe2 flags=00 no-cloexec -> 0`.
#[track_caller]
fn set_in_the_same_call(scenario: &str, flag: &str) {
    let Some(answer) = traced("as-it-is", &[scenario]) else { return };
    let calls: Vec<&str> = answer.lines("call").collect();
    let made: Vec<&&str> = calls.iter().filter(|call| call.contains("cloexec")).collect();
    assert!(!made.is_empty(), "`{scenario}` made no descriptor. Its calls: {calls:?}");
    let later =
        calls.iter().find(|call| call.starts_with("fcntl(F_SETFD)") || call.starts_with("ioctl(FIOCLEX)"));
    if let Some(call) = made.iter().find(|call| call.contains(" no-cloexec ")) {
        match later {
            Some(later) => panic!(
                "`{scenario}` has a race: `{call}` made the descriptor, and `{later}` set its flag later. If another \
                 thread forks and execs between the two calls, its program inherits the descriptor. Use {flag}, which \
                 does both in one call"
            ),
            None => panic!("`{scenario}` called `{call}`, and no call set close-on-exec. Use {flag}"),
        }
    }
}

#[test]
fn open_sets_close_on_exec() {
    let file = open::open("/dev/null", OFlag::O_RDONLY, Mode::empty()).unwrap();
    is_close_on_exec(&file, "open");
}

#[test]
fn open_sets_the_flag_in_the_same_call() {
    set_in_the_same_call("open", "O_CLOEXEC");
}

#[test]
fn the_callers_flags_are_kept() {
    let wanted = OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_NONBLOCK;
    let file = open::open("/dev/null", wanted, Mode::empty()).unwrap();
    let seen = OFlag::from_bits_retain(info(&file).flags);
    assert!(
        seen.contains(wanted),
        "{} should have the caller's flags {wanted:?}, and has {seen:?}. Add O_CLOEXEC to the caller's flags with `|` \
         instead of replacing them",
        name(&file)
    );
}

#[test]
fn the_mode_reaches_the_kernel() {
    let Some(answer) = traced("as-it-is", &["open-create"]) else { return };
    let calls: Vec<&str> = answer.lines("call").collect();
    let mode = calls.iter().any(|call| call.starts_with("open") && call.contains("mode=0640"));
    assert!(
        mode,
        "`open` should create the file with mode 0640. Does it pass the mode on? Its calls: {calls:?}"
    );
}

#[test]
fn a_failed_open_names_the_path() {
    let opened = open::open("/proc/self/no-such-file", OFlag::O_RDONLY, Mode::empty());
    let error = opened.expect_err("the file does not exist");
    assert_eq!(error.errno, Errno::ENOENT, "{error}");
    assert!(error.object.contains("no-such-file"), "the error does not name the file: {error}");
    let error =
        open::open("a\0b", OFlag::O_RDONLY, Mode::empty()).expect_err("a path cannot contain a NUL byte");
    assert_eq!(error.errno, Errno::EINVAL, "{error}");
}

#[test]
fn both_ends_of_a_pipe_are_close_on_exec() {
    let (reader, writer) = open::pipe().unwrap();
    is_close_on_exec(&reader, "the read end of the pipe");
    is_close_on_exec(&writer, "the write end of the pipe");
}

#[test]
fn pipe_sets_the_flag_in_the_same_call() {
    set_in_the_same_call("pipe", "pipe2 with O_CLOEXEC");
}

#[test]
fn pipe_returns_the_read_end_first_and_blocks() {
    let (reader, writer) = open::pipe().unwrap();
    let modes = [info(&reader).flags & O_ACCMODE, info(&writer).flags & O_ACCMODE];
    assert_eq!(
        modes,
        [O_RDONLY, O_WRONLY],
        "`pipe` should return (read end, write end), and the access modes of the pair are {modes:?}, where {O_RDONLY} \
         means O_RDONLY and {O_WRONLY} means O_WRONLY"
    );
    let blocking = (info(&reader).flags | info(&writer).flags) & O_NONBLOCK == 0;
    assert!(blocking, "{} is nonblocking. `pipe` should only set close-on-exec", name(&reader));
    File::from(writer).write_all(b"one pipe").unwrap();
    let mut text = String::new();
    File::from(reader).read_to_string(&mut text).unwrap();
    assert_eq!(text, "one pipe", "bytes that are written to the second end should come out of the first");
}

#[test]
fn pipes_and_sockets_get_no_other_option() {
    for scenario in ["pipe", "sockets"] {
        let Some(answer) = traced("as-it-is", &[scenario]) else { return };
        let other = |call: &&str| match call.strip_prefix("pipe2 flags=0") {
            Some(rest) => !rest.starts_with(&format!("{O_CLOEXEC:o} ")),
            None => call.starts_with("fcntl(F_SETPIPE_SZ)") || call.starts_with("setsockopt"),
        };
        let other = answer.lines("call").find(other);
        assert!(
            other.is_none(),
            "the caller asked for a pipe or a socket and no option, and your code called `{}`. Set close-on-exec and nothing \
             else: with O_DIRECT, a pipe carries packets; F_SETPIPE_SZ changes its capacity, and setsockopt the socket",
            other.unwrap_or_default()
        );
    }
}

#[test]
fn a_socket_is_close_on_exec() {
    let socket = open::socket(AddressFamily::Unix, SockType::Stream).unwrap();
    is_close_on_exec(&socket, "socket");
}

#[test]
fn socket_sets_the_flag_in_the_same_call() {
    set_in_the_same_call("socket", "SOCK_CLOEXEC");
}

#[test]
fn a_socket_has_the_requested_type() {
    for kind in [SockType::Stream, SockType::Datagram, SockType::SeqPacket] {
        let socket = open::socket(AddressFamily::Unix, kind).unwrap();
        assert_eq!(getsockopt(&socket, sockopt::SockType), Ok(kind), "{}", name(&socket));
        assert_eq!(
            info(&socket).flags & O_NONBLOCK,
            0,
            "{} is nonblocking. `socket` should only set close-on-exec",
            name(&socket)
        );
    }
    let error = open::socket(AddressFamily::Unix, SockType::Rdm).expect_err("Unix sockets lack this type");
    assert_eq!(error.errno, Errno::ESOCKTNOSUPPORT, "{error}");
}

#[test]
fn a_duplicate_is_close_on_exec_whatever_the_original_is() {
    for cloexec in [false, true] {
        let (reader, _writer) = a_pipe(cloexec);
        let copy = open::duplicate(&reader).unwrap();
        is_close_on_exec(&copy, "dup does not copy the flag, so a duplicate needs F_DUPFD_CLOEXEC");
        assert_eq!(info(&reader).cloexec, cloexec, "`duplicate` changed the flag of {}", name(&reader));
    }
}

#[test]
fn duplicate_sets_the_flag_in_the_same_call() {
    set_in_the_same_call("duplicate", "F_DUPFD_CLOEXEC");
}

#[test]
fn a_duplicate_is_no_standard_stream() {
    for closed in ["0", "1", "2", "0 1 2"] {
        let answer = ask(&["run", "duplicate-without", closed]);
        let number: i32 = answer.line("number").parse().expect("a duplicate has a number");
        assert!(
            number > 2,
            "{closed} was closed, and the duplicate got the number {number}, so it is a standard stream now, which other \
             code reads or prints to. F_DUPFD_CLOEXEC takes the lowest number that the duplicate may have"
        );
    }
}

#[test]
fn a_duplicate_shares_the_offset() {
    let mut file = File::from(memfd_create("shared", MFdFlags::MFD_CLOEXEC).unwrap());
    let copy = open::duplicate(&file).unwrap();
    file.write_all(b"12345").unwrap();
    let offset = info(&copy).offset;
    assert_eq!(
        offset,
        5,
        "5 bytes were written through the original, and {} is at offset {offset}. A duplicate should share the open \
         file description",
        name(&copy)
    );
}

#[test]
fn the_flags_and_the_mode_are_exactly_the_callers() {
    // O_LARGEFILE, which some C libraries add, has no name in nix on every machine.
    const LARGE: i32 = 0o100_000;
    let create = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_TRUNC;
    for (scenario, flags, mode) in [
        ("open-plainly", OFlag::O_RDONLY, None),
        ("open-with-everything", OFlag::O_WRONLY | OFlag::O_APPEND | create, Some("mode=06054")),
        ("open-without-a-name", OFlag::O_WRONLY | OFlag::O_TMPFILE, Some("mode=06054")),
        ("open-with-an-unknown-flag", OFlag::O_RDONLY | scenarios::UNKNOWN, None),
    ] {
        let Some(answer) = traced("as-it-is", &[scenario]) else { return };
        let calls: Vec<&str> = answer.lines("call").filter(|call| call.starts_with("open")).collect();
        assert!(!calls.is_empty(), "`open` made no call that opens a file");
        for call in calls {
            let seen = call.split_once("flags=0").and_then(|(_, rest)| rest.split(' ').next()).unwrap_or("");
            let seen = i32::from_str_radix(seen, 8).unwrap_or(0) & !LARGE;
            let wanted = (flags | OFlag::O_CLOEXEC).bits() & !LARGE;
            assert_eq!(
                seen, wanted,
                "the caller asked for {flags:?}, and `open` called `{call}`. It should add O_CLOEXEC, drop no flag of the \
                 caller, not even one that nix has no name for, and add no other: O_NOFOLLOW or O_CREAT would open a file other than \
                 the one that the caller meant"
            );
            let kept = mode.is_none_or(|mode| call.split(' ').any(|word| word == mode));
            assert!(
                kept,
                "the caller's mode is {mode:?}, and `open` called `{call}`. Pass all of its bits on, whatever the flags are: \
                 O_TMPFILE makes a file, too"
            );
        }
    }
}

#[test]
fn a_path_need_not_be_text() {
    testing::needs!(temporary);
    let name = OsStr::from_bytes(b"cloexec-\xff");
    let folder = testing::machine::temporary_folder().expect("there is one");
    let folder = folder.join(format!("cloexec-open-{}", std::process::id()));
    std::fs::create_dir(&folder).expect("a folder can be made");
    let path = folder.join(name);
    let created = File::create(&path);
    let opened = open::open(&path, OFlag::O_RDONLY, Mode::empty());
    let _ = std::fs::remove_dir_all(&folder);
    if created.is_err() {
        testing::skip!("this file system refuses names that are not UTF-8");
    }
    assert!(
        opened.is_ok(),
        "a file whose name is not UTF-8 exists, and `open` returned {opened:?}. A path is bytes: pass it on as it is"
    );
}

#[test]
fn a_socket_has_the_requested_family() {
    let Some(answer) = traced("as-it-is", &["sockets"]) else { return };
    let calls: Vec<&str> = answer.lines("call").collect();
    for (family, kind) in scenarios::SOCKETS {
        let wanted = format!("socket family={} type={} ", family as i32, kind as i32);
        assert!(
            calls.iter().any(|call| call.starts_with(&wanted)),
            "the caller asked for {family:?} and {kind:?}, and no call was `{wanted}`. Pass both on. The calls: {calls:?}"
        );
    }
}

#[test]
fn without_a_free_number_the_error_is_emfile() {
    let answer = ask(&["run", "full", "4"]);
    for (name, call) in
        [("open", "open"), ("pipe", "pipe"), ("socket", "socket"), ("duplicate", "dup"), ("without-0", "dup")]
    {
        let result = answer.line(name);
        assert!(
            result.starts_with("Err EMFILE "),
            "no number was free{}, and the result is `{result}`. Return the kernel's EMFILE. A duplicate may not take 0, 1 \
             or 2, even if nothing else is free",
            if name == "without-0" { " but 0" } else { "" }
        );
        let (named, object) = result.split_once(" on ").unwrap_or_default();
        assert!(
            named.to_lowercase().contains(call),
            "the error does not name the call that failed: `{result}`"
        );
        assert!(
            call != "dup" || object.contains('3'),
            "the error of `duplicate` does not name the descriptor, which is 3: `{result}`"
        );
    }
    for left in answer.lines("left") {
        assert!(left.ends_with(" nothing"), "a function failed and left a descriptor open: {left}");
    }
}

#[test]
fn any_errno_reaches_the_caller() {
    // SAFETY: no process has a descriptor of this number, because /proc/sys/fs/nr_open is at most 2147483584.
    let closed = unsafe { BorrowedFd::borrow_raw(i32::MAX) };
    let error = open::duplicate(closed).expect_err("the descriptor is not open");
    assert_eq!(
        error.errno,
        Errno::EBADF,
        "`duplicate` of a descriptor that is not open returned `{error}`. Return the kernel's errno, whichever it is"
    );
    let calls =
        ["open", "openat", "pipe", "pipe2", "socket", "fcntl(F_DUPFD_CLOEXEC)", "fcntl(F_DUPFD)", "dup"];
    let kernel = calls.map(|call| format!("{call}=ENOMEM")).join(",");
    let Some(answer) = traced(&kernel, &["errors"]) else { return };
    for name in ["open", "pipe", "socket", "duplicate"] {
        let result = answer.line(name);
        assert!(
            result.starts_with("Err ENOMEM "),
            "the kernel had no memory (ENOMEM), and `{name}` returned `{result}`. Return the kernel's errno, whichever it is"
        );
    }
}

#[test]
fn a_refused_call_is_not_made_again_without_the_flag() {
    for (kernel, name, errno) in [
        ("open=EINVAL,openat=EINVAL", "open", "EINVAL"),
        ("pipe2=ENOSYS", "pipe", "ENOSYS"),
        ("socket=EINVAL", "socket", "EINVAL"),
        ("fcntl(F_DUPFD_CLOEXEC)=EINVAL", "duplicate", "EINVAL"),
    ] {
        let Some(answer) = traced(kernel, &["errors"]) else { return };
        let leaky = answer.lines("call").find(|call| call.contains(" no-cloexec"));
        assert!(
            leaky.is_none(),
            "with {kernel}, the call that sets close-on-exec failed, and your code called `{}` then. Such a descriptor is \
             inheritable until a later call sets the flag. Return the error instead: no kernel since Linux 2.6.27 lacks the \
             flag",
            leaky.unwrap_or_default()
        );
        let result = answer.line(name);
        assert!(
            result.starts_with(&format!("Err {errno} ")),
            "with {kernel}, `{name}` returned `{result}`. Return the kernel's errno, whichever it is"
        );
    }
}

#[test]
fn the_last_free_number_is_enough_for_a_duplicate() {
    let answer = ask(&["run", "full", "5"]);
    assert_eq!(
        answer.line("duplicate"),
        "Ok [4]",
        "only number 4 was free, and `duplicate` should take it: any number from 3 up is good for a duplicate"
    );
}

#[test]
fn each_function_makes_only_what_it_returns() {
    for (name, wanted) in [("open", "1"), ("pipe", "2"), ("socket", "1"), ("duplicate", "1")] {
        let answer = ask(&["run", "made", name]);
        assert_eq!(
            answer.line("made"),
            wanted,
            "number 0 was free, `{name}` was called, and this many descriptors are new. One that the caller does not get \
             stays open until the process ends"
        );
    }
}
