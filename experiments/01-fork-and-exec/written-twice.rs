//! Bytes that are in a buffer while the process forks.

use std::fs::File;
use std::io::{BufWriter, Read, Seek, Write};
use std::os::fd::IntoRawFd;
use std::process::ExitCode;

use experiments::{Choice, Lab, Question, Result, ask};
use nix::errno::Errno;
use nix::libc;

const QUESTION: Question = Question {
    question: "How many times is a buffer written if its program forks before the flush?",
    setup: "A program has 5 bytes in a buffer, which a normal exit writes to a file. The program forks. How \
            many times are the bytes in the file if parent and child both exit normally? And how many times \
            if the child calls _exit?",
    choices: &[
        Choice::new("Once, and once with _exit: fork flushes first, and leaves two empty buffers.")
            .because("fork flushes nothing: the file was empty at the fork, and each copy had the bytes."),
        Choice::new(
            "Once, and never with _exit: both processes share one buffer, and the child empties it first.",
        )
        .because("Each process has its own copy of the buffer, and each wrote its copy."),
        Choice::new(
            "Twice, and once with _exit: fork copied the buffer with its bytes, and _exit flushes nothing.",
        ),
        Choice::new(
            "Twice, and twice with _exit: fork copied the buffer, and the kernel flushes the copies.",
        )
        .because(
            "The kernel does not know about the buffers: after the child's _exit the file was still empty.",
        ),
    ],
    book: 2,
    shows: "A buffer is memory, and fork copies memory: both processes have the bytes, and each process that \
            flushes writes them. _exit is a system call, and flushes nothing.",
    lane: "parent",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let both = buffered(lab, true)?;
        let one = buffered(lab, false)?;
        let in_c = stdio(lab)?;
        lab.check(in_c == both, "the bytes of a stream of C, which exit flushes, are there twice as well");
        match (both, one) {
            (1, 1) => Ok(0),
            (1, 0) => Ok(1),
            (2, 1) => Ok(2),
            (2, 2) => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

/// Fork while a `BufWriter` holds bytes; the child drops it, or does not. Gives how many times the bytes are in the
/// file.
fn buffered(lab: &mut Lab, normally: bool) -> Result<usize> {
    let file = lab.file(b"")?;
    let mut buffer = BufWriter::new(file.try_clone()?);
    buffer.write_all(b"alpha")?;
    // In an Option, so that the child can drop its copy while the parent keeps its own.
    let mut writer = Some(buffer);
    let length = file.metadata()?.len();
    lab.note(format!("a BufWriter takes 5 bytes; {length} in the file"));
    if normally {
        lab.check(length == 0, "at the fork the file is empty: the kernel has not seen the bytes");
    }
    // ANCHOR: core
    let child = lab.fork("child", |lab| {
        if normally {
            drop(writer.take());
            lab.note("drop the BufWriter, as a normal exit does; _exit");
        } else {
            lab.note("_exit, without dropping anything");
        }
        Ok(0) // the library calls _exit(0)
    })?;
    // ANCHOR_END: core
    child.status(lab)?;
    if !normally {
        let still_empty = file.metadata()?.len() == 0;
        lab.check(still_empty, "after the child's _exit the file is still empty");
    }
    drop(writer);
    lab.note("drop the BufWriter, as a normal exit does");
    count(lab, file)
}

/// The same with a stream of C's stdio, which `exit` flushes.
fn stdio(lab: &mut Lab) -> Result<usize> {
    let file = lab.file(b"")?;
    let descriptor = file.try_clone()?.into_raw_fd();
    // SAFETY: the descriptor was made for the stream, which owns it from here on.
    let stream = unsafe { libc::fdopen(descriptor, c"w".as_ptr()) };
    if stream.is_null() {
        return Err(Errno::last().into());
    }
    // SAFETY: the stream is open, as was seen above, and the text ends with a zero.
    Errno::result(unsafe { libc::fputs(c"alpha".as_ptr(), stream) })?;
    lab.note(format!("a stream of C's stdio takes 5 bytes; {} in the file", file.metadata()?.len()));
    let child = lab.fork("child", |lab| {
        lab.note("exit, which flushes the streams");
        // SAFETY: two threads must not be in exit at once; `Lab::fork` made sure that there is one.
        unsafe { libc::exit(0) }
    })?;
    child.status(lab)?;
    // SAFETY: the stream is open, and is not used after this.
    Errno::result(unsafe { libc::fclose(stream) })?;
    lab.note("fclose, which flushes this stream");
    count(lab, file)
}

/// How many times the bytes are in the file. The processes share one offset, so the second flush wrote behind the
/// first and not over it.
fn count(lab: &Lab, mut file: File) -> Result<usize> {
    let mut content = String::new();
    file.rewind()?;
    file.read_to_string(&mut content)?;
    lab.note(format!("the file has {} bytes: {content:?}", content.len()));
    Ok(content.matches("alpha").count())
}
