//! A descriptor, exec, and the two things that can become of it.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::ExitCode;

use experiments::{Choice, Lab, Question, Result, ask};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::unistd::read;

const QUESTION: Question = Question {
    question: "A program has opened two files, and set close-on-exec on one of them. Then it calls exec. \
               Which descriptors does the new program have?",
    choices: &[
        Choice::new("None: exec starts a new program with a new table of descriptors.").because(
            "exec replaces the memory of the process and keeps its table of descriptors: the new \
                      program had descriptor 3.",
        ),
        Choice::new("Both: a flag is a note to the program, and the program is gone.")
            .because("The flag is a note to the kernel, which closed descriptor 4 during exec."),
        Choice::new("The unmarked one only: exec closed the other."),
        Choice::new("Both, but reading from the marked one fails with EACCES.").because(
            "Descriptor 4 was not in the new program's table at all, so there was nothing to read \
                      from.",
        ),
    ],
    book: 2,
    shows: "exec keeps the table of descriptors and closes those that are marked. The new program has the \
            unmarked file under its number, and no variable that says so.",
    roles: &[("after-exec", after_exec)],
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        // The parent looks on; a child does it, because exec does not come back.
        let child = lab.fork("child", |lab| {
            let kept = lab.file(b"alpha bravo")?;
            lab.note(format!("open a file: descriptor {}", kept.as_raw_fd()));
            let marked = lab.file(b"charlie")?;
            lab.note(format!("open another: descriptor {}", marked.as_raw_fd()));
            // Rust opens everything close-on-exec, so the mark has to be taken off the first.
            fcntl(&kept, FcntlArg::F_SETFD(FdFlag::empty()))?;
            lab.note("F_SETFD: 3 has no flag, 4 has FD_CLOEXEC");
            let length = read(&marked, &mut [0; 7])?;
            lab.check(length == 7, "before exec, the marked descriptor can be read like any other");
            lab.exec("after-exec", &[], "exec: a new program, with no variable of the old one")?;
            Ok(1)
        })?;
        // What the new program found is its exit status.
        Ok(usize::try_from(child.answer(lab)?)?)
    })
}

/// Gives the choice that the kernel made.
fn after_exec(lab: &mut Lab) -> Result<i32> {
    let open = lab.descriptors()?;
    lab.note(format!("/proc/self/fd lists, beside 0, 1 and 2: {open:?}"));
    lab.check(open == [3], "after exec, 3 is open and 4 is not");
    Ok(match open[..] {
        [] => 0,
        [3] => 2,
        _ if File::open("/proc/self/fd/4").is_ok() => 1,
        _ => 3,
    })
}
