//! Accepting with few descriptors left, or none, and on kernels that are played.
//!
//! A turn prints `turn accepted=2 shed=None ended=Empty`, or `turn Err ERRNO TEXT`.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{MsgFlags, UnixAddr, getsockname, send};
use nix::unistd::read;
use prefork::accept::Acceptor;
use testing::{exit_code, judged};

use super::super::super::net::{client, info, open_now, queue, unix_listener};

/// In milliseconds: what has not come by then does not come.
const LONG: u16 = 2000;

/// In bytes: fewer always find room at the other side.
const FEW: usize = 1000;

/// What was asked for.
pub fn run(what: &[&str]) -> i32 {
    exit_code(match what {
        ["turns", turns, clients, batch] => numbers([turns, clients, batch]).map(turns_of),
        ["shed", kind, sent, clients, free, batch] => {
            numbers([sent, clients, free, batch]).and_then(|numbers| shed(kind, numbers))
        }
        ["again"] => again(),
        ["nothing-left"] => nothing_left(),
        ["said"] => said(),
        ["reserve"] => reserve(),
        _ => Err(format!("no scenario is called {what:?}")),
    })
}

/// `turns TURNS CLIENTS BATCH`: so many turns, judged, with so many clients queued before the first.
fn turns_of([turns, clients, batch]: [usize; 3]) {
    let (listener, address) = unix_listener(None, 64);
    let _clients: Vec<OwnedFd> = (0..clients).map(|_| client(&address)).collect();
    let mut acceptor =
        Acceptor::new(listener).expect("there is a descriptor for the reserve").with_batch(batch);
    judged(|| {
        for _ in 0..turns {
            turn(&mut acceptor, Instant::now(), drop);
        }
    });
}

/// `shed unix|tcp SENT CLIENTS FREE BATCH`: with so many clients queued, each of which has sent so many bytes, and
/// so many numbers free, one turn, which keeps what it accepts. Prints `ready` if the listener is still ready then;
/// for each client `client …` with what it reads; and `left …` for what is open when all of them have gone.
fn shed(kind: &str, [sent, clients, free, batch]: [usize; 4]) -> Result<(), String> {
    let before = open_now();
    let (listener, clients) = match kind {
        "unix" => {
            let (listener, address) = unix_listener(None, 64);
            (listener, (0..clients).map(|_| client(&address)).collect::<Vec<OwnedFd>>())
        }
        "tcp" => tcp(clients)?,
        _ => return Err(format!("no socket is called {kind}")),
    };
    for client in &clients {
        send_all(client, sent)?;
    }
    let mut acceptor =
        Acceptor::new(listener).expect("there is a descriptor for the reserve").with_batch(batch);
    let mut kept = Vec::with_capacity(clients.len());
    let shed = with_free(free, || turn(&mut acceptor, Instant::now(), |connection| kept.push(connection)))?;
    if is_ready(&acceptor, PollTimeout::ZERO) {
        println!("ready");
    }
    for client in clients.iter().skip(kept.len()).take(shed) {
        println!("client {}", reads(client));
    }
    drop((acceptor, kept, clients));
    let new: Vec<String> = open_now().into_iter().filter(|each| !before.contains(each)).collect();
    println!("left {}", new.join(", "));
    Ok(())
}

/// `again`: a client, three times over, with no number free.
fn again() -> Result<(), String> {
    let (listener, address) = unix_listener(None, 8);
    let mut acceptor = Acceptor::new(listener).map_err(in_words)?;
    for _ in 0..3 {
        let client = client(&address);
        with_free(0, || turn(&mut acceptor, Instant::now(), drop))?;
        println!("client {}", reads(&client));
    }
    Ok(())
}

/// `nothing-left`: not even the number of the reserve may be used again: two turns. Then all numbers may be, for one
/// turn that accepts the two clients. Then no number is free, for a client more.
fn nothing_left() -> Result<(), String> {
    let (listener, address) = unix_listener(None, 8);
    let _clients = [client(&address), client(&address)];
    let mut acceptor = Acceptor::new(listener).map_err(in_words)?;
    limited(3, || {
        turn(&mut acceptor, Instant::now(), drop);
        turn(&mut acceptor, Instant::now(), drop);
    })?;
    turn(&mut acceptor, Instant::now(), drop);
    let _late = client(&address);
    with_free(0, || turn(&mut acceptor, Instant::now(), drop)).map(drop)
}

/// `said`: turns at these milliseconds, with so many clients each, and no number free.
fn said() -> Result<(), String> {
    let (listener, address) = unix_listener(None, 8);
    let mut acceptor = Acceptor::new(listener).map_err(in_words)?;
    let start = Instant::now();
    for (at, clients) in [(0, 2), (500, 1), (999, 2), (1000, 0), (1500, 1), (2000, 1), (9000, 0)] {
        let _clients: Vec<OwnedFd> = (0..clients).map(|_| client(&address)).collect();
        with_free(0, || turn(&mut acceptor, start + Duration::from_millis(at), drop))?;
    }
    Ok(())
}

/// `reserve`: prints `reserve marked` or `reserve unmarked` for what an acceptor opens for itself, when it is made
/// and once it was used.
fn reserve() -> Result<(), String> {
    let (listener, address) = unix_listener(None, 8);
    let _client = client(&address);
    let next = next_number()?;
    let mut acceptor = Acceptor::new(listener).map_err(in_words)?;
    let say = || {
        // SAFETY: the number was free before, and only looked at.
        let reserve = unsafe { BorrowedFd::borrow_raw(next) };
        println!("reserve {}", if info(reserve).marked { "marked" } else { "unmarked" });
    };
    say();
    with_free(0, || turn(&mut acceptor, Instant::now(), drop))?;
    say();
    Ok(())
}

/// How many it sent away, as far as it says so.
fn turn(acceptor: &mut Acceptor, now: Instant, connected: impl FnMut(OwnedFd)) -> usize {
    match acceptor.accept(now, connected) {
        Ok(turn) => {
            println!("turn accepted={} shed={:?} ended={:?}", turn.accepted, turn.shed, turn.reason);
            turn.shed.unwrap_or(0)
        }
        Err(error) => {
            println!("turn Err {:?} {error}", error.errno);
            0
        }
    }
}

/// A listener, and clients that are in its queue. On loopback too, a connect can come back before that.
fn tcp(clients: usize) -> Result<(OwnedFd, Vec<OwnedFd>), String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(in_words)?;
    listener.set_nonblocking(true).map_err(in_words)?;
    let address = listener.local_addr().map_err(in_words)?;
    let connected = (0..clients).map(|_| {
        let client = TcpStream::connect(address).map_err(in_words)?;
        client.set_nonblocking(true).map_err(in_words)?;
        Ok(client.into())
    });
    let connected: Vec<OwnedFd> = connected.collect::<Result<_, String>>()?;
    while (queue(&listener).0 as usize) < clients {
        thread::yield_now();
    }
    Ok((listener.into(), connected))
}

nix::ioctl_read_bad!(
    /// How many bytes the other side has not got yet. See tcp(7), `SIOCOUTQ`.
    unsent,
    libc::TIOCOUTQ,
    libc::c_int
);

/// Send so many bytes, or as many as there is room for. As many as any buffer has room for are seen to arrive.
fn send_all(client: &OwnedFd, bytes: usize) -> Result<(), String> {
    let mut left = &vec![b'x'; bytes][..];
    while !left.is_empty() {
        match send(client.as_raw_fd(), left, MsgFlags::empty()) {
            Ok(sent) => left = &left[sent..],
            Err(Errno::EAGAIN) => return Ok(()),
            Err(error) => return Err(in_words(error)),
        }
    }
    let is_tcp = getsockname::<UnixAddr>(client.as_raw_fd()).is_err();
    let mut under_way = libc::c_int::from(is_tcp && bytes < FEW);
    while under_way > 0 {
        // SAFETY: the pointer is to an `int` of ours, which is what the call writes.
        unsafe { unsent(client.as_raw_fd(), &raw mut under_way) }.map_err(in_words)?;
        thread::yield_now();
    }
    Ok(())
}

/// What a client reads: `the end`, `an error ERRNO`, or `nothing`.
fn reads(client: &OwnedFd) -> String {
    if !is_ready(client, LONG) {
        return "nothing".into();
    }
    match read(client, &mut [0; 8]) {
        Ok(0) => "the end".into(),
        Ok(bytes) => format!("{bytes} bytes"),
        Err(error) => format!("an error, {error:?}"),
    }
}

fn is_ready(fd: impl AsFd, timeout: impl Into<PollTimeout>) -> bool {
    poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLIN)], timeout.into()) == Ok(1)
}

/// Do something with so many numbers free.
fn with_free<T>(free: usize, work: impl FnOnce() -> T) -> Result<T, String> {
    let places = (0..free).map(|_| File::open("/dev/null").map_err(in_words));
    let places: Vec<File> = places.collect::<Result<_, String>>()?;
    // Below the next there is none but these.
    limited(next_number()?, || {
        drop(places);
        work()
    })
}

/// Do something while only numbers below this one may be had.
fn limited<T>(number: i32, work: impl FnOnce() -> T) -> Result<T, String> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(in_words)?;
    setrlimit(Resource::RLIMIT_NOFILE, number as u64, hard).map_err(in_words)?;
    let done = work();
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).map_err(in_words)?;
    Ok(done)
}

/// The lowest number that is free.
fn next_number() -> Result<i32, String> {
    File::open("/dev/null").map(|file| file.as_raw_fd()).map_err(in_words)
}

fn numbers<const N: usize>(words: [&&str; N]) -> Result<[usize; N], String> {
    let mut numbers = [0; N];
    for (number, word) in numbers.iter_mut().zip(words) {
        *number = word.parse().map_err(|_| format!("{word} is not a number"))?;
    }
    Ok(numbers)
}

/// For what is not under test.
fn in_words(error: impl std::fmt::Display) -> String {
    error.to_string()
}
