//! Exercise `ioloop/epoll`: what a loop needs from the kernel, and how epoll answers. A test that counts descriptors or
//! sends signals uses its own process.

mod support;

#[path = "scenarios/epoll.rs"]
mod scenarios;

use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ioloop::poller::Poller;
use ioloop::poller::epoll::Epoll;
use ioloop::{Event, Events, Token};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::socket::{MsgFlags, send};
use nix::unistd::{dup3, gettid};
use support::helper_said;

testing::helper!(|args| match args {
    ["traced", kernel, rest @ ..] => scenarios::on_a_kernel(kernel, || run(rest)),
    _ => run(args),
});

fn run(args: &[&str]) -> i32 {
    testing::exit_code(match args {
        ["epoll", what @ ..] => scenarios::run(what),
        _ => support::unknown(args),
    })
}

const NOW: Option<Duration> = Some(Duration::ZERO);
/// A token of two numbers that both matter, and that are not descriptors.
const TOKEN: Token = Token { index: 0x8765_4321, generation: 0xfedc_ba98 };
/// A descriptor number that no process has.
const NOBODY: RawFd = RawFd::MAX;

fn an_epoll() -> Epoll {
    Epoll::new().expect("epoll_create1 succeeds")
}

/// What is ready now, in a buffer that held another event.
#[track_caller]
fn ready(epoll: &mut Epoll) -> Vec<Event> {
    let before = Event { token: Token { index: 7, generation: 7 }, events: Events::URGENT };
    let mut ready = vec![before];
    epoll.wait(&mut ready, NOW).expect("the wait succeeds");
    assert!(
        !ready.contains(&before),
        "the buffer still has an event from before the wait: replace what it held, even if nothing is ready"
    );
    ready
}

/// The events of the one descriptor in the interest list, if it is ready.
#[track_caller]
fn reported(epoll: &mut Epoll) -> Option<Events> {
    let ready = ready(epoll);
    assert!(
        ready.len() <= 1,
        "one descriptor is in the interest list, and {} events are reported: epoll_wait(2) returns how many events it \
         wrote into the array, and the rest of the array is meaningless",
        ready.len()
    );
    ready.first().map(|ready| ready.events)
}

/// A pipe with a byte in it, registered for that.
fn a_byte_watched_as(interest: Events) -> (Epoll, PipeReader, PipeWriter) {
    let (mut epoll, (reader, mut writer)) = (an_epoll(), pipe().unwrap());
    writer.write_all(b"x").unwrap();
    epoll.add(reader.as_raw_fd(), TOKEN, interest).unwrap();
    (epoll, reader, writer)
}

#[test]
fn the_token_comes_back_as_it_was_given() {
    let (mut epoll, reader, _writer) = a_byte_watched_as(Events::READ);
    let [none, all] = [0, u32::MAX].map(|number| Token { index: number, generation: number });
    for token in [TOKEN, none, all] {
        epoll.modify(reader.as_raw_fd(), token, Events::READ).unwrap();
        assert_eq!(
            ready(&mut epoll).first().map(|ready| ready.token),
            Some(token),
            "the kernel keeps 64 bits for each descriptor. Did you store the descriptor in them, or half of the token? Or does \
             one token mean something else to `wait`?"
        );
    }
}

#[test]
fn modify_replaces_token_and_interest() {
    let (mut epoll, (_reader, writer)) = (an_epoll(), pipe().unwrap());
    let new = Token { index: 1, generation: 2 };
    epoll.add(writer.as_raw_fd(), TOKEN, Events::READ).unwrap();
    assert_eq!(reported(&mut epoll), None, "the write end is never ready for reading");
    epoll.modify(writer.as_raw_fd(), new, Events::WRITE).unwrap();
    assert_eq!(
        ready(&mut epoll),
        [Event { token: new, events: Events::WRITE }],
        "after `modify` the descriptor is registered for other events, under another token"
    );
}

#[test]
fn a_removed_descriptor_is_not_reported() {
    let (mut epoll, mut reader, _writer) = a_byte_watched_as(Events::READ);
    epoll.remove(reader.as_raw_fd()).unwrap();
    assert_eq!(reported(&mut epoll), None, "the descriptor was removed, and is still reported");
    assert_eq!(
        reader.read(&mut [0; 2]).unwrap(),
        1,
        "removing a descriptor must not close it: it belongs to its owner"
    );
    epoll
        .add(reader.as_raw_fd(), TOKEN, Events::READ)
        .expect("a descriptor that was removed can be added again");
}

#[test]
fn level_triggered_events_repeat_while_the_descriptor_is_ready() {
    let (mut epoll, mut reader, _writer) = a_byte_watched_as(Events::READ);
    for wait in 1..=3 {
        assert_eq!(
            reported(&mut epoll),
            Some(Events::READ),
            "wait {wait}: a byte is there, and the interest is level-triggered: did you set EPOLLET?"
        );
    }
    reader.read_exact(&mut [0]).unwrap();
    assert_eq!(reported(&mut epoll), None, "the byte was read, and the descriptor is still reported");
}

#[test]
fn edge_triggered_events_come_once_for_each_new_byte() {
    let (mut epoll, _reader, mut writer) = a_byte_watched_as(Events::READ | Events::EDGE);
    assert_eq!(reported(&mut epoll), Some(Events::READ));
    assert_eq!(
        reported(&mut epoll),
        None,
        "no byte came since the last event: did EPOLLET get lost on its way to the kernel?"
    );
    writer.write_all(b"y").unwrap();
    assert_eq!(reported(&mut epoll), Some(Events::READ), "a second byte came");
}

#[test]
fn a_oneshot_is_disarmed_until_it_is_modified() {
    let interest = Events::READ | Events::ONESHOT;
    let (mut epoll, reader, mut writer) = a_byte_watched_as(interest);
    assert_eq!(reported(&mut epoll), Some(Events::READ));
    writer.write_all(b"y").unwrap();
    assert_eq!(
        reported(&mut epoll),
        None,
        "a oneshot got a second event: did EPOLLONESHOT get lost on its way to the kernel?"
    );
    for time in 1..=3 {
        epoll.modify(reader.as_raw_fd(), TOKEN, interest).unwrap();
        assert_eq!(
            reported(&mut epoll),
            Some(Events::READ),
            "`modify` rearms a oneshot, each time, and this was time {time}. Make the call even if neither token nor interest has \
             changed"
        );
        assert_eq!(reported(&mut epoll), None, "a oneshot got a second event");
    }
}

#[test]
fn a_hang_up_and_an_error_are_reported_unasked() {
    // A helper between fork and exec has a copy of the end that is dropped.
    let _alone = testing::no_child_is_born();
    for interest in [Events::empty(), Events::READ] {
        let (mut epoll, (reader, writer)) = (an_epoll(), pipe().unwrap());
        epoll.add(reader.as_raw_fd(), TOKEN, interest).unwrap();
        assert_eq!(reported(&mut epoll), None);
        drop(writer);
        assert_eq!(
            reported(&mut epoll),
            Some(Events::HANGUP),
            "the writer is gone. The kernel reports that for any interest, {interest:?} here: was it filtered out? Or \
             was something added? The handler decides what a hang-up means"
        );
    }
    let (mut epoll, (reader, writer)) = (an_epoll(), pipe().unwrap());
    epoll.add(writer.as_raw_fd(), TOKEN, Events::empty()).unwrap();
    drop(reader);
    assert_eq!(
        reported(&mut epoll),
        Some(Events::ERROR),
        "the reader is gone. The kernel reports that even for an empty interest: was it filtered out? Or was something \
         added?"
    );
}

/// The kernel shows the registrations of an epoll: see proc_pid_fdinfo(5).
#[test]
fn all_bits_of_the_interest_reach_the_kernel() {
    let answer = helper_said(&["epoll", "interests"]);
    if answer.line("shown") == "no" {
        testing::skip!("/proc/self/fdinfo does not show what an epoll watches");
    }
    let wrong: Vec<&str> = answer.lines("wrong").collect();
    assert_eq!(
        wrong, [""; 0],
        "an interest did not reach the kernel as it is. Pass all of its bits to epoll_ctl, and no others, in `add` and in \
         `modify`. The kernel itself adds ERROR and HANGUP, which are not compared"
    );
}

#[test]
fn out_of_band_data_is_reported_on_request() {
    testing::needs!(loopback);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let receiver = listener.accept().unwrap().0;
    let mut epoll = an_epoll();
    epoll.add(receiver.as_raw_fd(), TOKEN, Events::URGENT).unwrap();
    send(sender.as_raw_fd(), b"!", MsgFlags::MSG_OOB).unwrap();
    let mut polled = [PollFd::new(receiver.as_fd(), PollFlags::POLLPRI)];
    assert_eq!(poll(&mut polled, PollTimeout::NONE).unwrap(), 1, "poll(2) reports that the byte has arrived");
    assert_eq!(
        reported(&mut epoll),
        Some(Events::URGENT),
        "a byte of out-of-band data came, and the interest includes it: did EPOLLPRI get lost on its way?"
    );
}

#[test]
fn half_a_hang_up_is_not_reported_unasked() {
    for interest in [Events::empty(), Events::URGENT] {
        let (mut epoll, (ours, theirs)) = (an_epoll(), UnixStream::pair().unwrap());
        epoll.add(ours.as_raw_fd(), TOKEN, interest).unwrap();
        theirs.shutdown(Shutdown::Write).unwrap();
        assert_eq!(
            reported(&mut epoll),
            None,
            "the peer shut down writing, and the interest does not include that: did you add EPOLLRDHUP to it?"
        );
    }
}

/// A descriptor that has a duplicate and is closed without being removed is still reported. By then another file can
/// have its number.
#[test]
fn a_late_event_carries_the_token_it_was_added_with() {
    let (mut epoll, (first, mut writer), (second, _other)) = (an_epoll(), pipe().unwrap(), pipe().unwrap());
    let _duplicate = first.try_clone().unwrap();
    let mut number = OwnedFd::from(first);
    epoll.add(number.as_raw_fd(), TOKEN, Events::READ).unwrap();
    dup3(&second, &mut number, OFlag::O_CLOEXEC).unwrap();
    // Now `number` leads to the second pipe, and only the duplicate to the first, which `writer` writes into.
    let new = Token { index: 1, generation: 1 };
    epoll
        .add(number.as_raw_fd(), new, Events::READ)
        .expect("another pipe has the number now, and was never added");
    writer.write_all(b"x").unwrap();
    assert_eq!(
        ready(&mut epoll),
        [Event { token: TOKEN, events: Events::READ }],
        "a byte came into the first pipe, but the event has the token of the second pipe, which has the first one's \
         number now. Do you pass the number to the kernel, and look up the token by it?"
    );
}

#[test]
fn adding_a_descriptor_twice_is_eexist() {
    let (mut epoll, reader, _writer) = a_byte_watched_as(Events::READ);
    let again = epoll.add(reader.as_raw_fd(), Token { index: 1, generation: 1 }, Events::WRITE);
    let again =
        again.expect_err("a descriptor was added twice: the second token would replace the first one");
    assert_eq!(again.errno, Errno::EEXIST);
    assert_eq!(
        ready(&mut epoll),
        [Event { token: TOKEN, events: Events::READ }],
        "`add` failed, and still changed the registration"
    );
}

#[test]
fn modifying_or_removing_an_unknown_descriptor_is_enoent() {
    let (mut epoll, (reader, mut writer)) = (an_epoll(), pipe().unwrap());
    writer.write_all(b"x").unwrap();
    let modified = epoll.modify(reader.as_raw_fd(), TOKEN, Events::READ);
    let modified = modified.expect_err("`modify` accepted a descriptor that was never added: does it add?");
    assert_eq!(modified.errno, Errno::ENOENT);
    let removed = epoll.remove(reader.as_raw_fd());
    assert_eq!(
        removed.expect_err("`remove` accepted a descriptor that was never added").errno,
        Errno::ENOENT
    );
    assert_eq!(reported(&mut epoll), None, "no descriptor was added");
}

#[test]
fn a_number_without_a_descriptor_is_ebadf() {
    for fd in [NOBODY, -1] {
        let mut epoll = an_epoll();
        let answers = catch_unwind(AssertUnwindSafe(|| {
            [epoll.add(fd, TOKEN, Events::READ), epoll.modify(fd, TOKEN, Events::READ), epoll.remove(fd)]
        }));
        for answer in answers.expect("a number without a descriptor must be an error, not a panic") {
            let error = answer.expect_err("the kernel answered EBADF, and the call returned Ok");
            assert_eq!(error.errno, Errno::EBADF, "{error}");
        }
    }
}

#[test]
fn descriptor_0_is_a_descriptor() {
    assert_eq!(
        helper_said(&["epoll", "zero"]).line("answer"),
        "Ok, 1 ready",
        "0 is the standard input, or whatever file a process without one opens first. It was added, modified, waited for \
         and removed: only a negative number is no descriptor"
    );
}

#[test]
fn a_regular_file_or_directory_is_eperm() {
    let file = memfd_create("watched", MFdFlags::MFD_CLOEXEC).unwrap();
    let directory = File::open("/").unwrap().into();
    for (what, fd) in [("a regular file", file), ("a directory", directory)] {
        let error = an_epoll().add(fd.as_raw_fd(), TOKEN, Events::READ);
        let error = error.expect_err("epoll supports neither a regular file nor a directory");
        assert_eq!(error.errno, Errno::EPERM, "{what}: {error}");
    }
}

#[test]
fn an_error_names_the_descriptor_and_the_operation() {
    let mut epoll = an_epoll();
    for fd in [NOBODY, -1] {
        let errors = [
            ("EPOLL_CTL_ADD", epoll.add(fd, TOKEN, Events::READ)),
            ("EPOLL_CTL_MOD", epoll.modify(fd, TOKEN, Events::READ)),
            ("EPOLL_CTL_DEL", epoll.remove(fd)),
        ];
        for (asked, error) in errors {
            let error = error.expect_err("no descriptor has this number").to_string();
            for part in [asked, &fd.to_string()] {
                assert!(
                    error.contains(part),
                    "an error must name {part}, for the person who reads it in a log: {error}"
                );
            }
        }
    }
}

#[test]
fn a_wait_replaces_the_events_in_the_buffer() {
    let (mut epoll, reader, _writer) = a_byte_watched_as(Events::READ);
    let mut ready = Vec::new();
    for wait in 1..=3 {
        epoll.wait(&mut ready, NOW).unwrap();
        assert_eq!(
            ready.len(),
            1,
            "wait {wait}: one descriptor is ready. The events of an earlier wait are still in the buffer"
        );
    }
    epoll.remove(reader.as_raw_fd()).unwrap();
    for timeout in [Duration::ZERO, Duration::from_millis(1)] {
        let mut ready = ready.clone();
        epoll.wait(&mut ready, Some(timeout)).unwrap();
        assert_eq!(ready, [], "nothing is ready, and the buffer has the events of an earlier wait");
    }
}

/// A loop computes the time left until a deadline, and waits that long.
#[test]
fn it_waits_once_until_a_deadline() {
    let (mut epoll, mut ready) = (an_epoll(), Vec::new());
    for micros in [1, 300, 999, 1001, 2900, 4000] {
        let (start, rest) = (Instant::now(), Duration::from_micros(micros));
        let mut waits = 0;
        while let Some(left) = rest.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) {
            epoll.wait(&mut ready, Some(left)).unwrap();
            waits += 1;
        }
        // A deadline in a microsecond can pass before the first wait.
        assert!(
            waits <= 1,
            "until a deadline in {micros} µs there were {waits} waits: a timeout that is truncated to milliseconds \
             ends too early, and then waits of 0 follow each other until the deadline"
        );
    }
}

/// A wait that sleeps is a voluntary context switch, which the kernel counts: the test needs no clock.
#[test]
fn a_timeout_of_zero_does_not_sleep() {
    let (mut epoll, mut ready) = (an_epoll(), Vec::new());
    let slept = || getrusage(UsageWho::RUSAGE_THREAD).unwrap().voluntary_context_switches();
    let before = slept();
    for _ in 0..100 {
        epoll.wait(&mut ready, NOW).unwrap();
    }
    let times = slept() - before;
    assert!(times < 50, "a hundred waits had a timeout of zero, and {times} of them slept");
}

/// The writer waits until the thread sleeps, or until the wait is over. It does not wait for a fixed time instead: on a
/// busy machine, that time may pass before the wait begins, and then even a wait that ends at once finds the descriptor
/// ready.
#[test]
fn a_timeout_beyond_the_call_is_clamped() {
    let milliseconds = |n: u64| Some(Duration::from_millis(n));
    let long = [milliseconds(1 << 31), milliseconds(1 << 32), Some(Duration::MAX), None];
    for timeout in long {
        let (mut epoll, mut ready) = (an_epoll(), Vec::new());
        let (reader, mut writer) = pipe().unwrap();
        epoll.add(reader.as_raw_fd(), TOKEN, Events::READ).unwrap();
        let (waiter, is_over) = (gettid(), AtomicBool::new(false));
        let waited = thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Acquire) && testing::proc::state(waiter) != Some('S') {
                    thread::yield_now();
                }
                thread::sleep(Duration::from_millis(5));
                writer.write_all(b"x").unwrap();
            });
            // A stop and a continue of this process end a wait too, without an event. A timeout that was cut off ends each
            // of them.
            let mut wait = || {
                (1..=3).try_for_each(|_| match ready.is_empty() {
                    true => epoll.wait(&mut ready, timeout).map(drop),
                    false => Ok(()),
                })
            };
            let waited = catch_unwind(AssertUnwindSafe(&mut wait));
            is_over.store(true, Ordering::Release);
            waited
        });
        waited.expect("a long timeout must not panic").expect("a long timeout must not fail");
        assert_eq!(
            ready,
            [Event { token: TOKEN, events: Events::READ }],
            "a descriptor becomes ready 5 ms after the thread has begun to sleep, and a wait of {timeout:?} ended before. The \
             call takes an i32"
        );
    }
}

/// Waits with each kind of timeout on that kernel. Returns the system calls that they make, and how many events each wait
/// reports.
fn asked(kernel: &str) -> Option<(Vec<String>, Vec<String>)> {
    let answer = testing::traced(kernel, &["epoll", "waits"])?;
    Some(["call", "ready"].map(|word| answer.lines(word).map(str::to_owned).collect()).into())
}

#[test]
fn fractions_of_a_millisecond_use_epoll_pwait2() {
    let Some((calls, ready)) = asked("as-it-is") else { return };
    assert_eq!(ready, ["1"; 10], "one descriptor is ready at each wait");
    // A call returns its error as minus its number: 38 is ENOSYS, 1 is EPERM. A kernel before 5.11 is asked once.
    let refused = |call: &String| call.ends_with("-> -38") || call.ends_with("-> -1");
    if calls.iter().find(|call| call.starts_with("epoll_pwait2")).is_some_and(refused) {
        return;
    }
    for (wait, timeout) in [(1, "1"), (2, "300"), (3, "1500"), (5, "5,000,300"), (7, "1000.5")] {
        assert!(
            calls.get(wait).is_some_and(|call| call.starts_with("epoll_pwait2")),
            "epoll_wait takes milliseconds, so a timer of 1.5 ms would be half a millisecond late. epoll_pwait2 takes \
             nanoseconds. A wait of {timeout} µs has a fraction of a millisecond, and does not use it: the call of wait {wait}, \
             counted from 0, is another one in {calls:?}"
        );
    }
}

#[test]
fn without_epoll_pwait2_the_timeout_is_rounded_up_to_milliseconds() {
    for kernel in ["without-epoll_pwait2", "forbids-epoll_pwait2"] {
        let Some((calls, ready)) = asked(kernel) else { return };
        assert_eq!(
            ready, ["1"; 10],
            "ten waits, with one descriptor ready, must each report it. An older kernel answers epoll_pwait2 with \
             ENOSYS, and a filter may answer with EPERM: call epoll_wait then"
        );
        let milliseconds = |call: &String| call.strip_prefix("epoll_wait ")?.split(' ').next()?.parse().ok();
        let timeouts: Vec<i32> = calls.iter().filter_map(milliseconds).collect();
        assert_eq!(
            timeouts,
            [0, 1, 1, 2, 3, 5001, i32::MAX, 2, i32::MAX, -1],
            "without epoll_pwait2, waits for 0, 1, 300, 1500, 3000 and 5,000,300 µs, 2^31 ms, 1000.5 µs, Duration::MAX and \
             without a timeout: in milliseconds, rounded up, as far as an i32 can hold them"
        );
    }
}

#[test]
fn a_refused_epoll_pwait2_is_not_tried_again() {
    for kernel in ["without-epoll_pwait2", "forbids-epoll_pwait2"] {
        let Some((calls, _)) = asked(kernel) else { return };
        let tries = calls.iter().filter(|call| call.starts_with("epoll_pwait2")).count();
        assert!(
            tries <= 1,
            "the kernel refused epoll_pwait2, which does not change, and the call was tried {tries} times: remember \
             the refusal in `Epoll`"
        );
    }
}

/// EINTR says nothing about the kernel.
#[test]
fn a_signal_during_epoll_pwait2_ends_the_wait_and_is_no_refusal() {
    let Some((calls, ready)) = asked("interrupts-epoll_pwait2") else { return };
    // Which waits use epoll_pwait2, beside those with a fraction of a millisecond, is free.
    let wanted = calls.iter().map(|call| if call.starts_with("epoll_pwait2") { "0" } else { "1" });
    assert_eq!(
        ready,
        wanted.collect::<Vec<_>>(),
        "waits for 0, 1, 300, 1500, 3000 and 5,000,300 µs, 2^31 ms, 1000.5 µs, Duration::MAX and without a timeout. A signal interrupts each \
         epoll_pwait2 (EINTR, -4), so those waits end without an event: {calls:?}"
    );
    let tries = calls.iter().filter(|call| call.starts_with("epoll_pwait2")).count();
    assert!(
        tries >= 6,
        "a signal interrupted epoll_pwait2, and the next wait with a fraction uses it again: {calls:?}"
    );
}

#[test]
fn a_signal_ends_the_wait_without_error_or_event() {
    for timeout in ["five seconds", "no limit"] {
        let answer = helper_said(&["epoll", "signal", timeout]);
        assert_eq!(
            answer.line("again"),
            "no",
            "the timeout was {timeout}, fifty signals came, and the wait was restarted after each. A signal must end the \
             wait, because the loop may have something to do"
        );
        assert_eq!(
            answer.line("answer"),
            "Ok, 0 ready",
            "the timeout was {timeout}, and only a signal came during the sleep: EINTR is neither an error nor an event"
        );
    }
}

#[test]
fn every_other_error_of_a_wait_is_returned() {
    for kernel in ["breaks-epoll_pwait2", "breaks-epoll_wait"] {
        let Some((calls, ready)) = asked(kernel) else { return };
        // EBADF is 9. Which waits use which call is free, beside those with a fraction of a millisecond.
        let failed = calls.iter().filter(|call| call.ends_with("-> -9")).count();
        let returned = ready.iter().filter(|said| said.contains("EBADF")).count();
        assert_eq!(
            returned, failed,
            "{kernel}: a call failed with EBADF {failed} times, and {returned} of ten waits returned that. The next \
             wait fails too, so a loop that is not told of it spins: only EINTR is no error, and only ENOSYS and EPERM are \
             a refusal of epoll_pwait2. The calls were {calls:?}, and the waits said {ready:?}"
        );
        // A kernel before 5.11 itself refuses epoll_pwait2, and is asked once.
        let not_refused = calls.iter().filter(|call| *call != "epoll_pwait2 -> -38").count();
        assert_eq!(not_refused, 10, "{kernel}: after such an error no other call is tried: {calls:?}");
    }
}

#[test]
fn events_beyond_the_capacity_come_with_the_next_wait() {
    let answer = helper_said(&["epoll", "many"]);
    assert_eq!(answer.line("missing"), "0", "many descriptors are ready, and some are never reported");
    let waits: usize = answer.line("waits").parse().unwrap();
    assert!(
        waits <= 3,
        "up to 600 descriptors are ready, and fetching them took {waits} waits: how many events fit into one wait? At \
         least 200 should"
    );
}

#[test]
fn it_is_close_on_exec() {
    assert_eq!(
        helper_said(&["epoll", "marked"]).line("unmarked"),
        "0",
        "a program that this process starts inherits the loop's epoll: see EPOLL_CLOEXEC in epoll_create1(2)"
    );
}

#[test]
fn dropping_it_closes_its_descriptor() {
    assert_eq!(
        helper_said(&["epoll", "dropped"]).line("left"),
        "0",
        "ten were dropped, and some of them are still open"
    );
}
