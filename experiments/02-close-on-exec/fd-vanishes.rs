//! Two descriptors across exec: one with close-on-exec set, and one without.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::ExitCode;

use experiments::{Choice, Lab, Question, Result, ask};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::unistd::read;

const QUESTION: Question = Question {
    question: "Which descriptors does a program have after exec?",
    setup: "A program has opened two files, and set close-on-exec on one of them. Then it calls exec. Which \
            descriptors does the new program have?",
    choices: &[
        Choice::new("None: exec starts a new program with a new table of descriptors.")
            .because("exec kept the descriptor table: the new program had descriptor 3."),
        Choice::new("Both: a flag is a note to the program, and the program is gone.")
            .because("The flag is for the kernel, which closed descriptor 4 during exec."),
        Choice::new("The one without the flag: exec closed the other."),
        Choice::new("Both, but reading from the one with the flag fails with EACCES.")
            .because("The new program had no descriptor 4 to read from: exec closed it."),
    ],
    book: 2,
    shows: "exec keeps the descriptor table and closes the descriptors with close-on-exec set. The new \
            program has the other file under its number, but no variable that holds the number.",
    roles: &[("after-exec", after_exec)],
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        // In a child, because exec does not return.
        let child = lab.fork("child", before_exec)?;
        // What the new program found is its exit status.
        Ok(usize::try_from(child.answer(lab)?)?)
    })
}

fn before_exec(lab: &mut Lab) -> Result<i32> {
    // ANCHOR: core
    let kept = lab.file(b"alpha bravo")?;
    lab.note(format!("open a file: descriptor {}", kept.as_raw_fd()));
    let cloexec = lab.file(b"charlie")?;
    lab.note(format!("open another: descriptor {}", cloexec.as_raw_fd()));
    // std opens everything close-on-exec, so the flag of the first has to be cleared.
    fcntl(&kept, FcntlArg::F_SETFD(FdFlag::empty()))?;
    lab.note("F_SETFD: 3 has no flag, 4 has FD_CLOEXEC");
    let length = read(&cloexec, &mut [0; 7])?;
    lab.check(length == 7, "before exec, the descriptor with the flag can be read like any other");
    lab.exec("after-exec", &[], "exec: a new program, with no variable of the old one")?;
    // ANCHOR_END: core
    Ok(1)
}

/// Gives the choice that the kernel made.
fn after_exec(lab: &mut Lab) -> Result<i32> {
    let open = lab.descriptors()?;
    lab.note(format!("/proc/self/fd lists, apart from 0, 1 and 2: {open:?}"));
    lab.check(open == [3], "after exec, 3 is open and 4 is not");
    Ok(match open[..] {
        [] => 0,
        [3] => 2,
        _ if File::open("/proc/self/fd/4").is_ok() => 1,
        _ => 3,
    })
}
