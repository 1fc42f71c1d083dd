//! Accepting with few or no free descriptors, and with accept4 errors that a tracer injects.
//!
//! Each batch prints `batch accepted=2 shed=None reason=Empty`, or `batch Err ERRNO TEXT`.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use nix::sys::socket::{MsgFlags, Shutdown, UnixAddr, getsockname, send, setsockopt, shutdown, sockopt};
use nix::unistd::read;
use prefork::accept::Acceptor;
use testing::{exit_code, judged};

use super::support::net::{client, info, open_now, queue, unix_listener};

/// How long to wait for something that may never arrive, in milliseconds.
const TIMEOUT: u16 = 2000;

/// So few bytes that a socket's send buffer and the peer's receive buffer always have room for them.
const FEW: usize = 1000;

/// Run the scenario of that name, and return the helper's exit code.
pub fn run(what: &[&str]) -> i32 {
    exit_code(match what {
        ["batches", count, clients, limit] => numbers([count, clients, limit]).map(batches),
        ["shed", kind, sent, clients, free, batch] => {
            numbers([sent, clients, free, batch]).and_then(|numbers| shed(kind, numbers))
        }
        ["shed-reset"] => shed_reset(),
        ["again"] => again(),
        ["panic-after-shedding"] => {
            panic_after_shedding();
            Ok(())
        }
        ["remove-after-shedding"] => {
            remove_after_shedding();
            Ok(())
        }
        ["no-spare"] => no_spare(),
        ["nothing-left"] => nothing_left(),
        ["reports"] => reports(),
        ["shut-down", clients] => numbers([clients]).and_then(shut_down),
        ["spare"] => spare(),
        _ => Err(format!("no scenario is called {what:?}")),
    })
}

/// `batches COUNT CLIENTS LIMIT`: queue this many clients, and then accept COUNT batches under the tracer.
fn batches([count, clients, limit]: [usize; 3]) {
    let (listener, address) = unix_listener(None, 64);
    let _clients: Vec<OwnedFd> = (0..clients).map(|_| client(&address)).collect();
    let mut acceptor =
        Acceptor::new(listener).expect("there is a descriptor for the spare").with_batch(limit);
    judged(|| {
        for _ in 0..count {
            accept(&mut acceptor, Instant::now(), drop);
        }
    });
}

/// `panic-after-shedding`: two batches under the tracer, of four clients. The callback panics in the first batch.
fn panic_after_shedding() {
    // The test does not need the panic message.
    std::panic::set_hook(Box::new(|_| {}));
    let (listener, address) = unix_listener(None, 64);
    let _clients: Vec<OwnedFd> = (0..4).map(|_| client(&address)).collect();
    let mut acceptor = Acceptor::new(listener).expect("there is a descriptor for the spare");
    judged(|| {
        let panics = catch_unwind(AssertUnwindSafe(|| {
            acceptor.accept(Instant::now(), |_| panic!("on purpose")).map(drop)
        }));
        println!("first {}", if panics.is_err() { "panics" } else { "returns" });
        accept(&mut acceptor, Instant::now(), drop);
    });
}

/// `remove-after-shedding`: a batch under the tracer, of two clients. The callback removes the acceptor.
fn remove_after_shedding() {
    let (listener, address) = unix_listener(None, 64);
    let _clients = [client(&address), client(&address)];
    let mut acceptor = Acceptor::new(listener).expect("there is a descriptor for the spare");
    let remover = acceptor.remover();
    judged(|| accept(&mut acceptor, Instant::now(), |_socket| remover.remove()));
}

/// `no-spare`: make an acceptor without a free descriptor. Prints `new …`, and `left …` as `shed` does.
fn no_spare() -> Result<(), String> {
    let before = open_now();
    let (listener, _) = unix_listener(None, 8);
    let new = limited(next_number()?, || Acceptor::new(listener))?;
    println!("new {}", new.map_or_else(|error| format!("{:?}", error.errno), |_| "Ok".into()));
    left(&before);
    Ok(())
}

/// `shed unix|tcp SENT CLIENTS FREE LIMIT`: queue this many clients, each of which has sent SENT bytes, leave FREE
/// descriptors free, and accept one batch, keeping the accepted connections. Prints `ready` if the listener is still
/// readable then; `client …` with what each shed client reads; and `left …` for the descriptors that are still open
/// when everything has been dropped.
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
        Acceptor::new(listener).expect("there is a descriptor for the spare").with_batch(batch);
    let mut kept = Vec::with_capacity(clients.len());
    let shed = with_free(free, || accept(&mut acceptor, Instant::now(), |connection| kept.push(connection)))?;
    if is_ready(&acceptor, PollTimeout::ZERO) {
        println!("ready");
    }
    for client in clients.iter().skip(kept.len()).take(shed) {
        println!("client {}", reads(client));
    }
    drop((acceptor, kept, clients));
    left(&before);
    Ok(())
}

/// `shed-reset`: two clients reset their connections. Then accept a batch without a free descriptor.
fn shed_reset() -> Result<(), String> {
    let (listener, clients) = tcp(2)?;
    // To close a socket with this option resets its connection: see socket(7), `SO_LINGER`.
    let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
    for client in clients {
        setsockopt(&client, sockopt::Linger, &at_once).map_err(in_words)?;
    }
    let mut acceptor = Acceptor::new(listener).map_err(in_words)?;
    with_free(0, || accept(&mut acceptor, Instant::now(), drop)).map(drop)
}

fn left(before: &[String]) {
    let new: Vec<String> = open_now().into_iter().filter(|each| !before.contains(each)).collect();
    println!("left {}", new.join(", "));
}

/// `again`: three times, shed a client without a free descriptor.
fn again() -> Result<(), String> {
    let (listener, address) = unix_listener(None, 8);
    let mut acceptor = Acceptor::new(listener).map_err(in_words)?;
    for _ in 0..3 {
        let client = client(&address);
        with_free(0, || accept(&mut acceptor, Instant::now(), drop))?;
        println!("client {}", reads(&client));
    }
    Ok(())
}

/// `nothing-left`: accept two batches while not even the spare's number may be used again; then one with descriptors
/// free, which accepts the two queued clients; then one without a free descriptor, with one more client queued.
fn nothing_left() -> Result<(), String> {
    let (listener, address) = unix_listener(None, 8);
    let _clients = [client(&address), client(&address)];
    let mut acceptor = Acceptor::new(listener).map_err(in_words)?;
    limited(3, || {
        accept(&mut acceptor, Instant::now(), drop);
        accept(&mut acceptor, Instant::now(), drop);
    })?;
    accept(&mut acceptor, Instant::now(), drop);
    let _late = client(&address);
    with_free(0, || accept(&mut acceptor, Instant::now(), drop)).map(drop)
}

/// `reports`: batches at these times in milliseconds, each with this many clients and without a free descriptor.
fn reports() -> Result<(), String> {
    let (listener, address) = unix_listener(None, 8);
    let mut acceptor = Acceptor::new(listener).map_err(in_words)?;
    let start = Instant::now();
    for (at, clients) in
        [(0, 2), (500, 1), (999, 2), (1000, 0), (1500, 1), (2000, 1), (9000, 0), (9500, 1), (1000, 1)]
    {
        let _clients: Vec<OwnedFd> = (0..clients).map(|_| client(&address)).collect();
        with_free(0, || accept(&mut acceptor, start + Duration::from_millis(at), drop))?;
    }
    Ok(())
}

/// `shut-down CLIENTS`: queue this many clients, shut the listener down, and accept two batches without a free descriptor.
fn shut_down([clients]: [usize; 1]) -> Result<(), String> {
    let (listener, address) = unix_listener(None, 8);
    let _clients: Vec<OwnedFd> = (0..clients).map(|_| client(&address)).collect();
    shutdown(listener.as_raw_fd(), Shutdown::Both).map_err(in_words)?;
    let mut acceptor = Acceptor::new(listener).map_err(in_words)?;
    for _ in 0..2 {
        with_free(0, || accept(&mut acceptor, Instant::now(), drop))?;
    }
    Ok(())
}

/// `spare`: prints `spare close-on-exec` or `spare inheritable` for the acceptor's own descriptor, first when it is new
/// and then when it was reopened.
fn spare() -> Result<(), String> {
    let (listener, address) = unix_listener(None, 8);
    let _client = client(&address);
    let next = next_number()?;
    let mut acceptor = Acceptor::new(listener).map_err(in_words)?;
    let show = || {
        // SAFETY: the number was free before the acceptor opened its spare, which is only inspected.
        let spare = unsafe { BorrowedFd::borrow_raw(next) };
        println!("spare {}", if info(spare).close_on_exec { "close-on-exec" } else { "inheritable" });
    };
    show();
    with_free(0, || accept(&mut acceptor, Instant::now(), drop))?;
    show();
    Ok(())
}

/// Accept one batch and print it. Returns the number of shed clients that it reports.
fn accept(acceptor: &mut Acceptor, now: Instant, connected: impl FnMut(OwnedFd)) -> usize {
    match acceptor.accept(now, connected) {
        Ok(batch) => {
            println!("batch accepted={} shed={:?} reason={:?}", batch.accepted, batch.shed, batch.reason);
            batch.shed.unwrap_or(0)
        }
        Err(error) => {
            println!("batch Err {:?} {error}", error.errno);
            0
        }
    }
}

/// A listener, and clients that are in its queue. Even on loopback, connect may return before the client is queued.
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
    /// How many bytes the peer has not acknowledged yet: see tcp(7), `SIOCOUTQ`.
    unsent,
    libc::TIOCOUTQ,
    libc::c_int
);

/// Send this many bytes, or as many as there is room for. If they are few, wait until the peer has got them.
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
    let mut unacknowledged = libc::c_int::from(is_tcp && bytes < FEW);
    while unacknowledged > 0 {
        // SAFETY: the pointer refers to an `int` of this function, which is what the call writes.
        unsafe { unsent(client.as_raw_fd(), &raw mut unacknowledged) }.map_err(in_words)?;
        thread::yield_now();
    }
    Ok(())
}

/// What a client reads: `end of file`, `an error, ERRNO`, or `nothing`.
fn reads(client: &OwnedFd) -> String {
    if !is_ready(client, TIMEOUT) {
        return "nothing".into();
    }
    match read(client, &mut [0; 8]) {
        Ok(0) => "end of file".into(),
        Ok(bytes) => format!("{bytes} bytes"),
        Err(error) => format!("an error, {error:?}"),
    }
}

fn is_ready(fd: impl AsFd, timeout: impl Into<PollTimeout>) -> bool {
    poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLIN)], timeout.into()) == Ok(1)
}

/// Run `work` while exactly this many descriptors are free.
fn with_free<T>(free: usize, work: impl FnOnce() -> T) -> Result<T, String> {
    let placeholders = (0..free).map(|_| File::open("/dev/null").map_err(in_words));
    let placeholders: Vec<File> = placeholders.collect::<Result<_, String>>()?;
    // Below the next free number, only the placeholders can become free.
    limited(next_number()?, || {
        drop(placeholders);
        work()
    })
}

/// Run `work` while the limit allows only descriptors below this number.
fn limited<T>(number: i32, work: impl FnOnce() -> T) -> Result<T, String> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(in_words)?;
    setrlimit(Resource::RLIMIT_NOFILE, number as rlim_t, hard).map_err(in_words)?;
    let done = work();
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).map_err(in_words)?;
    Ok(done)
}

/// The lowest free descriptor number.
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

/// The text of an error that is not under test.
fn in_words(error: impl std::fmt::Display) -> String {
    error.to_string()
}
