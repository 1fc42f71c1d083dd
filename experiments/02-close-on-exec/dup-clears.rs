//! Four duplicates of a close-on-exec descriptor, and which of them have the flag.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::process::ExitCode;

use experiments::{Choice, Lab, Question, Result, ask};
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::unistd::{Whence, dup, dup2, dup3, lseek};

const QUESTION: Question = Question {
    question: "Does a duplicate have the close-on-exec flag of its original?",
    setup: "Descriptor 3 of a program is close-on-exec. The program makes four duplicates of it: 4 with dup; 5 \
            with dup2, in place of another close-on-exec descriptor; 6 with F_DUPFD_CLOEXEC; 7 with dup3 and \
            O_CLOEXEC. Then it calls exec. Which of the five descriptors are open afterwards?",
    choices: &[
        Choice::new("None: all five lead to one open file, and the flag is set on that file.")
            .because("Each descriptor has a flag of its own, and the flags of 4 and 5 were clear."),
        Choice::new("4 and 5: dup and dup2 do not copy the flag."),
        Choice::new("4 alone: dup2 keeps the flag of the descriptor that it replaces.")
            .because("dup2 closed the old descriptor 5, and the flag went with it."),
        Choice::new("4, 5, 6 and 7: only the descriptor on which the flag was set is closed.")
            .because("F_DUPFD_CLOEXEC and dup3 with O_CLOEXEC set the flag on their duplicates."),
    ],
    book: 1,
    shows: "Close-on-exec belongs to a descriptor, and dup and dup2 make a descriptor without it. So the file \
            of a close-on-exec descriptor survives exec through the duplicate. F_DUPFD_CLOEXEC and dup3 with \
            O_CLOEXEC make a duplicate that has the flag from the start.",
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
    // ANCHOR: core
    // `lab.file` opens close-on-exec, as everything in std does.
    let original = lab.file(b"alpha bravo")?;
    let by_dup = dup(&original)?;
    // nix's dup2 replaces its second argument, which is another file here.
    let mut by_dup2 = OwnedFd::from(lab.file(b"charlie")?);
    dup2(&original, &mut by_dup2)?;
    let number = fcntl(&original, FcntlArg::F_DUPFD_CLOEXEC(0))?;
    let mut by_dup3 = OwnedFd::from(lab.file(b"delta")?);
    dup3(&original, &mut by_dup3, OFlag::O_CLOEXEC)?;
    // ANCHOR_END: core
    // SAFETY: F_DUPFD_CLOEXEC made this descriptor, and no other object has its number.
    let by_fcntl = unsafe { OwnedFd::from_raw_fd(number) };
    note(lab, "open, close-on-exec", &original)?;
    note(lab, "dup(3)", &by_dup)?;
    note(lab, "dup2(3, 5)", &by_dup2)?;
    note(lab, "fcntl(3, F_DUPFD_CLOEXEC, 0)", &by_fcntl)?;
    note(lab, "dup3(3, 7, O_CLOEXEC)", &by_dup3)?;
    lab.check(is_cloexec(&original)?, "the original keeps its flag, whatever its duplicates have");
    lab.exec("after-exec", &[], "exec")?;
    Ok(1)
}

/// Which descriptors are open, as an exit status with a bit for each. The lowest bit is left to failure, which is 1.
fn status(open: &[i32]) -> i32 {
    open.iter().filter(|number| (3..=8).contains(*number)).map(|number| 1 << (number - 2)).sum()
}

fn after_exec(lab: &mut Lab) -> Result<i32> {
    let open = lab.descriptors()?;
    lab.note(format!("/proc/self/fd lists, apart from 0, 1 and 2: {open:?}"));
    if let [first, second, ..] = open[..] {
        // SAFETY: it is open, as /proc said above; this program has one thread and has closed nothing since,
        // and no other object owns the descriptor.
        let mut first = File::from(unsafe { OwnedFd::from_raw_fd(first) });
        // SAFETY: as above, and the borrow ends before the program does.
        let second = unsafe { BorrowedFd::borrow_raw(second) };
        first.read_exact(&mut [0; 6])?;
        let offset = lseek(second, 0, Whence::SeekCur)?;
        lab.note(format!(
            "read 6 bytes through {}: the offset of {} is {offset}",
            first.as_raw_fd(),
            open[1]
        ));
        lab.check(offset == 6, "4 and 5 lead to one open file: reading through 4 moves the offset of 5");
    }
    Ok(status(&open))
}

fn note(lab: &Lab, what: &str, descriptor: &(impl AsFd + AsRawFd)) -> Result {
    let flag = if is_cloexec(descriptor)? { "FD_CLOEXEC" } else { "no flag" };
    lab.note(format!("{what}: descriptor {}, {flag}", descriptor.as_raw_fd()));
    Ok(())
}

fn is_cloexec(descriptor: &impl AsFd) -> Result<bool> {
    Ok(FdFlag::from_bits_retain(fcntl(descriptor, FcntlArg::F_GETFD)?).contains(FdFlag::FD_CLOEXEC))
}
