//! Exercise `cloexec/open`: what the kernel must show.

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;

use cloexec::open;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc::{O_ACCMODE, O_NONBLOCK, O_RDONLY, O_WRONLY};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{AddressFamily, SockType, getsockopt, sockopt};
use nix::sys::stat::Mode;
use support::{a_pipe, info, name, traced};

#[track_caller]
fn is_marked(fd: &OwnedFd, what: &str) {
    assert!(
        info(fd).marked,
        "{what}: {} is not close-on-exec, so every program started from now on has it too",
        name(fd)
    );
}

/// Every descriptor that the scenario made was marked by the very call that made it.
#[track_caller]
fn marked_by_the_call(scenario: &str, flag: &str) {
    let Some(answer) = traced("as-it-is", &[scenario]) else { return };
    let calls: Vec<&str> = answer.lines("call").collect();
    let made: Vec<&&str> = calls.iter().filter(|call| call.contains("marked")).collect();
    assert!(!made.is_empty(), "`{scenario}` made no descriptor. Its calls: {calls:?}");
    let later =
        calls.iter().find(|call| call.starts_with("fcntl(F_SETFD)") || call.starts_with("ioctl(FIOCLEX)"));
    if let Some(call) = made.iter().find(|call| call.contains(" unmarked ")) {
        match later {
            Some(later) => panic!(
                "`{scenario}` is a race: `{call}` made the descriptor, and `{later}` marked it later. Between the two \
                 another thread may fork and exec, and its program keeps the descriptor. {flag} does both in one call"
            ),
            None => panic!("`{scenario}` called `{call}`, and nothing marked the descriptor: {flag} does"),
        }
    }
}

#[test]
fn a_file_is_marked() {
    let file = open::open("/dev/null", OFlag::O_RDONLY, Mode::empty()).unwrap();
    is_marked(&file, "open");
}

#[test]
fn a_file_is_marked_by_the_call_that_opens_it() {
    marked_by_the_call("open", "O_CLOEXEC");
}

#[test]
fn the_callers_flags_are_kept() {
    let wanted = OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_NONBLOCK;
    let file = open::open("/dev/null", wanted, Mode::empty()).unwrap();
    let seen = OFlag::from_bits_retain(info(&file).flags);
    assert!(
        seen.contains(wanted),
        "{} was to be opened with {wanted:?} and has {seen:?}: O_CLOEXEC goes beside the caller's flags, not in \
         their place",
        name(&file)
    );
}

#[test]
fn the_mode_reaches_the_kernel() {
    let Some(answer) = traced("as-it-is", &["open-create"]) else { return };
    let calls: Vec<&str> = answer.lines("call").collect();
    let mode = calls.iter().any(|call| call.starts_with("open") && call.contains("mode=0640"));
    assert!(mode, "a file was to be made with mode 0640. The kernel was asked: {calls:?}");
}

#[test]
fn what_cannot_be_opened_is_an_error_that_names_it() {
    let opened = open::open("/proc/self/no-such-file", OFlag::O_RDONLY, Mode::empty());
    let error = opened.expect_err("there is no such file");
    assert_eq!(error.errno, Errno::ENOENT, "{error}");
    assert!(error.object.contains("no-such-file"), "the message does not say which file: {error}");
    let error =
        open::open("a\0b", OFlag::O_RDONLY, Mode::empty()).expect_err("no file has a NUL in its name");
    assert_eq!(error.errno, Errno::EINVAL, "{error}");
}

#[test]
fn both_ends_of_a_pipe_are_marked() {
    let (reader, writer) = open::pipe().unwrap();
    is_marked(&reader, "the reading end of the pipe");
    is_marked(&writer, "the writing end of the pipe");
}

#[test]
fn a_pipe_is_marked_by_the_call_that_makes_it() {
    marked_by_the_call("pipe", "pipe2 with O_CLOEXEC");
}

#[test]
fn a_pipe_has_its_reader_first_and_blocks() {
    let (reader, writer) = open::pipe().unwrap();
    let modes = [info(&reader).flags & O_ACCMODE, info(&writer).flags & O_ACCMODE];
    assert_eq!(
        modes,
        [O_RDONLY, O_WRONLY],
        "the pair is (reader, writer); here the access modes are {modes:?}, where {O_RDONLY} is for reading and \
         {O_WRONLY} for writing"
    );
    let blocking = (info(&reader).flags | info(&writer).flags) & O_NONBLOCK == 0;
    assert!(blocking, "{} is nonblocking: nobody asked for that", name(&reader));
    File::from(writer).write_all(b"one pipe").unwrap();
    let mut text = String::new();
    File::from(reader).read_to_string(&mut text).unwrap();
    assert_eq!(text, "one pipe", "what goes in at the second end comes out of the first");
}

#[test]
fn a_socket_is_marked() {
    let socket = open::socket(AddressFamily::Unix, SockType::Stream).unwrap();
    is_marked(&socket, "socket");
}

#[test]
fn a_socket_is_marked_by_the_call_that_makes_it() {
    marked_by_the_call("socket", "SOCK_CLOEXEC");
}

#[test]
fn a_socket_has_the_type_that_was_asked_for() {
    for kind in [SockType::Stream, SockType::Datagram, SockType::SeqPacket] {
        let socket = open::socket(AddressFamily::Unix, kind).unwrap();
        assert_eq!(getsockopt(&socket, sockopt::SockType), Ok(kind), "{}", name(&socket));
        assert_eq!(
            info(&socket).flags & O_NONBLOCK,
            0,
            "{} is nonblocking: nobody asked for that",
            name(&socket)
        );
    }
    let error = open::socket(AddressFamily::Unix, SockType::Rdm).expect_err("there are no such Unix sockets");
    assert_eq!(error.errno, Errno::ESOCKTNOSUPPORT, "{error}");
}

#[test]
fn a_duplicate_is_marked_whatever_the_original_is() {
    for marked in [false, true] {
        let (reader, _writer) = a_pipe(marked);
        let copy = open::duplicate(&reader).unwrap();
        is_marked(&copy, "a duplicate starts without the flag, unless F_DUPFD_CLOEXEC makes it");
        assert_eq!(info(&reader).marked, marked, "making a duplicate changed {}", name(&reader));
    }
}

#[test]
fn a_duplicate_is_marked_by_the_call_that_makes_it() {
    marked_by_the_call("duplicate", "F_DUPFD_CLOEXEC");
}

#[test]
fn a_duplicate_shares_its_offset() {
    let mut file = File::from(memfd_create("shared", MFdFlags::MFD_CLOEXEC).unwrap());
    let copy = open::duplicate(&file).unwrap();
    file.write_all(b"12345").unwrap();
    let offset = info(&copy).offset;
    assert_eq!(
        offset,
        5,
        "5 bytes went through one; {} is at {offset}: not the same description",
        name(&copy)
    );
}
