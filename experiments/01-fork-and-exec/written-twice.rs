//! Bytes that wait in a buffer while the process forks.

use std::fs::File;
use std::io::{BufWriter, Read, Seek, Write};
use std::os::fd::IntoRawFd;
use std::process::ExitCode;

use experiments::{Choice, Lab, Question, Result, ask};
use nix::errno::Errno;
use nix::libc;

const QUESTION: Question = Question {
    question: "A program has written 5 bytes into a buffer that will be flushed at its end, and forks. \
               Parent and child both end normally. How many times are the bytes in the file? And how many \
               times if the child ends with _exit?",
    choices: &[
        Choice::new("Once, and once: fork flushes first, and leaves two empty buffers."),
        Choice::new(
            "Once, and not at all: the two share one buffer, and the child, who ends first, empties \
                     it.",
        ),
        Choice::new(
            "Twice, and once: fork copied the buffer with what was in it, and _exit flushes nothing.",
        ),
        Choice::new(
            "Twice, and twice: fork copied the buffer, and the kernel flushes what a process leaves.",
        ),
    ],
    book: 2,
    shows: "A buffer is memory, and fork copies memory: the bytes are in both processes and come out of each \
            that flushes. _exit goes to the kernel, which knows nothing of buffers.",
    lane: "parent",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let both = buffered(lab, true)?;
        let one = buffered(lab, false)?;
        let in_c = stdio(lab)?;
        lab.check(in_c == both, "C's stdio, flushed by exit, does as BufWriter does");
        match (both, one) {
            (1, 1) => Ok(0),
            (1, 0) => Ok(1),
            (2, 1) => Ok(2),
            (2, 2) => Ok(3),
            other => Err(format!("the bytes came out so many times: {other:?}").into()),
        }
    })
}

/// Fork while a `BufWriter` holds bytes; the child drops it, or does not. How many times the bytes come out.
fn buffered(lab: &mut Lab, normally: bool) -> Result<usize> {
    let file = lab.file(b"")?;
    let mut buffer = BufWriter::new(file.try_clone()?);
    buffer.write_all(b"alpha")?;
    // In an Option, so that the child can drop its copy and the parent has its own still.
    let mut writer = Some(buffer);
    let length = file.metadata()?.len();
    lab.note(format!("a BufWriter takes 5 bytes; {length} in the file"));
    if normally {
        lab.check(length == 0, "at the fork the file is empty: the kernel has not seen the bytes");
    }
    let child = lab.fork("child", |lab| {
        if normally {
            drop(writer.take());
            lab.note("drop the BufWriter, as the end of main does; _exit");
        } else {
            lab.note("_exit, and nothing is dropped");
        }
        Ok(0)
    })?;
    child.status(lab)?;
    if !normally {
        let still_empty = file.metadata()?.len() == 0;
        lab.check(still_empty, "after a child that ended with _exit the file is still empty");
    }
    drop(writer);
    lab.note("drop the BufWriter, as the end of main does");
    count(lab, file)
}

/// The same with a stream of C's, which `exit` flushes. How many times the bytes come out.
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
    lab.note(format!("a stream of C's takes 5 bytes; {} in the file", file.metadata()?.len()));
    let child = lab.fork("child", |lab| {
        lab.note("exit, which flushes the streams");
        // SAFETY: two threads must not be in exit at once; `Lab::fork` made sure that there is one.
        unsafe { libc::exit(0) }
    })?;
    child.status(lab)?;
    // SAFETY: the stream is open, and nobody uses it after this.
    Errno::result(unsafe { libc::fclose(stream) })?;
    lab.note("fclose, which flushes this stream");
    count(lab, file)
}

/// What is in the file, and how many times the bytes are in it. All who wrote shared one offset, so the
/// second to flush wrote behind the first, not over it.
fn count(lab: &Lab, mut file: File) -> Result<usize> {
    let mut content = String::new();
    file.rewind()?;
    file.read_to_string(&mut content)?;
    lab.note(format!("the file has {} bytes: {content:?}", content.len()));
    Ok(content.matches("alpha").count())
}
