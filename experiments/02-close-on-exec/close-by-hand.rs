//! Three ways for a child to get rid of its parent's descriptors before exec, and what each costs and misses.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::ExitCode;

use experiments::{Choice, Lab, Question, Result, ask, cannot_ask, vary};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::close;

/// A number high up, and below the laboratory's own.
const HIGH: i32 = 100;
/// What the program lowers its limit to, with HIGH in use.
const LIMIT: u8 = 32;

const QUESTION: Question = Question {
    question: "A program has descriptors 3, 4 and 100 open. It lowers its limit (RLIMIT_NOFILE) to 32, and \
               starts another program: in the child, a loop closes every number from 3 to the limit, then \
               comes exec. What does the new program have?",
    choices: &[
        Choice::new("100: a limit bounds the numbers to come, not those in use."),
        Choice::new("Nothing: 3 and 4 are closed by the loop, 100 by the lower limit."),
        Choice::new("All three: the limit cannot be lowered while 100 is open, so the program ends there."),
        Choice::new("Nothing: exec closes what is above the limit."),
    ],
    book: 0,
    shows: "To close by hand, one has to know what is open. The program's own list lacks what a library \
            opened; a loop to the limit makes a call for each number there could be, and misses those above \
            it. close_range has to know nothing: one call covers every number.",
    lane: "parent",
    roles: &[("after-exec", after_exec)],
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        // Asked about no descriptor at all: does this kernel know the call, with this flag?
        mark_from(u32::MAX).map_err(|e| cannot_ask(format!("close_range with CLOSE_RANGE_CLOEXEC: {e}")))?;
        let files = [lab.file(b"the program's own")?, lab.file(b"a library's")?];
        for file in &files {
            fcntl(file, FcntlArg::F_SETFD(FdFlag::empty()))?;
        }
        let high = fcntl(&lab.file(b"moved up")?, FcntlArg::F_DUPFD(HIGH))?;
        // SAFETY: F_DUPFD made this descriptor in the line above, and nothing else owns it.
        let high = unsafe { OwnedFd::from_raw_fd(high) };
        let numbers = [files[0].as_raw_fd(), files[1].as_raw_fd(), high.as_raw_fd()];
        lab.note(format!("open, not marked: {numbers:?}; a library opened the second"));
        let (before, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
        if setrlimit(Resource::RLIMIT_NOFILE, LIMIT.into(), hard).is_err() {
            return Ok(2);
        }
        let still_open = fcntl(&high, FcntlArg::F_GETFD).is_ok();
        lab.note(format!("setrlimit: 32; 100 is {}", if still_open { "still open" } else { "closed" }));
        let refused = fcntl(&high, FcntlArg::F_DUPFD(HIGH)) == Err(Errno::EINVAL);
        lab.check(
            still_open && refused,
            "a lower limit keeps what is open, and allows no new number above it",
        );

        let list = after(lab, |lab| {
            close(3)?;
            lab.note("close(3), the one the program knows of: 1 call");
            Ok(())
        })?;
        lab.check(list == FOUR | HUNDRED, "closing what the program knows of misses what a library opened");
        let by_loop = after(lab, |lab| {
            let calls = 3..i32::from(LIMIT);
            let vain = calls.clone().filter(|number| close(*number) == Err(Errno::EBADF)).count();
            lab.note(format!("close(3) to close({}): {} calls, {vain} in vain", LIMIT - 1, calls.len()));
            Ok(())
        })?;
        let calls = vary("calls", before.saturating_sub(3));
        lab.note(format!("up to the limit there was, {}: {calls} calls", vary("limit", before)));
        lab.check(by_loop == HUNDRED, "a loop to the limit misses what is above the limit");
        let range = after(lab, |lab| {
            mark_from(3)?;
            lab.note("close_range(3, ~0, CLOSE_RANGE_CLOEXEC): 1 call");
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

/// What a program has after exec, as its exit status: the sum of these.
const THREE: i32 = 1;
const FOUR: i32 = 2;
const HUNDRED: i32 = 4;

/// A child that cleans up in the given way and becomes another program. What does that one have?
fn after(lab: &mut Lab, clean: fn(&Lab) -> Result) -> Result<i32> {
    // The child closes numbers that objects of the parent's own; its copies of those objects are never dropped,
    // for the child ends here, in exec or in _exit.
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

/// Mark every descriptor from `first` on. To mark and not to close, because the laboratory's own timeline is
/// among them: [`Lab::exec`] takes the mark off that one again.
fn mark_from(first: u32) -> Result {
    // SAFETY: the call reads no memory, and marks without closing: no object loses its descriptor.
    let result = unsafe { libc::close_range(first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC as i32) };
    Errno::result(result)?;
    Ok(())
}
