//! A loop in a sandbox that refuses epoll.

use std::cell::Cell;
use std::io::{PipeReader, Read, Seek, Write, pipe};
use std::process::ExitCode;
use std::rc::Rc;

use experiments::{Choice, Lab, Question, Result, ask, cannot_ask};
use ioloop::poller::Kind;
use ioloop::{Config, Events, IoLoop};
use nix::errno::Errno;
use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::wait::WaitStatus;

/// The exit status of a child that cannot make a sandbox.
const NO_SANDBOX: i32 = 77;
/// What a child saw, as bits of a byte.
const MADE: u8 = 1;
const NAMED: u8 = 2;
const CONFIGURED: u8 = 4;
const IN_POLL: u8 = 8;

const QUESTION: Question = Question {
    question: "What happens to a program that makes its loop where epoll is refused?",
    setup: "In a seccomp sandbox, epoll_create1 fails with EPERM. A program makes a loop with the default poller. Then it \
            calls IoLoop::configure(Kind::Poll), and makes another loop. What happens?",
    choices: &[
        Choice::new("The kernel kills the program at the forbidden call.")
            .because("This filter answers with an errno: the program got EPERM, and kept running."),
        Choice::new("Both loops work: the first one uses poll, because it cannot have epoll.")
            .because("A loop does not choose another poller by itself: IoLoop::new returned an error."),
        Choice::new(
            "The first loop is an error, which names epoll_create1 and EPERM. The second loop works.",
        ),
        Choice::new("The first loop is made, and fails when a descriptor is registered.")
            .because("A loop makes its epoll at once, so IoLoop::new returned the error."),
    ],
    book: 2,
    shows: "A filter answers with an errno, as the kernel does for any other error, and the loop returns that error. It \
            does not choose another poller in your place. A program that falls back must tell “there is no epoll” from \
            “there is no descriptor left for one”: otherwise a loop that is made at a bad moment uses poll for good.",
    lane: "parent",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let refused = in_sandbox(lab, "EPERM", Errno::EPERM)?;
        let missing = in_sandbox(lab, "ENOSYS", Errno::ENOSYS)?;
        lab.check(missing == refused, "ENOSYS, as on a kernel without epoll, has the same effect as EPERM");
        if let Some(seen) = refused {
            lab.check(seen & CONFIGURED != 0, "configured for poll, the loop works without epoll");
            lab.check(seen & IN_POLL != 0, "a fallback to the first poller that can be made finds poll");
        }
        let (full, _) = child(lab, "full", without_descriptors)?;
        lab.check(
            full == Some(IN_POLL),
            "with no descriptor left, it finds poll, too, although epoll is not refused",
        );
        match refused {
            None => Ok(0),
            Some(seen) if seen & (MADE | IN_POLL) == MADE | IN_POLL => Ok(1),
            Some(seen) if seen & (MADE | NAMED | CONFIGURED) == NAMED | CONFIGURED => Ok(2),
            Some(seen) if seen & MADE != 0 => Ok(3),
            other => Err(format!("none of the choices: {other:?}").into()),
        }
    })
}

/// A child, what it saw, and how it ended.
fn child(
    lab: &mut Lab,
    lane: &str,
    body: impl FnOnce(&mut Lab) -> Result<Option<u8>>,
) -> Result<(Option<u8>, WaitStatus)> {
    let mut written = lab.file(b"")?;
    let mut report = written.try_clone()?;
    let child = lab.fork(lane, move |lab| {
        let Some(seen) = body(lab)? else { return Ok(NO_SANDBOX) };
        report.write_all(&[seen])?;
        Ok(0)
    })?;
    let status = child.wait(lab)?;
    let mut seen = Vec::new();
    written.rewind()?;
    written.read_to_end(&mut seen)?;
    Ok((seen.first().copied(), status))
}

/// What a child in such a sandbox saw, if it survived to report it.
fn in_sandbox(lab: &mut Lab, lane: &str, answer: Errno) -> Result<Option<u8>> {
    let seen = child(lab, lane, |lab| {
        if let Err(error) = lab.refuse(libc::SYS_epoll_create1, answer) {
            lab.note(format!("seccomp: {error:?}"));
            return Ok(None);
        }
        let mut seen = 0;
        // ANCHOR: core
        match IoLoop::new() {
            Ok(ioloop) => {
                lab.note(format!("IoLoop::new: a loop, in {}", ioloop.kind()));
                seen |= MADE | if ioloop.kind() == Kind::Poll { IN_POLL } else { 0 };
            }
            Err(error) => {
                lab.note(format!("IoLoop::new: {} says {:?}", error.operation, error.errno));
                seen |= if error.operation == "epoll_create1" && error.errno == answer { NAMED } else { 0 };
            }
        }
        IoLoop::configure(Kind::Poll);
        let ioloop = IoLoop::new()?;
        // ANCHOR_END: core
        let came = one_byte(&ioloop)?;
        let word = if came { "reports" } else { "misses" };
        lab.note(format!("loop configured for {}: it {word} a byte", ioloop.kind()));
        seen |= if came { CONFIGURED } else { 0 };
        let first = first_that_can_be_made().ok_or("no poller can be made")?;
        lab.note(format!("fallback that ignores the errno: {first}"));
        Ok(Some(seen | if first == Kind::Poll { IN_POLL } else { 0 }))
    })?;
    match seen {
        (_, WaitStatus::Exited(_, NO_SANDBOX)) => Err(cannot_ask("seccomp(2) filters are refused here")),
        (Some(seen), _) => Ok(Some(seen)),
        (None, WaitStatus::Signaled(..)) => Ok(None),
        (None, other) => Err(format!("a child reported nothing: {other:?}").into()),
    }
}

fn first_that_can_be_made() -> Option<Kind> {
    // ANCHOR: first
    Kind::ALL.into_iter().find(|kind| kind.make().is_ok())
    // ANCHOR_END: first
}

/// Does a loop report a byte in a pipe?
fn one_byte(ioloop: &IoLoop) -> Result<bool> {
    let (reader, mut writer) = pipe()?;
    writer.write_all(b"x")?;
    let came = Rc::<Cell<bool>>::default();
    let seen = Rc::clone(&came);
    ioloop.add_handler(reader, Events::READ, move |ioloop, reader: &mut PipeReader, _| {
        ioloop.stop();
        seen.set(true);
        reader.read_exact(&mut [0])
    })?;
    ioloop.start()?;
    Ok(came.get())
}

/// A child that has as many descriptors as it may.
fn without_descriptors(lab: &mut Lab) -> Result<Option<u8>> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    // Every slot below 3 is taken, by 0, 1 and 2.
    setrlimit(Resource::RLIMIT_NOFILE, 3, hard)?;
    match Config::default().poller.make() {
        Ok(_) => return Err("an epoll, with no descriptor for it".into()),
        Err(error) => lab.note(format!("no descriptor left: {} says {:?}", error.operation, error.errno)),
    }
    let first = first_that_can_be_made().ok_or("no poller can be made")?;
    lab.note(format!("fallback that ignores the errno: {first}"));
    Ok(Some(if first == Kind::Poll { IN_POLL } else { 0 }))
}
