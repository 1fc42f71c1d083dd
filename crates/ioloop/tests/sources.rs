//! What is watched in unusual ways: by two loops, inside of another epoll, by the thousand, from other threads.

mod support;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::{self, ErrorKind, PipeReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::mpsc::channel;
use std::thread;

use ioloop::poller::Kind;
use ioloop::{Config, Events, IoLoop};
use nix::libc;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{MsgFlags, send};
use support::{LONG, Log, a_pipe, alone, helper_said, on_each, turns};

#[test]
fn two_loops_watch_one_descriptor() {
    on_each(|one| {
        let config = Config { poller: one.kind(), make_current: Some(false), ..Config::default() };
        let other = IoLoop::with(config).unwrap();
        let (reader, mut writer) = a_pipe();
        let reader = Rc::new(reader);
        let log = Log::default();
        let watch = |ioloop: &IoLoop, name: &'static str| {
            let seen = log.clone();
            ioloop.add_handler(Rc::clone(&reader), Events::READ, move |_, _, _| seen.add(name)).unwrap()
        };
        let token = watch(one, "one");
        watch(&other, "other");
        writer.write_all(b"x").unwrap();
        turns(one, 1);
        turns(&other, 1);
        assert_eq!(log.take(), ["one", "other"], "each loop has a list of its own, and nobody has read");
        one.remove_handler(token);
        turns(one, 1);
        turns(&other, 1);
        assert_eq!(log.take(), ["other"], "what one loop forgets is still watched by the other");
    });
}

/// An epoll instance is a descriptor: it can be read when something in it is ready.
struct Inner(Epoll);

impl AsFd for Inner {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.0.as_fd()
    }
}

#[test]
fn an_epoll_can_be_watched() {
    on_each(|ioloop| {
        let inner = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
        let (reader, mut writer) = a_pipe();
        inner.add(&reader, EpollEvent::new(EpollFlags::EPOLLIN, 7)).unwrap();
        let log = Log::default();
        let seen = log.clone();
        let handler = move |_: &IoLoop, inner: &Inner, _| {
            let mut events = [EpollEvent::empty(); 2];
            let count = inner.0.wait(&mut events, EpollTimeout::ZERO)?;
            seen.add((count, events[0].data()));
            (&reader).read_exact(&mut [0])
        };
        ioloop.add_handler(Inner(inner), Events::READ, handler).unwrap();
        turns(ioloop, 2);
        assert_eq!(log.take(), [], "nothing is ready in the inner epoll");
        writer.write_all(b"x").unwrap();
        turns(ioloop, 3);
        assert_eq!(log.take(), [(1, 7)], "a byte came, and was read: one event of the inner epoll");
    });
}

#[test]
fn what_is_out_of_band_is_urgent() {
    on_each(|ioloop| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let theirs = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (ours, _) = listener.accept().unwrap();
        let log = Log::default();
        let seen = log.clone();
        let handler = move |ioloop: &IoLoop, _: &TcpStream, events| {
            seen.add(events);
            ioloop.stop();
        };
        ioloop.add_handler(ours, Events::URGENT, handler).unwrap();
        send(theirs.as_raw_fd(), b"!", MsgFlags::MSG_OOB).unwrap();
        ioloop.start().unwrap();
        assert_eq!(log.take(), [Events::URGENT]);
    });
}

/// Needs as many descriptors: a process of its own, with the limit as high as it may be.
#[test]
fn thousands_are_removed_by_one_of_their_batch() {
    for poller in Kind::ALL {
        let answer = helper_said(&["sources", "many", &poller.to_string()]);
        assert_eq!(answer.line("ran"), "1", "{poller}: all were ready, and the first has removed the others");
        assert_eq!(answer.line("left"), "0 descriptors", "{poller}: a source that was removed is closed");
    }
}

#[test]
fn a_source_is_given_changed_and_taken_back_from_another_thread() {
    on_each(|ioloop| {
        let (reader, mut writer) = a_pipe();
        let handle = ioloop.handle();
        let thread = thread::spawn(move || {
            let (to_us, tokens) = channel();
            let (to_handler, bytes) = channel();
            handle.add_callback(move |ioloop| {
                let handler = move |_: &IoLoop, mut reader: &PipeReader, _| {
                    let mut byte = [0];
                    reader.read_exact(&mut byte)?;
                    to_handler.send(byte[0]).map_err(|_| io::Error::from(ErrorKind::BrokenPipe))
                };
                to_us.send(ioloop.add_handler(reader, Events::empty(), handler)).unwrap();
            })?;
            let token = tokens.recv().expect("the loop is woken")?;
            writer.write_all(b"x").expect("the loop has the reader");
            handle.add_callback(move |ioloop| ioloop.update_handler(token, Events::READ))?;
            let came = bytes.recv();
            handle.add_callback(move |ioloop| ioloop.remove_handler(token))?;
            // Its sender goes with the handler.
            let gone = bytes.recv().is_err();
            handle.stop()?;
            Ok::<_, ioloop::Error>((came, gone))
        });
        ioloop.start().unwrap();
        let seen = thread.join().unwrap().unwrap();
        assert_eq!(seen, (Ok(b'x'), true), "the byte came, and then the handler was gone");
    });
}

#[test]
fn an_edge_comes_again_once_it_was_drained() {
    let _alone = alone();
    let ioloop = IoLoop::with(Config { poller: Kind::Epoll, ..Config::default() }).unwrap();
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let log = Log::default();
    let seen = log.clone();
    let handler = move |_: &IoLoop, mut ours: &UnixStream, _| {
        let mut bytes = 0;
        let end = loop {
            match ours.read(&mut [0]) {
                Ok(count) => bytes += count,
                Err(error) => break error.kind(),
            }
        };
        seen.add((bytes, end));
    };
    ioloop.add_handler(ours, Events::READ | Events::EDGE, handler).unwrap();
    for _ in 0..3 {
        theirs.write_all(b"abc").unwrap();
        turns(&ioloop, 3);
        assert_eq!(
            log.take(),
            [(3, ErrorKind::WouldBlock)],
            "drained to its end, it reports what comes next"
        );
    }
}

#[test]
fn closing_the_loop_closes_its_sources() {
    on_each(|ioloop| {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let dropped = Rc::new(Cell::new(0));
        let counted = Rc::clone(&dropped);
        ioloop.add_handler(ours, Events::READ, move |_, _, _| counted.set(1)).unwrap();
        ioloop.close();
        theirs.set_read_timeout(Some(LONG)).unwrap();
        let read = theirs.read(&mut [0]).map_err(|error| error.kind());
        assert_eq!(read, Ok(0), "the source of a loop that was closed is still open");
        assert_eq!(Rc::strong_count(&dropped), 1, "its handler is still there");
        ioloop.close();
    });
}

/// The number of each descriptor that is open.
fn open_now() -> BTreeSet<i32> {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

#[test]
fn a_loop_does_not_survive_exec() {
    on_each(|ioloop| {
        let before = open_now();
        let config = Config { poller: ioloop.kind(), make_current: Some(false), ..Config::default() };
        let _other = IoLoop::with(config).unwrap();
        for number in open_now().difference(&before) {
            // SAFETY: it takes a number; whoever opened that one may have closed it again.
            let flags = unsafe { libc::fcntl(*number, libc::F_GETFD) };
            assert!(flags == -1 || flags & libc::FD_CLOEXEC != 0, "descriptor {number} survives exec");
        }
    });
}

#[test]
fn an_error_of_the_poller_comes_out_of_start() {
    assert_eq!(helper_said(&["sources", "broken"]).line("start"), "EINVAL, and then Ok");
}

/// Standard error as a pipe whose reader is gone: `eprintln!` panics then.
#[test]
fn a_failure_that_nobody_can_be_told_of_does_not_end_the_loop() {
    for poller in Kind::ALL {
        let answer = helper_said(&["sources", "unheard", &poller.to_string()]);
        assert_eq!(answer.line("start"), "Ok(())", "{poller}");
    }
}
