//! Exercise `ioloop/epoll`: what a loop needs of the kernel, and what the kernel answers when it is asked by epoll.
//! What counts descriptors or is sent signals is done in a process of its own.

mod support;

use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
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
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::unistd::dup3;
use support::helper_said;

const NOW: Option<Duration> = Some(Duration::ZERO);
/// Both of its numbers are needed, and neither is a descriptor's.
const TOKEN: Token = Token { index: 0x8765_4321, generation: 0xfedc_ba98 };
/// What no process has.
const NOBODY: RawFd = RawFd::MAX;

fn an_epoll() -> Epoll {
    Epoll::new().expect("an epoll can be made")
}

/// What is ready now, in a buffer that held something else.
#[track_caller]
fn ready(epoll: &mut Epoll) -> Vec<Event> {
    let before = Event { token: Token { index: 7, generation: 7 }, events: Events::URGENT };
    let mut ready = vec![before];
    epoll.wait(&mut ready, NOW).expect("a wait is no error");
    assert!(
        !ready.contains(&before),
        "what was in the buffer before the wait is still there: what is ready takes its place, also if that is nothing"
    );
    ready
}

/// What the one descriptor that is watched is ready for, if it is.
#[track_caller]
fn reported(epoll: &mut Epoll) -> Option<Events> {
    let ready = ready(epoll);
    assert!(
        ready.len() <= 1,
        "one descriptor is watched, and {} events are reported: epoll_wait(2) answers how many it has written into \
         the array, and the rest of that says nothing",
        ready.len()
    );
    ready.first().map(|ready| ready.events)
}

/// A pipe with a byte in it, watched for that.
fn a_byte_watched_as(interest: Events) -> (Epoll, PipeReader, PipeWriter) {
    let (mut epoll, (reader, mut writer)) = (an_epoll(), pipe().unwrap());
    writer.write_all(b"x").unwrap();
    epoll.add(reader.as_raw_fd(), TOKEN, interest).unwrap();
    (epoll, reader, writer)
}

#[test]
fn the_token_comes_back_as_it_was_given() {
    let (mut epoll, _reader, _writer) = a_byte_watched_as(Events::READ);
    let ready = ready(&mut epoll);
    assert_eq!(
        ready.first().map(|ready| ready.token),
        Some(TOKEN),
        "the kernel keeps 64 bits for each descriptor. Is a number in them, or half a token?"
    );
}

#[test]
fn what_is_modified_has_its_new_token_and_its_new_interest() {
    let (mut epoll, (_reader, writer)) = (an_epoll(), pipe().unwrap());
    let new = Token { index: 1, generation: 2 };
    epoll.add(writer.as_raw_fd(), TOKEN, Events::READ).unwrap();
    assert_eq!(reported(&mut epoll), None, "the end for writing is never ready for reading");
    epoll.modify(writer.as_raw_fd(), new, Events::WRITE).unwrap();
    assert_eq!(
        ready(&mut epoll),
        [Event { token: new, events: Events::WRITE }],
        "after modify the descriptor is watched for something else, under another token"
    );
}

#[test]
fn what_is_removed_is_not_reported() {
    let (mut epoll, mut reader, _writer) = a_byte_watched_as(Events::READ);
    epoll.remove(reader.as_raw_fd()).unwrap();
    assert_eq!(reported(&mut epoll), None, "it was removed, and is reported");
    assert_eq!(
        reader.read(&mut [0; 2]).unwrap(),
        1,
        "removing is not closing: the descriptor is its owner's"
    );
    epoll.add(reader.as_raw_fd(), TOKEN, Events::READ).expect("what was removed can be added again");
}

#[test]
fn a_state_is_reported_as_long_as_it_lasts() {
    let (mut epoll, mut reader, _writer) = a_byte_watched_as(Events::READ);
    for wait in 1..=3 {
        assert_eq!(
            reported(&mut epoll),
            Some(Events::READ),
            "wait {wait}: a byte is there, and nobody asked for edges: EPOLLET where it was not meant?"
        );
    }
    reader.read_exact(&mut [0]).unwrap();
    assert_eq!(reported(&mut epoll), None, "the byte was read, and is still reported");
}

#[test]
fn an_edge_is_reported_once_and_again_with_the_next_byte() {
    let (mut epoll, _reader, mut writer) = a_byte_watched_as(Events::READ | Events::EDGE);
    assert_eq!(reported(&mut epoll), Some(Events::READ));
    assert_eq!(
        reported(&mut epoll),
        None,
        "nothing came since it was told: did EPOLLET get lost on its way to the kernel?"
    );
    writer.write_all(b"y").unwrap();
    assert_eq!(reported(&mut epoll), Some(Events::READ), "a second byte came");
}

#[test]
fn a_oneshot_is_off_until_it_is_modified() {
    let interest = Events::READ | Events::ONESHOT;
    let (mut epoll, reader, mut writer) = a_byte_watched_as(interest);
    assert_eq!(reported(&mut epoll), Some(Events::READ));
    writer.write_all(b"y").unwrap();
    assert_eq!(
        reported(&mut epoll),
        None,
        "it was told once, and that was all: did EPOLLONESHOT get lost on its way to the kernel?"
    );
    epoll.modify(reader.as_raw_fd(), TOKEN, interest).unwrap();
    assert_eq!(reported(&mut epoll), Some(Events::READ), "modify turns a oneshot on again");
}

#[test]
fn a_hang_up_and_an_error_are_reported_unasked() {
    for interest in [Events::empty(), Events::READ] {
        let (mut epoll, (reader, writer)) = (an_epoll(), pipe().unwrap());
        epoll.add(reader.as_raw_fd(), TOKEN, interest).unwrap();
        assert_eq!(reported(&mut epoll), None);
        drop(writer);
        assert_eq!(
            reported(&mut epoll),
            Some(Events::HANGUP),
            "the writer is gone. The kernel says so to whoever asked for {interest:?}: was it filtered out? Or \
             was something added? What it means is for whoever is called"
        );
    }
    let (mut epoll, (reader, writer)) = (an_epoll(), pipe().unwrap());
    epoll.add(writer.as_raw_fd(), TOKEN, Events::empty()).unwrap();
    drop(reader);
    assert_eq!(
        reported(&mut epoll),
        Some(Events::ERROR),
        "the reader is gone. The kernel says so to whoever asked for nothing: was it filtered out? Or was something \
         added?"
    );
}

#[test]
fn what_is_urgent_is_reported_to_whoever_asked_for_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let receiver = listener.accept().unwrap().0;
    let mut epoll = an_epoll();
    epoll.add(receiver.as_raw_fd(), TOKEN, Events::URGENT).unwrap();
    send(sender.as_raw_fd(), b"!", MsgFlags::MSG_OOB).unwrap();
    let mut polled = [PollFd::new(receiver.as_fd(), PollFlags::POLLPRI)];
    assert_eq!(poll(&mut polled, PollTimeout::NONE).unwrap(), 1, "poll(2) says that it has come");
    assert_eq!(
        reported(&mut epoll),
        Some(Events::URGENT),
        "a byte of out-of-band data came, and it was asked for: did EPOLLPRI get lost on its way?"
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
            "the peer writes no more, and still reads. Nobody asked for that: does it get EPOLLRDHUP in addition?"
        );
    }
}

/// One that is not removed before it is closed, and of which there is a duplicate, is reported still. By then its
/// number can be another's.
#[test]
fn what_is_reported_late_has_its_own_token_and_not_that_of_its_number() {
    let (mut epoll, (first, mut writer), (second, _other)) = (an_epoll(), pipe().unwrap(), pipe().unwrap());
    let _duplicate = first.try_clone().unwrap();
    let mut number = OwnedFd::from(first);
    epoll.add(number.as_raw_fd(), TOKEN, Events::READ).unwrap();
    dup3(&second, &mut number, OFlag::O_CLOEXEC).unwrap();
    let new = Token { index: 1, generation: 1 };
    epoll
        .add(number.as_raw_fd(), new, Events::READ)
        .expect("the number is another pipe's, which was never added");
    writer.write_all(b"x").unwrap();
    assert_eq!(
        ready(&mut epoll),
        [Event { token: TOKEN, events: Events::READ }],
        "a byte came into the first pipe, whose number the second one has now, and it is reported as the second's: \
         does the number go to the kernel, and is the token looked up by it?"
    );
}

#[test]
fn a_number_is_added_once() {
    let (mut epoll, reader, _writer) = a_byte_watched_as(Events::READ);
    let again = epoll.add(reader.as_raw_fd(), Token { index: 1, generation: 1 }, Events::WRITE);
    let again = again.expect_err("a number was added twice: whoever had it before hears no more of it");
    assert_eq!(again.errno, Errno::EEXIST);
    assert_eq!(
        ready(&mut epoll),
        [Event { token: TOKEN, events: Events::READ }],
        "adding failed, and changed something"
    );
}

#[test]
fn what_is_not_there_can_be_neither_modified_nor_removed() {
    let (mut epoll, (reader, mut writer)) = (an_epoll(), pipe().unwrap());
    writer.write_all(b"x").unwrap();
    let modified = epoll.modify(reader.as_raw_fd(), TOKEN, Events::READ);
    let modified = modified.expect_err("what was never added was modified: does modify add?");
    assert_eq!(modified.errno, Errno::ENOENT);
    let removed = epoll.remove(reader.as_raw_fd());
    assert_eq!(removed.expect_err("what was never added was removed").errno, Errno::ENOENT);
    assert_eq!(reported(&mut epoll), None, "nothing was added");
}

#[test]
fn a_number_that_nobody_has_is_ebadf() {
    for fd in [NOBODY, -1] {
        let mut epoll = an_epoll();
        let answers = catch_unwind(AssertUnwindSafe(|| {
            [epoll.add(fd, TOKEN, Events::READ), epoll.modify(fd, TOKEN, Events::READ), epoll.remove(fd)]
        }));
        for answer in answers.expect("a number that nobody has is an error, and no panic") {
            let error = answer.expect_err("the kernel said that nobody has this number, and it became Ok");
            assert_eq!(error.errno, Errno::EBADF, "{error}");
        }
    }
}

#[test]
fn what_is_always_ready_is_eperm() {
    let file = memfd_create("watched", MFdFlags::MFD_CLOEXEC).unwrap();
    let directory = File::open("/").unwrap().into();
    for (what, fd) in [("a regular file", file), ("a directory", directory)] {
        let error = an_epoll().add(fd.as_raw_fd(), TOKEN, Events::READ);
        let error = error.expect_err("a regular file cannot be waited for, and neither can a directory");
        assert_eq!(error.errno, Errno::EPERM, "{what}: {error}");
    }
}

#[test]
fn an_error_says_which_descriptor_and_what_was_asked() {
    let mut epoll = an_epoll();
    let errors = [
        ("EPOLL_CTL_ADD", epoll.add(NOBODY, TOKEN, Events::READ)),
        ("EPOLL_CTL_MOD", epoll.modify(NOBODY, TOKEN, Events::READ)),
        ("EPOLL_CTL_DEL", epoll.remove(NOBODY)),
    ];
    for (asked, error) in errors {
        let error = error.expect_err("nobody has this number").to_string();
        for part in [asked, &NOBODY.to_string()] {
            assert!(error.contains(part), "whoever reads this at night asks for {part}: {error}");
        }
    }
}

#[test]
fn what_was_reported_before_is_gone_from_the_buffer() {
    let (mut epoll, reader, _writer) = a_byte_watched_as(Events::READ);
    let mut ready = Vec::new();
    for wait in 1..=3 {
        epoll.wait(&mut ready, NOW).unwrap();
        assert_eq!(
            ready.len(),
            1,
            "wait {wait}: one is ready. What an earlier wait reported is still in the buffer"
        );
    }
    epoll.remove(reader.as_raw_fd()).unwrap();
    for timeout in [Duration::ZERO, Duration::from_millis(1)] {
        let mut ready = ready.clone();
        epoll.wait(&mut ready, Some(timeout)).unwrap();
        assert_eq!(ready, [], "nothing is ready, and the buffer has what an earlier wait reported");
    }
}

/// What a loop does until a deadline: work out the rest, and wait for so long.
#[test]
fn until_a_deadline_it_waits_once() {
    let (mut epoll, mut ready) = (an_epoll(), Vec::new());
    for micros in [1, 300, 999, 1001, 2900, 4000] {
        let (start, rest) = (Instant::now(), Duration::from_micros(micros));
        let mut waits = 0;
        while let Some(left) = rest.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) {
            epoll.wait(&mut ready, Some(left)).unwrap();
            waits += 1;
        }
        // A deadline of a microsecond may be past before the first one.
        assert!(
            waits <= 1,
            "until a deadline in {micros} µs there were {waits} waits: milliseconds that are cut off end too \
             early, and then there is a wait of 0 after the other, until it is time"
        );
    }
}

/// Who waits sleeps, and the kernel counts that. No clock is looked at.
#[test]
fn no_time_is_no_sleep() {
    let (mut epoll, mut ready) = (an_epoll(), Vec::new());
    let slept = || getrusage(UsageWho::RUSAGE_THREAD).unwrap().voluntary_context_switches();
    let before = slept();
    for _ in 0..100 {
        epoll.wait(&mut ready, NOW).unwrap();
    }
    let times = slept() - before;
    assert!(times < 50, "a hundred times nothing was to be waited for, and it slept {times} times");
}

#[test]
fn a_time_that_the_call_cannot_have_is_as_long_as_may_be() {
    let milliseconds = |n: u64| Some(Duration::from_millis(n));
    let long = [milliseconds(1 << 31), milliseconds(1 << 32), Some(Duration::MAX), None];
    for timeout in long {
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC).unwrap();
        let soon = Expiration::OneShot(TimeSpec::new(0, 5_000_000));
        let (mut epoll, mut ready) = (an_epoll(), Vec::new());
        epoll.add(timer.as_fd().as_raw_fd(), TOKEN, Events::READ).unwrap();
        timer.set(soon, TimerSetTimeFlags::empty()).unwrap();
        let waited = catch_unwind(AssertUnwindSafe(|| epoll.wait(&mut ready, timeout)));
        waited.expect("a long time is no panic").expect("a long time is no error");
        assert_eq!(
            ready,
            [Event { token: TOKEN, events: Events::READ }],
            "something is ready in 5 ms, and a wait of {timeout:?} ended before. The call takes an i32"
        );
    }
}

/// What a wait asks of that kernel, with each kind of timeout: the calls, and how many events each wait reported.
fn asked(kernel: &str) -> Option<(Vec<String>, Vec<String>)> {
    let answer = testing::traced(kernel, &["epoll", "waits"])?;
    Some(["call", "ready"].map(|word| answer.lines(word).map(str::to_owned).collect()).into())
}

#[test]
fn fractions_of_a_millisecond_use_epoll_pwait2() {
    let Some((calls, ready)) = asked("as-it-is") else { return };
    let refused = |call: &String| call.ends_with("-> -38") || call.ends_with("-> -1");
    let exact: Vec<&String> = calls.iter().filter(|call| call.starts_with("epoll_pwait2")).collect();
    // 1, 300 and 1500 microseconds; a kernel before 5.11 is asked once.
    assert!(
        exact.len() >= 3 || exact.first().is_some_and(|call| refused(call)),
        "epoll_wait takes milliseconds, so a timer of 1.5 ms would be half a millisecond late. epoll_pwait2 takes \
         nanoseconds, and of three waits for a fraction of a millisecond {} use it: {calls:?}",
        exact.len()
    );
    assert_eq!(ready, ["1"; 8], "one descriptor is ready at each wait");
}

#[test]
fn without_epoll_pwait2_the_timeout_is_rounded_up_to_milliseconds() {
    for kernel in ["without-epoll_pwait2", "forbids-epoll_pwait2"] {
        let Some((calls, ready)) = asked(kernel) else { return };
        assert_eq!(
            ready, ["1"; 8],
            "what eight waits reported while one descriptor is ready. The kernel answers epoll_pwait2 with ENOSYS \
             where it is older, and with EPERM where a filter forbids it: then epoll_wait does it"
        );
        let milliseconds = |call: &String| call.strip_prefix("epoll_wait ")?.split(' ').next()?.parse().ok();
        let timeouts: Vec<i32> = calls.iter().filter_map(milliseconds).collect();
        assert_eq!(
            timeouts,
            [0, 1, 1, 2, 3, i32::MAX, i32::MAX, -1],
            "without epoll_pwait2, waits for 0, 1, 300, 1500 and 3000 µs, 2^31 ms, Duration::MAX and without a \
             timeout: in milliseconds, rounded up, as far as an i32 can hold them"
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
            "the kernel refused epoll_pwait2 and will not change its mind, and it was tried {tries} times: remember \
             that in the Epoll"
        );
    }
}

#[test]
fn a_signal_ends_the_wait_and_is_neither_an_error_nor_an_event() {
    let answer = helper_said(&["epoll", "signal"]);
    assert_eq!(
        answer.line("again"),
        "no",
        "fifty signals came, and the wait was taken up again after each. A signal ends it: the loop may have \
         something to do"
    );
    assert_eq!(
        answer.line("answer"),
        "Ok, 0 ready",
        "a signal came while it slept, and nothing else: EINTR is no error, and no event"
    );
}

#[test]
fn more_than_one_wait_can_fetch_is_fetched_by_the_next() {
    let answer = helper_said(&["epoll", "many"]);
    assert_eq!(answer.line("missing"), "0", "of many that are ready, some are never reported");
    let waits: usize = answer.line("waits").parse().unwrap();
    assert!(waits <= 20, "some hundred are ready, and it took {waits} waits: how many fit into one?");
}

#[test]
fn it_is_close_on_exec() {
    assert_eq!(
        helper_said(&["epoll", "marked"]).line("unmarked"),
        "0",
        "a program that is started from here has the loop's epoll: see epoll_create1(2), EPOLL_CLOEXEC"
    );
}

#[test]
fn one_that_is_dropped_is_closed() {
    assert_eq!(
        helper_said(&["epoll", "dropped"]).line("left"),
        "0",
        "of ten that were dropped, some are open"
    );
}
