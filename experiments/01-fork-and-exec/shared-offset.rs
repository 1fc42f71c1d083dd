//! One open file, two processes, and the offset that they share.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::ExitCode;

use experiments::{Choice, Question, Result, ask};
use nix::errno::Errno;
use nix::unistd::{close, read};

/// Three words of five bytes: the word that a read gives tells where the read began.
const CONTENT: &[u8] = b"alphabravodelta";

const QUESTION: Question = Question {
    question: "Does a child's read move its parent's offset in an inherited file?",
    setup: "A program opens a file and forks. The child reads 5 bytes through the descriptor that it \
            inherited. Then it opens the same file again, reads 5 bytes through the new descriptor, and \
            closes both descriptors. Where does the parent's next read begin?",
    choices: &[
        Choice::new("At byte 0: fork copied the descriptor and its offset, and the child moved its own.")
            .because("The parent's read began at byte 5: both descriptors lead to one offset."),
        Choice::new(
            "At byte 5: parent and child share the offset of the first open, and the second open has its own.",
        ),
        Choice::new("At byte 10: a file has one offset, however often it is opened.")
            .because("The second open has an offset of its own: it began at byte 0."),
        Choice::new(
            "Nowhere: the child has closed the file, so the read fails with EBADF (no such descriptor).",
        )
        .because("close removed the child's descriptors: the parent's was still open."),
    ],
    book: 1,
    shows: "fork copies descriptors, and the copies lead to one open file description, which holds the \
            offset. Each open makes a new description. close removes one descriptor, in one process.",
    lane: "parent",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let file = lab.file(CONTENT)?;
        let number = file.as_raw_fd();
        lab.note(format!("open a file: descriptor {number}, offset 0"));
        let child = lab.fork("child", |lab| {
            let (inherited, word) = begin(&file)?;
            lab.note(format!("read 5 bytes from {number}: {word:?}"));
            let second = File::open(format!("/proc/self/fd/{number}"))?;
            lab.note(format!("open the same file again: descriptor {}", second.as_raw_fd()));
            let (reopened, word) = begin(&second)?;
            lab.note(format!("read 5 bytes from {}: {word:?}", second.as_raw_fd()));
            lab.check(inherited == 0, "the child's read through the inherited descriptor began at byte 0");
            lab.check(reopened == 0, "the child's read through the new descriptor began at byte 0 too");
            drop(second);
            // `drop` cannot do it: the closure borrows the variable.
            close(number)?;
            lab.note("close both descriptors");
            let closed = begin(&file) == Err(Errno::EBADF);
            lab.check(closed, "after the close, a read in the child fails with EBADF");
            Ok(0)
        })?;
        child.status(lab)?;
        let next = begin(&file);
        lab.check(next.is_ok(), "in the parent, the descriptor is still open");
        choice(next.inspect(|(at, word)| {
            lab.note(format!("read 5 bytes from {number}: {word:?}, so from byte {at} on"));
        }))
    })
}

// ANCHOR: begin
/// Reads one word. Returns the offset at which the read began, and the word.
fn begin(file: &File) -> nix::Result<(usize, String)> {
    let mut word = [0; 5];
    let length = read(file, &mut word)?;
    let chunk = CONTENT.chunks(5).position(|chunk| *chunk == word[..length]);
    let at = chunk.map_or(CONTENT.len(), |index| 5 * index);
    Ok((at, String::from_utf8_lossy(&word[..length]).into_owned()))
}
// ANCHOR_END: begin

/// The choice that the parent's read amounts to.
fn choice(next: nix::Result<(usize, String)>) -> Result<usize> {
    match next {
        Ok((0, _)) => Ok(0),
        Ok((5, _)) => Ok(1),
        Ok((10, _)) => Ok(2),
        Err(Errno::EBADF) => Ok(3),
        other => Err(format!("the parent's read gave {other:?}").into()),
    }
}
