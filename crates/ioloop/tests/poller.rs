//! The contract of `Poller`, held by epoll, poll and select alike; and where one of them cannot, what it says instead.

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use ioloop::poller::{Kind, Poller};
use ioloop::{Event, Events, Result, Token};
use nix::errno::Errno;
use support::{a_byte, a_pipe, alone};

const NOW: Option<Duration> = Some(Duration::ZERO);
/// Both of its numbers are needed, and neither is a descriptor's.
const TOKEN: Token = Token { index: 0x8765_4321, generation: 0xfedc_ba98 };
const OTHER: Token = Token { index: 1, generation: 2 };
/// The first number that an `fd_set` has no bit for.
const BEYOND: RawFd = 1024;

/// Do this with one of each kind, alone: numbers are the whole process's.
#[track_caller]
fn each(test: impl Fn(Kind, &mut dyn Poller)) {
    let _alone = alone();
    for kind in Kind::ALL {
        println!("on {kind}");
        test(kind, &mut *kind.make().expect("a poller can be made"));
    }
}

/// What is ready now, in a buffer that held something else.
#[track_caller]
fn ready(poller: &mut dyn Poller) -> Vec<Event> {
    let mut ready = vec![Event { token: OTHER, events: Events::URGENT }; 3];
    poller.wait(&mut ready, NOW).expect("a wait is no error");
    ready
}

/// What the one descriptor that is watched is ready for, if it is.
#[track_caller]
fn reported(poller: &mut dyn Poller) -> Option<Events> {
    let ready = ready(poller);
    assert!(ready.len() <= 1, "one descriptor is watched, and {ready:?} is reported");
    ready.first().map(|ready| ready.events)
}

#[track_caller]
fn refused(answer: Result<()>, errno: Errno, why: &str) -> String {
    let error = answer.expect_err(why);
    assert_eq!(error.errno, errno, "{why}: {error}");
    error.to_string()
}

#[test]
fn a_state_is_reported_under_its_token_as_long_as_it_lasts() {
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

#[test]
fn modify_replaces_token_and_interest() {
    each(|kind, poller| {
        let (_reader, writer) = a_pipe();
        poller.add(writer.as_raw_fd(), TOKEN, Events::READ).unwrap();
        assert_eq!(reported(poller), None, "{kind}: the end for writing is never ready for reading");
        poller.modify(writer.as_raw_fd(), OTHER, Events::WRITE).unwrap();
        assert_eq!(ready(poller), [Event { token: OTHER, events: Events::WRITE }], "{kind}");
        poller.modify(writer.as_raw_fd(), OTHER, Events::READ).unwrap();
        assert_eq!(reported(poller), None, "{kind}: an interest that was taken back is reported");
    });
}

#[test]
fn what_is_removed_is_not_reported_and_the_others_are() {
    each(|kind, poller| {
        let pipes: Vec<_> = (0..4).map(|_| a_byte()).collect();
        for (index, (reader, _)) in (0..).zip(&pipes) {
            poller.add(reader.as_raw_fd(), Token { index, generation: 9 }, Events::READ).unwrap();
        }
        poller.remove(pipes[1].0.as_raw_fd()).unwrap();
        let mut left: Vec<u32> = ready(poller).iter().map(|ready| ready.token.index).collect();
        left.sort_unstable();
        assert_eq!(left, [0, 2, 3], "{kind}: number 1 of four was removed");
        poller.add(pipes[1].0.as_raw_fd(), TOKEN, Events::READ).expect("what was removed can be added again");
        assert!(ready(poller).iter().any(|ready| ready.token == TOKEN), "{kind}: added again, it is silent");
    });
}

#[test]
fn adding_a_descriptor_twice_is_eexist() {
    each(|kind, poller| {
        let (reader, _writer) = a_byte();
        poller.add(reader.as_raw_fd(), TOKEN, Events::READ).unwrap();
        refused(poller.add(reader.as_raw_fd(), OTHER, Events::WRITE), Errno::EEXIST, "a number added twice");
        let wanted = [Event { token: TOKEN, events: Events::READ }];
        assert_eq!(ready(poller), wanted, "{kind}: adding failed, and changed something");
    });
}

#[test]
fn modifying_or_removing_an_unknown_descriptor_is_enoent() {
    each(|kind, poller| {
        let (reader, _writer) = a_byte();
        let fd = reader.as_raw_fd();
        refused(poller.modify(fd, TOKEN, Events::READ), Errno::ENOENT, "modified, and was never added");
        refused(poller.remove(fd), Errno::ENOENT, "removed, and was never added");
        assert_eq!(reported(poller), None, "{kind}: nothing was added");
    });
}

/// Beside one that is watched, whose number the negative ones could be taken for.
#[test]
fn a_number_that_nobody_has_is_an_error_and_nobody_elses() {
    each(|kind, poller| {
        let (reader, _writer) = a_byte();
        let fd = reader.as_raw_fd();
        poller.add(fd, TOKEN, Events::READ).unwrap();
        for nobody in [-1, !fd, -fd, RawFd::MIN] {
            let why = format!("{kind}: {nobody} is no descriptor, and {fd} is watched");
            refused(poller.add(nobody, OTHER, Events::READ), Errno::EBADF, &why);
            poller.modify(nobody, OTHER, Events::WRITE).expect_err(&why);
            poller.remove(nobody).expect_err(&why);
        }
        let wanted = [Event { token: TOKEN, events: Events::READ }];
        assert_eq!(ready(poller), wanted, "{kind}: what was refused has changed what is watched");
    });
}

#[test]
fn a_regular_file_or_directory_is_eperm() {
    each(|kind, poller| {
        for path in ["/proc/self/exe", "/"] {
            let file = File::open(path).unwrap();
            let why = format!("{kind}: nobody would sleep again who watches {path}");
            refused(poller.add(file.as_raw_fd(), TOKEN, Events::READ), Errno::EPERM, &why);
        }
    });
}

#[test]
fn a_oneshot_is_silent_until_it_is_modified_about_a_hang_up_too() {
    each(|kind, poller| {
        let (reader, mut writer) = a_byte();
        let interest = Events::READ | Events::ONESHOT;
        poller.add(reader.as_raw_fd(), TOKEN, interest).unwrap();
        assert_eq!(reported(poller), Some(Events::READ), "{kind}");
        writer.write_all(b"y").unwrap();
        assert_eq!(reported(poller), None, "{kind}: it was told once, and that was all");
        drop(writer);
        assert_eq!(reported(poller), None, "{kind}: a spent oneshot is silent, whatever happens");
        poller.modify(reader.as_raw_fd(), TOKEN, interest).unwrap();
        assert!(reported(poller).is_some_and(|events| events.contains(Events::READ)), "{kind}: it is armed");
        poller.remove(reader.as_raw_fd()).expect("a oneshot that has fired is still there");
    });
}

#[test]
fn how_it_is_watched_can_be_modified_too() {
    each(|kind, poller| {
        let (reader, _writer) = a_byte();
        let (fd, once) = (reader.as_raw_fd(), Events::READ | Events::ONESHOT);
        poller.add(fd, TOKEN, once).unwrap();
        assert_eq!((reported(poller), reported(poller)), (Some(Events::READ), None), "{kind}: a oneshot");
        poller.modify(fd, TOKEN, Events::READ).unwrap();
        for wait in 1..=3 {
            assert_eq!(reported(poller), Some(Events::READ), "{kind}, wait {wait}: a oneshot no more");
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
fn an_edge_is_epolls_and_the_others_refuse_it() {
    each(|kind, poller| {
        let (reader, _writer) = a_byte();
        let (fd, edge) = (reader.as_raw_fd(), Events::READ | Events::EDGE);
        if kind == Kind::Epoll {
            poller.add(fd, TOKEN, edge).unwrap();
            assert_eq!((reported(poller), reported(poller)), (Some(Events::READ), None));
            return;
        }
        let words = refused(poller.add(fd, TOKEN, edge), Errno::EINVAL, "an edge where there is none");
        assert!(words.contains("only epoll reports edges"), "{words}");
        poller.add(fd, TOKEN, Events::READ).expect("what was refused is not there");
        refused(poller.modify(fd, TOKEN, edge), Errno::EINVAL, "an edge by way of modify");
        assert_eq!(reported(poller), Some(Events::READ), "{kind}: refused, it is watched as before");
    });
}

/// select has no word for it: the end can be read, by whoever asked to read.
#[test]
fn a_hang_up_comes_unasked_from_epoll_and_poll_and_as_readable_from_select() {
    each(|kind, poller| {
        for interest in [Events::empty(), Events::READ] {
            let (reader, writer) = a_pipe();
            poller.add(reader.as_raw_fd(), TOKEN, interest).unwrap();
            assert_eq!(reported(poller), None, "{kind}, watched for {interest:?}");
            drop(writer);
            let wanted = match kind {
                Kind::Select => Some(interest).filter(|interest| !interest.is_empty()),
                _ => Some(Events::HANGUP),
            };
            assert_eq!(reported(poller), wanted, "{kind}, watched for {interest:?}: the writer is gone");
            poller.remove(reader.as_raw_fd()).unwrap();
        }
    });
}

#[test]
fn a_number_that_was_closed_is_invalid_where_the_list_is_ours() {
    each(|kind, poller| {
        let ((gone, _writer), (other, _other)) = (a_byte(), a_byte());
        poller.add(gone.as_raw_fd(), TOKEN, Events::READ).unwrap();
        poller.add(other.as_raw_fd(), OTHER, Events::READ).unwrap();
        let fd = gone.as_raw_fd();
        drop(gone);
        let ready = ready(poller);
        let about = |token| ready.iter().find(|ready| ready.token == token).map(|ready| ready.events);
        match kind {
            Kind::Epoll => assert_eq!(about(TOKEN), None, "epoll forgets what is closed"),
            _ => assert_eq!(about(TOKEN), Some(Events::INVALID), "{kind}: {fd} is closed, and in its list"),
        }
        // select is told EBADF, and not by whom, and nothing about the others.
        let wanted = Some(Events::READ).filter(|_| kind != Kind::Select);
        assert_eq!(about(OTHER), wanted, "{kind}: the other one has a byte, and is open");
        if poller.remove(fd).is_ok() {
            assert_ne!(kind, Kind::Epoll, "epoll cannot be told about a number that is closed");
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
fn a_time_that_no_call_can_have_is_no_error_and_no_panic() {
    each(|kind, poller| {
        let (reader, _writer) = a_byte();
        poller.add(reader.as_raw_fd(), TOKEN, Events::READ).unwrap();
        for timeout in [Some(Duration::from_millis(1 << 31)), Some(Duration::MAX), None] {
            let mut ready = Vec::new();
            poller.wait(&mut ready, timeout).expect("a long time is no error");
            assert_eq!(ready.len(), 1, "{kind}: something is ready, and {timeout:?} does not matter");
        }
    });
}

#[test]
fn a_wait_without_anything_to_watch_is_a_sleep() {
    each(|kind, poller| {
        let (start, time) = (Instant::now(), Duration::from_millis(5));
        let mut ready = Vec::new();
        poller.wait(&mut ready, Some(time)).expect("an empty list is no error");
        assert!(ready.is_empty() && start.elapsed() >= time, "{kind}: {ready:?} after {:?}", start.elapsed());
    });
}

#[test]
fn select_says_which_number_is_beyond_it() {
    let _alone = alone();
    let mut select = Kind::Select.make().unwrap();
    // Whether anybody has opened these does not matter to it.
    for fd in [BEYOND, BEYOND + 1, RawFd::MAX] {
        let words = refused(select.add(fd, TOKEN, Events::READ), Errno::EINVAL, "there is no bit for it");
        assert!(words.contains(&format!("descriptor {fd}")) && words.contains("below 1024"), "{words}");
    }
    if let Err(error) = select.add(BEYOND - 1, TOKEN, Events::READ) {
        assert_eq!(error.errno, Errno::EBADF, "there is a bit for {}: {error}", BEYOND - 1);
    }
}
