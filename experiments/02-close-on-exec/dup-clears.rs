//! Four duplicates of a marked descriptor, and which of them carry the mark.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::process::ExitCode;

use experiments::{Choice, Lab, Question, Result, ask};
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::unistd::{Whence, dup, dup2, dup3, lseek};

const QUESTION: Question = Question {
    question: "Descriptor 3 is marked close-on-exec. dup makes 4 of it, and dup2 makes 5, in the place of \
               another marked descriptor. F_DUPFD_CLOEXEC makes 6, dup3 with O_CLOEXEC makes 7. Which of the \
               five are there after exec?",
    choices: &[
        Choice::new("None: all five are one open file, and that is marked."),
        Choice::new("4 and 5: dup and dup2 leave the mark behind."),
        Choice::new("4 alone: dup2 takes over the mark of the descriptor that it replaces."),
        Choice::new("4, 5, 6 and 7: only the descriptor that was marked itself is closed."),
    ],
    book: 1,
    shows: "The mark belongs to a descriptor, and dup and dup2 make a new one without it. So a marked file \
            gets into the next program through its duplicate. F_DUPFD_CLOEXEC and dup3 with O_CLOEXEC make \
            one that is marked from birth.",
    roles: &[("after-exec", after_exec)],
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let child = lab.fork("child", duplicate)?;
        // What the new program found is its exit status. The choices, in their order:
        let choices: [&[i32]; 4] = [&[], &[4, 5], &[4], &[4, 5, 6, 7]];
        let found = child.answer(lab)?;
        choices.iter().position(|open| status(open) == found).ok_or("none of the choices".into())
    })
}

fn duplicate(lab: &mut Lab) -> Result<i32> {
    let original = lab.file(b"alpha bravo")?;
    note(lab, "open, close-on-exec", &original)?;
    let by_dup = dup(&original)?;
    note(lab, "dup(3)", &by_dup)?;
    // dup2 and dup3 are given a descriptor to replace, and that one is marked, as all of std's are.
    let mut by_dup2 = OwnedFd::from(lab.file(b"charlie")?);
    dup2(&original, &mut by_dup2)?;
    note(lab, "dup2(3, 5)", &by_dup2)?;
    let number = fcntl(&original, FcntlArg::F_DUPFD_CLOEXEC(0))?;
    // SAFETY: F_DUPFD_CLOEXEC made this descriptor in the line above, and nothing else knows its number.
    let by_fcntl = unsafe { OwnedFd::from_raw_fd(number) };
    note(lab, "F_DUPFD_CLOEXEC(3)", &by_fcntl)?;
    let mut by_dup3 = OwnedFd::from(lab.file(b"delta")?);
    dup3(&original, &mut by_dup3, OFlag::O_CLOEXEC)?;
    note(lab, "dup3(3, 7, O_CLOEXEC)", &by_dup3)?;
    lab.check(marked(&original)?, "the original keeps its mark, whatever becomes of its duplicates");
    lab.exec("after-exec", &[], "exec")?;
    Ok(1)
}

/// Which descriptors are open, as an exit status: a bit each. The lowest is left to failure, which is 1.
fn status(open: &[i32]) -> i32 {
    open.iter().filter(|number| (3..=8).contains(*number)).map(|number| 1 << (number - 2)).sum()
}

fn after_exec(lab: &mut Lab) -> Result<i32> {
    let open = lab.descriptors()?;
    lab.note(format!("/proc/self/fd lists, beside 0, 1 and 2: {open:?}"));
    if let [first, second, ..] = open[..] {
        // SAFETY: it is open, as /proc said above; this program has one thread and has closed nothing since,
        // and no other object owns the descriptor.
        let mut first = File::from(unsafe { OwnedFd::from_raw_fd(first) });
        // SAFETY: as above, and the borrow ends before the program does.
        let second = unsafe { BorrowedFd::borrow_raw(second) };
        first.read_exact(&mut [0; 5])?;
        let offset = lseek(second, 0, Whence::SeekCur)?;
        lab.note(format!("read 5 bytes from {}: {} is at offset {offset}", first.as_raw_fd(), open[1]));
        lab.check(offset == 5, "4 and 5 are the one open file still: reading from one moves the other");
    }
    Ok(status(&open))
}

fn note(lab: &Lab, what: &str, descriptor: &(impl AsFd + AsRawFd)) -> Result {
    let flag = if marked(descriptor)? { "FD_CLOEXEC" } else { "no flag" };
    lab.note(format!("{what}: descriptor {}, {flag}", descriptor.as_raw_fd()));
    Ok(())
}

fn marked(descriptor: &impl AsFd) -> Result<bool> {
    Ok(FdFlag::from_bits_retain(fcntl(descriptor, FcntlArg::F_GETFD)?).contains(FdFlag::FD_CLOEXEC))
}
