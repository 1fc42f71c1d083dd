//! Two descriptors across exec: one with close-on-exec set, and one without.

use std::os::fd::AsRawFd;
use std::process::ExitCode;

use experiments::{Choice, Lab, Question, Result, ask};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::unistd::{Whence, lseek, read};

const QUESTION: Question = Question {
    question: "Which descriptors does a program have after exec?",
    setup: "A program opens two files, sets close-on-exec on one of them, and forks. Its child calls exec. \
            Which of the two descriptors does the new program have, and which does the parent still have?",
    choices: &[
        Choice::new(
            "The new program has neither: exec gives it a new table of descriptors. The parent has both.",
        )
        .because("exec kept the descriptor table: the new program had descriptor 3."),
        Choice::new("Each has both: the flag is for programs to read, and the kernel does not act on it.")
            .because("The kernel acts on the flag: it closed descriptor 4 during exec."),
        Choice::new("The new program has the one without the flag. The parent has both."),
        Choice::new(
            "Each has the one without the flag: exec closes the other for both, because they share it.",
        )
        .because("The parent still had descriptor 4: exec changes only the table of its own process."),
    ],
    book: 2,
    shows: "exec keeps the descriptor table and closes the descriptors with close-on-exec set. The new \
            program has the file without the flag under its old number, but no variable that holds the number. The \
            parent has a table of its own, which does not change.",
    lane: "parent",
    roles: &[("after-exec", after_exec)],
};

fn main() -> ExitCode {
    ask(QUESTION, run)
}

fn run(lab: &mut Lab) -> Result<usize> {
    // ANCHOR: core
    let kept = lab.file(b"alpha bravo")?;
    let cloexec = lab.file(b"charlie")?;
    // std opens everything close-on-exec, so the flag of the first has to be cleared.
    fcntl(&kept, FcntlArg::F_SETFD(FdFlag::empty()))?;
    let (three, four) = (kept.as_raw_fd(), cloexec.as_raw_fd());
    lab.note(format!("open: {three}, no flag; {four}, FD_CLOEXEC"));
    let child = lab.fork("child", |lab| {
        lab.note(format!("read through 4: {} bytes", read(&cloexec, &mut [0; 7])?));
        lab.exec("after-exec", &[], "exec: a new program, without the old variables")?;
        Ok(1)
    })?;
    // ANCHOR_END: core
    let found = child.answer(lab)?;
    let open = lab.descriptors()?;
    if found == THREE && open == [3] {
        return Ok(3);
    }
    let offset = lseek(&cloexec, 0, Whence::SeekCur)?;
    lab.note(format!("its descriptors: {open:?}; the offset of 4 is {offset}"));
    lab.check(offset == 7, "before exec, the child can read through the descriptor with the flag");
    lab.check(open == [3, 4], "exec in the child closes nothing in its parent");
    match found {
        0 => Ok(0),
        THREE => Ok(2),
        found if found == THREE + FOUR => Ok(1),
        _ => Err("none of the choices".into()),
    }
}

/// Which descriptors the new program has, as its exit status: the sum of these. 1 is left to failure.
const THREE: i32 = 2;
const FOUR: i32 = 4;

fn after_exec(lab: &mut Lab) -> Result<i32> {
    let open = lab.descriptors()?;
    lab.note(format!("its descriptors, apart from 0, 1 and 2: {open:?}"));
    lab.check(open == [3], "after exec, 3 is open and 4 is not");
    Ok(open.iter().map(|number| if *number == 3 { THREE } else { FOUR }).sum())
}
