//! Three ways for a child to get rid of its parent's descriptors before exec, and what each costs and misses.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::ExitCode;

use experiments::{Choice, Lab, Question, Result, ask, cannot_ask, vary};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::close;

/// A high number, below the numbers that the laboratory uses.
const HIGH: i32 = 100;
/// The limit that the program sets while HIGH is open.
const LIMIT: u8 = 32;

const QUESTION: Question = Question {
    question: "Which descriptors survive a loop that closes every number up to the limit?",
    setup: "A process has descriptors 3, 4 and 100 open. It lowers its limit (RLIMIT_NOFILE) to 32 and forks. \
            The child closes every number from 3 up to the limit, and calls exec. Which of the three \
            descriptors does the new program have?",
    choices: &[
        Choice::new("100: the limit applies to new descriptors, not to open ones."),
        Choice::new("None: the loop closes 3 and 4, and lowering the limit closes 100.")
            .because("Descriptor 100 was still open after setrlimit had lowered the limit."),
        Choice::new(
            "All three: lowering the limit fails while 100 is open, so the process exits before the fork.",
        )
        .because("setrlimit worked: the lower limit only refuses new descriptors."),
        Choice::new("None: exec closes what is above the limit.").because(
            "exec closes descriptors with close-on-exec set. It kept 100, which is above the limit.",
        ),
    ],
    book: 0,
    shows: "A program's own list lacks the descriptors that a library opened. A loop up to the limit makes a call \
            for each number below the limit, and misses the descriptors above it. One call of close_range \
            covers every number.",
    lane: "parent",
    roles: &[("after-exec", after_exec)],
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        // Applied to no descriptor at all, to learn whether this kernel knows the call and its flag.
        set_cloexec_from(u32::MAX)
            .map_err(|e| cannot_ask(format!("close_range with CLOSE_RANGE_CLOEXEC: {e}")))?;
        let files = [lab.file(b"the program's own")?, lab.file(b"a library's")?];
        for file in &files {
            fcntl(file, FcntlArg::F_SETFD(FdFlag::empty()))?;
        }
        let high = fcntl(&lab.file(b"moved up")?, FcntlArg::F_DUPFD(HIGH))?;
        // SAFETY: F_DUPFD made this descriptor in the line above, so its number is known here only.
        let high = unsafe { OwnedFd::from_raw_fd(high) };
        let numbers = [files[0].as_raw_fd(), files[1].as_raw_fd(), high.as_raw_fd()];
        lab.note(format!("without close-on-exec: {numbers:?}; a library opened {} and {HIGH}", numbers[1]));
        let (before, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
        if setrlimit(Resource::RLIMIT_NOFILE, LIMIT.into(), hard).is_err() {
            return Ok(2);
        }
        let still_open = fcntl(&high, FcntlArg::F_GETFD).is_ok();
        lab.note(format!("setrlimit: 32; 100 is {}", if still_open { "still open" } else { "closed" }));
        let refused = fcntl(&high, FcntlArg::F_DUPFD(HIGH)) == Err(Errno::EINVAL);
        lab.check(still_open && refused, "a lower limit closes nothing, and refuses new numbers above it");

        let list = after(lab, |lab| {
            close(3)?;
            lab.note("close(3), which the program itself had opened: 1 call");
            Ok(())
        })?;
        lab.check(list == FOUR | HUNDRED, "closing the program's own descriptors misses the library's");
        let by_loop = after(lab, close_to_the_limit)?;
        let calls = vary("calls", before.saturating_sub(3));
        lab.note(format!("with the old limit, {}, the loop would make {calls} calls", vary("limit", before)));
        lab.check(by_loop == HUNDRED, "a loop up to the limit misses a descriptor above the limit");
        let range = after(lab, |lab| {
            set_cloexec_from(3)?;
            lab.note("close_range(3, u32::MAX, CLOSE_RANGE_CLOEXEC): 1 call");
            Ok(())
        })?;
        lab.check(range == 0, "close_range misses nothing, whatever the limit");
        match by_loop {
            HUNDRED => Ok(0),
            0 if !still_open => Ok(1),
            0 => Ok(3),
            _ => Err("none of the choices".into()),
        }
    })
}

fn close_to_the_limit(lab: &Lab) -> Result {
    // ANCHOR: loop
    let mut in_vain = 0;
    for number in 3..i32::from(LIMIT) {
        if close(number) == Err(Errno::EBADF) {
            in_vain += 1;
        }
    }
    // ANCHOR_END: loop
    lab.note(format!("close(3) to close({}): {} calls, {in_vain} of them EBADF", LIMIT - 1, LIMIT - 3));
    Ok(())
}

/// Which descriptors a program has after exec, as its exit status: the sum of these. 1 is left to failure.
const THREE: i32 = 2;
const FOUR: i32 = 4;
const HUNDRED: i32 = 8;

/// Fork a child that cleans up in the given way and execs another program. Gives what that program has.
fn after(lab: &mut Lab, clean: fn(&Lab) -> Result) -> Result<i32> {
    // The child closes numbers that objects of its parent own. The child's copies of those objects are never dropped,
    // because it ends in exec or in _exit.
    let child = lab.fork("child", |lab| {
        clean(lab)?;
        lab.exec("after-exec", &[], "exec")?;
        Ok(1)
    })?;
    child.answer(lab)
}

fn after_exec(lab: &mut Lab) -> Result<i32> {
    let open = lab.descriptors()?;
    lab.note(format!("the new program has: {open:?}"));
    let value = |(number, value)| if open.contains(&number) { value } else { 0 };
    Ok([(3, THREE), (4, FOUR), (HIGH, HUNDRED)].map(value).iter().sum())
}

/// Set close-on-exec on every descriptor from `first` on, and let exec close them: the timeline's descriptor is among
/// them, and [`Lab::exec`] clears its flag again.
fn set_cloexec_from(first: u32) -> Result {
    // ANCHOR: range
    let (last, flag) = (u32::MAX, libc::CLOSE_RANGE_CLOEXEC as i32);
    // SAFETY: the call reads no memory. With this flag it closes nothing, so each object keeps its descriptor.
    let result = unsafe { libc::close_range(first, last, flag) };
    Errno::result(result)?;
    // ANCHOR_END: range
    Ok(())
}
