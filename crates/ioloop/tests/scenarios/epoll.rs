//! `epoll WHAT`: an epoll with signals, with many descriptors, and its own descriptor. `traced KERNEL epoll waits`: its
//! calls on a kernel that has epoll_pwait2, refuses it with ENOSYS or EPERM, interrupts it, or breaks one of two calls.

use std::collections::HashSet;
use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ioloop::poller::Poller;
use ioloop::poller::epoll::Epoll;
use ioloop::{Event, Events, Token};
use nix::errno::Errno;
use nix::libc;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{SigEvent, SigHandler, SigevNotify, Signal, signal};
use nix::sys::time::TimeSpec;
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;
use nix::unistd::dup2_stdin;
use testing::tracer::{self, Call, Kernel};

use super::support::Outcome;

pub fn run(what: &[&str]) -> Outcome {
    match what {
        ["signal", "no limit"] => signals(None),
        ["signal", _] => signals(Some(Duration::from_secs(5))),
        ["interests"] => interests(),
        ["many"] => many(),
        ["zero"] => zero(),
        ["marked"] => marked(),
        ["dropped"] => dropped(),
        ["waits"] => waits(),
        _ => Err(format!("nothing is called {what:?}").into()),
    }
}

/// How many signals came.
static CAME: AtomicU32 = AtomicU32::new(0);
/// This many signals in one wait show that the wait is restarted.
const TOO_MANY: u32 = 50;
/// Written to end a wait that no signal ended.
static END: OnceLock<EventFd> = OnceLock::new();

extern "C" fn came(_: libc::c_int) {
    // A wait that is restarted after each signal ends here, so that the test can report it.
    if CAME.fetch_add(1, Ordering::SeqCst) + 1 == TOO_MANY
        && let Some(end) = END.get()
    {
        let _ = end.write(1);
    }
}

/// A signal every 20 ms: if one comes before the wait, the next one comes in it.
fn signals(timeout: Option<Duration>) -> Outcome {
    let end = END.get_or_init(|| EventFd::from_flags(EfdFlags::EFD_CLOEXEC).expect("an eventfd can be made"));
    let mut epoll = Epoll::new()?;
    epoll.add(end.as_fd().as_raw_fd(), Token { index: 0, generation: 0 }, Events::READ)?;
    // SAFETY: the handler touches an atomic, and writes: see signal-safety(7).
    unsafe { signal(Signal::SIGUSR1, SigHandler::Handler(came)) }?;
    let sends = SigEvent::new(SigevNotify::SigevSignal { signal: Signal::SIGUSR1, si_value: 0 });
    let mut timer = Timer::new(ClockId::CLOCK_MONOTONIC, sends)?;
    let interval = Expiration::Interval(TimeSpec::from_duration(Duration::from_millis(20)));
    timer.set(interval, TimerSetTimeFlags::empty())?;
    let mut ready = Vec::new();
    let answer = epoll.wait(&mut ready, timeout);
    let again = CAME.load(Ordering::SeqCst) >= TOO_MANY;
    drop(timer);
    println!("again {}", if again { "yes" } else { "no" });
    println!("answer {}", in_words(answer, &ready));
    Ok(())
}

fn in_words(answer: ioloop::Result<()>, ready: &[Event]) -> String {
    answer.map_or_else(|error| error.to_string(), |()| format!("Ok, {} ready", ready.len()))
}

/// A descriptor with the number 0, as a process without a standard input may get for any file.
fn zero() -> Outcome {
    let one = EventFd::from_value_and_flags(1, EfdFlags::EFD_CLOEXEC)?;
    dup2_stdin(&one)?;
    let (mut epoll, mut ready) = (Epoll::new()?, Vec::new());
    let token = Token { index: 0, generation: 0 };
    let answer = (epoll.add(0, token, Events::empty()))
        .and_then(|()| epoll.modify(0, token, Events::READ))
        .and_then(|()| epoll.wait(&mut ready, Some(Duration::ZERO)))
        .and_then(|()| epoll.remove(0));
    println!("answer {}", in_words(answer, &ready));
    Ok(())
}

/// Adds a descriptor with each interest, and modifies it to each. Prints `wrong CALL INTEREST: the kernel has BITS`, and
/// `shown no` if this kernel does not show what an epoll watches.
fn interests() -> Outcome {
    let before = epolls()?;
    let mut epoll = Epoll::new()?;
    let number = epolls()?.difference(&before).copied().next().ok_or("no epoll was made")?;
    // `tfd:        4 events: 40002019 data: …`
    let registered = || {
        let text = fs::read_to_string(format!("/proc/self/fdinfo/{number}")).ok()?;
        let line = text.lines().find(|line| line.starts_with("tfd:"))?;
        let bits = u32::from_str_radix(line.split_whitespace().nth(3)?, 16).ok()?;
        Some(Events::from_bits_retain(bits))
    };
    // INVALID is of poll(2) alone.
    let all = Events::all() - Events::INVALID;
    let token = Token { index: 0, generation: 0 };
    let one = EventFd::from_flags(EfdFlags::EFD_CLOEXEC)?;
    let fd = one.as_fd().as_raw_fd();
    for interest in all.iter().chain([Events::empty(), Events::READ | Events::WRITE, all]) {
        epoll.add(fd, token, interest)?;
        let added = registered();
        epoll.modify(fd, token, all - interest)?;
        let modified = registered();
        epoll.remove(fd)?;
        let unasked = Events::ERROR | Events::HANGUP;
        for (call, wanted, has) in [("add", interest, added), ("modify", all - interest, modified)] {
            match has {
                None => {
                    println!("shown no");
                    return Ok(());
                }
                Some(has) if has - unasked == wanted - unasked => {}
                Some(has) => println!("wrong {call} {wanted:?}: the kernel has {has:?}"),
            }
        }
    }
    println!("shown yes");
    Ok(())
}

/// As many descriptors as the limit allows, up to 600, all of them ready.
fn many() -> Outcome {
    let mut epoll = Epoll::new()?;
    let one = EventFd::from_value_and_flags(1, EfdFlags::EFD_CLOEXEC)?;
    let mut open = Vec::new();
    // Each duplicate has its own number, and its own entry in the interest list.
    while let Some(fd) = one.as_fd().try_clone_to_owned().ok().filter(|_| open.len() < 600) {
        epoll.add(fd.as_raw_fd(), Token { index: open.len() as u32, generation: 0 }, Events::READ)?;
        open.push(fd);
    }
    let (mut seen, mut ready, mut waits) = (HashSet::new(), Vec::new(), 0);
    while seen.len() < open.len() && waits < 2000 {
        epoll.wait(&mut ready, Some(Duration::ZERO))?;
        seen.extend(ready.iter().map(|ready| ready.token));
        waits += 1;
    }
    println!("missing {}", open.len() - seen.len());
    println!("waits {waits}");
    Ok(())
}

/// The descriptors of epolls that are open now.
fn epolls() -> Result<HashSet<i32>, std::io::Error> {
    let mut epolls = HashSet::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        // The descriptor of the listing itself is closed by now.
        let Ok(target) = fs::read_link(entry.path()) else { continue };
        if target.to_string_lossy().contains("[eventpoll]") {
            epolls.extend(entry.file_name().to_string_lossy().parse::<i32>());
        }
    }
    Ok(epolls)
}

fn marked() -> Outcome {
    let before = epolls()?;
    let _epoll = Epoll::new()?;
    let mine: Vec<i32> = epolls()?.difference(&before).copied().collect();
    if mine.is_empty() {
        return Err("no epoll was made".into());
    }
    // SAFETY: the call takes integers.
    let unmarked =
        mine.iter().filter(|fd| unsafe { libc::fcntl(**fd, libc::F_GETFD) } & libc::FD_CLOEXEC == 0);
    println!("unmarked {}", unmarked.count());
    Ok(())
}

fn dropped() -> Outcome {
    let before = epolls()?;
    for _ in 0..10 {
        let _dropped_here = Epoll::new()?;
    }
    println!("left {}", epolls()?.difference(&before).count());
    Ok(())
}

/// A kernel that answers one call with an errno.
struct Refusing(Option<(&'static str, Errno)>);

impl Kernel for Refusing {
    fn words(&self, call: &Call) -> Option<String> {
        match call.name {
            "epoll_wait" | "epoll_pwait" => Some(format!("epoll_wait {}", call.args[3] as i32)),
            "epoll_pwait2" => Some(call.name.to_owned()),
            _ => None,
        }
    }

    fn instead(&mut self, call: &Call) -> Option<i64> {
        let name = if call.name == "epoll_pwait" { "epoll_wait" } else { call.name };
        self.0.filter(|(refused, _)| *refused == name).map(|(_, errno)| -i64::from(errno as i32))
    }
}

pub fn on_a_kernel(name: &str, scenario: impl FnOnce() -> i32) -> i32 {
    let refused = match name {
        "as-it-is" => None,
        "without-epoll_pwait2" => Some(("epoll_pwait2", Errno::ENOSYS)),
        "forbids-epoll_pwait2" => Some(("epoll_pwait2", Errno::EPERM)),
        "interrupts-epoll_pwait2" => Some(("epoll_pwait2", Errno::EINTR)),
        "breaks-epoll_pwait2" => Some(("epoll_pwait2", Errno::EBADF)),
        "breaks-epoll_wait" => Some(("epoll_wait", Errno::EBADF)),
        _ => return 2,
    };
    tracer::run(&mut Refusing(refused), scenario)
}

/// Waits with each kind of timeout, while a descriptor is ready, so that none of them sleeps.
fn waits() -> Outcome {
    let mut epoll = Epoll::new()?;
    let one = EventFd::from_value_and_flags(1, EfdFlags::EFD_CLOEXEC)?;
    epoll.add(one.as_fd().as_raw_fd(), Token { index: 0, generation: 0 }, Events::READ)?;
    let micros =
        [0, 1, 300, 1500, 3000, 5_000_300, 1000 << 31].map(|micros| Some(Duration::from_micros(micros)));
    let more = [Some(Duration::from_nanos(1_000_500)), Some(Duration::MAX), None];
    let timeouts = [&micros[..], &more].concat();
    let mut ready = Vec::new();
    testing::judged(|| {
        timeouts.into_iter().for_each(|timeout| match epoll.wait(&mut ready, timeout) {
            Ok(()) => println!("ready {}", ready.len()),
            Err(error) => println!("ready not: {error}"),
        });
    });
    Ok(())
}
