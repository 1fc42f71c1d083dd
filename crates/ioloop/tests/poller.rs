//! The contract of `Poller`, kept by epoll, poll and select alike; and which error one of them returns where it cannot.

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use ioloop::poller::{Kind, Poller};
use ioloop::{Event, Events, Result, Token};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::eventfd::EventFd;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::SigSet;
use nix::sys::signalfd::SignalFd;
use nix::sys::stat::Mode;
use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags};
use support::{a_byte, a_pipe, alone};

const NOW: Option<Duration> = Some(Duration::ZERO);
/// A token of two numbers that both matter, and that are not descriptors.
const TOKEN: Token = Token { index: 0x8765_4321, generation: 0xfedc_ba98 };
const OTHER: Token = Token { index: 1, generation: 2 };
/// The first number that an `fd_set` has no bit for.
const BEYOND: RawFd = 1024;

/// Run this with a poller of each kind, while no other test runs: descriptor numbers belong to the whole process.
#[track_caller]
fn each(test: impl Fn(Kind, &mut dyn Poller)) {
    let _alone = alone();
    for kind in Kind::ALL {
        println!("on {kind}");
        test(kind, &mut *kind.make().expect("the poller is made"));
    }
}

/// What is ready now, in a buffer that held another event.
#[track_caller]
fn ready(poller: &mut dyn Poller) -> Vec<Event> {
    let mut ready = vec![Event { token: OTHER, events: Events::URGENT }; 3];
    poller.wait(&mut ready, NOW).expect("the wait succeeds");
    ready
}

/// The events of the one registered descriptor, if it is ready.
#[track_caller]
fn reported(poller: &mut dyn Poller) -> Option<Events> {
    let ready = ready(poller);
    assert!(ready.len() <= 1, "one descriptor is registered, and {ready:?} is reported");
    ready.first().map(|ready| ready.events)
}

#[track_caller]
fn refused(answer: Result<()>, errno: Errno, why: &str) -> String {
    let error = answer.expect_err(why);
    assert_eq!(error.errno, errno, "{why}: {error}");
    error.to_string()
}

#[test]
fn level_triggered_events_repeat_under_their_token() {
    each(|kind, poller| {
        let (mut reader, _writer) = a_byte();
        poller.add(reader.as_raw_fd(), TOKEN, Events::READ).unwrap();
        for wait in 1..=3 {
            let wanted = [Event { token: TOKEN, events: Events::READ }];
            assert_eq!(ready(poller), wanted, "{kind}, wait {wait}: a byte is there, and nothing else");
        }
        reader.read_exact(&mut [0]).unwrap();
        assert_eq!(ready(poller), [], "{kind}: the byte was read, and the buffer held an older report");
    });
}

/// Two events for one descriptor would run its handler twice, for what the first run may have read already.
#[test]
fn a_descriptor_ready_for_reading_and_writing_is_reported_once() {
    each(|kind, poller| {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(b"x").unwrap();
        let (fd, both) = (ours.as_raw_fd(), Events::READ | Events::WRITE);
        poller.add(fd, TOKEN, both).unwrap();
        let wanted = [Event { token: TOKEN, events: both }];
        assert_eq!(
            ready(poller),
            wanted,
            "{kind}: a byte is there, and there is room for more in the other direction"
        );
        for asked in [Events::READ, Events::WRITE] {
            poller.modify(fd, TOKEN, asked).unwrap();
            assert_eq!(
                reported(poller),
                Some(asked),
                "{kind}: it is ready for both, and was registered for {asked:?}"
            );
        }
        poller.modify(fd, TOKEN, both | Events::ONESHOT).unwrap();
        assert_eq!(
            (reported(poller), reported(poller)),
            (Some(both), None),
            "{kind}: a oneshot has one event, not one for each direction"
        );
    });
}

#[test]
fn modify_replaces_token_and_interest() {
    each(|kind, poller| {
        let (_reader, writer) = a_pipe();
        poller.add(writer.as_raw_fd(), TOKEN, Events::READ).unwrap();
        assert_eq!(reported(poller), None, "{kind}: the write end is never ready for reading");
        poller.modify(writer.as_raw_fd(), OTHER, Events::WRITE).unwrap();
        assert_eq!(ready(poller), [Event { token: OTHER, events: Events::WRITE }], "{kind}");
        poller.modify(writer.as_raw_fd(), OTHER, Events::READ).unwrap();
        assert_eq!(reported(poller), None, "{kind}: an interest that was removed is reported");
    });
}

#[test]
fn a_removed_descriptor_is_not_reported_and_the_others_are() {
    each(|kind, poller| {
        let pipes: Vec<_> = (0..4).map(|_| a_byte()).collect();
        for (index, (reader, _)) in (0..).zip(&pipes) {
            poller.add(reader.as_raw_fd(), Token { index, generation: 9 }, Events::READ).unwrap();
        }
        poller.remove(pipes[1].0.as_raw_fd()).unwrap();
        let mut left: Vec<u32> = ready(poller).iter().map(|ready| ready.token.index).collect();
        left.sort_unstable();
        assert_eq!(left, [0, 2, 3], "{kind}: number 1 of four was removed");
        poller
            .add(pipes[1].0.as_raw_fd(), TOKEN, Events::READ)
            .expect("a descriptor that was removed can be added again");
        assert!(
            ready(poller).iter().any(|ready| ready.token == TOKEN),
            "{kind}: it was added again, and is not reported"
        );
    });
}

#[test]
fn adding_a_descriptor_twice_is_eexist() {
    each(|kind, poller| {
        let (reader, _writer) = a_byte();
        poller.add(reader.as_raw_fd(), TOKEN, Events::READ).unwrap();
        refused(
            poller.add(reader.as_raw_fd(), OTHER, Events::WRITE),
            Errno::EEXIST,
            "a descriptor added twice",
        );
        let wanted = [Event { token: TOKEN, events: Events::READ }];
        assert_eq!(ready(poller), wanted, "{kind}: `add` failed, and still changed the registration");
    });
}

#[test]
fn modifying_or_removing_an_unknown_descriptor_is_enoent() {
    each(|kind, poller| {
        let (reader, _writer) = a_byte();
        let fd = reader.as_raw_fd();
        refused(poller.modify(fd, TOKEN, Events::READ), Errno::ENOENT, "modified, and was never added");
        refused(poller.remove(fd), Errno::ENOENT, "removed, and was never added");
        assert_eq!(reported(poller), None, "{kind}: no descriptor was added");
    });
}

/// The poller on poll(2) stores `!fd` for a oneshot that has fired. So a lookup of a negative number could find the
/// registered descriptor by mistake.
#[test]
fn a_number_without_a_descriptor_is_an_error_and_changes_nothing() {
    each(|kind, poller| {
        let (reader, _writer) = a_byte();
        let fd = reader.as_raw_fd();
        poller.add(fd, TOKEN, Events::READ).unwrap();
        for number in [-1, !fd, -fd, RawFd::MIN] {
            let why = format!("{kind}: {number} is not a descriptor, and {fd} is registered");
            refused(poller.add(number, OTHER, Events::READ), Errno::EBADF, &why);
            poller.modify(number, OTHER, Events::WRITE).expect_err(&why);
            poller.remove(number).expect_err(&why);
        }
        let wanted = [Event { token: TOKEN, events: Events::READ }];
        assert_eq!(ready(poller), wanted, "{kind}: a refused call changed the registration");
    });
}

#[test]
fn a_regular_file_or_directory_is_eperm() {
    testing::needs!(proc);
    each(|kind, poller| {
        for path in ["/proc/self/exe", "/"] {
            let file = File::open(path).unwrap();
            let why = format!(
                "{kind}: {path} is always ready, so a loop that registered it would never sleep again"
            );
            refused(poller.add(file.as_raw_fd(), TOKEN, Events::READ), Errno::EPERM, &why);
        }
    });
}

/// One descriptor of each kind that this machine has, by name.
fn one_of_each_kind() -> Vec<(String, OwnedFd)> {
    let mut all: Vec<(String, OwnedFd)> = Vec::new();
    let files = [
        ("/dev/null", OFlag::O_RDWR),
        ("/dev/zero", OFlag::O_RDONLY),
        ("/dev/urandom", OFlag::O_RDONLY),
        ("/proc/self/mountinfo", OFlag::O_RDONLY),
        ("/proc/self/mounts", OFlag::O_RDONLY),
        ("/proc/self/status", OFlag::O_RDONLY),
        ("/sys/kernel/uevent_seqnum", OFlag::O_RDONLY),
        ("/dev/ptmx", OFlag::O_RDWR),
        ("/proc/self/exe", OFlag::O_RDONLY),
        ("/", OFlag::O_RDONLY),
        ("/", OFlag::O_PATH),
        ("/dev/null", OFlag::O_PATH),
    ];
    for (path, flags) in files {
        match open(path, flags | OFlag::O_CLOEXEC | OFlag::O_NOCTTY, Mode::empty()) {
            Ok(fd) => all.push((format!("{path} with {flags:?}"), fd)),
            Err(errno) => println!("skipped: {path}: {errno}"),
        }
    }
    let mut add = |name: &str, fd: OwnedFd| all.push((name.to_owned(), fd));
    let (reader, writer) = a_pipe();
    add("the read end of a pipe", reader.into());
    add("the write end of a pipe", writer.into());
    add("a socket", UnixStream::pair().unwrap().0.into());
    add("an unconnected UDP socket", UdpSocket::bind("127.0.0.1:0").unwrap().into());
    add("a memfd", memfd_create("a test", MFdFlags::MFD_CLOEXEC).unwrap());
    add("an eventfd", EventFd::new().unwrap().into());
    add("a timerfd", TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC).unwrap().into());
    add("a signalfd", SignalFd::new(&SigSet::empty()).unwrap().into());
    add("an eventfd that epolls watch", EventFd::new().unwrap().into());
    // Each epoll watches the one before: from some depth on the kernel refuses that.
    for depth in 1..=7 {
        let outer = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
        let inner = all.last().map(|(_, fd)| fd.as_fd()).unwrap();
        if outer.add(inner, EpollEvent::empty()).is_ok() {
            all.push((format!("an epoll, {depth} deep"), outer.0));
        }
    }
    all
}

#[test]
fn the_pollers_answer_alike_for_every_kind_of_descriptor() {
    let _alone = alone();
    let all = one_of_each_kind();
    for (what, fd) in &all {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
        let wanted = epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, 7));
        for kind in Kind::ALL {
            let mut poller = kind.make().unwrap();
            let added = poller.add(fd.as_raw_fd(), TOKEN, Events::READ);
            assert_eq!(
                added.as_ref().map_err(|error| error.errno).copied(),
                wanted,
                "{what}, on {kind}: {added:?}. epoll_ctl itself returned what `right` shows"
            );
            // What can be watched is open, whatever it has to report.
            let reported = reported(&mut *poller).unwrap_or(Events::empty());
            assert!(!reported.contains(Events::INVALID), "{what}, on {kind}: {reported:?}");
        }
    }
    let names: Vec<_> = all.iter().map(|(what, _)| what.as_str()).collect();
    assert!(names.contains(&"/dev/null with OFlag(O_PATH)"), "{names:?}");
}

#[test]
fn a_oneshot_hides_even_a_hang_up_until_it_is_modified() {
    each(|kind, poller| {
        let (reader, mut writer) = a_byte();
        let interest = Events::READ | Events::ONESHOT;
        poller.add(reader.as_raw_fd(), TOKEN, interest).unwrap();
        assert_eq!(reported(poller), Some(Events::READ), "{kind}");
        writer.write_all(b"y").unwrap();
        assert_eq!(reported(poller), None, "{kind}: a oneshot got a second event");
        drop(writer);
        assert_eq!(reported(poller), None, "{kind}: a disarmed oneshot reports no events");
        poller.modify(reader.as_raw_fd(), TOKEN, interest).unwrap();
        assert!(
            reported(poller).is_some_and(|events| events.contains(Events::READ)),
            "{kind}: the oneshot is rearmed"
        );
        poller.remove(reader.as_raw_fd()).expect("a oneshot that has fired is still registered");
    });
}

#[test]
fn the_trigger_mode_can_be_modified() {
    each(|kind, poller| {
        let (reader, _writer) = a_byte();
        let (fd, once) = (reader.as_raw_fd(), Events::READ | Events::ONESHOT);
        poller.add(fd, TOKEN, once).unwrap();
        assert_eq!((reported(poller), reported(poller)), (Some(Events::READ), None), "{kind}: a oneshot");
        poller.modify(fd, TOKEN, Events::READ).unwrap();
        for wait in 1..=3 {
            assert_eq!(reported(poller), Some(Events::READ), "{kind}, wait {wait}: level-triggered again");
        }
        poller.modify(fd, TOKEN, once).unwrap();
        assert_eq!(
            (reported(poller), reported(poller)),
            (Some(Events::READ), None),
            "{kind}: a oneshot again"
        );
    });
}

#[test]
fn only_epoll_accepts_edges() {
    each(|kind, poller| {
        let (reader, _writer) = a_byte();
        let (fd, edge) = (reader.as_raw_fd(), Events::READ | Events::EDGE);
        if kind == Kind::Epoll {
            poller.add(fd, TOKEN, edge).unwrap();
            assert_eq!((reported(poller), reported(poller)), (Some(Events::READ), None));
            return;
        }
        let words = refused(poller.add(fd, TOKEN, edge), Errno::EINVAL, "poll and select must refuse EDGE");
        assert!(words.contains("only epoll reports edges"), "{words}");
        poller.add(fd, TOKEN, Events::READ).expect("the descriptor that was refused is not registered");
        refused(poller.modify(fd, TOKEN, edge), Errno::EINVAL, "an edge by way of modify");
        assert_eq!(
            reported(poller),
            Some(Events::READ),
            "{kind}: after the refusal it is registered as before"
        );
    });
}

/// select has no bit for a hang-up: it reports the descriptor as readable, if the interest includes reading.
#[test]
fn a_hang_up_comes_unasked_from_epoll_and_poll_and_as_readable_from_select() {
    each(|kind, poller| {
        for interest in [Events::empty(), Events::READ] {
            let (reader, writer) = a_pipe();
            poller.add(reader.as_raw_fd(), TOKEN, interest).unwrap();
            assert_eq!(reported(poller), None, "{kind}, registered for {interest:?}");
            drop(writer);
            let wanted = match kind {
                Kind::Select => Some(interest).filter(|interest| !interest.is_empty()),
                _ => Some(Events::HANGUP),
            };
            assert_eq!(reported(poller), wanted, "{kind}, registered for {interest:?}: the writer is gone");
            poller.remove(reader.as_raw_fd()).unwrap();
        }
    });
}

#[test]
fn poll_and_select_report_a_closed_descriptor() {
    each(|kind, poller| {
        let ((gone, _writer), (other, _other)) = (a_byte(), a_byte());
        poller.add(gone.as_raw_fd(), TOKEN, Events::READ).unwrap();
        poller.add(other.as_raw_fd(), OTHER, Events::READ).unwrap();
        let fd = gone.as_raw_fd();
        drop(gone);
        let ready = ready(poller);
        let about = |token| ready.iter().find(|ready| ready.token == token).map(|ready| ready.events);
        match kind {
            Kind::Epoll => assert_eq!(about(TOKEN), None, "epoll forgets a closed descriptor"),
            _ => assert_eq!(about(TOKEN), Some(Events::INVALID), "{kind}: {fd} is closed, and in its list"),
        }
        // select fails with EBADF: it says neither which descriptor is closed nor which ones are ready.
        let wanted = Some(Events::READ).filter(|_| kind != Kind::Select);
        assert_eq!(about(OTHER), wanted, "{kind}: the other one has a byte, and is open");
        if poller.remove(fd).is_ok() {
            assert_ne!(kind, Kind::Epoll, "epoll refuses a closed descriptor");
        }
        assert_eq!(reported(poller), Some(Events::READ), "{kind}: the other one has a byte");
    });
}

#[test]
fn it_waits_once_until_a_deadline() {
    each(|kind, poller| {
        let mut ready = Vec::new();
        for micros in [1, 300, 999, 1001, 2900, 4000] {
            let (start, rest) = (Instant::now(), Duration::from_micros(micros));
            let mut waits = 0;
            while let Some(left) = rest.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) {
                poller.wait(&mut ready, Some(left)).unwrap();
                waits += 1;
            }
            assert!(waits <= 1, "{kind}: until a deadline in {micros} µs there were {waits} waits");
        }
    });
}

#[test]
fn a_timeout_beyond_every_call_is_accepted() {
    each(|kind, poller| {
        let (reader, _writer) = a_byte();
        poller.add(reader.as_raw_fd(), TOKEN, Events::READ).unwrap();
        for timeout in [Some(Duration::from_millis(1 << 31)), Some(Duration::MAX), None] {
            let mut ready = Vec::new();
            poller.wait(&mut ready, timeout).expect("a long timeout must not fail");
            assert_eq!(
                ready.len(),
                1,
                "{kind}: a descriptor is ready, so a timeout of {timeout:?} does not matter"
            );
        }
    });
}

#[test]
fn a_wait_without_descriptors_is_a_sleep() {
    each(|kind, poller| {
        let (start, time) = (Instant::now(), Duration::from_millis(5));
        let mut ready = Vec::new();
        poller.wait(&mut ready, Some(time)).expect("an empty interest list must not fail");
        assert!(ready.is_empty() && start.elapsed() >= time, "{kind}: {ready:?} after {:?}", start.elapsed());
    });
}

#[test]
fn select_names_a_descriptor_beyond_its_limit() {
    let _alone = alone();
    let mut select = Kind::Select.make().unwrap();
    // Whether these are open does not matter to select.
    for fd in [BEYOND, BEYOND + 1, RawFd::MAX] {
        let words = refused(select.add(fd, TOKEN, Events::READ), Errno::EINVAL, "there is no bit for it");
        assert!(words.contains(&format!("descriptor {fd}")) && words.contains("below 1024"), "{words}");
        assert!(words.contains("FD_SETSIZE"), "the limit has a name: {words}");
    }
    if let Err(error) = select.add(BEYOND - 1, TOKEN, Events::READ) {
        assert_eq!(error.errno, Errno::EBADF, "there is a bit for {}: {error}", BEYOND - 1);
    }
}
