//! What can be counted is counted, and not timed: system calls a request, the calls of a wake from another thread, and how
//! often an iteration reads the clock. The process that is counted is a child under ptrace.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::hint;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::ops::ControlFlow::{Break, Continue};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use ioloop::{Events, IoLoop};
use nix::sys::eventfd::EventFd;
use nix::unistd::{Pid, getppid};
use testing::tracer::{MARK, clock_reads_to_mark, start, to_call};

use crate::servers::{MESSAGE, Serve, bare, connections, with_futures, with_handlers};
use crate::table::Row;

/// How often each system call was made.
type Calls = BTreeMap<&'static str, usize>;

pub fn rows() -> Vec<Row> {
    let servers = [("futures", with_futures as Serve), ("handlers", with_handlers)];
    let all = servers.into_iter().flat_map(|server| [(server, 4), (server, 64)]);
    let mut rows: Vec<Row> =
        all.map(|((name, serve), connections)| requests(name, serve, connections)).collect();
    rows.push(wakes());
    rows.push(clock_reads());
    rows
}

/// Rounds before those that are counted: the first ones register descriptors and allocate.
const WARM_UP: usize = 3;

const ROUNDS: usize = 20;

fn requests(name: &str, serve: Serve, connections: usize) -> Row {
    let name = format!("echo with {name}, {connections} connections: system calls a request");
    let (Some(peer), Some(ours)) = (calls_to_serve(bare, connections), calls_to_serve(serve, connections))
    else {
        return Row::left_out(name, "ptrace is not permitted");
    };
    let a_request = |calls: &Calls| calls.values().sum::<usize>() as f64 / (ROUNDS * connections) as f64;
    let (few, many) = (a_request(&peer), a_request(&ours));
    let controls = ours.get("epoll_ctl").copied().unwrap_or(0);
    Row {
        name,
        ours: format!("{many:.3}, {controls} epoll_ctl"),
        peer: format!("{few:.3}"),
        ratio: None,
        limit: "0.05 more, no epoll_ctl".to_owned(),
        held: many <= few + 0.05 && controls == 0,
    }
}

/// The calls of a server in the rounds that count. The tracer is the load, too: it sends a round of messages when the
/// server is about to sleep after its last echo, so each sleep ends with all of them, and the counts are exact.
fn calls_to_serve(serve: Serve, connections: usize) -> Option<Calls> {
    let (mut clients, served) = self::connections(connections);
    let scenario = move || {
        serve(served);
        0
    };
    let mut calls = Calls::new();
    let code = start(scenario, |server| {
        let (mut rounds, mut echoes) = (0, 0);
        loop {
            let stop = match to_call(server, server, None)? {
                Continue(stop) => stop,
                Break(code) => return Ok(code),
            };
            if stop.answer.is_some() {
                continue;
            }
            let name = stop.call.name;
            if name.starts_with("epoll_") && name.contains("wait") && (rounds == 0 || echoes == connections) {
                next_round(&mut clients, rounds);
                (rounds, echoes) = (rounds + 1, 0);
            }
            echoes += usize::from(name == "write");
            if (WARM_UP + 1..=WARM_UP + ROUNDS).contains(&rounds) {
                *calls.entry(name).or_default() += 1;
            }
        }
    });
    (code == 0).then_some(calls)
}

/// Take the echoes of the last round, if there was one, and send new messages; or, after enough rounds, end the connections.
fn next_round(clients: &mut [TcpStream], rounds: usize) {
    for client in clients {
        if rounds > 0 {
            client.read_exact(&mut [0; MESSAGE]).expect("an echo");
        }
        if rounds > WARM_UP + ROUNDS {
            // Not a close: the server's process has a copy of this end, too.
            client.shutdown(Shutdown::Write).expect("an open connection");
        } else {
            client.write_all(&[7; MESSAGE]).expect("room");
        }
    }
}

/// How many wakes are counted, each of a loop that sleeps or is about to.
const WAKES: usize = 20;

fn wakes() -> Row {
    let name = "a wake from another thread: system calls of both threads".to_owned();
    let (Some(peer), Some(ours)) = (calls_to_wake(mio_is_woken), calls_to_wake(the_loop_is_woken)) else {
        return Row::left_out(name, "ptrace is not permitted");
    };
    let total = |calls: &Calls| calls.values().sum::<usize>() as f64 / WAKES as f64;
    let names: Vec<&str> = ours.keys().copied().collect();
    Row {
        name,
        ours: format!("{:.2}: {}", total(&ours), names.join(", ")),
        peer: format!("{:.2} (mio)", total(&peer)),
        ratio: None,
        limit: "2".to_owned(),
        held: total(&ours) <= 2.0,
    }
}

fn calls_to_wake(scenario: fn() -> i32) -> Option<Calls> {
    let mut calls = Calls::new();
    let code = start(scenario, |pid| {
        let (mut counting, mut stopped) = (false, pid);
        loop {
            let stop = match to_call(pid, stopped, None)? {
                Continue(stop) => stop,
                Break(code) => return Ok(code),
            };
            stopped = stop.pid;
            // When they return: a wait that began before the first mark may be the one that the first wake ends.
            if stop.answer.is_none() {
                continue;
            }
            counting ^= stop.call.name == MARK;
            if counting && stop.call.name != MARK {
                *calls.entry(stop.call.name).or_default() += 1;
            }
        }
    });
    (code == 0).then_some(calls)
}

/// Wake another thread again and again, each time after the last wake has arrived; and count the calls of both between two
/// marks, after the first wakes.
fn wake_between_marks(arrived: &AtomicUsize, wake: impl Fn()) {
    for wakes in 0..WARM_UP + WAKES {
        if wakes == WARM_UP {
            getppid();
        }
        wake();
        while arrived.load(Ordering::Acquire) <= wakes {
            hint::spin_loop();
        }
    }
    getppid();
}

fn the_loop_is_woken() -> i32 {
    let ioloop = IoLoop::new().expect("a loop");
    let handle = ioloop.handle();
    let waking = thread::spawn(move || {
        let arrived = Arc::new(AtomicUsize::new(0));
        wake_between_marks(&arrived, || {
            let arrived = Arc::clone(&arrived);
            handle
                .add_callback(move |_| {
                    arrived.fetch_add(1, Ordering::Release);
                })
                .expect("a wake");
        });
        handle.stop().expect("a wake");
    });
    ioloop.start().expect("it runs");
    waking.join().expect("no panic");
    0
}

fn mio_is_woken() -> i32 {
    let mut poll = mio::Poll::new().expect("an epoll");
    let waker = mio::Waker::new(poll.registry(), mio::Token(0)).expect("an eventfd");
    let arrived = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&arrived);
    let waking = thread::spawn(move || wake_between_marks(&seen, || waker.wake().expect("a wake")));
    let mut events = mio::Events::with_capacity(8);
    while arrived.load(Ordering::Relaxed) < WARM_UP + WAKES {
        poll.poll(&mut events, None).expect("an event");
        arrived.fetch_add(1, Ordering::Release);
    }
    waking.join().expect("no panic");
    0
}

/// How many iterations are stepped through.
const ITERATIONS: usize = 20;

fn clock_reads() -> Row {
    let name = "an iteration without timers: reads of the clock".to_owned();
    let (Some(ours), Some(with_a_timer)) = (reads_an_iteration(false), reads_an_iteration(true)) else {
        return Row::left_out(name, "ptrace is not permitted");
    };
    Row {
        name,
        ours: format!("{ours:.2}"),
        peer: format!("{with_a_timer:.2} (ours with a timer)"),
        ratio: None,
        limit: "0".to_owned(),
        held: ours == 0.0,
    }
}

fn reads_an_iteration(with_a_timer: bool) -> Option<f64> {
    let mut reads = None;
    let code = start(
        || iterate(with_a_timer),
        |pid: Pid| loop {
            match to_call(pid, pid, None)? {
                Break(code) => return Ok(code),
                Continue(stop) if stop.call.name == MARK && stop.answer.is_some() && reads.is_none() => {
                    reads = Some(clock_reads_to_mark(pid)?);
                }
                Continue(_) => {}
            }
        },
    );
    reads.filter(|_| code == 0).map(|reads| reads as f64 / ITERATIONS as f64)
}

/// Iterate for a descriptor that is always ready, with a mark before the iterations that count and one after them.
fn iterate(with_a_timer: bool) -> i32 {
    let ioloop = IoLoop::new().expect("a loop");
    if with_a_timer {
        ioloop.call_later(Duration::from_secs(3600), |_| ());
    }
    let events = Cell::new(0);
    let count = move |ioloop: &IoLoop, _: &mut EventFd, _| {
        events.set(events.get() + 1);
        if events.get() == WARM_UP {
            getppid();
        } else if events.get() == WARM_UP + ITERATIONS {
            getppid();
            ioloop.stop();
        }
    };
    let ready = EventFd::from_value(1).expect("an eventfd");
    ioloop.add_handler(ready, Events::READ, count).expect("room");
    ioloop.start().expect("it runs");
    0
}
