//! The whole: an error that lasts, of something that the loop itself owns, is reported once, and its source removed. One
//! that may go away is reported ten times a second at most.

mod support;

use std::cell::Cell;
use std::fs::{File, read_dir, read_link};
use std::io::Write;
use std::mem::{self, ManuallyDrop};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use ioloop::poller::Kind;
use ioloop::{Clock, Config, Current, Events, FakeClock, IoLoop};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc::EPOLL_CTL_ADD;
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use nix::sys::socket::{Shutdown, shutdown};
use nix::unistd::dup3;
use support::operation::failures;
use support::{Kept, Log, Outcome, a_byte, a_pipe, alone, helper_said, on_each, turns};
use testing::tracer::{self, Call, Kernel};

testing::helper!(|args| match args {
    ["traced", "fails-for-a-while", rest @ ..] =>
        tracer::run(&mut FailsForAWhile::default(), || support::answer(rest, run)),
    ["traced", "fails-once", rest @ ..] => tracer::run(&mut FailsOnce(false), || support::answer(rest, run)),
    _ => support::answer(args, run),
});

fn run(args: &[&str]) -> Outcome {
    match args {
        ["lasting", "full"] => full(),
        ["lasting", "accepts"] => accepts(),
        ["lasting", "receives", poller] => receives(poller.parse()?),
        _ => support::unknown(args),
    }
}

/// A number with another owner.
fn borrowed(number: RawFd) -> ManuallyDrop<OwnedFd> {
    // SAFETY: it is never dropped, so the owner stays the only one.
    ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Lets a number refer to another file, behind its owner's back.
fn replace(number: RawFd, file: &File) {
    dup3(file, &mut borrowed(number), OFlag::O_CLOEXEC).unwrap();
}

/// Descriptors that are ready, and on which accept(2) fails, each with its error.
fn no_listeners() -> Vec<(&'static str, OwnedFd, &'static str)> {
    let (pipe, mut writer) = a_pipe();
    writer.write_all(b"x").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.set_nonblocking(true).unwrap();
    udp.send_to(b"x", udp.local_addr().unwrap()).unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    tcp.set_nonblocking(true).unwrap();
    shutdown(tcp.as_raw_fd(), Shutdown::Both).unwrap();
    vec![
        ("a pipe", pipe.into(), "ENOTSOCK"),
        ("a UDP socket", udp.into(), "EOPNOTSUPP"),
        ("a TCP listener that was shut down", tcp.into(), "EINVAL"),
    ]
}

#[test]
fn a_listener_that_is_none_is_reported_once_and_removed() {
    testing::needs!(loopback);
    on_each(|ioloop| {
        for (what, listener, errno) in no_listeners() {
            let (failures, held) = (failures(ioloop), Rc::new(()));
            let its = Rc::clone(&held);
            let accepting = ioloop.add_accept_handler(listener, move |_, _| drop(Rc::clone(&its))).unwrap();
            turns(ioloop, 20);
            let failures = failures.take();
            assert!(
                matches!(&failures[..], [only] if only.contains("accept4") && only.contains(errno)),
                "{what}, in 20 iterations: {failures:?}"
            );
            assert_eq!(
                Rc::strong_count(&held),
                1,
                "{what}: its handler can never run again, and is still there"
            );
            accepting.remove(ioloop);
        }
    });
}

/// Clients are accepted before, and then other code that shares the listener shuts it down.
#[test]
fn a_listener_that_is_shut_down_while_it_accepts_is_reported_once() {
    testing::needs!(loopback);
    on_each(|ioloop| {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = tcp.local_addr().unwrap();
        tcp.set_nonblocking(true).unwrap();
        let shared = tcp.try_clone().unwrap();
        let (failures, accepted) = (failures(ioloop), Rc::new(Cell::new(0)));
        let counted = Rc::clone(&accepted);
        ioloop.add_accept_handler(tcp, move |_, _| counted.set(counted.get() + 1)).unwrap();
        let _client = TcpStream::connect(address).unwrap();
        turns(ioloop, 2);
        assert_eq!((accepted.get(), failures.len()), (1, 0));
        shutdown(shared.as_raw_fd(), Shutdown::Both).unwrap();
        turns(ioloop, 20);
        let failures = failures.take();
        assert!(matches!(&failures[..], [only] if only.contains("EINVAL")), "{failures:?}");
    });
}

/// The descriptors that lead to this kind of file.
fn open_ones(kind: &str) -> Vec<RawFd> {
    let entries = read_dir("/proc/self/fd").unwrap().flatten();
    let of_kind = entries
        .filter(|entry| read_link(entry.path()).is_ok_and(|link| link.to_string_lossy().contains(kind)));
    of_kind.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// A loop on this poller, and the descriptor of its waker.
fn with_waker(poller: Kind) -> (IoLoop, RawFd) {
    let before = open_ones("[eventfd]");
    let ioloop = IoLoop::with(Config { poller, make_current: Current::No, ..Config::default() }).unwrap();
    let waker: Vec<_> = open_ones("[eventfd]").into_iter().filter(|fd| !before.contains(fd)).collect();
    let [waker] = waker[..] else { panic!("the loop has one eventfd, and not {waker:?}") };
    (ioloop, waker)
}

/// On epoll the waker is never read.
#[test]
fn a_waker_whose_descriptor_was_replaced_is_reported_once() {
    let _alone = alone();
    for poller in [Kind::Poll, Kind::Select] {
        let (ioloop, waker) = with_waker(poller);
        // A directory is always ready, and a read fails with EISDIR.
        replace(waker, &File::open("/").unwrap());
        let failures = failures(&ioloop);
        turns(&ioloop, 20);
        let said = failures.take();
        assert!(
            matches!(&said[..], [only] if only.contains("EISDIR")),
            "{poller}, in 20 iterations: {said:?}"
        );
    }
}

/// Sends a callback that adds 1. From another thread, because the loop's own thread needs no waker.
fn sent_by_a_thread(ioloop: &IoLoop, ran: &Arc<AtomicUsize>) -> ioloop::Result<()> {
    let (handle, ran) = (ioloop.handle(), Arc::clone(ran));
    let add = move |_: &IoLoop| {
        ran.fetch_add(1, Ordering::Relaxed);
    };
    thread::spawn(move || handle.add_callback(add)).join().unwrap()
}

/// The waker is lost for good, and what was sent before is in the queue.
#[test]
fn a_callback_that_was_sent_before_the_waker_was_lost_runs() {
    let _alone = alone();
    for poller in [Kind::Poll, Kind::Select] {
        let (ioloop, waker) = with_waker(poller);
        let (failures, ran) = (failures(&ioloop), Arc::new(AtomicUsize::new(0)));
        sent_by_a_thread(&ioloop, &ran).unwrap();
        replace(waker, &File::open("/").unwrap());
        turns(&ioloop, 5);
        assert_eq!((ran.load(Ordering::Relaxed), failures.len()), (1, 1), "{poller}: runs, and failures");
    }
}

/// The first read of the waker's eight bytes fails, and later ones do not.
struct FailsOnce(bool);

impl Kernel for FailsOnce {
    fn words(&self, call: &Call) -> Option<String> {
        (call.name == "read" && call.args[2] == 8).then(|| "read".to_owned())
    }

    fn instead(&mut self, call: &Call) -> Option<i64> {
        let waker = call.name == "read" && call.args[2] == 8;
        (waker && !mem::replace(&mut self.0, true)).then_some(-i64::from(Errno::EIO as i32))
    }
}

#[test]
fn a_waker_whose_read_fails_once_is_read_again_and_kept() {
    let failing = format!("read -> -{}", Errno::EIO as i32);
    for poller in ["poll", "select"] {
        let Some(answer) = testing::traced("fails-once", &["lasting", "receives", poller]) else { return };
        assert_eq!(answer.lines("failed").collect::<Vec<_>>(), [""; 0], "{poller}: reported");
        assert_eq!(answer.lines("call").next(), Some(&*failing), "{poller}: the first read");
        assert_eq!(answer.line("ran"), "2", "{poller}: of two callbacks that were sent, one after the other");
    }
}

fn receives(poller: Kind) -> Outcome {
    let ioloop = IoLoop::with(Config { poller, ..Config::default() })?;
    ioloop.handle_callback_exception(|_, failure| println!("failed {failure}"));
    let ran = Arc::new(AtomicUsize::new(0));
    for _ in 0..2 {
        sent_by_a_thread(&ioloop, &ran)?;
        testing::judged(|| (0..3).try_for_each(|_| ioloop.turn(Duration::ZERO).map(drop)))?;
    }
    println!("ran {}", ran.load(Ordering::Relaxed));
    Ok(())
}

/// The descriptor of an `AsyncFd` was closed, its number has another file, and its own file is open elsewhere, so epoll still
/// reports it, and refuses to change it.
#[test]
fn a_watched_descriptor_whose_number_was_reused_is_reported_once() {
    on_each(|ioloop| {
        let (reader, _writer) = a_byte();
        let still_open = reader.try_clone().unwrap();
        let number = reader.as_raw_fd();
        let watched = Rc::new(ioloop.watch(Kept(number)).unwrap());
        let waits = Rc::clone(&watched);
        let task = ioloop.spawn(async move { waits.readable().await });
        ioloop.turn(Duration::ZERO).unwrap();
        let (other, _other_writer) = a_byte();
        replace(number, &File::from(OwnedFd::from(other)));
        let failures = failures(ioloop);
        turns(ioloop, 20);
        assert!(failures.len() <= 1, "in 20 iterations: {:?}", failures.take());
        let events = Log::default();
        let seen = events.clone();
        let subscribed = ioloop.subscribe(move |_, iteration| seen.add(iteration.events));
        turns(ioloop, 5);
        assert_eq!(events.take(), [0; 5], "it keeps the loop awake");
        ioloop.unsubscribe(subscribed);
        ioloop.cancel(task);
        drop((watched, still_open, reader));
    });
}

/// A handler's number was closed, its file is open elsewhere, and no descriptor is left for the new epoll without that file.
#[test]
fn without_a_descriptor_left_a_file_that_epoll_would_report_for_ever_is_forgotten() {
    let answer = helper_said(&["lasting", "full"]);
    assert_eq!(answer.line("events"), "0", "events for a file that is not registered, in ten iterations");
    assert_eq!(
        answer.line("heard"),
        "yes",
        "the loop must still wait for the descriptors that are registered"
    );
}

fn full() -> Outcome {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let ioloop = IoLoop::with(Config { poller: Kind::Epoll, ..Config::default() })?;
    let ((reader, _writer), (silent, mut speaks)) = (a_byte(), a_pipe());
    let heard = Rc::new(Cell::new(false));
    let hears = Rc::clone(&heard);
    ioloop.add_handler(silent, Events::READ, move |_, _, _| hears.set(true))?;
    let other = reader.try_clone()?;
    let token = ioloop.add_handler(Kept(reader.as_raw_fd()), Events::READ, |_, _, _| ())?;
    let limit = other.as_raw_fd() as rlim_t + 1;
    setrlimit(Resource::RLIMIT_NOFILE, limit, hard)?;
    drop(reader);
    let mut taken = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        taken.push(file);
    }
    ioloop.remove_handler(token);
    let events = Rc::new(Cell::new(0));
    let counted = Rc::clone(&events);
    ioloop.subscribe(move |_, iteration| counted.set(counted.get() + iteration.events));
    for _ in 0..10 {
        ioloop.turn(Duration::ZERO)?;
    }
    println!("events {}", events.get());
    speaks.write_all(b"x")?;
    ioloop.turn(Duration::ZERO)?;
    println!("heard {}", if heard.get() { "yes" } else { "no" });
    Ok(())
}

/// accept4 fails three times with an error that the loop does not know, and then a resumed listener cannot be added twice.
#[derive(Default)]
struct FailsForAWhile {
    accepts: usize,
    adds: usize,
}

impl Kernel for FailsForAWhile {
    fn words(&self, call: &Call) -> Option<String> {
        matches!(call.name, "accept4" | "epoll_ctl").then(|| call.name.to_owned())
    }

    fn instead(&mut self, call: &Call) -> Option<i64> {
        let (count, errno, until) = match call.name {
            "accept4" => (&mut self.accepts, Errno::EIO, 3),
            "epoll_ctl" if call.args[1] as i32 == EPOLL_CTL_ADD => (&mut self.adds, Errno::ENOSPC, 2),
            _ => return None,
        };
        *count += 1;
        (*count <= until).then_some(-i64::from(errno as i32))
    }
}

#[test]
fn an_error_of_accept_that_goes_away_is_paced() {
    testing::needs!(loopback);
    let Some(answer) = testing::traced("fails-for-a-while", &["lasting", "accepts"]) else { return };
    let reported: Vec<&str> = answer.lines("reported").collect();
    let wanted = ["0ns EIO", "100ms ENOSPC", "200ms ENOSPC", "300ms EIO", "400ms EIO"];
    assert_eq!(reported, wanted, "each error by name, and the time by the loop's clock, 100 ms apart");
    assert_eq!(answer.line("accepted"), "1 after 500ms", "the client that waited in the backlog");
}

/// With a fake clock, which advances while the listener is paused.
fn accepts() -> Outcome {
    let clock = Clock::Fake(FakeClock::default());
    let ioloop = IoLoop::with(Config { poller: Kind::Epoll, clock, ..Config::default() })?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let _client = TcpStream::connect(listener.local_addr()?)?;
    listener.set_nonblocking(true)?;
    ioloop.handle_callback_exception(|ioloop, failure| {
        let failure = failure.to_string();
        let errno = ["EIO", "ENOSPC"].into_iter().find(|errno| failure.contains(errno));
        println!("reported {:?} {}", ioloop.time(), errno.unwrap_or(&failure));
    });
    let _accepting = ioloop.add_accept_handler(listener, |ioloop, _| {
        println!("accepted 1 after {:?}", ioloop.time());
        ioloop.stop();
    })?;
    testing::judged(|| ioloop.start())?;
    Ok(())
}
