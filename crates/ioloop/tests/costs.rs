//! The whole: what a future costs: an echo as a handler and as a task, counted in system calls, iterations and
//! allocations.

#[path = "support/counting.rs"]
mod counting;

use std::cell::Cell;
use std::error::Error;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use counting::allocations;
use ioloop::{AsyncFd, Events, IoLoop};
use testing::tracer::{self, Call, Kernel};

testing::helper!(helper);

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// How many bytes go there and back, one at a time, after every buffer has grown.
const ECHOES: usize = 10;

/// The real kernel, with every call shown.
struct AsItIs;

impl Kernel for AsItIs {
    fn words(&self, call: &Call) -> Option<String> {
        // Whether reading the clock is a system call depends on the machine.
        (call.name != "clock_gettime").then(|| call.name.to_owned())
    }
}

fn helper(args: &[&str]) -> i32 {
    let run = |kind: &str| {
        let counted = Pair::new(kind).and_then(|pair| {
            pair.echo()?;
            let before = (pair.turns.get(), allocations());
            testing::judged(|| (0..ECHOES).try_for_each(|_| pair.echo()))?;
            Ok((pair.turns.get() - before.0, allocations() - before.1))
        });
        testing::exit_code(counted.map(|(turns, allocations)| {
            println!("turns {turns}");
            println!("allocations {allocations}");
        }))
    };
    match args {
        ["traced", "as-it-is", kind] => tracer::run(&mut AsItIs, || run(kind)),
        _ => 2,
    }
}

/// A loop with a server on it and its client, one byte at a time.
struct Pair {
    ioloop: IoLoop,
    client: UnixStream,
    turns: Rc<Cell<usize>>,
}

impl Pair {
    fn new(kind: &str) -> Result<Self> {
        let ioloop = IoLoop::new()?;
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        theirs.set_nonblocking(true)?;
        match kind {
            "handler" => {
                ioloop.add_handler(ours, Events::READ, |_, stream: &mut UnixStream, _| {
                    let mut byte = [0];
                    stream.read_exact(&mut byte)?;
                    stream.write_all(&byte)
                })?;
            }
            "task" => drop(ioloop.spawn(echo(ioloop.watch(ours)?))),
            "stream" => drop(ioloop.spawn(echo_stream(ioloop.watch(ours)?))),
            _ => return Err(format!("no echo is a {kind}").into()),
        }
        ioloop.add_handler(theirs.try_clone()?, Events::READ, |ioloop, stream: &mut UnixStream, _| {
            ioloop.stop();
            stream.read_exact(&mut [0])
        })?;
        let turns = Rc::<Cell<usize>>::default();
        let counted = Rc::clone(&turns);
        ioloop.subscribe(move |_, _| counted.set(counted.get() + 1));
        Ok(Self { ioloop, client: theirs, turns })
    }

    /// Sends one byte, and reads the echo.
    fn echo(&self) -> Result {
        (&self.client).write_all(b"x")?;
        Ok(self.ioloop.start()?)
    }
}

async fn echo(stream: AsyncFd<UnixStream>) -> Result {
    loop {
        stream.readable().await?;
        let mut byte = [0];
        stream.source().read_exact(&mut byte)?;
        stream.source().write_all(&byte)?;
    }
}

/// The same with operations that wait themselves.
async fn echo_stream(stream: AsyncFd<UnixStream>) -> Result {
    loop {
        let mut buffer = [0; 2];
        let read = stream.read(&mut buffer).await?;
        stream.write_all(&buffer[..read]).await?;
    }
}

/// The system calls, and the numbers of iterations and of allocations.
fn costs(kind: &str) -> Option<(Vec<String>, usize, usize)> {
    let answer = testing::traced("as-it-is", &[kind])?;
    let number = |name| answer.line(name).parse().expect("a number");
    let call = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    Some((answer.lines("call").map(call).collect(), number("turns"), number("allocations")))
}

fn count(calls: &[String], name: &str) -> usize {
    calls.iter().filter(|call| *call == name).count()
}

#[test]
fn a_wait_of_a_task_costs_no_epoll_ctl_and_no_allocation() {
    let Some(handler) = costs("handler") else { return };
    assert_eq!(count(&handler.0, "epoll_ctl"), 0, "the handler makes no epoll_ctl call: {:?}", handler.0);
    assert_eq!(
        (handler.0.len(), handler.1),
        (6 * ECHOES, 2 * ECHOES),
        "calls, and iterations: {:?}",
        handler.0
    );
    for kind in ["task", "stream"] {
        let Some(task) = costs(kind) else { return };
        assert_eq!(
            count(&task.0, "epoll_ctl"),
            0,
            "a descriptor that a {kind} waits for again and again stays armed: {:?}",
            task.0
        );
        assert_eq!(task.0, handler.0, "a {kind} makes the same system calls as a handler");
        assert_eq!(
            task.1, handler.1,
            "iterations: the callback that polls runs in an iteration that the loop makes anyway"
        );
        assert_eq!((handler.2, task.2), (0, 0), "allocations of a handler and of a {kind}");
    }
}
