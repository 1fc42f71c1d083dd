//! Tests of the exercise `nonblocking/pipe`. Each looks at the pipe through `/proc` and fcntl, or at the calls that
//! made it.

mod support;

#[path = "scenarios/pipe.rs"]
mod scenarios;

use std::fs::File;
use std::io::{PipeReader, Write};
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc::{O_ACCMODE, O_RDONLY, O_WRONLY};
use nonblocking::pipe;
use support::{
    a_pipe, ask, empty, fill, info, kernel_capacity, name, not_open, page, refused, same_bytes, traced,
};

testing::helper!(|args| support::helper::answer(args, scenarios::run));

#[test]
fn neither_end_blocks() {
    let (reader, writer) = pipe::pipe().unwrap();
    for (which, end) in [("read", reader.as_fd()), ("write", writer.as_fd())] {
        assert!(
            info(end).nonblocking(),
            "the {which} end, {}, blocks. The two ends are two open file descriptions, each with its own flags",
            name(end)
        );
    }
}

#[test]
fn both_ends_are_close_on_exec() {
    let (reader, writer) = pipe::pipe().unwrap();
    for (which, end) in [("read", reader.as_fd()), ("write", writer.as_fd())] {
        assert!(
            info(end).cloexec,
            "the {which} end, {}, is not close-on-exec, so every program that is started from now on inherits it. \
             While such a program has the write end open, the reader never sees end of file",
            name(end)
        );
    }
}

#[test]
fn one_call_sets_both_flags() {
    let Some(answer) = traced("as-it-is", &["pipe"]) else { return };
    let calls: Vec<&str> = answer.lines("call").collect();
    let made = calls.iter().find(|call| call.starts_with("pipe"));
    let made = made.unwrap_or_else(|| panic!("`pipe` made no pipe. Its calls: {calls:?}"));
    assert!(
        !made.contains(" no-cloexec "),
        "`pipe` has a race: `{made}` made the ends without close-on-exec. If another thread forks and execs right \
         after it, its program inherits both ends. Use pipe2 with O_CLOEXEC, which sets the flag in the same call. \
         The calls: {calls:?}"
    );
    assert!(
        calls.len() == 1,
        "`pipe` made {} calls instead of one. pipe2 takes O_NONBLOCK and O_CLOEXEC together. The calls: {calls:?}",
        calls.len()
    );
}

#[test]
fn a_failed_pipe2_is_the_only_call() {
    for errno in ["ENOSYS", "ENFILE", "EMFILE"] {
        let Some(answer) = traced(&format!("pipe2={errno}"), &["pipe"]) else { return };
        let calls: Vec<&str> = answer.lines("call").collect();
        assert!(
            calls.len() == 1,
            "pipe2 failed with {errno}, and `pipe` made {} calls. An error is for the caller: pipe(2), which takes no flags, would \
             make ends that another thread's program can inherit. The calls: {calls:?}",
            calls.len()
        );
        let result = answer.line("result");
        assert!(
            result.starts_with(&format!("Err {errno} ")),
            "pipe2 failed with {errno}, and `pipe` returned {result}"
        );
    }
}

#[test]
fn the_read_end_comes_first_and_bytes_flow() {
    let (reader, writer) = pipe::pipe().unwrap();
    let modes = [info(&reader).flags.bits() & O_ACCMODE, info(&writer).flags.bits() & O_ACCMODE];
    assert_eq!(
        modes,
        [O_RDONLY, O_WRONLY],
        "`pipe` should return (read end, write end), and the access modes of the pair are {modes:?}, where {O_RDONLY} \
         means O_RDONLY and {O_WRONLY} means O_WRONLY"
    );
    assert!(
        !info(&writer).flags.contains(OFlag::O_DIRECT),
        "{} has O_DIRECT, so it carries packets instead of a stream of bytes. Set only O_NONBLOCK and O_CLOEXEC",
        name(&writer)
    );
    let mut writer = File::from(writer);
    writer.write_all(b"one ").unwrap();
    writer.write_all(b"pipe").unwrap();
    same_bytes(
        &empty(File::from(reader)),
        b"one pipe",
        "bytes that are written to the second end should come out of the first",
    );
}

#[test]
fn running_out_of_descriptors_is_an_error() {
    let answer = ask(&["pipe-without-numbers"]);
    let result = answer.line("result");
    assert!(
        result.starts_with("Err EMFILE "),
        "the process had no free descriptor, and `pipe` returned {result}. Return the kernel's EMFILE to the caller"
    );
}

#[test]
fn capacity_agrees_with_the_kernel() {
    // First a new pipe: its capacity is usually 64 KiB, and two pages if its user has very many pipes.
    for pages in [None, Some(2), Some(1)] {
        let (reader, writer) = a_pipe(OFlag::O_NONBLOCK, true);
        if let Some(pages) = pages {
            fcntl(&reader, FcntlArg::F_SETPIPE_SZ((pages * page()) as i32)).unwrap();
        }
        for end in [reader.as_fd(), writer.as_fd()] {
            assert_eq!(
                pipe::capacity(end).unwrap(),
                kernel_capacity(end),
                "`capacity` of {} is wrong. It can change at any time, so ask the kernel with F_GETPIPE_SZ instead of \
                 returning a constant",
                name(end)
            );
        }
    }
}

#[test]
fn set_capacity_returns_the_new_capacity() {
    let page = page();
    for (asked, pages) in
        [(4 * page, 4), (3 * page, 4), (2 * page + 1, 4), (page + 1, 2), (page, 1), (1, 1), (0, 1)]
    {
        let (reader, writer) = a_pipe(OFlag::O_NONBLOCK, true);
        if kernel_capacity(&reader) < 4 * page {
            testing::skip!("this user has so many pipes that a new one is too small to shrink");
        }
        let answer = pipe::set_capacity(&writer, asked).unwrap();
        assert_eq!(
            kernel_capacity(&reader),
            pages * page,
            "after `set_capacity` with {asked} bytes, the kernel's capacity of {} is wrong",
            name(&reader)
        );
        assert_eq!(
            answer,
            pages * page,
            "the kernel rounded {asked} bytes up to {}, a power of two of pages, and `set_capacity` returned another \
             number. Return the result of F_SETPIPE_SZ",
            pages * page
        );
    }
}

#[test]
fn a_capacity_below_the_content_is_ebusy() {
    let (reader, writer) = a_pipe(OFlag::O_NONBLOCK, true);
    let written = fill(&writer);
    let before = kernel_capacity(&reader);
    let (errno, text) =
        refused("a capacity of one page for a full pipe", pipe::set_capacity(&reader, page()));
    assert_eq!(errno, Errno::EBUSY, "the kernel refuses to shrink a full pipe: {text}");
    says(&text, &reader, &page().to_string(), "fewer pages than it uses");
    assert_eq!(kernel_capacity(&reader), before, "`set_capacity` returned an error and changed the capacity");
    same_bytes(&empty(&reader), &written, "the bytes in the pipe should stay there");
}

/// Checks that an error names the descriptor, the requested bytes, and what the errno means for a pipe.
#[track_caller]
fn says(text: &str, fd: impl AsFd, bytes: &str, reason: &str) {
    let number = fd.as_fd().as_raw_fd();
    for part in [&format!("descriptor {number}"), bytes, reason] {
        assert!(
            text.contains(part),
            "the error “{text}” does not contain “{part}”. The errno alone is ambiguous: add the descriptor, the \
             requested bytes, and what the errno means for a pipe"
        );
    }
}

#[test]
fn an_unprivileged_user_has_a_limit() {
    let answer = ask(&["capacity-above-the-limit"]);
    if let Some(why) = answer.lines("skipped").next() {
        testing::skip!("{why}");
    }
    let (asked, result) = (answer.line("asked"), answer.line("result"));
    assert!(
        result.starts_with("Err EPERM "),
        "{asked} bytes are more than /proc/sys/fs/pipe-max-size, and `set_capacity` returned {result}. Return the \
         kernel's EPERM instead of setting a smaller capacity"
    );
    for part in ["descriptor ", asked, "pipe-max-size"] {
        assert!(
            result.contains(part),
            "the error “{result}” does not contain “{part}”. Say which limit does not permit it"
        );
    }
    assert_eq!(
        answer.line("after"),
        answer.line("before"),
        "`set_capacity` returned an error and changed the capacity"
    );
}

#[test]
fn a_capacity_above_2_gib_is_einval() {
    // The kernel takes 32 bits: it would see 4 GiB and one page as one page, and usize::MAX as all ones.
    let four_gib = 1_u64 << 32;
    let page = page() as u64;
    for asked in [(1 << 31) + 1, four_gib - 1, four_gib, four_gib + page, u64::MAX] {
        // On a machine of 32 bits, only the first two are numbers that can be asked for.
        let Ok(asked) = usize::try_from(asked) else { continue };
        let (reader, _writer): (PipeReader, _) = a_pipe(OFlag::O_NONBLOCK, true);
        let before = kernel_capacity(&reader);
        let result = pipe::set_capacity(&reader, asked);
        assert!(
            result.is_err(),
            "`set_capacity` with {asked} bytes returned {result:?}. F_SETPIPE_SZ takes an `int`, so the upper half \
             of the number was lost: check the number before you cast it"
        );
        let (errno, text) = refused("a capacity above 2 GiB", result);
        assert_eq!(errno, Errno::EINVAL, "no pipe can hold that many bytes: {text}");
        says(&text, &reader, &asked.to_string(), "more than a pipe can hold");
        assert_eq!(
            kernel_capacity(&reader),
            before,
            "`set_capacity` returned an error and changed the capacity"
        );
    }
}

#[test]
fn the_error_says_that_a_file_is_not_a_pipe() {
    let file = File::open("/dev/null").unwrap();
    for fd in [file.as_fd(), not_open()] {
        let number = fd.as_raw_fd();
        for (what, (errno, text)) in [
            ("capacity", refused("`capacity` of a file", pipe::capacity(fd))),
            ("set_capacity", refused("`set_capacity` of a file", pipe::set_capacity(fd, 4096))),
        ] {
            assert_eq!(errno, Errno::EBADF, "`{what}`: {text}");
            let names = text.contains(&number.to_string()) && text.contains("not a pipe");
            assert!(
                names,
                "`{what}` on {} returned “{text}”. The kernel returns EBADF also for an open file that is not a \
                 pipe; say so in the error",
                name(fd)
            );
        }
    }
}

#[test]
fn any_result_of_the_kernel_is_the_capacity() {
    // 2 MiB, which only a privileged user may have; 1 GiB; and three pages, as from a kernel that rounds in another way.
    for size in ["2097152", "1073741824", "12288"] {
        let kernel = format!("pipe-size={size}");
        for scenario in [&["capacity"][..], &["set-capacity", "5000"]] {
            let Some(answer) = traced(&kernel, scenario) else { return };
            assert_eq!(
                answer.line("result"),
                format!("Ok {size}"),
                "the kernel returned {size}, and the result of {scenario:?} is another number. Compute nothing: return what \
                 the kernel returned"
            );
        }
    }
}

#[test]
fn up_to_2_gib_the_kernel_decides() {
    for (bytes, errno) in [
        ("0", "EPERM"),
        ("1", "EPERM"),
        ("16777217", "EPERM"),
        ("1073741825", "EPERM"),
        ("2147483647", "EPERM"),
        ("2147483648", "EPERM"),
        ("5000", "EBUSY"),
        ("5000", "ENOMEM"),
    ] {
        let Some(answer) = traced(&format!("pipe-size={errno}"), &["set-capacity", bytes]) else { return };
        let result = answer.line("result");
        assert!(
            result.starts_with(&format!("Err {errno} ")),
            "a pipe may have {bytes} bytes, the kernel refused with {errno}, and `set_capacity` returned {result}. Ask the \
             kernel about each number up to 2 GiB, even 0, and return its errno"
        );
        let asked: Vec<&str> = answer
            .lines("call")
            .filter_map(|call| call.strip_prefix("fcntl(F_SETPIPE_SZ) ")?.split(' ').next())
            .collect();
        assert_eq!(
            asked,
            [bytes],
            "`set_capacity` was called with {bytes} bytes, and these are the numbers that the kernel was asked for; it refused \
             with {errno}. Pass the caller's number on unchanged, even 0, and try no other one after a refusal: the caller \
             would not know which capacity the pipe has"
        );
    }
}

#[test]
fn an_error_names_its_call() {
    for (scenario, call) in [(&["capacity"][..], "F_GETPIPE_SZ"), (&["set-capacity", "5000"], "F_SETPIPE_SZ")]
    {
        let Some(answer) = traced("pipe-size=ENOMEM", scenario) else { return };
        let (result, number) = (answer.line("result"), answer.line("number"));
        for part in [call, number] {
            assert!(
                result.starts_with("Err ENOMEM ") && result.contains(part),
                "{call} on descriptor {number} failed with ENOMEM, and the result is “{result}”, without “{part}”"
            );
        }
        for reason in ["not a pipe", "fewer pages", "pipe-max-size", "more than a pipe"] {
            assert!(
                !result.contains(reason),
                "ENOMEM means that the kernel has no memory, and the error says “{reason}”: “{result}”. The four reasons \
                 belong to four errnos"
            );
        }
    }
    for (errno, reason) in [("EBADF", "not a pipe"), ("EBUSY", "fewer pages"), ("EPERM", "pipe-max-size")] {
        for scenario in [&["capacity"][..], &["set-capacity", "5000"]] {
            let Some(answer) = traced(&format!("pipe-size={errno}"), scenario) else { return };
            let result = answer.line("result");
            assert!(
                result.contains(reason),
                "the kernel answered {scenario:?} with {errno}, which means “{reason}” for a pipe, and the error is “{result}”. Both \
                 functions say what it means"
            );
        }
    }
    let failed = ask(&["pipe-without-numbers"]);
    let result = failed.line("result");
    assert!(result.contains("pipe"), "`pipe` failed, and its error does not name the call: {result}");
}
