//! One call of fork, two processes that it returns in, and a variable that each of them has.

use std::process::ExitCode;

use experiments::{Choice, Lab, Question, Result, ask};
use nix::unistd::{Pid, getpid, getppid};

const QUESTION: Question = Question {
    question: "Does a parent see a variable that the child of its fork has changed?",
    setup: "A program sets a variable to 1 and calls fork. The child sets the variable to 2, prints it and \
            exits. The parent waits until the child has exited, and prints the variable too. What does each \
            of them print?",
    choices: &[
        Choice::new("The child 2, the parent 2: both run the same program, on the same variable.").because(
            "They run the same program on two copies of the variable: the parent's copy was still 1.",
        ),
        Choice::new("The child 2, the parent 1: the child has a copy of the parent's memory."),
        Choice::new(
            "The child 2, and the parent nothing: after fork only the child goes on, and it has exited.",
        )
        .because("fork returned in both processes: the parent printed 1 after the child had exited."),
        Choice::new("The child 2, the parent 1 or 2: it depends on which of the two runs first.")
            .because("The order makes no difference: the child changed its own variable."),
    ],
    book: 1,
    shows: "fork makes a copy of the process and returns in both processes: it returns the child's pid in \
            the parent, and 0 in the child. From then on, each process has its own memory.",
    lane: "parent",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, two_variables)
}

fn two_variables(lab: &mut Lab) -> Result<usize> {
    let parent = getpid();
    // ANCHOR: core
    let mut variable = 1;
    let child = lab.fork("child", |lab| {
        check_child(lab, variable, parent);
        variable = 2;
        lab.note(format!("set the variable to 2, and print it: {variable}"));
        Ok(0) // the exit status
    })?;
    // ANCHOR_END: core
    let pid = child.pid();
    child.status(lab)?;
    lab.check(pid != parent, "in the parent, fork returned the pid of another process");
    lab.note(format!("print the variable: {variable}"));
    match variable {
        2 => Ok(0),
        1 => Ok(1),
        other => Err(format!("the parent's variable is {other}").into()),
    }
}

/// What the child sees.
fn check_child(lab: &Lab, variable_at_first: i32, parent: Pid) {
    lab.check(variable_at_first == 1, "the child's variable is 1 at first, as the parent's was");
    lab.check(getppid() == parent, "in the child, getppid returns the parent's pid");
}
