//! One operation, as callbacks and as an async function; and where the function's variables are while it waits.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::process::ExitCode;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use experiments::{Choice, Lab, Question, Result, ask, needs, vary};
use ioloop::{AsyncFd, Events, IoLoop, Token};
use nix::libc::{SYS_recvfrom, SYS_sendto};

const LARGE: usize = 1000;
/// More than the distance between any two stack frames of this program.
const STACK: usize = 1 << 20;

const QUESTION: Question = Question {
    question: "Where is an async function's variable while the function waits?",
    setup: "An async function fills an array of 1000 bytes, awaits something, and reads the array after that. Where is \
            the array meanwhile?",
    choices: &[
        Choice::new("On the thread's stack, like the variables of any function.")
            .because("The array's address was inside the future, which was on the heap."),
        Choice::new("In the future that the call returned: the future has room for it."),
        Choice::new("On a stack or in a heap allocation that belongs to this call alone.")
            .because("The array's address was inside the future itself."),
    ],
    book: 1,
    shows: "What an async function needs after a wait is a field of its future. A future is as large as the \
            wait at which its function needs the most. What it does not need anymore takes no room. With \
            callbacks you write those fields yourself: they are what a closure captures.",
    lane: "loop",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let answers = (with_callbacks()?, with_a_future()?);
        lab.note(format!("the answer is {:?} with callbacks, {:?} with a future", answers.0, answers.1));
        lab.check(
            answers.0 == answers.1 && answers.0 == [7, 60],
            "the callbacks and the async function give the same answer",
        );
        let place = place(lab);
        sizes(lab);
        Ok(place)
    })
}

// ANCHOR: callbacks
fn serve(ioloop: &IoLoop, stream: Rc<UnixStream>) -> Result {
    read_bytes(ioloop, stream, 2, on_header)
}

fn on_header(ioloop: &IoLoop, stream: Rc<UnixStream>, header: &[u8]) -> Result {
    let (number, length) = (header[0], usize::from(header[1]));
    // on_body needs the number, so this closure has to carry it.
    read_bytes(ioloop, stream, length, move |ioloop, stream, body| on_body(ioloop, &stream, number, body))
}

fn on_body(ioloop: &IoLoop, mut stream: &UnixStream, number: u8, body: &[u8]) -> Result {
    stream.write_all(&[number, body.iter().sum()])?;
    ioloop.stop();
    Ok(())
}
// ANCHOR_END: callbacks

// ANCHOR: future
async fn serve_async(ioloop: IoLoop, stream: AsyncFd<UnixStream>) -> Result {
    let header = bytes(&stream, 2).await?;
    let (number, length) = (header[0], usize::from(header[1]));
    let body = bytes(&stream, length).await?;
    stream.source().write_all(&[number, body.iter().sum()])?;
    ioloop.stop();
    Ok(())
}
// ANCHOR_END: future

/// Read this many bytes, in whatever pieces, and then call `then`. The closure owns what has come so far.
fn read_bytes(
    ioloop: &IoLoop,
    stream: Rc<UnixStream>,
    length: usize,
    then: impl FnOnce(&IoLoop, Rc<UnixStream>, &[u8]) -> Result + 'static,
) -> Result {
    let own = Rc::<Cell<Option<Token>>>::default();
    let (token, mut got, mut then) = (Rc::clone(&own), Vec::new(), Some(then));
    let added = ioloop.add_handler(stream, Events::READ, move |ioloop, stream, _| -> Result {
        read_some(stream, length, &mut got)?;
        match then.take_if(|_| got.len() == length) {
            None => Ok(()),
            Some(then) => {
                let stream = Rc::clone(stream);
                token.take().into_iter().for_each(|token| ioloop.remove_handler(token));
                then(ioloop, stream, &got)
            }
        }
    })?;
    own.set(Some(added));
    Ok(())
}

/// The same as a future.
async fn bytes(stream: &AsyncFd<UnixStream>, length: usize) -> Result<Vec<u8>> {
    let mut got = Vec::new();
    while got.len() < length {
        stream.readable().await?;
        read_some(stream.source(), length, &mut got)?;
    }
    Ok(got)
}

/// Read what there is, up to `length` bytes in all.
fn read_some(mut stream: &UnixStream, length: usize, got: &mut Vec<u8>) -> Result {
    let (mut buffer, had) = ([0; 64], got.len());
    match stream.read(&mut buffer[..length - had]) {
        Ok(0) => return Err("the connection ended".into()),
        Ok(taken) => got.extend(&buffer[..taken]),
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Both ends of a connection. What is sent comes in pieces, one an iteration.
fn peer(ioloop: &IoLoop) -> Result<(UnixStream, UnixStream)> {
    fn piece(ioloop: &IoLoop, mut to: UnixStream, left: &'static [u8]) {
        ioloop.add_callback(move |ioloop| {
            let Some((first, left)) = left.split_first() else { return Ok(()) };
            to.write_all(&[*first])?;
            piece(ioloop, to, left);
            Ok::<_, std::io::Error>(())
        });
    }
    needs(&[SYS_recvfrom, SYS_sendto])?; // A callback that fails does not stop the loop.
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    piece(ioloop, theirs.try_clone()?, &[7, 3, 10, 20, 30]);
    Ok((ours, theirs))
}

fn answer(mut peer: UnixStream) -> Result<[u8; 2]> {
    let mut answer = [0; 2];
    peer.read_exact(&mut answer)?;
    Ok(answer)
}

fn with_callbacks() -> Result<[u8; 2]> {
    let ioloop = IoLoop::new()?;
    let (ours, theirs) = peer(&ioloop)?;
    serve(&ioloop, Rc::new(ours))?;
    ioloop.start()?;
    answer(theirs)
}

fn with_a_future() -> Result<[u8; 2]> {
    let ioloop = IoLoop::new()?;
    let (ours, theirs) = peer(&ioloop)?;
    ioloop.spawn(serve_async(ioloop.clone(), ioloop.watch(ours)?));
    ioloop.start()?;
    answer(theirs)
}

/// Waits once.
async fn wait() {
    let mut polls = [Poll::Pending, Poll::Ready(())].into_iter();
    std::future::poll_fn(|_| polls.next().expect("polled after Ready")).await;
}

/// The addresses of the variables, as the functions report them.
type Seen = Rc<RefCell<Vec<usize>>>;

// ANCHOR: kept
async fn kept(seen: Seen) -> u8 {
    let array = [1; LARGE];
    seen.borrow_mut().push(array.as_ptr().addr());
    wait().await;
    array[LARGE - 1]
}

async fn used_up(_: Seen) -> u8 {
    let last = {
        let array = [1; LARGE];
        array[LARGE - 1]
    };
    wait().await;
    last
}

async fn in_scope(seen: Seen) -> u8 {
    let array = [1; LARGE];
    seen.borrow_mut().push(array.as_ptr().addr());
    let last = array[LARGE - 1];
    wait().await;
    last
}

async fn one_after_the_other(seen: Seen) -> u8 {
    kept(Rc::clone(&seen)).await + kept(seen).await
}
// ANCHOR_END: kept

/// Which of the choices is it?
fn place(lab: &Lab) -> usize {
    let seen = Seen::default();
    let mut future = Box::pin(kept(Rc::clone(&seen)));
    let begin = std::ptr::from_ref(&*future).addr();
    let size = size_of_val(&*future);
    let here = std::ptr::from_ref(&seen).addr();
    let pending = poll(future.as_mut()).is_pending();
    let array = seen.borrow()[0];
    lab.note(format!(
        "a future at {}, of {} bytes; its array at {}",
        vary("address", format_args!("{begin:#x}")),
        vary("size", size),
        vary("address", format_args!("{array:#x}"))
    ));
    let done = poll(future.as_mut()) == Poll::Ready(1);
    lab.check(pending && done, "`kept` waits, and has its array afterwards");
    match array {
        _ if (begin..begin + size).contains(&array) => 1,
        _ if array.abs_diff(here) < STACK => 0,
        _ => 2,
    }
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn sizes(lab: &Lab) {
    let seen = Seen::default();
    let kept = size_of_val(&kept(Rc::clone(&seen)));
    let used_up = size_of_val(&used_up(Rc::clone(&seen)));
    let in_scope = size_of_val(&in_scope(Rc::clone(&seen)));
    let two = size_of_val(&one_after_the_other(seen));
    let [k, u, i, both] = [kept, used_up, in_scope, two].map(|size| vary("size", size));
    lab.note(format!("bytes: kept {k}, used_up {u}, in_scope {i}"));
    lab.note(format!("bytes: one_after_the_other {both}"));
    lab.check(kept > LARGE, "a future has room for the array that is needed after the wait");
    lab.check(used_up < LARGE, "an array that was used up before the wait takes no room");
    lab.check(in_scope > LARGE, "an array that was borrowed and is still in scope takes room");
    lab.check(
        two > LARGE && two < 2 * LARGE,
        "two arrays that are never needed at the same time share their room",
    );
}
