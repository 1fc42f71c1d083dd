//! `accepting no-descriptor POLLER`: a loop that accepts, in a process that has no descriptor left. `accepting stuck`:
//! the same in a process that cannot even reuse the number of its reserve. `accepting refused POLLER`: accept4 returns EPERM.
//! `accepting full-batches`: no descriptor is left, and each batch turns away as many clients as it may. `accepting
//! fails-and-sheds`: the callback fails for the only client that a descriptor is left for. `accepting paused`: the program
//! pauses a listener that is stuck.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use ioloop::poller::Kind;
use ioloop::{Config, IoLoop};
use nix::errno::Errno;
use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use prefork::accept::BATCH;

use super::support::Outcome;

pub fn no_descriptor(poller: Kind) -> Outcome {
    limit_descriptors()?;
    let ioloop = IoLoop::with(Config { poller, ..Config::default() })?;
    let (listener, address) = listen()?;
    let (accepted, turns) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let counted = Rc::clone(&accepted);
    let _accepting = ioloop.add_accept_handler(listener, move |_, _| counted.set(counted.get() + 1))?;
    ioloop.handle_callback_exception(|_, failure| println!("reported {failure}"));
    let counted = Rc::clone(&turns);
    ioloop.subscribe(move |_, _| counted.set(counted.get() + 1));

    let clients = (0..5).map(|_| TcpStream::connect(address)).collect::<Result<Vec<_>, _>>()?;
    let taken = take_all();
    ioloop.call_later(Duration::from_millis(50), IoLoop::stop);
    ioloop.start()?;
    println!("accepted {}", accepted.get());
    let ended = |mut client: &TcpStream| match client.read(&mut [0]) {
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
        Ok(count) => count == 0,
    };
    println!("sent-away {}", clients.iter().filter(|client| ended(client)).count());
    println!("turns {}", turns.get());

    drop(taken);
    let _late = TcpStream::connect(address)?;
    ioloop.call_later(Duration::from_secs(5), IoLoop::stop);
    let ioloop_stops = Rc::clone(&accepted);
    ioloop.call_every(Duration::from_millis(1), move |ioloop| {
        if ioloop_stops.get() > 0 {
            ioloop.stop();
        }
    });
    ioloop.start()?;
    println!("afterwards {}", if accepted.get() == 1 { "accepted" } else { "nobody" });
    Ok(())
}

/// Sets a limit that the process soon reaches, by opening files.
fn limit_descriptors() -> nix::Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, soft.min(200), hard)
}

fn listen() -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Opens files until the process has no descriptor left.
fn take_all() -> Vec<OwnedFd> {
    let mut taken: Vec<OwnedFd> = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        taken.push(file.into());
    }
    taken
}

pub fn full_batches() -> Outcome {
    limit_descriptors()?;
    let ioloop = IoLoop::new()?;
    let (listener, address) = listen()?;
    ioloop.add_accept_handler(listener, |_, _| println!("accepted"))?;
    let mut reported = 0;
    ioloop.handle_callback_exception(move |ioloop, failure| {
        println!("reported {failure}");
        reported += 1;
        if reported == 2 {
            ioloop.stop();
        }
    });
    // The backlog has room for as many clients as one batch may accept.
    let connect = || (0..BATCH).map(|_| TcpStream::connect(address)).collect::<Result<Vec<_>, _>>();
    let first = connect()?;
    let _taken = take_all();
    ioloop.turn(Duration::ZERO)?;
    // The clients of the second batch take the descriptors of the first ones.
    drop(first);
    let _second = connect()?;
    ioloop.call_later(Duration::from_secs(5), IoLoop::stop);
    ioloop.start()?;
    Ok(())
}

pub fn fails_and_sheds() -> Outcome {
    limit_descriptors()?;
    let ioloop = IoLoop::new()?;
    let (listener, address) = listen()?;
    let mut sockets = Vec::new();
    ioloop.add_accept_handler(listener, move |_, socket| {
        // Kept open, so that no descriptor is left for the other clients.
        sockets.push(socket);
        Err::<(), _>("connected failed")
    })?;
    ioloop.handle_callback_exception(|_, failure| println!("reported {failure}"));
    let _clients = (0..6).map(|_| TcpStream::connect(address)).collect::<Result<Vec<_>, _>>()?;
    let mut taken = take_all();
    taken.pop();
    ioloop.turn(Duration::ZERO)?;
    Ok(())
}

pub fn stuck() -> Outcome {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let limit = |numbers| setrlimit(Resource::RLIMIT_NOFILE, numbers, hard);
    let ioloop = IoLoop::new()?;
    let (listener, address) = listen()?;
    let clients = [TcpStream::connect(address)?, TcpStream::connect(address)?];
    let turns = Rc::new(Cell::new(0));
    let accepting = ioloop.add_accept_handler(listener, |ioloop, _| ioloop.stop())?;
    ioloop.handle_callback_exception(|_, failure| println!("reported {failure}"));
    let counted = Rc::clone(&turns);
    ioloop.subscribe(move |_, _| counted.set(counted.get() + 1));

    limit(3)?;
    // Even on a busy machine one batch finds no descriptor.
    ioloop.turn(Duration::ZERO)?;
    ioloop.call_later(Duration::from_millis(50), IoLoop::stop);
    ioloop.start()?;
    println!("turns {}", turns.get());
    limit(soft)?;
    let given_up = ioloop.call_later(Duration::from_secs(5), |ioloop| {
        println!("no client was accepted");
        ioloop.stop();
    });
    ioloop.start()?;
    ioloop.remove_timeout(given_up);

    // Stuck again, and removed by the time at which the loop would try again.
    let late = TcpStream::connect(address)?;
    limit(3)?;
    ioloop.call_later(Duration::from_millis(20), move |ioloop| accepting.remove(ioloop));
    ioloop.call_later(Duration::from_millis(250), IoLoop::stop);
    ioloop.start()?;
    limit(soft)?;
    drop((clients, late));
    Ok(())
}

/// The hook pauses the listener, which the loop has paused already.
pub fn paused() -> Outcome {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let limit = |numbers| setrlimit(Resource::RLIMIT_NOFILE, numbers, hard);
    let ioloop = IoLoop::new()?;
    let (listener, address) = listen()?;
    let _client = TcpStream::connect(address)?;
    let accepted = Rc::new(Cell::new(0));
    let counted = Rc::clone(&accepted);
    let accepting = ioloop.add_accept_handler(listener, move |_, _| counted.set(counted.get() + 1))?;
    let token = accepting.token();
    ioloop.handle_callback_exception(move |ioloop, failure| {
        println!("reported {failure}");
        ioloop.pause_handler(token).expect("a handler can be paused");
    });
    limit(3)?;
    ioloop.turn(Duration::ZERO)?;
    limit(soft)?;
    ioloop.call_later(Duration::from_millis(250), IoLoop::stop);
    ioloop.start()?;
    println!("paused {} accepted", accepted.get());
    ioloop.resume_handler(token)?;
    ioloop.turn(Duration::from_secs(5))?;
    println!("resumed {} accepted", accepted.get());
    Ok(())
}

pub fn refused(poller: Kind) -> Outcome {
    let ioloop = IoLoop::with(Config { poller, ..Config::default() })?;
    let (listener, address) = listen()?;
    let _client = TcpStream::connect(address)?;
    let _accepting = ioloop.add_accept_handler(listener, |_, _| println!("accepted"))?;
    ioloop.handle_callback_exception(|_, failure| println!("reported {failure}"));
    let turns = Rc::new(Cell::new(0));
    let counted = Rc::clone(&turns);
    ioloop.subscribe(move |_, _| counted.set(counted.get() + 1));
    ioloop.call_later(Duration::from_millis(10), |_| println!("other ran"));
    ioloop.call_later(Duration::from_millis(250), IoLoop::stop);
    if let Err(errno) = forbid_accept4() {
        eprintln!("seccomp(2): {errno}");
        std::process::exit(testing::REFUSED);
    }
    ioloop.start()?;
    println!("turns {}", turns.get());
    Ok(())
}

/// Let accept4 fail with EPERM in this process: see seccomp(2).
fn forbid_accept4() -> nix::Result<()> {
    let step = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut program = [
        // The number of the system call is the first field of `struct seccomp_data`.
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, libc::SYS_accept4 as u32),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    nix::sys::prctl::set_no_new_privs()?;
    // SAFETY: the call reads the program, which lives until the call returns.
    let set = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) };
    Errno::result(set).map(drop)
}
